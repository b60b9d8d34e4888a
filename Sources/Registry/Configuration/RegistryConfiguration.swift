import Archive
import Linux
import OCI

/// What the files on this machine say about registries: credentials, mirrors, certificates, proxies.
///
/// Read once per command; nothing of it changes afterwards.
public struct RegistryConfiguration: Sendable {
    var registries = RegistriesFile()
    var proxies: ProxySettings
    var certificates: CertificateDirectories
    var files: CredentialFiles
    /// `$SSL_CERT_FILE`: takes the place of the system's authorities, as in all Go programs.
    var systemAuthorities: String?

    /// Reads everything.
    ///
    /// - Credentials: `authFile` alone when given, else `$REGISTRY_AUTH_FILE` alone when set, else Docker's `config.json`
    ///   (`$DOCKER_CONFIG`, `~/.docker`) before `containers/auth.json` in `$XDG_RUNTIME_DIR` and `$XDG_CONFIG_HOME`.
    /// - Registries: `$CONTAINERS_REGISTRIES_CONF`, else the user's, else `/etc/containers/registries.conf`; then the
    ///   `registries.conf.d` of both.
    /// - Proxies: `HTTP_PROXY`, `HTTPS_PROXY`, `NO_PROXY` in both cases.
    /// - Parameters:
    ///   - environment: of the command.
    ///   - home: the user's home directory.
    ///   - authFile: the value of `--authfile`; nil when not given.
    /// - Throws: `.configuration` for a file that is there and cannot be understood.
    public static func load(
        environment: [String: String], home: String, authFile: String? = nil
    ) throws(RegistryError) -> RegistryConfiguration {
        let user = environment["XDG_CONFIG_HOME"].flatMap { $0.isEmpty ? nil : $0 } ?? home + "/.config"
        var configuration = RegistryConfiguration(
            proxies: try ProxySettings(environment),
            certificates: CertificateDirectories([
                user + "/containers/certs.d", user + "/docker/certs.d", "/etc/containers/certs.d", "/etc/docker/certs.d",
            ]),
            files: try CredentialFiles(environment, home: home, authFile: authFile),
            systemAuthorities: environment["SSL_CERT_FILE"].flatMap { $0.isEmpty ? nil : $0 })
        try configuration.loadRegistries(environment, user: user)
        configuration.files.helpers = configuration.registries.helpers
        return configuration
    }

    private mutating func loadRegistries(_ environment: [String: String], user: String) throws(RegistryError) {
        let users = user + "/containers/registries.conf"
        let named = environment["CONTAINERS_REGISTRIES_CONF"] ?? ""
        if !named.isEmpty {
            // Asked for by name: it has to be there.
            guard try add(named) else { throw RegistriesFile.failure(named, "no such file") }
        } else if try !add(users) {
            _ = try add("/etc/containers/registries.conf")
        }
        for directory in ["/etc/containers/registries.conf.d", users + ".d"] {
            for name in try RegistryConfiguration.names(in: directory) where name.hasSuffix(".conf") {
                _ = try add(directory + "/" + name)
            }
        }
    }

    private mutating func add(_ path: String) throws(RegistryError) -> Bool {
        let bytes: [UInt8]
        do throws(SystemError) {
            bytes = try FD.cwd.readFile(path, limit: TOMLParser.longest)
        } catch {
            if error.errno == .noEntry || error.errno == .notDirectory { return false }
            throw RegistriesFile.failure(path, error.errno.description)
        }
        try registries.add(bytes, file: path)
        return true
    }

    /// Names in a directory in alphabetical order; none when there is no such directory.
    static func names(in directory: String) throws(RegistryError) -> [String] {
        do throws(SystemError) {
            let opened = try FD.cwd.open(directory, [.directory])
            return try directoryEntries(opened.fd).map(\.name).sorted()
        } catch {
            if error.errno == .noEntry || error.errno == .notDirectory { return [] }
            throw RegistryError(.configuration, "read \"\(directory)\": \(error.errno)")
        }
    }

    // MARK: Credentials

    /// The credentials for a registry (`docker.io`) or a name below one (`quay.io/team/app`); nil when there are none.
    ///
    /// - Throws: `.cancelled`.
    public func credentials(
        for name: String, notice: (String) -> Void = { _ in }, cancellation: Cancellation? = nil
    ) throws(RegistryError) -> Credentials? {
        try files.find(AuthFile.normalized(name), cancellation, notice: notice)
    }

    /// Keeps credentials where docker would: with its helper, else in its file (mode 0600); or in the file of `--authfile`.
    ///
    /// - Returns: the file that has the password in it, only encoded; nil when a helper keeps it.
    public func store(_ credentials: Credentials, for name: String) throws(RegistryError) -> String? {
        try files.store(credentials, for: AuthFile.normalized(name))
    }

    /// Forgets what ``store(_:for:)`` kept.
    ///
    /// - Returns: whether there was something.
    public func remove(_ name: String) throws(RegistryError) -> Bool { try files.remove(AuthFile.normalized(name)) }

    /// Forgets everything that ``store(_:for:)`` ever kept.
    public func removeAll() throws(RegistryError) { try files.removeAll() }

    /// The same configuration with logins going to a file in Docker's form (`--compat-auth-file`).
    public func storing(inDockerFile path: String) throws(RegistryError) -> RegistryConfiguration {
        var copy = self
        copy.files.target = .docker(path)
        copy.files.files = try AuthFile.read(path).map { [$0] } ?? []
        return copy
    }

    /// Whether logins are kept apart for names below a registry (`quay.io/team`), which docker's file cannot.
    public var keepsPaths: Bool {
        if case .containers = files.target { true } else { false }
    }

    /// The file that logins are kept in.
    public var credentialFile: String { files.target.path }
}
