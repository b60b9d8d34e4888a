import Linux

/// How the host finds names (resolv.conf(5)).
public struct HostResolver: Sendable, Hashable {
    public var servers: [String] = []
    public var search: [String] = []
    public var options: [String] = []

    public init() {}

    public init(parsing text: String) {
        for line in text.split(whereSeparator: { $0 == "\n" || $0 == "\r\n" }) {
            var words = line.split(whereSeparator: { $0 == " " || $0 == "\t" }).map(String.init)
            if words.isEmpty { continue }
            switch words.removeFirst() {
            case "nameserver":
                // A zone says by which of the host's devices; only the host can ask so.
                if let word = words.first, IPAddress(String(word.prefix { $0 != "%" })) != nil { servers.append(word) }
            // The last one counts.
            case "search", "domain": search = words
            case "options": options = words
            default: continue
            }
        }
    }

    /// As it is now. A stub that only forwards (systemd-resolved's 127.0.0.53) is passed over where it says to whom; other
    /// servers at loopback stay, as they are asked from the host's namespace.
    public static func read() -> HostResolver {
        var result = HostResolver(parsing: (try? FD.cwd.readText("/etc/resolv.conf", limit: 1 << 20)) ?? "")
        let isStub = !result.servers.isEmpty && result.servers.allSatisfy(isLoopback)
        if isStub, let text = try? FD.cwd.readText("/run/systemd/resolve/resolv.conf", limit: 1 << 20) {
            let behind = HostResolver(parsing: text)
            if !behind.servers.isEmpty { result.servers = behind.servers }
        }
        return result
    }

    /// Without loopback where there is another.
    public var upstreams: [String] {
        let others = servers.filter { !HostResolver.isLoopback($0) }
        return others.isEmpty ? servers : others
    }

    private static func isLoopback(_ server: String) -> Bool { IPAddress(server)?.isLoopback ?? false }
}
