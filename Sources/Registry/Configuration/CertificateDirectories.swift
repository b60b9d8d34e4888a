import Linux

/// The `certs.d` directories: for a registry `host[:port]` a directory of that name with `*.crt` (authorities) and pairs of `*.cert`
/// and `*.key` (what the client shows).
///
/// Spec: containers-certs.d(5).
struct CertificateDirectories: Sendable {
    struct Certificates: Sendable, Hashable {
        var authorities: [String] = []
        var certificate: String?
        var key: String?
    }

    private let directories: [String]

    init(_ directories: [String]) { self.directories = directories }

    /// What the first directory for a registry has.
    ///
    /// - Parameter only: `--cert-dir`: this directory itself, for every registry.
    /// - Throws: `.configuration` for half a pair.
    func certificates(for registry: String, only: String?) throws(RegistryError) -> Certificates {
        if let only { return try CertificateDirectories.read(only) }
        for directory in directories {
            let found = try CertificateDirectories.read(directory + "/" + registry)
            if found != Certificates() { return found }
        }
        return Certificates()
    }

    private static func read(_ directory: String) throws(RegistryError) -> Certificates {
        var found = Certificates()
        let names = try RegistryConfiguration.names(in: directory)
        for name in names {
            let path = directory + "/" + name
            if name.hasSuffix(".crt") { found.authorities.append(path) }
            if name.hasSuffix(".cert") {
                let key = String(name.dropLast(4)) + "key"
                guard names.contains(key) else {
                    throw RegistryError(.configuration, "\"\(path)\" has no \(key) beside it; authorities end in .crt")
                }
                (found.certificate, found.key) = (path, directory + "/" + key)
            }
            if name.hasSuffix(".key"), !names.contains(String(name.dropLast(3)) + "cert") {
                throw RegistryError(.configuration, "\"\(path)\" has no \(name.dropLast(3))cert beside it")
            }
        }
        return found
    }
}
