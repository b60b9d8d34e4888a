import Flags

extension CommandTable {
    func images(_ name: String, aliases: [String] = []) -> Command {
        Command(
            name, aliases: aliases, spellings: ["image ls", "image list", "images"],
            operands: "[REPOSITORY[:TAG]]", summary: "List images",
            examples: [
                Example("All", "berth images"),
                Example("Those of one name", "berth images alpine"),
                Example("One line each for a script", "berth images --format '{{.Repository}}:{{.Tag}} {{.Size}}'"),
                Example("IDs of those without a name", "berth images -q --filter dangling=true"),
            ], arity: .atMost(1), completion: [.names(.images)],
            flags: ImageFlags.images, run: action(.images))
    }

    var load: Command {
        Command(
            "load", spellings: ["image load", "load"],
            summary: "Read images from an OCI layout or an archive",
            examples: [
                Example("An archive made by docker save", "berth load -i busybox.tar"),
                Example("An archive from standard input", "zcat busybox.tar.gz | berth load"),
            ], flags: ImageFlags.load, run: action(.load))
    }

    var `import`: Command {
        Command(
            "import", spellings: ["image import", "import"], operands: "file|URL|- [REPOSITORY[:TAG]]",
            summary: "Make an image from the tar archive of a root file system",
            examples: [
                Example("From a file", "berth import rootfs.tar team/base:1"),
                Example("From a pipe, with the command it is to run", "zcat rootfs.tar.gz | berth import -c 'CMD [\"sh\"]' - team/base:2"),
            ], arity: .atLeast(1),
            completion: [.file, .nothing], flags: ImageFlags.import,
            unsupported: { Flag.unsupported(values: "arch os variant", switches: "quiet/q") }, run: action(.import))
    }

    var save: Command {
        Command(
            "save", spellings: ["image save", "save"], operands: "IMAGE [IMAGE...]",
            summary: "Write images to an archive or an OCI layout",
            examples: [
                Example("One image, for docker load", "berth save -o busybox.tar busybox"),
                Example("Several, compressed", "berth save alpine busybox | gzip >images.tar.gz"),
                Example("As an OCI layout", "berth save --format oci-dir -o layout busybox"),
            ], arity: .atLeast(1), completion: [.names(.images)],
            flags: ImageFlags.save,
            unsupported: { Flag.unsupported(switches: "compress multi-image-archive/m quiet/q uncompressed") },
            run: action(.save))
    }

    var tag: Command {
        Command(
            "tag", spellings: ["image tag", "tag"], operands: "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
            summary: "Give an image a further name",
            examples: [
                Example("So that it can be pushed there", "berth tag busybox localhost:5000/team/busybox:1")
            ], arity: .exactly(2), completion: [.names(.images)],
            run: action(.tag))
    }

    func rmi(_ name: String, aliases: [String] = []) -> Command {
        Command(
            name, aliases: aliases, spellings: ["image rm", "image remove", "rmi"], operands: "IMAGE [IMAGE...]",
            summary: "Remove images",
            examples: [
                Example("One name, and the image with its last name", "berth rmi alpine"),
                Example("All that no container uses", "berth rmi -a"),
            ], arity: .someUnless(flag: "all"), completion: [.names(.images)],
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
            examples: [
                Example("The command it runs", "berth image inspect -f '{{.Config.Cmd}}' busybox"),
                Example("One at a registry", "berth image inspect docker://alpine"),
            ], arity: .atLeast(1), completion: [.names(.images)], flags: TransferFlags.inspectImage,
            run: action(.inspectImage))
    }

    var version: Command {
        Command(
            "version", summary: "Show the versions of all parts",
            examples: [
                Example("For a person", "berth version"),
                Example("For a script", "berth version --format '{{.Server.Version}}'"),
            ], flags: { [ContainerFlags.format(table: false)] }, run: action(.version))
    }

    func info(_ name: String) -> Command {
        Command(
            name, spellings: ["system info", "info"], summary: "Show what the engine knows of itself and its host",
            examples: [
                Example("For a person", "berth info"),
                Example("For a script", "berth info --format '{{.Driver}} {{.CgroupVersion}}'"),
            ], flags: { [ContainerFlags.format(table: false)] }, run: action(.info))
    }

    var systemCheck: Command {
        Command(
            "check", summary: "Say what this host lacks and what is damaged, and what to type",
            examples: [
                Example("All", "berth system check"),
                Example("Only whether everything is there", "berth system check -q"),
                Example("And mend what can be mended", "berth system check --repair"),
            ],
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
