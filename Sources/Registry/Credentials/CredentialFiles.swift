import Archive

/// The files of credentials of a user, in the order in which they are asked.
struct CredentialFiles: Sendable {
    /// Where the next login goes.
    enum Target: Sendable {
        /// Docker's file: helpers are used, and names are Docker's.
        case docker(String)
        /// A file in the form of containers-auth.json(5), which keeps names below a registry apart.
        case containers(String)

        var path: String {
            switch self {
            case .docker(let path), .containers(let path): path
            }
        }
    }

    var files: [AuthFile] = []
    var target: Target
    /// `credential-helpers` of registries.conf, without the file itself.
    var helpers: [String] = []
    let environment: [String: String]

    /// - Throws: `.configuration` for a file that cannot be read.
    init(_ environment: [String: String], home: String, authFile: String?) throws(RegistryError) {
        self.environment = environment
        func value(_ name: String) -> String? { environment[name].flatMap { $0.isEmpty ? nil : $0 } }
        if let only = authFile ?? value("REGISTRY_AUTH_FILE") {
            target = .containers(only)
            if let file = try AuthFile.read(only) { files = [file] }
            return
        }
        let docker = (value("DOCKER_CONFIG") ?? home + "/.docker") + "/config.json"
        target = .docker(docker)
        var paths = [docker]
        if let directory = value("XDG_RUNTIME_DIR") { paths.append(directory + "/containers/auth.json") }
        paths.append((value("XDG_CONFIG_HOME") ?? home + "/.config") + "/containers/auth.json")
        for path in paths {
            if let file = try AuthFile.read(path) { files.append(file) }
        }
    }

    private func helper(_ name: String, _ cancellation: Cancellation?) -> CredentialHelper {
        CredentialHelper(name: name, environment: environment, cancellation: cancellation)
    }

    /// The credentials for `registry/path` or `registry`: the first file that has some, its helper before itself.
    ///
    /// - Parameter notice: gets what kept a helper from answering; the search goes on then, at worst without credentials.
    /// - Throws: `.cancelled`.
    func find(
        _ name: String, _ cancellation: Cancellation?, notice: (String) -> Void
    ) throws(RegistryError) -> Credentials? {
        let registry = String(name.prefix { $0 != "/" })
        func ask(_ helperName: String) throws(RegistryError) -> Credentials? {
            do throws(RegistryError) {
                return try helper(helperName, cancellation).get(AuthFile.dockerKey(registry))
            } catch {
                if error.code == .cancelled { throw error }
                notice(error.cause)
                return nil
            }
        }
        for file in files {
            let helperName = file.helper(for: registry)
            if !helperName.isEmpty, let found = try ask(helperName) { return found }
            if let found = file.credentials(for: name) { return found }
        }
        for helperName in helpers where helperName != "containers-auth.json" {
            if let found = try ask(helperName) { return found }
        }
        return nil
    }

    /// Keeps credentials where docker (or podman, with a file of its own) would.
    ///
    /// - Parameter name: `registry`, or `registry/path` in a file that can tell them apart.
    /// - Returns: the file when they are in it as good as in clear text; nil when a helper has them.
    func store(_ credentials: Credentials, for name: String) throws(RegistryError) -> String? {
        let registry = String(name.prefix { $0 != "/" })
        // Read again: somebody may have written it since.
        var file = try AuthFile.read(target.path) ?? AuthFile(path: target.path)
        switch target {
        case .containers:
            _ = file.remove(name)
            file.set(credentials, for: name)
        case .docker:
            let key = AuthFile.dockerKey(registry)
            let helperName = file.helper(for: registry)
            if !helperName.isEmpty {
                try helper(helperName, nil).store(credentials, key)
                file.set(nil, for: key)
                try file.write()
                return nil
            }
            _ = file.remove(registry)
            file.set(credentials, for: key)
        }
        try file.write()
        return file.path
    }

    /// Forgets the credentials of a name in the file that a login would write.
    ///
    /// - Returns: whether there were any.
    func remove(_ name: String) throws(RegistryError) -> Bool {
        guard var file = try AuthFile.read(target.path) else { return false }
        let registry = String(name.prefix { $0 != "/" })
        var isFound = false
        let helperName = file.helper(for: registry)
        if !helperName.isEmpty {
            for key in AuthFile.equalKeys(registry) where try helper(helperName, nil).erase(key) { isFound = true }
        }
        if file.remove(AuthFile.normalized(name)) {
            isFound = true
            try file.write()
        }
        return isFound
    }

    /// Forgets all credentials of that file and its helpers.
    func removeAll() throws(RegistryError) {
        guard var file = try AuthFile.read(target.path) else { return }
        if !file.credentialStore.isEmpty {
            let store = helper(file.credentialStore, nil)
            for key in try store.list() { _ = try store.erase(key) }
        }
        for (registry, name) in file.helpers.sorted(by: { $0.key < $1.key }) { _ = try helper(name, nil).erase(registry) }
        if file.removeAll(where: { _ in true }) { try file.write() }
    }
}
