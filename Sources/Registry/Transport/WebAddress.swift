/// An absolute http or https address, taken apart and in one normal form.
///
/// Read from files and from the answers of strangers: no user info, no fragment, nothing that could break out of a request line.
/// Spec: RFC 3986; RFC 9110 section 4.2.
struct WebAddress: Sendable, Hashable {
    enum Scheme: String, Sendable, Hashable {
        case http, https

        var port: Int { self == .https ? 443 : 80 }
    }

    /// What credentials are bound to.
    struct Origin: Sendable, Hashable {
        let scheme: Scheme
        let host: String
        let port: Int
    }

    let scheme: Scheme
    /// In lower case; an IPv6 address without its brackets.
    let host: String
    let port: Int
    /// Path and query, beginning with a slash, as they are sent.
    let target: String

    /// Longest accepted text: signed addresses of object stores have some thousand bytes.
    static let longest = 16 << 10

    init(scheme: Scheme, host: String, port: Int, target: String) {
        self.scheme = scheme
        self.host = host
        self.port = port
        self.target = target
    }

    /// Reads an absolute address; nil when it is none, is no http, or carries a user or password.
    init?(_ text: String) {
        guard text.utf8.count <= WebAddress.longest, let colon = text.firstIndex(of: ":"),
            let scheme = Scheme(rawValue: text[..<colon].lowercased())
        else { return nil }
        let rest = text[text.index(after: colon)...]
        guard rest.hasPrefix("//") else { return nil }
        let afterSlashes = rest.dropFirst(2)
        let end = afterSlashes.firstIndex { $0 == "/" || $0 == "?" || $0 == "#" } ?? afterSlashes.endIndex
        guard let (host, port) = WebAddress.splitAuthority(afterSlashes[..<end]),
            let target = WebAddress.cleaned(afterSlashes[end...])
        else { return nil }
        self.init(scheme: scheme, host: host, port: port ?? scheme.port, target: target)
    }

    var origin: Origin { Origin(scheme: scheme, host: host, port: port) }

    /// `host`, or `host:port` when the port is not the scheme's; IPv6 in brackets.
    var authority: String {
        let name = host.utf8.contains(UInt8(ascii: ":")) ? "[" + host + "]" : host
        return port == scheme.port ? name : name + ":" + String(port)
    }

    var text: String { scheme.rawValue + "://" + authority + target }

    /// The address without what may be secret: signed queries.
    var shown: String {
        scheme.rawValue + "://" + authority + target.prefix { $0 != "?" }
    }

    /// The same place with another path and query.
    func with(target: String) -> WebAddress { WebAddress(scheme: scheme, host: host, port: port, target: target) }

    /// The same address with one more part of the query.
    func adding(query: String) -> WebAddress {
        with(target: target + (target.utf8.contains(UInt8(ascii: "?")) ? "&" : "?") + query)
    }

    /// Where a `Location` or `Link` of an answer from here points to; nil when that is no address of the web.
    func resolving(_ location: String) -> WebAddress? {
        guard location.utf8.count <= WebAddress.longest else { return nil }
        if location.hasPrefix("//") { return WebAddress(scheme.rawValue + ":" + location) }
        if location.hasPrefix("/") || location.isEmpty {
            return WebAddress.cleaned(Substring(location)).map(with(target:))
        }
        if let colon = location.firstIndex(of: ":"), location[..<colon].utf8.allSatisfy(WebAddress.isSchemeByte) {
            return WebAddress(location)
        }
        let path = target.prefix { $0 != "?" }
        if location.hasPrefix("?") { return WebAddress.cleaned(path + location).map(with(target:)) }
        let directory = path[...(path.lastIndex(of: "/") ?? path.startIndex)]
        guard let merged = WebAddress.cleaned(directory + location) else { return nil }
        return with(target: WebAddress.withoutDots(merged))
    }

    // MARK: Parts

    /// Splits `host[:port]`; nil for user info, an empty host, a port out of range.
    static func splitAuthority(_ text: Substring) -> (host: String, port: Int?)? {
        var host = text
        var digits: Substring?
        if text.first == "[" {
            guard let close = text.firstIndex(of: "]") else { return nil }
            host = text[text.index(after: text.startIndex)..<close]
            let rest = text[text.index(after: close)...]
            guard rest.isEmpty || rest.first == ":" else { return nil }
            digits = rest.isEmpty ? nil : rest.dropFirst()
            guard host.utf8.contains(UInt8(ascii: ":")),
                host.utf8.allSatisfy({ isHex($0) || $0 == UInt8(ascii: ":") || $0 == UInt8(ascii: ".") })
            else { return nil }
        } else {
            if let colon = text.lastIndex(of: ":") {
                host = text[..<colon]
                digits = text[text.index(after: colon)...]
            }
            guard host.utf8.allSatisfy(isHostByte) else { return nil }
        }
        guard !host.isEmpty, host.utf8.count <= 253 else { return nil }
        guard let digits, !digits.isEmpty else { return (host.lowercased(), nil) }
        guard digits.utf8.count <= 5, digits.utf8.allSatisfy(isDigit), let port = Int(digits), (1...65535).contains(port)
        else { return nil }
        return (host.lowercased(), port)
    }

