import Flags

extension CommandTable {
    private static let imageAndCommand = "IMAGE [COMMAND] [ARG...]"
    private static let oneOrMore = "CONTAINER [CONTAINER...]"

    var run: Command {
        Command(
            "run", spellings: ["container run", "run"], operands: Self.imageAndCommand,
            summary: "Create a container from an image and start it",
            examples: [
                Example("A shell in a container that is gone when the shell ends", "berth run --rm -it busybox sh"),
                Example("In the background, with at most 256 MB of memory", "berth run -d --name web -m 256m httpd"),
            ],
            arity: .atLeast(1), interspersed: false, completion: [.names(.images), .file], flags: RunFlags.run,
            unsupported: RunFlags.unsupported, run: action(.run))
    }

    var create: Command {
        Command(
            "create", spellings: ["container create", "create"], operands: Self.imageAndCommand,
            summary: "Create a container from an image without starting it", arity: .atLeast(1), interspersed: false,
            completion: [.names(.images), .file], flags: RunFlags.create, unsupported: RunFlags.unsupported,
            run: action(.create))
    }

    var start: Command {
        Command(
            "start", spellings: ["container start", "start"], operands: Self.oneOrMore,
            summary: "Start containers that are not running", arity: .atLeast(1),
            completion: [.names(.stoppedContainers)], flags: ContainerFlags.start,
            unsupported: {
                Flag.unsupported(values: "checkpoint checkpoint-dir filter/f", switches: "all latest/l sig-proxy")
            }, run: action(.start))
    }

    var stop: Command {
        Command(
            "stop", spellings: ["container stop", "stop"], operands: Self.oneOrMore,
            summary: "Ask containers to end, and kill those that do not", arity: .atLeast(1),
            completion: [.names(.runningContainers)], flags: ContainerFlags.stop,
            unsupported: { Flag.unsupported(values: "cidfile filter/f", switches: "all/a ignore/i latest/l") },
            run: action(.stop))
    }

    var kill: Command {
        Command(
            "kill", spellings: ["container kill", "kill"], operands: Self.oneOrMore,
            summary: "Send a signal to containers", arity: .atLeast(1), completion: [.names(.runningContainers)],
            flags: ContainerFlags.kill,
            unsupported: { Flag.unsupported(values: "cidfile", switches: "all/a latest/l") }, run: action(.kill))
    }

    var restart: Command {
        Command(
            "restart", spellings: ["container restart", "restart"], operands: Self.oneOrMore,
            summary: "Stop containers and start them again", arity: .atLeast(1), completion: [.names(.containers)],
            flags: ContainerFlags.stop,
            unsupported: { Flag.unsupported(values: "cidfile filter/f", switches: "all/a latest/l running") },
            run: action(.restart))
    }

    func rm(_ name: String, aliases: [String] = []) -> Command {
        Command(
            name, aliases: aliases, spellings: ["container rm", "container remove", "rm"], operands: Self.oneOrMore,
            summary: "Remove containers", arity: .atLeast(1), completion: [.names(.containers)],
            flags: ContainerFlags.rm,
            unsupported: {
                Flag.unsupported(values: "cidfile filter time/t", switches: "all/a depend ignore/i latest link/l")
            }, run: action(.rm))
    }

    func ps(_ name: String, aliases: [String] = []) -> Command {
        Command(
            name, aliases: aliases, spellings: ["container ls", "container list", "container ps", "ps"],
            summary: "List containers", flags: ContainerFlags.ps,
            unsupported: {
                Flag.unsupported(values: "namespace sort watch/w", switches: "external noheading ns pod/p sync")
            }, run: action(.ps))
    }

    var logs: Command {
        Command(
            "logs", spellings: ["container logs", "logs"], operands: "CONTAINER [CONTAINER...]",
            summary: "Show what containers have written", arity: .someUnless(flag: "latest"), completion: [.names(.containers)],
            flags: ContainerFlags.logs, unsupported: { Flag.unsupported(switches: "color") },
            run: action(.logs))
    }

    var exec: Command {
        Command(
            "exec", spellings: ["container exec", "exec"], operands: "CONTAINER COMMAND [ARG...]",
            summary: "Run a command in a running container",
            examples: [Example("A shell beside what runs already", "berth exec -it web sh")],
            arity: .oneFewerWith(flags: ["latest", "cidfile"], 2), interspersed: false,
            completion: [.names(.runningContainers), .file], flags: ContainerFlags.exec,
            unsupported: {
                Flag.unsupported(values: "preserve-fd", switches: "no-session")
            }, run: action(.exec))
    }

    var attach: Command {
        Command(
            "attach", spellings: ["container attach", "attach"], operands: "CONTAINER",
            summary: "Connect this terminal to a running container", arity: .exactly(1),
            completion: [.names(.runningContainers)], flags: ContainerFlags.attach,
            unsupported: { Flag.unsupported(switches: "latest/l") }, run: action(.attach))
    }

