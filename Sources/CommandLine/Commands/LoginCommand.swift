import Flags
import Glibc
import Linux
import Registry

/// `berth login`
struct LoginCommand {
    let session: Session
    private var arguments: ParsedArguments { session.arguments }
    init(_ session: Session) { self.session = session }

    func run() throws(CommandError) -> Int32 {
        let name = RegistryName(arguments.positionals.first)
        var configuration = try RegistryName.configuration(session)
        if arguments.bool("get-login") { return try getLogin(name, configuration) }
        let given = try self.given()
        if let path = arguments.optionalString("compat-auth-file") {
            configuration = try registry { () throws(RegistryError) in try configuration.storing(inDockerFile: path) }
        }
        let client = RegistryClient(configuration, try options())
        defer { client.shutdown() }
        if given.user == nil, given.password == nil, try isLoggedIn(name, configuration, client) { return 0 }
        var credentials = try ask(name, given)
        let found = credentials
        let token = try registry { () throws(RegistryError) in try client.login(name.host, found) }
        if let token { credentials.identityToken = token }
        let kept = credentials
        let file = try registry { () throws(RegistryError) in try configuration.store(kept, for: name.key(configuration)) }
        if let file { warn(file) }
        session.print(CalledAs.current == .podman ? "Login Succeeded!" : "Login Succeeded")
        return 0
    }

    private func options() throws(CommandError) -> RegistryOptions {
        var options = RegistryOptions()
        options.userAgent = "berth/" + BerthProgram.version
        if arguments.isSet("tls-verify") { options.tlsVerify = arguments.bool("tls-verify") }
        options.certificateDirectory = arguments.optionalString("cert-dir")
        // One person waits in front of it: no long patience.
        options.limits.attempts = 3
        if arguments.bool("verbose") { options.notice = { Session.writeError($0 + "\n") } }
        return options
    }

    private func getLogin(_ name: RegistryName, _ configuration: RegistryConfiguration) throws(CommandError) -> Int32 {
        let found = try registry { () throws(RegistryError) in
            try configuration.credentials(for: name.key(configuration), notice: { Session.writeError($0 + "\n") })
        }
        guard let found else { throw CommandError("not logged in to \(name.host): run \"berth login \(name.host)\"") }
        session.print(found.identityToken.isEmpty ? found.user : "<token>")
        return 0
    }

    /// Whether what is kept already is good enough, as docker has it.
    private func isLoggedIn(
        _ name: RegistryName, _ configuration: RegistryConfiguration, _ client: RegistryClient
    ) throws(CommandError) -> Bool {
        let known = try registry { () throws(RegistryError) in
            try configuration.credentials(for: name.key(configuration), notice: { Session.writeError($0 + "\n") })
        }
        guard let known else { return false }
        session.complain("Authenticating with existing credentials...")
        do throws(RegistryError) {
            _ = try client.login(name.host, known)
        } catch {
            guard error.code == .unauthorized, Terminal.isTerminal(.standardInput) else { throw CommandError(error.cause) }
            session.complain("Login did not succeed, error: \(error.cause)")
            return false
        }
        session.print(CalledAs.current == .podman ? "Login Succeeded!" : "Login Succeeded")
        return true
    }

    // MARK: Name and password

    private func given() throws(CommandError) -> (user: String?, password: String?) {
        let user = arguments.optionalString("username")
        let hasPassword = arguments.isSet("password")
        if arguments.bool("password-stdin") {
            if hasPassword { throw CommandError("--password and --password-stdin are mutually exclusive") }
            guard user != nil else { throw CommandError("the --password-stdin option requires --username to be set") }
            return (user, try passwordFromStandardInput())
        }
        guard hasPassword else { return (user, nil) }
        let password = arguments.string("password")
        if password == "-" { return (user, try passwordFromStandardInput()) }
        session.complain("WARNING! Using --password via the CLI is insecure. Use --password-stdin.")
        return (user, password)
    }

