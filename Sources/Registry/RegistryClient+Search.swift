import JSON
import NIOHTTP1
import OCI

/// One repository that a search found.
public struct SearchResult: Sendable, Hashable {
    public var name = ""
    public var description = ""
    public var stars = 0
    public var isOfficial = false
    public var isAutomated = false

    init(json parser: inout JSONParser) throws(JSONError) {
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "name": name = try parser.string()
            case "description": description = try parser.string()
            case "star_count": stars = try parser.int()
            case "is_official": isOfficial = try parser.bool()
            case "is_automated": isAutomated = try parser.bool()
            default: try parser.skip()
            }
        }
    }
}

extension RegistryClient {
    /// Searches repositories by words, with the search of the registry's version 1, which Docker Hub has and few others.
    ///
    /// - Parameters:
    ///   - registry: `docker.io`, or another that can search.
    ///   - limit: most results, 1 to 100.
    /// - Throws: `.notFound` when the registry has no search.
    public func search(_ words: String, at registry: String = "docker.io", limit: Int = 25) throws(RegistryError) -> [SearchResult] {
        let entry = configuration.registries.entry(for: registry)
        if let entry, entry.blocked { throw RegistryError(.blocked, "registry \(registry) is blocked in \(entry.file)") }
        // Docker Hub searches at another host than it keeps images at.
        let name = registry == Reference.defaultDomain ? "index.docker.io" : registry
        let host = try session.host(
            SourceName(registry: name, path: "", isInsecure: entry?.insecure ?? false, isMirror: false))
        var call = Call(host: host, method: .GET, name: registry)
        call.target = "/v1/search?q=" + WebAddress.queryEscaped(words) + "&n=\(limit)"
        call.subject = "search"
        let answer = try session.perform(call, expecting: [200])
        let bytes = try answer.exchange.body(limit: 4 << 20, of: "a search")
        do throws(JSONError) {
            return try JSONParser.parse(bytes, limits: JSONLimits(size: 4 << 20)) {
                (parser: inout JSONParser) throws(JSONError) in
                var results: [SearchResult] = []
                var object = try parser.beginObject()
                while let key = try parser.nextKey(&object) {
                    switch key {
                    case "results": results = try parser.array(SearchResult.init(json:))
                    default: try parser.skip()
                    }
                }
                return results
            }
        } catch {
            throw RegistryError(.protocol, "\(registry) answers a search with something else: \(error.reason)")
        }
    }
}