    var wait: Command {
        Command(
            "wait", spellings: ["container wait", "wait"], operands: Self.oneOrMore,
            summary: "Wait until containers end, then print their exit codes",
            examples: [Example("Until its health check succeeds", "berth wait --condition healthy web")], arity: .atLeast(1),
            completion: [.names(.containers)], flags: ContainerFlags.wait,
            unsupported: { Flag.unsupported(switches: "exit-first-match latest/l") }, run: action(.wait))
    }

    var healthcheck: Command {
        .group("healthcheck", summary: "Look whether containers work") { [healthcheckRun] }
    }

    private var healthcheckRun: Command {
        Command(
            "run", operands: "CONTAINER", summary: "Run a container's health check now; exit with 1 where it fails", arity: .exactly(1),
            completion: [.names(.runningContainers)], flags: ContainerFlags.healthcheckRun, run: action(.healthcheckRun))
    }

    var top: Command {
        Command(
            "top", spellings: ["container top", "top"], operands: "CONTAINER [ps OPTIONS]",
            summary: "List the processes of a container", arity: .atLeast(1), interspersed: false,
            completion: [.names(.runningContainers), .nothing],
            unsupported: { Flag.unsupported(switches: "latest/l") }, run: action(.top))
    }

    var pause: Command {
        Command(
            "pause", spellings: ["container pause", "pause"], operands: Self.oneOrMore,
            summary: "Freeze all processes of containers", arity: .atLeast(1),
            completion: [.names(.runningContainers)], unsupported: Self.unsupportedByPause, run: action(.pause))
    }

    var unpause: Command {
        Command(
            "unpause", spellings: ["container unpause", "unpause"], operands: Self.oneOrMore,
            summary: "Let frozen containers go on", arity: .atLeast(1), completion: [.names(.runningContainers)],
            unsupported: Self.unsupportedByPause, run: action(.unpause))
    }

    @Sendable private static func unsupportedByPause() -> [Flag] {
        Flag.unsupported(values: "cidfile filter/f", switches: "all/a latest/l")
    }

    var rename: Command {
        Command(
            "rename", spellings: ["container rename", "rename"], operands: "CONTAINER NEW_NAME",
            summary: "Give a container another name", arity: .exactly(2),
            completion: [.names(.containers), .nothing], run: action(.rename))
    }

    var port: Command {
        Command(
            "port", spellings: ["container port", "port"], operands: "CONTAINER [PORT[/PROTO]]",
            summary: "Show where the ports of a container are published", arity: .range(1, 2), completion: [.names(.containers), .nothing],
            unsupported: { Flag.unsupported(switches: "all/a latest/l") }, run: action(.port))
    }

    var update: Command {
        Command(
            "update", spellings: ["container update", "update"], operands: Self.oneOrMore,
            summary: "Change published ports and network rates of containers",
            examples: [
                Example("A further port of a container that runs", "berth update --publish-add 8443:443 web"),
                Example("At most 20 Mbit/s from now on out of it", "berth update --network-rate out=20mbit web"),
            ],
            arity: .atLeast(1), completion: [.names(.containers)], flags: ContainerFlags.update,
            unsupported: {
                Flag.unsupported(
                    values: """
                        blkio-weight blkio-weight-device cpu-period cpu-quota cpu-rt-period cpu-rt-runtime cpu-shares/c cpus cpuset-cpus
                        cpuset-mems device-read-bps device-read-iops device-write-bps device-write-iops env/e health-cmd
                        health-interval health-log-destination health-max-log-count health-max-log-size health-on-failure
                        health-retries health-start-period health-startup-cmd health-startup-interval health-startup-retries
                        health-startup-success health-startup-timeout health-timeout kernel-memory memory/m memory-reservation
                        memory-swap memory-swappiness pids-limit restart ulimit unsetenv
                        """, switches: "latest/l no-healthcheck")
            }, run: action(.update))
    }

    var inspect: Command {
        Command(
            "inspect", operands: "NAME|ID [NAME|ID...]", summary: "Show all that is known of containers and images",
            arity: .atLeast(1), completion: [.names(.containers)], flags: ContainerFlags.inspectAny,
            unsupported: { Flag.unsupported(switches: "latest/l") }, run: action(.inspect))
    }

    var inspectContainer: Command {
        Command(
            "inspect", operands: Self.oneOrMore, summary: "Show all that is known of containers", arity: .atLeast(1),
            completion: [.names(.containers)], flags: ContainerFlags.inspect,
            unsupported: { Flag.unsupported(switches: "latest/l") }, run: action(.inspectContainer))
    }
}
