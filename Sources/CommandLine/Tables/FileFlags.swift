import Flags

/// Flags of the commands that bring files into containers and out of them.
enum FileFlags {
    @Sendable static func copy() -> [Flag] {
        [
            .bool("archive", "a", "Copy owners: root's out of a container, and to a container's user into one"),
            .bool("follow-link", "L", "Copy what a link leads to, where the source is a link"),
            .bool("overwrite", nil, "Let directories take the place of other files, and the other way round"),
            .bool("quiet", "q", "Do not say what was copied; so without a terminal"),
        ]
    }

    @Sendable static func diff() -> [Flag] {
        [
            .string("format", nil, "How to print: json", completion: .values(["json"])) { text in
                text == "json" ? nil : "must be json"
            }, ContainerFlags.latest(),
        ]
    }

    @Sendable static func export() -> [Flag] {
        [.string("output", "o", "File to write, instead of standard output", completion: .file)]
    }

    @Sendable static func commit() -> [Flag] {
        [
            .string("author", "a", "Who made the image, as Name <address>"),
            .list("change", "c", "Change a default of its containers, in the language of Dockerfiles", value: "instruction"),
            .string("iidfile", nil, "Write the image's ID to this file too", completion: .file),
            .string("message", "m", "Say in the image's history what it is for"),
            .bool("no-pause", nil, "Let the container run on meanwhile"),
            .bool("pause", "p", "Pause the container until its files are read", initially: true),
            .bool("quiet", "q", "Print the image's ID only, as always"),
        ]
    }
}
