import Flags

extension CommandTable {
    var registry: Command {
        .group("registry", summary: "Serve images to other engines") { [registryServe] }
    }

    private var registryServe: Command {
        Command(
            "serve", summary: "Serve a registry until interrupted",
            details: """
                Speaks the OCI distribution API: docker, podman, skopeo, buildkit and berth itself push to it and pull from it. The \
                images are kept in a directory of their own, an OCI layout beside a database; berth's own images are not touched. \
                Without --htpasswd everybody who can connect may push and delete: that is this machine only, unless --listen says \
                otherwise.
                """,
            examples: [
                Example("A registry for this machine", "berth registry serve"),
                Example("Any free port; the first line says which", "berth registry serve --listen 127.0.0.1:0"),
                Example(
                    "For a network, with TLS and passwords (htpasswd -B -c users alice)",
                    "berth registry serve --listen :5000 --tls-cert cert.pem --tls-key key.pem --htpasswd users"),
            ], flags: RegistryServerFlags.serve, run: action(.registryServe))
    }
}

/// Flags of `berth registry`.
enum RegistryServerFlags {
    @Sendable static func serve() -> [Flag] {
        [
            .string("data", nil, "Directory of the registry; below berth's own when not given", completion: .directory),
            .string("htpasswd", nil, "File with lines user:bcrypt-hash of those who may connect", completion: .file),
            .value(
                "keep-unlinked", nil, .duration, "How long a blob is kept that no manifest names", default: "1h"),
            .string("listen", nil, "Address and port to listen on; port 0 is any free one", default: "127.0.0.1:5000"),
            .bool("quiet", "q", "No line for each request on standard error"),
            .bool("read-only", nil, "Refuse to push and delete"),
            .string("tls-cert", nil, "PEM file with the certificate and those above it", completion: .file),
            .string("tls-key", nil, "PEM file with the certificate's key", completion: .file),
        ]
    }
}
