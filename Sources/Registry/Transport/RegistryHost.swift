import OCI

/// A registry host as one client sees it: its address, whether it must have TLS, and what it wants to know.
final class RegistryHost: Sendable {
    /// As the user writes it: `docker.io`, `localhost:5000`.
    let name: String
    let isMirror: Bool
    /// Whether its certificate is verified.
    let verifies: Bool
    let authorizer: Authorizer
    private let host: String
    private let port: Int?
    private let allowsPlain: Bool
    private let decided = Monitor<WebAddress.Scheme?>(nil)

    /// - Throws: `.configuration` for a name that is no host.
    init(_ source: SourceName, _ options: RegistryOptions, _ service: TokenService) throws(RegistryError) {
        let isHub = source.registry == Reference.defaultDomain
        let text = isHub ? "registry-1.docker.io" : source.registry
        guard let (host, port) = WebAddress.splitAuthority(Substring(text)) else {
            throw RegistryError(.configuration, "\"\(Failures.printable(source.registry))\" is no registry")
        }
        name = source.registry
        isMirror = source.isMirror
        (self.host, self.port) = (host, port)
        // Docker takes registries on the machine itself without TLS too.
        let isInsecure = options.tlsVerify.map { !$0 } ?? (source.isInsecure || WebAddress.isLoopback(host))
        verifies = !isInsecure
        allowsPlain = isInsecure
        authorizer = Authorizer(service, options.cancellation)
    }

    /// What its directory in `certs.d` is called.
    var certificateName: String { name }

    /// The schemes to try, in order: one as soon as it is known.
    var schemes: [WebAddress.Scheme] {
        if let known = decided.withLock({ $0 }) { return [known] }
        return allowsPlain ? [.https, .http] : [.https]
    }

    func decide(_ scheme: WebAddress.Scheme) {
        decided.withLock { known in if known == nil { known = scheme } }
    }

    func address(_ scheme: WebAddress.Scheme) -> WebAddress {
        WebAddress(scheme: scheme, host: host, port: port ?? scheme.port, target: "/")
    }

    /// The address as far as it is known.
    var address: WebAddress { address(decided.withLock { $0 } ?? .https) }
}
