import Flags

/// Commands that bring files into containers and out of them.
extension CommandTable {
    var copy: Command {
        Command(
            "cp", spellings: ["container cp", "cp"], operands: "CONTAINER:PATH|PATH|- CONTAINER:PATH|PATH|-",
            summary: "Copy files between containers and this machine",
            details: """
                Copy files between containers and this machine

                Containers need not be running. A directory is copied with all that is
                in it; with /. behind its name, only what is in it. What is copied to a
                directory that is there goes into it; to a name that is not there, it
                gets that name. With - a tar archive comes from standard input, or goes
                to standard output. A file here whose name has a colon is written as
                ./a:b or by its full path.
                """,
            examples: [
                Example("A file into a container", "berth cp nginx.conf web:/etc/nginx/nginx.conf"),
                Example("What is in a directory, out of it", "berth cp web:/var/log/. ./logs"),
                Example("As an archive", "berth cp web:/etc - | tar t"),
            ],
            arity: .exactly(2), completion: [.names(.containers), .names(.containers)], flags: FileFlags.copy, run: action(.copy))
    }

    var diff: Command {
        Command(
            "diff", spellings: ["container diff", "diff"], operands: "CONTAINER",
            summary: "List what a container has changed of its image's files",
            details: """
                List what a container has changed of its image's files

                A is before what was added, C before what was changed, D before what
                was removed. What is in volumes and binds is no change, nor are the
                places that were made to mount them.
                """,
            examples: [
                Example("What it has written beside its volumes", "berth diff web"),
                Example("As JSON", "berth diff --format json web"),
            ], arity: .when(["latest"], .none, otherwise: .exactly(1)), completion: [.names(.containers)], flags: FileFlags.diff,
            run: action(.diff))
    }

    var export: Command {
        Command(
            "export", spellings: ["container export", "export"], operands: "CONTAINER",
            summary: "Write a container's files as a tar archive",
            details: """
                Write a container's files as a tar archive

                All layers as one, without what is in volumes and binds. The container
                need not be running; berth import makes an image of the archive.
                """,
            examples: [Example("To a file", "berth export -o web.tar web")],
            arity: .exactly(1), completion: [.names(.containers)], flags: FileFlags.export, run: action(.export))
    }

    var commit: Command {
        Command(
            "commit", spellings: ["container commit", "commit"], operands: "CONTAINER [REPOSITORY[:TAG]]",
            summary: "Make an image from a container's changes",
            details: """
                Make an image from a container's changes

                Its image, with one layer more. What is in volumes and binds is not
                part of it. A container that runs is paused until its files are read.
                """,
            examples: [
                Example("With another command", "berth commit -c 'CMD [\"httpd\", \"-f\"]' web web:changed")
            ],
            arity: .range(1, 2), completion: [.names(.containers), .nothing], flags: FileFlags.commit,
            unsupported: {
                Flag.unsupported(
                    values: "compression config estargz-chunk-size estargz-compression-level estargz-min-chunk-size format/f "
                        + "zstdchunked-chunk-size zstdchunked-compression-level",
                    switches: "estargz include-volumes squash/s zstdchunked")
            }, run: action(.commit))
    }
}
