import Archive
import NIOHTTP1
import OCI

/// The distribution client: one for a command.
///
/// Thread-safe. All calls block; several ordinary threads may call at once and share connections and tokens.
/// Spec: OCI distribution-spec 1.1; distribution's token authentication.
public final class RegistryClient: Sendable {
    public let configuration: RegistryConfiguration
    public let options: RegistryOptions
    let session: HTTPSession

    public init(_ configuration: RegistryConfiguration, _ options: RegistryOptions = RegistryOptions()) {
        self.configuration = configuration
        self.options = options
        session = HTTPSession(configuration, options)
    }

    deinit { session.shutdown() }

    /// One repository at its registry, with the registry's mirrors in front of it. Nothing is sent yet.
    ///
    /// - Throws: `.blocked` when registries.conf forbids it; `.configuration` when it rewrites the name to nonsense.
    public func repository(_ reference: Reference) throws(RegistryError) -> Repository {
        try Repository(reference, session)
    }

    /// What a name typed by a user may stand for, in the order to try.
    ///
    /// One reference when the name has a registry or an alias; one for each registry of `unqualified-search-registries`
    /// otherwise; docker.io when there is no such list. Each has a tag or a digest as typed, and `latest` when neither.
    /// - Throws: `.configuration` when the text is no reference.
    public func candidates(_ text: String) throws(RegistryError) -> [Reference] {
        try configuration.registries.candidates(text)
    }

    /// Checks a name and password (or an identity token) at a registry, as `login` does.
    ///
    /// - Parameter registry: `docker.io`, `localhost:5000`.
    /// - Returns: the identity token that the registry gave in exchange, which is to be kept instead of the password.
    /// - Throws: `.unauthorized` when they are wrong; `.blocked`.
    public func login(_ registry: String, _ credentials: Credentials) throws(RegistryError) -> String? {
        let entry = configuration.registries.entry(for: registry)
        if let entry, entry.blocked { throw RegistryError(.blocked, "registry \(registry) is blocked in \(entry.file)") }
        let source = SourceName(registry: registry, path: "", isInsecure: entry?.insecure ?? false, isMirror: false)
        return try session.login(source, credentials)
    }

    /// Closes idle connections and ends running requests. Does not hang; a process may also exit without it.
    public func shutdown() { session.shutdown() }
}

extension HTTPSession {
    /// Ends all connections, and takes the objects apart that hold each other.
    func shutdown() {
        transport.shutdown()
        forgetHosts()
    }

    /// Sends the credentials where the registry wants them: to itself, or to its token service.
    func login(_ source: SourceName, _ credentials: Credentials) throws(RegistryError) -> String? {
        let host = try host(source)
        var call = Call(host: host, method: .GET, name: source.registry)
        call.target = "/v2/"
        use(credentials, for: source.registry)
        let answer = try perform(call, expecting: [200])
        answer.drain()
        return try host.authorizer.identity(credentials, host)
    }
}
