import Flags

/// Flags of the commands on registries.
enum RegistryFlags {
    @Sendable static func login() -> [Flag] {
        [
            authFile,
            .string("cert-dir", nil, "Use the certificates in this directory (*.crt, *.cert, *.key)", completion: .directory),
            compatAuthFile,
            .bool("get-login", nil, "Print the user that is logged in"),
            .string("password", "p", "Password or access token"),
            .bool("password-stdin", nil, "Read the password from standard input"),
            .bool("tls-verify", nil, "Require HTTPS and a valid certificate", initially: true),
            .string("username", "u", "User name"),
            .bool("verbose", "v", "Tell what is asked of whom"),
        ]
    }

    @Sendable static func logout() -> [Flag] {
        [.bool("all", "a", "Forget all credentials of the file"), authFile, compatAuthFile]
    }

    @Sendable static func search() -> [Flag] {
        [
            authFile,
            .list("filter", "f", "Show those that match name=value: is-official, stars", value: "filter", check: ValueRules.filter),
            ContainerFlags.format(table: true, short: nil),
            .value("limit", nil, .int, "Show at most so many, 1 to 100"),
            .bool("no-trunc", nil, "Show descriptions in full"),
            .bool("tls-verify", nil, "Require HTTPS and a valid certificate", initially: true),
        ]
    }

    private static var authFile: Flag {
        .string("authfile", nil, "Keep credentials in this file ($REGISTRY_AUTH_FILE)", completion: .file)
    }

    private static var compatAuthFile: Flag {
        .string("compat-auth-file", nil, "Keep credentials in this file, in docker's form", completion: .file)
    }
}
