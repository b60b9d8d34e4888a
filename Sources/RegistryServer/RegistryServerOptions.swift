/// How a registry is to be served.
public struct RegistryServerOptions: Sendable {
    /// Name or address to listen on.
    public var host = "127.0.0.1"
    /// 0 lets the kernel choose.
    public var port = 5000
    /// The registry's directory, absolute; made when missing.
    public var data: String
    /// PEM file with the certificate and those above it; TLS is used when this and `key` are given.
    public var certificate: String?
    /// PEM file with the private key.
    public var key: String?
    /// File with lines `user:bcrypt hash`; without one everybody may do everything.
    public var passwords: String?
    /// Nothing can be pushed or deleted.
    public var isReadOnly = false
    /// No line per request.
    public var isQuiet = false
    /// How long a blob is kept that no manifest names, in nanoseconds.
    public var keepUnlinked: Int64 = 3_600_000_000_000
    public var limits = Limits()

    /// What one client may take.
    public struct Limits: Sendable {
        /// Connections at the same time; what comes above is closed at once.
        public var connections = 1000
        /// Bytes of one header line, and of the request line.
        public var headerField = 16 << 10
        /// Bytes of all header lines.
        public var headers = 64 << 10
        public var headerCount = 100
        /// Seconds from the first byte of a request (or from the connection's beginning) to the end of its header.
        public var headerSeconds: Int64 = 15
        /// Seconds that a connection may stay open between two requests.
        public var idleSeconds: Int64 = 60
        /// Seconds within which a body must bring `bodyBytes`, and within which a client must take a piece of an answer.
        public var bodySeconds: Int64 = 30
        public var bodyBytes = 2048
        public var answerSeconds: Int64 = 120
        /// Bytes of a manifest.
        public var manifest = 4 << 20

        public init() {}
    }

    public init(data: String) { self.data = data }

    /// Takes `HOST:PORT`, `:PORT`, `[ADDRESS]:PORT` or `HOST` apart.
    ///
    /// - Throws: `.invalid`.
    public mutating func listen(on text: String) throws(RegistryServerError) {
        let failure = RegistryServerError(
            .invalid, "listen on", text, cause: "expected ADDRESS:PORT, e.g. 127.0.0.1:5000 or [::1]:5000")
        var rest = text[...]
        if rest.first == "[" {
            guard let close = rest.firstIndex(of: "]") else { throw failure }
            host = String(rest[rest.index(after: rest.startIndex)..<close])
            rest = rest[rest.index(after: close)...]
        } else {
            let colons = rest.utf8.filter { $0 == UInt8(ascii: ":") }.count
            // More than one colon without brackets: where the port begins would be a guess.
            guard colons <= 1 else { throw failure }
            let name = rest.prefix { $0 != ":" }
            host = name.isEmpty ? "0.0.0.0" : String(name)
            rest = rest.dropFirst(name.count)
        }
        guard !host.isEmpty, !host.utf8.contains(0) else { throw failure }
        if rest.isEmpty { return }
        guard rest.first == ":", rest.utf8.count <= 6, rest.dropFirst().utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }),
            let port = Int(rest.dropFirst()), port <= 65535
        else { throw failure }
        self.port = port
    }

    var isTLS: Bool { certificate != nil }

    /// Whether only this machine can connect.
    var isLoopback: Bool { host == "localhost" || host == "::1" || host.hasPrefix("127.") }
}
