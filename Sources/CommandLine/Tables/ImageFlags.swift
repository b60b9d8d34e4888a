import Flags

/// Flags of the commands on images.
enum ImageFlags {
    @Sendable static func images() -> [Flag] {
        [
            .bool("all", "a", "Show images that only serve as parts of others too"),
            .bool("digests", nil, "Show digests"),
            .list("filter", "f", "Show those that match name=value", value: "filter", check: ValueRules.filter),
            ContainerFlags.format(table: true, short: nil),
            .bool("no-trunc", nil, "Show IDs in full"),
            .bool("quiet", "q", "Show IDs only"),
        ]
    }

    @Sendable static func load() -> [Flag] {
        [
            .string("input", "i", "Archive or directory to read; standard input when not given", completion: .file),
            platform("Platform to read"),
            .bool("quiet", "q", "Do not tell how reading goes"),
        ]
    }

    @Sendable static func `import`() -> [Flag] {
        [
            .list("change", "c", "Dockerfile instruction to apply to the image's configuration"),
            .string("message", "m", "Comment on the new image"),
            platform("Platform of the new image"),
        ]
    }

    @Sendable static func save() -> [Flag] {
        [
            .string(
                "format", nil,
                "What to write: docker-archive (plain layers, for every docker), oci-archive or oci-dir (layers as they came)",
                default: "docker-archive",
                completion: .values(saveFormats)
            ) { text in
                saveFormats.contains(text) ? nil : "must be one of docker-archive, oci-archive, oci-dir"
            },
            .string("output", "o", "File or directory to write; standard output when not given", completion: .file),
            platform("Platform to write"),
        ]
    }

    private static let saveFormats = ["docker-archive", "oci-archive", "oci-dir"]

    @Sendable static func rmi() -> [Flag] {
        [
            .bool("force", "f", "Remove it although containers use it or it has other names"),
            .bool("no-prune", nil, "Keep parents that have no name"),
            .value("platform", nil, .stringSlice, "Platforms to remove, as os[/arch[/variant]]"),
        ]
    }

    static func platform(_ summary: String) -> Flag {
        .string("platform", nil, summary + ", as os[/arch[/variant]]")
    }
}
