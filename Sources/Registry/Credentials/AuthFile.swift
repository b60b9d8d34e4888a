import JSON
import Linux
import OCI

/// One file of credentials: Docker's `config.json` or `containers/auth.json`, which have the same members.
///
/// What is not understood is kept when the file is written again.
/// Spec: docker-credential-helpers; containers-auth.json(5).
struct AuthFile: Sendable {
    /// What is kept for Docker Hub since version 1 of its registry.
    static let hubKey = "https://index.docker.io/v1/"
    static let largest = 4 << 20

    let path: String
    /// Key as it stands in the file, and what is kept for it.
    private(set) var entries: [(key: String, credentials: Credentials?)] = []
    private(set) var credentialStore = ""
    private(set) var helpers: [String: String] = [:]
    private var document: JSONValue

    /// A file that is not there yet.
    init(path: String) {
        self.path = path
        document = .object([])
    }

    /// Reads a file; nil when there is none.
    ///
    /// - Throws: `.configuration` when it is there and cannot be read or understood.
    static func read(_ path: String) throws(RegistryError) -> AuthFile? {
        let bytes: [UInt8]
        do throws(SystemError) {
            bytes = try FD.cwd.readFile(path, limit: largest)
        } catch {
            if error.errno == .noEntry || error.errno == .notDirectory { return nil }
            throw failure(path, error.errno.description)
        }
        if bytes.allSatisfy({ $0 <= 0x20 }) { return AuthFile(path: path) }
        return try AuthFile(path, bytes)
    }

    init(_ path: String, _ bytes: [UInt8]) throws(RegistryError) {
        self.path = path
        do throws(JSONError) {
            document = try JSONValue.parse(bytes, limits: JSONLimits(size: AuthFile.largest, allowsNUL: false))
        } catch {
            throw AuthFile.failure(path, error.reason)
        }
        guard document.object != nil else { throw AuthFile.failure(path, "not a JSON object") }
        credentialStore = document["credsStore"]?.string ?? ""
        for member in document["credHelpers"]?.object ?? [] { helpers[member.key] = member.value.string }
        for member in document["auths"]?.object ?? [] {
            entries.append((member.key, try AuthFile.credentials(member.value, path, member.key)))
        }
    }

    private static func failure(_ path: String, _ cause: String) -> RegistryError {
        RegistryError(.configuration, "read \"\(path)\": \(cause)")
    }

    private static func credentials(_ value: JSONValue, _ path: String, _ key: String) throws(RegistryError) -> Credentials? {
        let token = value["identitytoken"]?.string ?? ""
        var user = value["username"]?.string ?? ""
        var password = value["password"]?.string ?? ""
        if let auth = value["auth"]?.string, !auth.isEmpty {
            guard let bytes = Base64.decode(auth), let text = String(validating: bytes, as: UTF8.self),
                let colon = text.firstIndex(of: ":")
            else { throw failure(path, "auth of \"\(Failures.printable(key))\" is not base64 of user:password") }
            user = String(text[..<colon])
            password = String(text[text.index(after: colon)...].prefix { $0 != "\0" })
        }
        if user.isEmpty, password.isEmpty, token.isEmpty { return nil }
        return Credentials(user: user, password: password, identityToken: token)
    }

    // MARK: Looking up

    /// The program that keeps the credentials of a registry; empty for this file itself.
    func helper(for registry: String) -> String {
        for key in AuthFile.equalKeys(registry) {
            if let helper = helpers[key] { return helper }
        }
        return credentialStore
    }

    /// What the file itself keeps for a name: the most specific of `registry/a/b`, `registry/a`, `registry`.
    func credentials(for name: String) -> Credentials? {
        for wanted in AuthFile.keys(for: name) {
            for entry in entries where entry.key == wanted {
                if let credentials = entry.credentials { return credentials }
            }
            // Other spellings of the same, as docker accepts them.
            for entry in entries where AuthFile.normalized(entry.key) == wanted {
                if let credentials = entry.credentials { return credentials }
            }
        }
        return nil
    }

