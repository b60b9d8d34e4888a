import Flags

extension CommandTable {
    /// Docker's: any number for a container, by name.
    var checkpoint: Command {
        .group("checkpoint", summary: "Manage checkpoints of containers") { [checkpointCreate, checkpointList, checkpointRemove] }
    }

    private var checkpointCreate: Command {
        Command(
            "create", operands: "CONTAINER CHECKPOINT", summary: "Write a running container down, and end it",
            details: """
                Write a running container down, and end it

                All of its processes with their memory, open files and sockets. The
                container goes on from there with berth start --checkpoint NAME. Needs
                root and the program criu.
                """,
            examples: [
                Example("Write down what runs, and let it run on", "berth checkpoint create --leave-running web before-update"),
                Example("Go on from there", "berth start --checkpoint before-update web"),
            ],
            arity: .exactly(2), completion: [.names(.runningContainers), .nothing],
            flags: { CheckpointFlags.directory + [.bool("leave-running", nil, "Let the container run on")] },
            run: action(.checkpointCreate))
    }

    private var checkpointList: Command {
        Command(
            "ls", aliases: ["list"], operands: "CONTAINER", summary: "List the checkpoints of a container",
            examples: [Example("Of one container", "berth checkpoint ls web")], arity: .exactly(1),
            completion: [.names(.containers)], flags: { CheckpointFlags.directory }, run: action(.checkpointList))
    }

    private var checkpointRemove: Command {
        Command(
            "rm", aliases: ["remove"], operands: "CONTAINER CHECKPOINT", summary: "Remove a checkpoint",
            examples: [Example("That is not needed any more", "berth checkpoint rm web before-update")], arity: .exactly(2),
            completion: [.names(.containers), .nothing], flags: { CheckpointFlags.directory }, run: action(.checkpointRemove))
    }

    /// Podman's: one for a container, and archives that go to other hosts.
    var containerCheckpoint: Command {
        Command(
            "checkpoint", operands: "CONTAINER [CONTAINER...]", summary: "Write running containers down, and end them",
            details: """
                Write running containers down, and end them

                They go on with berth container restore: here, or on another host
                from an archive. Needs root and the program criu.
                """,
            examples: [Example("To another host", "berth container checkpoint --export web.tar.zst web")],
            arity: .when(["all", "latest"], .none, otherwise: .atLeast(1)), completion: [.names(.runningContainers)],
            flags: CheckpointFlags.checkpoint, unsupported: { Flag.unsupported(values: "create-image") }, run: action(.containerCheckpoint))
    }

    var containerRestore: Command {
        Command(
            "restore", operands: "CONTAINER [CONTAINER...]", summary: "Let containers go on from their checkpoints",
            examples: [
                Example("What another host has written down", "berth container restore --import web.tar.zst"),
                Example("A second one beside the first", "berth container restore --import web.tar.zst --name web2"),
            ],
            arity: .when(["all", "latest", "import"], .none, otherwise: .atLeast(1)), completion: [.names(.stoppedContainers)],
            flags: CheckpointFlags.restore, unsupported: { Flag.unsupported(values: "pod") }, run: action(.containerRestore))
    }
}

/// Flags of checkpoints.
enum CheckpointFlags {
    static var directory: [Flag] {
        [.string("checkpoint-dir", nil, "Directory of the checkpoints (default: the container's own)", value: "path")]
    }

    /// Of `start`.
    static var start: [Flag] { [.string("checkpoint", nil, "Go on from this checkpoint", value: "name")] + directory }

    private static var common: [Flag] {
        [
            .bool("file-locks", nil, "Keep locks of files"),
            .bool("ignore-rootfs", nil, "Leave what it has changed of its image's files out of the archive"),
            .bool("ignore-volumes", nil, "Leave the content of its volumes out of the archive"),
            .bool("keep", "k", "Keep CRIU's log and figures, which are in the container's directory criu"),
            .bool("print-stats", nil, "Print how long it took, as JSON"),
            .bool("tcp-established", nil, "Keep open TCP connections"), ContainerFlags.latest(),
        ]
    }

    @Sendable static func checkpoint() -> [Flag] {
        common + [
            .bool("all", "a", "All that run"),
            .string("compress", "c", "Compression of the archive: zstd, gzip or none", value: "kind", default: "zstd"),
            .string("export", "e", "Write an archive for another host", value: "file"),
            .bool("leave-running", "R", "Let the container run on"),
            .bool("pre-checkpoint", "P", "Only memory, while it runs on, so that the checkpoint after it is quick"),
            .bool("with-previous", nil, "Do not write memory again that --pre-checkpoint has written"),
        ]
    }

    @Sendable static func restore() -> [Flag] {
        common + [
            .bool("all", "a", "All that a checkpoint has ended"),
            .bool("ignore-static-ip", nil, "With --import: take any address, not that of --ip"),
            .bool("ignore-static-mac", nil, "With --import: take any hardware address, not that of --mac-address"),
            .string("import", "i", "Make a container from an archive", value: "file"),
            .string("import-previous", nil, "The archive of an earlier --pre-checkpoint", value: "file"),
            .string("name", "n", "With --import: name of the container", value: "name"),
            .list("publish", "p", "With --import: ports of the host instead of those it had", value: "port"),
            .bool("tcp-close", nil, "Close TCP connections that were open"),
        ]
    }
}
