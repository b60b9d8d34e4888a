import Flags

/// Commands of podman's that docker does not have.
extension CommandTable {
    var initialize: Command {
        Command(
            "init", spellings: ["container init", "init"], operands: "CONTAINER [CONTAINER...]",
            summary: "Make containers' environments without starting them",
            details: """
                Make containers' environments without starting them

                Namespaces, mounts and networks are there afterwards, to be looked at or
                prepared from outside; the program waits for start.
                """,
            examples: [
                Example("A look at its network before its program runs", "berth init web; berth debug web ip addr; berth start web")
            ],
            arity: .when(["all", "latest"], .none, otherwise: .atLeast(1)), completion: [.names(.stoppedContainers)],
            flags: { [.bool("all", "a", "All that do not run"), ContainerFlags.latest()] }, run: action(.initialize))
    }

    var containerClone: Command {
        Command(
            "clone", operands: "CONTAINER [NAME] [IMAGE]", summary: "Make a container as another one was made",
            details: """
                Make a container as another one was made

                It has the same configuration, named volumes and networks, and nothing
                of the other's files. Without a name it gets the other's with -clone
                behind it.
                """,
            examples: [
                Example("The same with more memory, in place of the old one", "berth container clone --destroy --run -m 1g web web2")
            ],
            arity: .range(1, 3), completion: [.names(.containers), .nothing, .names(.images)],
            flags: {
                RunFlags.processors()
                    + RunFlags.blockDevices() + [
                        .value(
                            "blkio-weight", nil, .uint16, "Weight of block input and output, 10 to 1000; 0 leaves it alone",
                            check: ValueRules.blockWeight),
                        .bool("destroy", nil, "Remove the other container when its clone is there"),
                        .bool("force", "f", "With --destroy, also where it runs"),
                        .value("memory", "m", .bytes, "Most memory the container may use"),
                        .value("memory-reservation", nil, .bytes, "Memory that is left to the container when the host runs short"),
                        .value("memory-swap", nil, .signedBytes, "Most memory and swap together; '-1' sets no limit to swap"),
                        .value(
                            "memory-swappiness", nil, .int, "How readily memory is swapped out, 0 to 100; -1 leaves it alone",
                            default: "-1",
                            check: ValueRules.swappiness),
                        .string("name", nil, "Name of the clone"),
                        .value("pids-limit", nil, .int, "Most processes and threads; -1 for no limit"),
                        .bool("quiet", "q", "Do not tell how fetching goes"),
                        .bool("run", nil, "Start it"),
                    ] + PullFlags.ofRun
            },
            unsupported: { Flag.unsupported(values: "pod") }, run: action(.containerClone))
    }
}
