import Flags

/// Commands about volumes.
extension CommandTable {
    var volume: Command {
        .group("volume", summary: "Manage volumes") {
            [
                volumeClone, volumeCreate, volumeExists, volumeExport, volumeImport, inspectVolume, volumeList, volumePrune,
                volumeRemove, volumeRestore, volumeSnapshot, volumeSnapshots,
            ]
        }
    }

    private var volumeCreate: Command {
        Command(
            "create", operands: "[VOLUME]", summary: "Create a volume, where there is none of the name",
            examples: [
                Example("Content that outlives its containers", "berth volume create data"),
                Example(
                    "A directory of another host", "berth volume create -o type=nfs -o o=addr=10.0.0.5 -o device=:/srv shared"),
            ],
            arity: .range(0, 1), flags: VolumeFlags.create,
            unsupported: {
                Flag.unsupported(
                    values: """
                        availability gid group limit-bytes required-bytes scope secret sharing topology-preferred topology-required type
                        uid
                        """)
            }, run: action(.volumeCreate))
    }

    private var volumeClone: Command {
        Command(
            "clone", operands: "VOLUME[@SNAPSHOT] NEW-VOLUME", summary: "Create a volume with the content of another or of a snapshot",
            details: "Containers that use the volume stand still while it is read, so that the copy is of one moment.",
            examples: [
                Example("As it is now", "berth volume clone data copy"),
                Example("As it was", "berth volume clone data@before old"),
            ], arity: .exactly(2), completion: [.names(.volumes)], flags: VolumeFlags.copy, run: action(.volumeClone))
    }

    private var volumeRestore: Command {
        Command(
            "restore", operands: "VOLUME SNAPSHOT", summary: "Give a volume the content of one of its snapshots",
            details: """
                All of it or, whatever is killed, nothing. Containers that use the volume may not run meanwhile: they would keep the
                content they have. VOLUME@SNAPSHOT in one word is good too.
                """,
            examples: [
                Example("To what a snapshot has", "berth volume restore data before")
            ], arity: .range(1, 2), completion: [.names(.volumes)], run: action(.volumeRestore))
    }

    private var volumeSnapshot: Command {
        Command(
            "snapshot", operands: "VOLUME [SNAPSHOT]", summary: "Keep the content of a volume as it is now",
            details: """
                Containers that use the volume stand still while it is read, so that the snapshot is of one moment. Where the file
                system can share blocks (btrfs, xfs) it takes neither time nor room. Prints VOLUME@SNAPSHOT, which clone, restore,
                export and rm take. Without a name it gets the time. Snapshots go with their volume.
                """,
            examples: [
                Example("Before a change", "berth volume snapshot data before"),
                Example("Back to it", "berth volume restore data before"), Example("No longer needed", "berth volume rm data@before"),
            ],
            arity: .range(1, 2), completion: [.names(.volumes)], flags: VolumeFlags.copy, run: action(.volumeSnapshot))
    }

    private var volumeSnapshots: Command {
        Command(
            "snapshots", operands: "[VOLUME...]", summary: "List snapshots of volumes",
            examples: [
                Example("All", "berth volume snapshots"),
                Example("Those of one volume", "berth volume snapshots data"),
            ], arity: .any, completion: [.names(.volumes)],
            flags: VolumeFlags.snapshots, run: action(.volumeSnapshots))
    }

    private var volumeExists: Command {
        Command(
            "exists", operands: "VOLUME", summary: "Say by the exit status whether a volume is here",
            details: "Ends with 0 when it is here, with 1 when it is not. Prints nothing.",
            examples: [
                Example("In a script", "berth volume exists data || berth volume create data")
            ], exitStatuses: Self.existence, arity: .exactly(1),
            completion: [.names(.volumes)], run: action(.volumeExists))
    }

    private var volumeExport: Command {
        Command(
            "export", operands: "VOLUME[@SNAPSHOT]", summary: "Write a volume's content as a tar archive",
            examples: [Example("A copy in a file", "berth volume export -o data.tar data")],
            arity: .exactly(1), completion: [.names(.volumes)], flags: VolumeFlags.export, run: action(.volumeExport))
    }

    private var volumeImport: Command {
        Command(
            "import", operands: "VOLUME [FILE]", summary: "Add the content of a tar archive to a volume's",
            details: """
                Reads standard input when no file is given, or -. Files of the same names are replaced. All of the archive comes in
                or, when it cannot be read to its end, nothing; containers that use the volume may not run meanwhile.
                """,
            examples: [Example("What was exported", "berth volume import data data.tar")],
            arity: .range(1, 2), completion: [.names(.volumes), .file], run: action(.volumeImport))
    }

    private var inspectVolume: Command {
        Command(
            "inspect", operands: "VOLUME [VOLUME...]", summary: "Show all that is known of volumes",
            examples: [
                Example("Where its files are", "berth volume inspect -f '{{.Mountpoint}}' data")
            ], arity: .someUnless(flag: "all"),
            completion: [.names(.volumes)], flags: VolumeFlags.inspect, run: action(.inspectVolume))
    }

    private var volumeList: Command {
        Command(
            "ls", aliases: ["list"], summary: "List volumes",
            examples: [
                Example("All", "berth volume ls"),
                Example("Names of those that no container uses", "berth volume ls -q --filter dangling=true"),
            ], flags: VolumeFlags.list,
            unsupported: { Flag.unsupported(switches: "cluster") }, run: action(.volumeList))
    }

    private var volumePrune: Command {
        Command(
            "prune", summary: "Remove volumes that no container uses",
            examples: [
                Example("Unnamed ones, without a question", "berth volume prune -f"),
                Example("Those with names too", "berth volume prune -af"),
            ], flags: VolumeFlags.prune, run: action(.volumePrune))
    }

    private var volumeRemove: Command {
        Command(
            "rm", aliases: ["remove"], operands: "VOLUME[@SNAPSHOT] [VOLUME[@SNAPSHOT]...]",
            summary: "Remove volumes and their content, or snapshots",
            examples: [
                Example("A volume", "berth volume rm data"),
                Example("A snapshot", "berth volume rm other@before"),
            ], arity: .someUnless(flag: "all"), completion: [.names(.volumes)], flags: VolumeFlags.rm,
            unsupported: { Flag.unsupported(values: "time/t") }, run: action(.volumeRemove))
    }
}