    /// `registry/a/b`, `registry/a`, `registry`.
    static func keys(for name: String) -> [String] {
        var keys = [name]
        var rest = Substring(name)
        while let slash = rest.lastIndex(of: "/") {
            rest = rest[..<slash]
            keys.append(String(rest))
        }
        return keys
    }

    /// A key without scheme; with one, only its host counts. All names of Docker Hub become `docker.io`.
    static func normalized(_ key: String) -> String {
        var text = Substring(key)
        for scheme in ["https://", "http://"] where text.hasPrefix(scheme) {
            text = text.dropFirst(scheme.count).prefix { $0 != "/" }
        }
        let host = text.prefix { $0 != "/" }
        let rest = text.dropFirst(host.count)
        let isHub = host == "index.docker.io" || host == "registry-1.docker.io"
        return (isHub ? "docker.io" : String(host)) + String(rest)
    }

    /// The spellings under which a registry may be listed.
    static func equalKeys(_ registry: String) -> [String] {
        registry == "docker.io"
            ? [hubKey, "docker.io", "index.docker.io", "registry-1.docker.io"]
            : [registry, "https://" + registry, "http://" + registry]
    }

    /// How docker names a registry in its files and to helpers.
    static func dockerKey(_ registry: String) -> String { registry == "docker.io" ? hubKey : registry }

    // MARK: Changing

    /// Keeps credentials under a key; nil leaves an empty entry, which says that a helper has them.
    mutating func set(_ credentials: Credentials?, for key: String) {
        var members: [JSONValue.Member] = []
        if let credentials {
            // With a token the password is not needed any more, and docker does not keep it.
            let password = credentials.identityToken.isEmpty ? credentials.password : ""
            members.append(.init(key: "auth", value: .string(Base64.encode(Array("\(credentials.user):\(password)".utf8)))))
            if !credentials.identityToken.isEmpty {
                members.append(.init(key: "identitytoken", value: .string(credentials.identityToken)))
            }
        }
        var auths = document["auths"]?.object ?? []
        auths.removeAll { $0.key == key }
        auths.append(.init(key: key, value: .object(members)))
        replace("auths", .object(auths))
        entries.removeAll { $0.key == key }
        entries.append((key, credentials))
    }

    /// Forgets what is kept under any spelling of a name.
    ///
    /// - Returns: whether there was something.
    mutating func remove(_ name: String) -> Bool {
        removeAll { AuthFile.normalized($0) == name }
    }

    /// Forgets the entries whose keys are meant.
    mutating func removeAll(where isMeant: (String) -> Bool) -> Bool {
        let before = entries.count
        entries.removeAll { isMeant($0.key) }
        guard entries.count < before else { return false }
        replace("auths", .object((document["auths"]?.object ?? []).filter { !isMeant($0.key) }))
        return true
    }

    private mutating func replace(_ key: String, _ value: JSONValue) {
        var members = document.object ?? []
        if let index = members.firstIndex(where: { $0.key == key }) {
            members[index].value = value
        } else {
            members.append(.init(key: key, value: value))
        }
        document = .object(members)
    }

    /// Writes the file anew: readable by its owner alone, whole or not at all.
    func write() throws(RegistryError) {
        let bytes = JSONWriter.document(indent: "\t") { $0.value(document) } + [UInt8(ascii: "\n")]
        // The file may be a link into some other place: that is what is replaced, not the link.
        let target = realPath(path) ?? path
        do throws(SystemError) {
            if let slash = target.lastIndex(of: "/"), slash != target.startIndex {
                try FD.cwd.makeDirectories(String(target[..<slash]), mode: 0o700)
            }
            try FD.cwd.replaceFile(target, with: bytes, mode: 0o600, durable: true)
        } catch {
            throw RegistryError(.configuration, "write \"\(path)\": \(error.errno)")
        }
    }
}