    /// A path and query fit for a request line: a slash in front, no fragment, odd bytes as `%xx`; nil for control characters.
    private static func cleaned(_ text: Substring) -> String? {
        var out: [UInt8] = []
        if text.utf8.first != UInt8(ascii: "/") { out.append(UInt8(ascii: "/")) }
        for byte in text.utf8 {
            if byte == UInt8(ascii: "#") { break }
            if byte < 0x20 || byte == 0x7F { return nil }
            if isTargetByte(byte) {
                out.append(byte)
            } else {
                out.append(contentsOf: percent(byte))
            }
        }
        return String(decoding: out, as: UTF8.self)
    }

    private static func withoutDots(_ target: String) -> String {
        let path = target.prefix { $0 != "?" }
        var parts: [Substring] = []
        let pieces = path.dropFirst().split(separator: "/", omittingEmptySubsequences: false)
        for (index, piece) in pieces.enumerated() {
            let isLast = index == pieces.count - 1
            switch piece {
            case ".": if isLast { parts.append("") }
            case "..":
                _ = parts.popLast()
                if isLast { parts.append("") }
            default: parts.append(piece)
            }
        }
        return "/" + parts.joined(separator: "/") + target[path.endIndex...]
    }

    /// `text` as one part of a query: everything but unreserved characters as `%xx`.
    static func queryEscaped(_ text: String) -> String {
        var out: [UInt8] = []
        for byte in text.utf8 {
            let plain =
                isDigit(byte) || isLetter(byte) || byte == UInt8(ascii: "-") || byte == UInt8(ascii: ".")
                || byte == UInt8(ascii: "_") || byte == UInt8(ascii: "~")
            if plain { out.append(byte) } else { out.append(contentsOf: percent(byte)) }
        }
        return String(decoding: out, as: UTF8.self)
    }

    private static func percent(_ byte: UInt8) -> [UInt8] {
        let digits = Array("0123456789ABCDEF".utf8)
        return [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
    }

    private static func isDigit(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") }
    private static func isLetter(_ byte: UInt8) -> Bool {
        let lower = byte | 0x20
        return lower >= UInt8(ascii: "a") && lower <= UInt8(ascii: "z")
    }
    private static func isHex(_ byte: UInt8) -> Bool {
        isDigit(byte) || (byte | 0x20) >= UInt8(ascii: "a") && (byte | 0x20) <= UInt8(ascii: "f")
    }
    private static func isSchemeByte(_ byte: UInt8) -> Bool {
        isLetter(byte) || isDigit(byte) || byte == UInt8(ascii: "+") || byte == UInt8(ascii: "-") || byte == UInt8(ascii: ".")
    }
    /// `_` is no letter of host names and yet in use inside of clusters.
    private static func isHostByte(_ byte: UInt8) -> Bool {
        isLetter(byte) || isDigit(byte) || byte == UInt8(ascii: "-") || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "_")
    }
    private static func isTargetByte(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x21...0x7E:
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "<"), UInt8(ascii: ">"), UInt8(ascii: "\\"), UInt8(ascii: "^"), UInt8(ascii: "`"),
                UInt8(ascii: "{"), UInt8(ascii: "|"), UInt8(ascii: "}"):
                false
            default: true
            }
        default: false
        }
    }
}

extension WebAddress {
    /// Whether this is the machine itself: 127.0.0.0/8, ::1, `localhost`.
    var isLoopback: Bool { WebAddress.isLoopback(host) }

    static func isLoopback(_ host: String) -> Bool {
        if host == "localhost" || host == "::1" { return true }
        guard let address = InternetAddress(host), case .v4(let value) = address else { return false }
        return value >> 24 == 127
    }

    /// Whether this is an address that never leaves the link: where clouds keep the secrets of a machine (169.254.169.254).
    var isLinkLocal: Bool {
        switch InternetAddress(host) {
        case .v4(let value): value >> 16 == 0xA9FE
        case .v6(let bytes): bytes[0] == 0xFE && bytes[1] & 0xC0 == 0x80
        case nil: false
        }
    }
}
