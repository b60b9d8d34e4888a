import Flags

/// Flags of the commands on volumes.
enum VolumeFlags {
    @Sendable static func create() -> [Flag] {
        [
            .string("driver", "d", "Driver of the volume", default: "local", completion: .values(["local"])),
            .bool("ignore", nil, "Take a volume of the name that is there, whatever its options"),
            .list("label", "l", "Label for the volume, as name=value", check: ValueRules.label),
            .value(
                "opt", "o", .map, "What is mounted in its place, as type=TYPE, device=DEVICE and o=OPTIONS of mount(8)",
                completion: .values(["type=", "device=", "o="])),
        ]
    }

    @Sendable static func list() -> [Flag] {
        [
            .list(
                "filter", "f", "Show those that match name=value: dangling, driver, label, name, opt, scope",
                value: "filter", check: ValueRules.filter),
            ContainerFlags.format(table: true, short: nil),
            .bool("noheading", "n", "Leave the heading of the table out"),
            .bool("quiet", "q", "Show names only"),
        ]
    }

    @Sendable static func rm() -> [Flag] {
        [
            .bool("all", "a", "Remove all volumes that no container uses"),
            .bool("force", "f", "Pass over volumes that are not here"),
        ]
    }

    @Sendable static func inspect() -> [Flag] {
        [.bool("all", "a", "Show all volumes"), ContainerFlags.format(table: false, short: "f")]
    }

    @Sendable static func prune() -> [Flag] {
        [
            .bool("all", "a", "Remove those with a name too"),
            .bool("dry-run", nil, "Only show which ones would be removed"),
            ImageFlags.pruneFilter("label=NAME[=value] or label!=NAME[=value]"), ImageFlags.force(),
        ]
    }

    @Sendable static func copy() -> [Flag] {
        [.bool("pause", "p", "Let containers that use the volume stand still while it is read", initially: true)]
    }

    @Sendable static func snapshots() -> [Flag] {
        [
            ContainerFlags.format(table: true, short: nil),
            .bool("noheading", "n", "Leave the heading of the table out"),
            .bool("quiet", "q", "Show names only, as VOLUME@SNAPSHOT"),
        ]
    }

    @Sendable static func export() -> [Flag] {
        [.string("output", "o", "File to write; standard output when not given", completion: .file)]
    }
}
