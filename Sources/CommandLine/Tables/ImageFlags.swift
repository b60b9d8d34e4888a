import Flags

/// Flags of the commands on images.
enum ImageFlags {
    @Sendable static func images() -> [Flag] {
        [
            .bool("all", "a", "Show images that only serve as parts of others too"),
            .bool("digests", nil, "Show digests"),
            .list(
                "filter", "f",
                "Show those that match name=value: before, containers, dangling, digest, id, label, reference, since, until",
                value: "filter", check: ValueRules.filter),
            ContainerFlags.format(table: true, short: nil),
            .bool("history", nil, "Show every name an image ever had"),
            .bool("no-trunc", nil, "Show IDs in full"),
            .bool("noheading", "n", "Leave the heading of the table out"),
            .bool("quiet", "q", "Show IDs only"),
            .string(
                "sort", nil, "Sort by created, id, repository, size or tag", default: "created",
                completion: .values(sortKeys)
            ) { text in
                sortKeys.contains(text) ? nil : "must be one of created, id, repository, size, tag"
            },
            .bool("tree", nil, "Show what each image is made for below its names"),
        ]
    }

    static let sortKeys = ["created", "id", "repository", "size", "tag"]

    @Sendable static func history() -> [Flag] {
        [
            ContainerFlags.format(table: true, short: nil),
            .bool("human", "H", "Show sizes and times for people, not as numbers", initially: true),
            .bool("no-trunc", nil, "Show IDs and commands in full"),
            platform("Platform the image has to be for"),
            .bool("quiet", "q", "Show IDs only"),
        ]
    }

    @Sendable static func imagePrune() -> [Flag] {
        [
            .bool("all", "a", "Remove those with a name too, where no container uses them"),
            pruneFilter("until=10m, label=NAME[=value] or label!=NAME[=value]"), force(),
        ]
    }

    @Sendable static func containerPrune() -> [Flag] {
        [pruneFilter("until=10m, label=NAME[=value] or label!=NAME[=value]"), force()]
    }

    @Sendable static func systemPrune() -> [Flag] {
        [
            .bool("all", "a", "Remove images with a name too, where no container uses them"),
            pruneFilter("until=10m, label=NAME[=value] or label!=NAME[=value]"), force(),
            .bool("volumes", nil, "Remove unnamed volumes that no container uses too"),
        ]
    }

    static func pruneFilter(_ forms: String) -> Flag {
        .list("filter", nil, "Remove only what matches: \(forms)", value: "filter", check: ValueRules.filter)
    }

    static func force() -> Flag { .bool("force", "f", "Do not ask") }

    @Sendable static func usage() -> [Flag] {
        [ContainerFlags.format(table: true, short: nil), .bool("verbose", "v", "Show every image, container and volume")]
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
            .bool("all", "a", "Remove all images that no container uses"),
            .bool("force", "f", "Remove it although containers use it or it has other names"),
            .bool("ignore", "i", "Pass over images that are not here"),
            .bool("no-prune", nil, "Keep parents that have no name"),
            .value("platform", nil, .stringSlice, "Platforms to remove, as os[/arch[/variant]]"),
        ]
    }

    static func platform(_ summary: String) -> Flag {
        .string("platform", nil, summary + ", as os[/arch[/variant]]")
    }
}
