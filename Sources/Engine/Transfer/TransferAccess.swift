import Archive
import Linux
import OCI
import Registry

/// How one side of a command talks to registries: what its flags say.
public struct TransferAccess: Sendable {
    /// `USER[:PASSWORD]`; nil takes what the files say.
    public var credentials: String?
    /// Asks without credentials, whatever the files say.
    public var isAnonymous = false
    /// nil asks registries.conf.
    public var tlsVerify: Bool?
    public var certificateDirectory: String?
    public var authFile: String?
    /// Blobs under way at once.
    public var parallel = 4

    /// How often a request that failed for the network's or server's sake is sent again, and the seconds before the first time;
    /// nil takes the client's own.
    public var retries: Int?
    public var retryDelay: Double?

    public var cancellation: Cancellation?

    public init() {}

    /// All tags of a repository.
    func tags(of reference: Reference) throws(EngineError) -> [String] {
        let client = try self.client()
        // It ends all connections when it goes.
        defer { withExtendedLifetime(client) {} }
        return try remote { () throws(RegistryError) in try client.repository(reference).tags() }
    }

    /// A client for it. Configuration files are read here, nothing is sent.
    func client() throws(EngineError) -> RegistryClient {
        var environment: [String: String] = [:]
        for entry in currentEnvironment() {
            guard let mark = entry.utf8.firstIndex(of: UInt8(ascii: "=")) else { continue }
            environment[String(entry[..<mark])] = String(entry[entry.utf8.index(after: mark)...])
        }
        var options = RegistryOptions()
        options.tlsVerify = tlsVerify
        options.certificateDirectory = certificateDirectory
        options.maxParallel = parallel
        options.cancellation = cancellation
        if let retries { options.limits.attempts = min(retries, 1000) + 1 }
        if let retryDelay {
            options.limits.firstDelay = retryDelay
            options.limits.longestDelay = max(options.limits.longestDelay, retryDelay)
            options.limits.delayBudget = max(options.limits.delayBudget, retryDelay * Double(options.limits.attempts))
        }
        if let credentials { options.credentials = Credentials(credentials) }
        if isAnonymous { options.credentials = Credentials(user: "", password: "") }
        let home = environmentVariable("HOME") ?? "/"
        let file = authFile
        let wanted = options
        return try remote { () throws(RegistryError) in
            RegistryClient(
                try RegistryConfiguration.load(environment: environment, home: home, authFile: file), wanted)
        }
    }
}