    private func passwordFromStandardInput() throws(CommandError) -> String {
        let bytes: [UInt8]
        do throws(SystemError) {
            bytes = try FD.standardInput.readAll(limit: 1 << 20)
        } catch {
            throw CommandError("read password: \(error.errno)")
        }
        var text = String(decoding: bytes, as: UTF8.self)
        if text.hasSuffix("\n") { text.removeLast() }
        if text.hasSuffix("\r") { text.removeLast() }
        if text.hasSuffix("\r\n") { text.removeLast() }
        if text.isEmpty { throw CommandError("password is empty") }
        return text
    }

    private func ask(_ name: RegistryName, _ given: (user: String?, password: String?)) throws(CommandError) -> Credentials {
        var (user, password) = given
        if user == nil || password == nil {
            guard Terminal.isTerminal(.standardInput) else {
                throw CommandError("cannot perform an interactive login from a non TTY device; use --username and --password-stdin")
            }
        }
        if user == nil { user = try PasswordPrompt.line("Username: ", echoes: true) }
        guard let user, !user.isEmpty else { throw CommandError("username is empty") }
        if password == nil { password = try PasswordPrompt.line("Password: ", echoes: false) }
        guard let password, !password.isEmpty else { throw CommandError("password is empty") }
        return Credentials(user: user, password: password)
    }

    private func warn(_ file: String) {
        session.complain(
            """

            WARNING! Your credentials are stored unencrypted in '\(file)'.
            Configure a credential helper to remove this warning. See
            https://docs.docker.com/go/credential-store/

            """)
    }
}

/// `berth logout`
struct LogoutCommand {
    let session: Session
    init(_ session: Session) { self.session = session }

    func run() throws(CommandError) -> Int32 {
        var configuration = try RegistryName.configuration(session)
        if let path = session.arguments.optionalString("compat-auth-file") {
            configuration = try registry { () throws(RegistryError) in try configuration.storing(inDockerFile: path) }
        }
        let final = configuration
        if session.arguments.bool("all") {
            if !session.arguments.positionals.isEmpty { throw CommandError("--all takes no registry") }
            try registry { () throws(RegistryError) in try final.removeAll() }
            session.print("Removed login credentials for all registries")
            return 0
        }
        let name = RegistryName(session.arguments.positionals.first)
        let key = name.key(final)
        session.print("Removing login credentials for \(name.isHub ? "https://index.docker.io/v1/" : key)")
        let wasThere = try registry { () throws(RegistryError) in try final.remove(key) }
        if !wasThere { session.print("Not logged in to \(key)") }
        // Another file that is read too may have some: nobody should believe that they are gone.
        let left = try RegistryName.configuration(session)
        let still = try registry { () throws(RegistryError) in try left.credentials(for: key) }
        if still != nil, session.arguments.optionalString("compat-auth-file") == nil {
            session.complain("WARNING! Another file still has credentials for \(key); remove them with --authfile FILE")
        }
        return 0
    }
}

/// The registry that login and logout are about: a host, or a name below one.
struct RegistryName {
    let host: String
    private let path: String

    var isHub: Bool { host == "docker.io" }

    /// - Parameter text: as typed, with or without `https://`; nil for Docker Hub.
    init(_ text: String?) {
        var rest = Substring(text ?? "docker.io")
        for scheme in ["https://", "http://"] where rest.hasPrefix(scheme) { rest = rest.dropFirst(scheme.count) }
        while rest.hasSuffix("/") { rest.removeLast() }
        let host = rest.prefix { $0 != "/" }
        let path = rest.dropFirst(host.count)
        self.host = ["index.docker.io", "registry-1.docker.io"].contains(host) ? "docker.io" : String(host)
        self.path = path == "/v1" || path == "/v2" ? "" : String(path)
    }

    /// What the credentials are kept under: docker's file cannot tell names below a registry apart.
    func key(_ configuration: RegistryConfiguration) -> String {
        configuration.keepsPaths ? host + path : host
    }

    static func configuration(_ session: Session) throws(CommandError) -> RegistryConfiguration {
        let authFile = session.arguments.optionalString("authfile")
        if authFile != nil, session.arguments.isSet("compat-auth-file") {
            throw CommandError("--authfile and --compat-auth-file are mutually exclusive")
        }
        return try session.registryConfiguration(authFile: authFile)
    }
}
