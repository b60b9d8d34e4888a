import Flags

extension CommandTable {
    func images(_ name: String, aliases: [String] = []) -> Command {
        Command(
            name, aliases: aliases, spellings: ["image ls", "image list", "images"],
            operands: "[REPOSITORY[:TAG]]", summary: "List images", arity: .atMost(1), completion: [.names(.images)],
            flags: ImageFlags.images, run: action(.images))
    }

    var load: Command {
        Command(
            "load", spellings: ["image load", "load"],
            summary: "Read images from an OCI layout or an archive",
            examples: [
                Example("An archive made by docker save", "berth load -i busybox.tar"),
                Example("An archive from standard input", "zcat image.tar.gz | berth load"),
            ], flags: ImageFlags.load, run: action(.load))
    }

    var `import`: Command {
        Command(
            "import", spellings: ["image import", "import"], operands: "file|URL|- [REPOSITORY[:TAG]]",
            summary: "Make an image from the tar archive of a root file system", arity: .atLeast(1),
            completion: [.file, .nothing], flags: ImageFlags.import,
            unsupported: { Flag.unsupported(values: "arch os variant", switches: "quiet/q") }, run: action(.import))
    }

    var save: Command {
        Command(
            "save", spellings: ["image save", "save"], operands: "IMAGE [IMAGE...]",
            summary: "Write images to an archive or an OCI layout", arity: .atLeast(1), completion: [.names(.images)],
            flags: ImageFlags.save,
            unsupported: { Flag.unsupported(switches: "compress multi-image-archive/m quiet/q uncompressed") },
            run: action(.save))
    }

    var tag: Command {
        Command(
            "tag", spellings: ["image tag", "tag"], operands: "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
            summary: "Give an image a further name", arity: .exactly(2), completion: [.names(.images)],
            run: action(.tag))
    }

    func rmi(_ name: String, aliases: [String] = []) -> Command {
        Command(
            name, aliases: aliases, spellings: ["image rm", "image remove", "rmi"], operands: "IMAGE [IMAGE...]",
            summary: "Remove images", arity: .someUnless(flag: "all"), completion: [.names(.images)],
            flags: ImageFlags.rmi, run: action(.rmi))
    }

    var inspectImage: Command {
        Command(
            "inspect", operands: "IMAGE|docker://IMAGE [IMAGE...]", summary: "Show all that is known of images",
            details: """
                Show all that is known of images

                An image elsewhere is named as image copy names it (docker://NAME,
                oci:DIR), and is not brought in.
                """,
            arity: .atLeast(1), completion: [.names(.images)], flags: TransferFlags.inspectImage,
            run: action(.inspectImage))
    }

    var version: Command {
        Command(
            "version", summary: "Show the versions of all parts",
            flags: { [ContainerFlags.format(table: false)] }, run: action(.version))
    }

    func info(_ name: String) -> Command {
        Command(
            name, spellings: ["system info", "info"], summary: "Show what the engine knows of itself and its host",
            flags: { [ContainerFlags.format(table: false)] }, run: action(.info))
    }

    var systemCheck: Command {
        Command(
            "check", summary: "Say what this host lacks and what is damaged, and what to type",
            flags: {
                [
                    ContainerFlags.format(table: false, short: nil),
                    .bool("force", "f", "With --repair: also remove containers whose layers nothing can rebuild"),
                    .value("max", "m", .duration, "How long a download that broke off is kept to go on with", default: "168h"),
                    .bool("quick", "q", "Look only whether everything is there, not at its content"),
                    .bool("repair", "r", "Rebuild what is damaged, and remove images of which nothing is left to rebuild"),
                ]
            }, run: action(.systemCheck))
    }
}
