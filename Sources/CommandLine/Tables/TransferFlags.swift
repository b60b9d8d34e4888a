import Flags

/// Flags of the commands that move images without the local store, and of those on manifest lists.
enum TransferFlags {
    /// How one side talks to its registry; `side` is `src-`, `dest-` or nothing.
    static func access(_ side: String = "") -> [Flag] {
        let whose = side == "src-" ? " of the source" : side == "dest-" ? " of the destination" : ""
        var flags: [Flag] = [
            .string("\(side)authfile", nil, "File with the credentials\(whose)", completion: .file),
            .string(
                "\(side)cert-dir", nil, "Directory with *.crt, *.cert and *.key files for the registry\(whose)", completion: .directory),
            .string("\(side)creds", nil, "Name and password for the registry\(whose)", value: "user[:password]"),
            .bool("\(side)no-creds", nil, "Ask the registry\(whose) without credentials"),
            .bool(
                "\(side)tls-verify", nil, "Use HTTPS and check the certificate of the registry\(whose)", initially: true),
        ]
        if side.isEmpty { flags.append(.bool("insecure", nil, "The same as --tls-verify=false")) }
        return flags
    }

    static let policy = Flag.string(
        "signature-policy", nil, "Signature policy file to use instead of policy.json of the user or machine", completion: .file)

    static func lock() -> [Flag] {
        [
            .string("lock", nil, "File that pins names to digests; what is new is added", completion: .file),
            .bool("locked", nil, "Refuse names that the --lock file does not pin"),
        ]
    }

    static let retry: [Flag] = [
        .value("retry", nil, .uint, "How often a request that failed is sent again", default: "5"),
        .value("retry-delay", nil, .duration, "How long to wait before that, the first time", default: "500ms"),
    ]

    private static let platform: [Flag] = [
        .string("platform", nil, "Platform to choose of several, as os[/arch[/variant]]"),
        .string("override-arch", nil, "Architecture to choose of several"),
        .string("override-os", nil, "Operating system to choose of several"),
        .string("override-variant", nil, "Variant of the architecture to choose of several"),
    ]

    private static func format(_ short: Unicode.Scalar?) -> Flag {
        .string(
            "format", short, "Kind of manifest to write: oci or v2s2; as it is when not given",
            completion: .values(["oci", "v2s2"]))
    }

    private static let digestFile = Flag.string("digestfile", nil, "File to write the digest of what was written to", completion: .file)
    private static let retries = Flag.value(
        "retry-times", nil, .uint, "How often to try again after a failure of the network", default: "0")

    @Sendable static func copy() -> [Flag] {
        access("src-") + access("dest-") + platform + lock() + [
            .value("additional-tag", nil, .stringSlice, "Further names in a docker archive"),
            .bool("all", "a", "Copy the images for all platforms"),
            .string("authfile", nil, "File with the credentials of both sides", completion: .file),
            .string(
                "dest-compress-format", nil, "Compress layers anew: gzip or zstd; as they are when not given",
                completion: .values(["gzip", "zstd"])
            ) { ["gzip", "zstd"].contains($0) ? nil : "must be gzip or zstd" },
            .bool("dest-decompress", nil, "Write layers without compression"),
            digestFile, format("f"),
            .string(
                "multi-arch", nil, "What to copy of an image for several platforms: system, all or index-only; system when not given",
                completion: .values(["system", "all", "index-only"])
            ) { ["system", "all", "index-only"].contains($0) ? nil : "must be one of system, all, index-only" },
            .bool("preserve-digests", nil, "Fail rather than write anything with another digest"),
            .bool("quiet", "q", "Do not tell how copying goes"),
            .bool("remove-signatures", nil, "Leave signatures behind; they always are"),
            retries, policy,
        ]
    }

    @Sendable static func sync() -> [Flag] {
        access("src-") + access("dest-") + [
            .bool("all", "a", "Copy the images for all platforms"),
            .string("authfile", nil, "File with the credentials of both sides", completion: .file),
            .string(
                "dest", "d", "Kind of destination: docker, dir or berth", completion: .values(["docker", "dir", "berth"]),
                check: destinations),
            .bool("dry-run", nil, "Tell what would be copied"),
            format("f"),
            .bool("keep-going", nil, "Go on with the others when one fails"),
            .bool("preserve-digests", nil, "Fail rather than write anything with another digest"),
            .bool("quiet", "q", "Do not tell how copying goes"),
            .bool("remove-signatures", nil, "Leave signatures behind; they always are"),
            retries,
            .bool("scoped", nil, "Keep the whole name of the source in the destination's"),
            policy,
            .string("src", "s", "Kind of source: docker or dir", completion: .values(["docker", "dir"]), check: sources),
        ]
    }

    @Sendable private static func sources(_ text: String) -> String? {
        ["docker", "dir", "yaml"].contains(text) ? nil : "must be docker or dir"
    }

    @Sendable private static func destinations(_ text: String) -> String? {
        ["docker", "dir", "berth"].contains(text) ? nil : "must be docker, dir or berth"
    }

    @Sendable static func inspectImage() -> [Flag] {
        [
            ContainerFlags.format(table: false), ImageFlags.platform("Platform to show"),
            .bool("config", nil, "Show the configuration of an image that is elsewhere"),
            .bool("raw", nil, "Show the exact manifest or configuration of an image that is elsewhere"),
            .bool("no-tags", "n", "Do not list the tags of its repository"), policy,
        ] + access()
    }

    @Sendable static func remote() -> [Flag] { access() }

    // MARK: Manifest lists

    private static let entry: [Flag] = [
        .list("annotation", nil, "Set an annotation of the image in the list", value: "key=value"),
        .string("arch", nil, "Set the architecture"),
        .string("os", nil, "Set the operating system"),
        .value("os-features", nil, .stringSlice, "Set features of the operating system"),
        .string("os-version", nil, "Set the version of the operating system"),
        .string("variant", nil, "Set the variant of the architecture"),
    ]

    @Sendable static func manifestCreate() -> [Flag] {
        access() + [
            .bool("all", nil, "Of images for several platforms, add all"),
            .bool("amend", "a", "Add to a list that exists"),
            .list("annotation", nil, "Set an annotation of the list", value: "key=value"),
        ]
    }

    @Sendable static func manifestAdd() -> [Flag] {
        access() + entry + [.bool("all", nil, "Of images for several platforms, add all")]
    }

    @Sendable static func manifestAnnotate() -> [Flag] {
        entry + [.bool("index", nil, "Set annotations of the list itself")]
    }

    @Sendable static func manifestInspect() -> [Flag] {
        access() + [.bool("verbose", "v", "Show the manifests of the images too")]
    }

    @Sendable static func manifestPush() -> [Flag] {
        access() + [
            .bool("all", nil, "Copy the images too, where they are not there already", initially: true),
            digestFile, format("f"),
            .bool("purge", "p", "Remove the list here when it is there"),
            .bool("quiet", "q", "Do not tell how copying goes"),
            .bool("remove-signatures", nil, "Leave signatures behind; they always are"),
            .bool("rm", nil, "The same as --purge"),
        ]
    }

    @Sendable static func manifestRemove() -> [Flag] {
        [.bool("ignore", "i", "Pass over lists that are not here")]
    }
}
