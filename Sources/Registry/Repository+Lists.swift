import JSON
import NIOHTTP1
import OCI

extension Repository {
    /// Limits against a registry that never stops: pages, and tags in all.
    private static let mostPages = 10_000
    private static let mostTags = 1_000_000
    private static let largestPage = 4 << 20

    /// All tags, in the registry's order.
    ///
    /// - Throws: `.notFound`.
    public func tags() throws(RegistryError) -> [String] {
        try reading(isDigest: nil) { (source, attempts) throws(RegistryError) in
            var tags: [String] = []
            let first = source.call(.GET, "tags/list", ["pull"], "list of tags of " + reference.familiarName)
            try pages(first, attempts) { (bytes) throws(RegistryError) in
                do throws(OCIError) {
                    tags += try TagList.decode(bytes).tags
                } catch {
                    throw RegistryError(.protocol, "\(source.host.name): \(error.description)")
                }
                guard tags.count <= Repository.mostTags else {
                    throw RegistryError(.tooLarge, "\(source.host.name) lists more than \(Repository.mostTags) tags")
                }
            }
            return tags
        }
    }

    /// Fetches pages as long as the registry names a next one.
    func pages(
        _ first: Call, _ attempts: Int?, _ body: ([UInt8]) throws(RegistryError) -> Void
    ) throws(RegistryError) {
        var call = first
        var seen: Set<String> = []
        for _ in 0..<Repository.mostPages {
            let current = call
            let (bytes, answer) = try session.retrying(attempts) { () throws(RegistryError) in
                let answer = try session.perform(current, expecting: [200], attempts: 1)
                return (try answer.exchange.body(limit: Repository.largestPage, of: current.subject), answer)
            }
            try body(bytes)
            guard let link = LinkHeader.next(answer.headers["Link"]) else { return }
            guard let next = answer.address.resolving(link), next.origin == answer.address.origin,
                seen.insert(next.text).inserted
            else {
                throw RegistryError(.protocol, "\(first.host.name) names a next page that leads elsewhere or back")
            }
            call.address = next
        }
        throw RegistryError(.tooLarge, "\(first.host.name) has too many pages")
    }
}
