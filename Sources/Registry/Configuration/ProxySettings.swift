import OCI

/// Which proxy a request goes through: `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` is not read, `NO_PROXY`.
///
/// The rules are those of Go's golang.org/x/net/http/httpproxy, which docker and podman have: the lower-case names count too (and
/// the upper-case ones first), the machine itself is never asked through a proxy, `NO_PROXY` lists host names (with or without leading
/// dot, `*.`), IP addresses, networks, each with an optional port, or `*`.
struct ProxySettings: Sendable {
    struct Proxy: Sendable, Hashable {
        var host: String
        var port: Int
        var isSOCKS = false
        /// Base64 of `user:password`; nil when there are none.
        var credentials: String?
    }

    private enum Exception: Sendable {
        case everything
        case address(InternetAddress, port: Int?)
        case network(InternetAddress, bits: Int)
        /// In lower case, with a leading dot; `exact` also stands for the name without what is before the dot.
        case name(String, exact: Bool, port: Int?)
    }

    private let http: Proxy?
    private let https: Proxy?
    private let exceptions: [Exception]

    init() {
        http = nil
        https = nil
        exceptions = []
    }

    /// - Throws: `.configuration` for a proxy that is none or of a kind that is not supported.
    init(_ environment: [String: String]) throws(RegistryError) {
        func value(_ name: String) -> String {
            let upper = environment[name] ?? ""
            return upper.isEmpty ? environment[name.lowercased()] ?? "" : upper
        }
        http = try ProxySettings.proxy(value("HTTP_PROXY"), "HTTP_PROXY")
        https = try ProxySettings.proxy(value("HTTPS_PROXY"), "HTTPS_PROXY")
        exceptions = value("NO_PROXY").split(separator: ",").compactMap { ProxySettings.exception(trimmed($0)) }
    }

    /// The proxy for an address; nil for none.
    func proxy(for address: WebAddress) -> Proxy? {
        guard let proxy = address.scheme == .https ? https : http, !address.isLoopback else { return nil }
        let ip = InternetAddress(address.host)
        for exception in exceptions {
            switch exception {
            case .everything: return nil
            case .address(let listed, let port):
                if ip == listed, port == nil || port == address.port { return nil }
            case .network(let network, let bits):
                if let ip, ip.isIn(network, bits: bits) { return nil }
            case .name(let suffix, let exact, let port):
                guard port == nil || port == address.port else { continue }
                if address.host.hasSuffix(suffix) || exact && address.host == suffix.dropFirst() { return nil }
            }
        }
        return proxy
    }

    private static func proxy(_ text: String, _ variable: String) throws(RegistryError) -> Proxy? {
        let text = trimmed(Substring(text))
        if text.isEmpty { return nil }
        var rest = Substring(text)
        var scheme = "http"
        if let colon = text.firstIndex(of: ":"), text[colon...].hasPrefix("://") {
            scheme = text[..<colon].lowercased()
            rest = text[text.index(colon, offsetBy: 3)...]
        }
        guard ["http", "socks5", "socks5h"].contains(scheme) else {
            throw RegistryError(
                .configuration, "\(variable): proxies of type \"\(Failures.printable(scheme))\" are not supported; use http or socks5")
        }
        rest = rest.prefix { $0 != "/" && $0 != "?" && $0 != "#" }
        var credentials: String?
        if let at = rest.lastIndex(of: "@") {
            credentials = Base64.encode(percentDecoded(rest[..<at]))
            rest = rest[rest.index(after: at)...]
        }
        guard let (host, port) = WebAddress.splitAuthority(rest) else {
            // The value may hold a password: it is not shown.
            throw RegistryError(.configuration, "\(variable) is no address of a proxy; write it as http://host:port")
        }
        let isSOCKS = scheme != "http"
        return Proxy(host: host, port: port ?? (isSOCKS ? 1080 : 80), isSOCKS: isSOCKS, credentials: isSOCKS ? nil : credentials)
    }

    private static func exception(_ text: String) -> Exception? {
        var text = text.lowercased()
        if text.isEmpty { return nil }
        if text == "*" { return .everything }
        if let slash = text.firstIndex(of: "/") {
            guard let network = InternetAddress(String(text[..<slash])), let bits = Int(text[text.index(after: slash)...])
            else { return nil }
            return .network(network, bits: bits)
        }
        if let ip = InternetAddress(text) { return .address(ip, port: nil) }
        var port: Int?
        if let (host, number) = WebAddress.splitAuthority(Substring(text.hasPrefix("*.") ? String(text.dropFirst()) : text)) {
            (text, port) = (host, number)
        }
        if let ip = InternetAddress(text) { return .address(ip, port: port) }
        if text.hasPrefix("*.") { text.removeFirst() }
        // `.example.com` is what is below that name, `example.com` the name too.
        return text.hasPrefix(".") ? .name(text, exact: false, port: port) : .name("." + text, exact: true, port: port)
    }

    private static func percentDecoded(_ text: Substring) -> [UInt8] {
        var out: [UInt8] = []
        var bytes = Array(text.utf8)[...]
        while let byte = bytes.popFirst() {
            if byte == UInt8(ascii: "%"), bytes.count >= 2,
                let value = UInt8(String(decoding: bytes.prefix(2), as: UTF8.self), radix: 16)
            {
                out.append(value)
                bytes.removeFirst(2)
            } else {
                out.append(byte)
            }
        }
        return out
    }
}

/// Without blanks and tabs at both ends.
func trimmed(_ text: some StringProtocol) -> String {
    let bytes = Array(text.utf8)
    guard let first = bytes.firstIndex(where: { $0 != 0x20 && $0 != 0x09 }),
        let last = bytes.lastIndex(where: { $0 != 0x20 && $0 != 0x09 })
    else { return "" }
    return String(decoding: bytes[first...last], as: UTF8.self)
}
