import Flags

/// Commands that show files of the store at paths of the host.
extension CommandTable {
    var mount: Command {
        Command(
            "mount", spellings: ["container mount", "mount"], operands: "[CONTAINER...]",
            summary: "Mount containers' files and print where, or list what is mounted",
            details: """
                Mount containers' files and print where, or list what is mounted

                What is mounted twice has to be unmounted twice. Volumes and other
                mounts of the container are not in it. Root sees it there; an ordinary
                user in the shell that berth unshare starts, as long as that runs.
                """,
            examples: [Example("A file of a container that does not run, changed", "sed -i s/80/8080/ $(berth mount web)/etc/app.conf")],
            arity: .when(["all", "latest"], .none, otherwise: .any), completion: [.names(.containers)],
            flags: {
                [
                    .bool("all", "a", "Mount all containers"), Self.format, ContainerFlags.latest(),
                    .bool("no-trunc", nil, "Show IDs in full", aliases: ["notruncate"]),
                ]
            }, run: action(.mount))
    }

    func unmount(_ name: String, aliases: [String] = []) -> Command {
        Command(
            name, aliases: aliases, spellings: ["container unmount", "container umount", "unmount", "umount"],
            operands: "CONTAINER [CONTAINER...]",
            summary: "Take mounts of containers' files away", examples: [Example("Of one container", "berth unmount web")],
            arity: .when(["all", "latest"], .none, otherwise: .atLeast(1)), completion: [.names(.containers)],
            flags: { Self.unmounting("containers") + [ContainerFlags.latest()] }, run: action(.unmount))
    }

    var imageMount: Command {
        Command(
            "mount", operands: "[IMAGE...]", summary: "Mount images' files and print where, or list what is mounted",
            details: """
                Mount images' files and print where, or list what is mounted

                They can only be read. What is mounted twice has to be unmounted twice.
                Root sees it there; an ordinary user in the shell that berth unshare
                starts, as long as that runs.
                """,
            examples: [Example("The programs of an image", "ls $(berth image mount busybox)/bin")],
            arity: .when(["all"], .none, otherwise: .any), completion: [.names(.images)],
            flags: {
                [
                    .bool("all", "a", "Mount all images"), Self.format,
                    .bool("no-trunc", nil, "Show IDs in full", aliases: ["notruncate"]),
                ]
            }, run: action(.imageMount))
    }

    var imageUnmount: Command {
        Command(
            "unmount", aliases: ["umount"], operands: "IMAGE [IMAGE...]", summary: "Take mounts of images' files away",
            examples: [Example("Of one image", "berth image unmount busybox")],
            arity: .when(["all"], .none, otherwise: .atLeast(1)), completion: [.names(.images)], flags: { Self.unmounting("images") },
            run: action(.imageUnmount))
    }

    private static let format = Flag.string("format", nil, "How to print: json", completion: .values(["json"]))

    private static func unmounting(_ what: String) -> [Flag] {
        [
            .bool("all", "a", "All \(what) that are mounted"),
            .bool("force", "f", "All mounts of each, also while their files are in use"),
        ]
    }
}
