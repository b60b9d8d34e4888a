import Flags

extension CommandTable {
    private static let imageAndCommand = "IMAGE [COMMAND] [ARG...]"
    private static let oneOrMore = "CONTAINER [CONTAINER...]"
    /// Containers that are named, or those that podman's flags choose.
    private static let oneOrChosen = Arity.when(
        ["all", "latest", "filter", "running"], .none, otherwise: .when(["cidfile"], .any, otherwise: .atLeast(1)))

    /// Of what runs somebody else's command.
    private static let ofTheCommand = [
        StatusMeaning("125", "berth could not run it"), StatusMeaning("126", "The command is here and cannot be run"),
        StatusMeaning("127", "The command is not here"),
        StatusMeaning("other", "The command's own, with 128 and its number where a signal ended it"),
    ]

    /// - Parameter rest: what is accepted beside `--latest`.
    private static func latestOr(_ arity: Arity, or rest: Arity = .none) -> Arity { .when(["latest"], rest, otherwise: arity) }

    var run: Command {
        Command(
            "run", spellings: ["container run", "run"], operands: Self.imageAndCommand,
            summary: "Create a container from an image and start it",
            examples: [
                Example("A shell in a container that is gone when the shell ends", "berth run --rm -it busybox sh"),
                Example("In the background, with at most 256 MiB of memory", "berth run -d --name web -m 256m httpd"),
                Example(
                    "With a port, a volume and a restart policy",
                    "berth run -d --name site -p 8080:80 -v data:/srv --restart on-failure:3 httpd"),
            ],
            exitStatuses: Self.ofTheCommand, arity: .atLeast(1), interspersed: false, completion: [.names(.images), .file],
            flags: RunFlags.run,
            unsupported: RunFlags.unsupported, run: action(.run))
    }

    var create: Command {
        Command(
            "create", spellings: ["container create", "create"], operands: Self.imageAndCommand,
            summary: "Create a container from an image without starting it",
            examples: [
                Example("Made now, to be started later", "berth create --name job busybox echo done"),
                Example("With a volume and a variable", "berth create --name db -v data:/var/lib/db -e LEVEL=debug busybox sleep 600"),
            ], arity: .atLeast(1), interspersed: false,
            completion: [.names(.images), .file], flags: RunFlags.create, unsupported: RunFlags.unsupported,
            run: action(.create))
    }

    var start: Command {
        Command(
            "start", spellings: ["container start", "start"], operands: Self.oneOrMore,
            summary: "Start containers that are not running",
            examples: [
                Example("Again, in the background", "berth start web"),
                Example("And show what it writes until it ends", "berth start -a job"),
            ], arity: Self.oneOrChosen,
            completion: [.names(.stoppedContainers)], flags: { ContainerFlags.start() + CheckpointFlags.start },
            run: action(.start))
    }

    var stop: Command {
        Command(
            "stop", spellings: ["container stop", "stop"], operands: Self.oneOrMore,
            summary: "Ask containers to end, and kill those that do not",
            examples: [
                Example("With a minute's time before it is killed", "berth stop -t 60 web"),
                Example("All that run", "berth stop -a"),
            ], arity: Self.oneOrChosen,
            completion: [.names(.runningContainers)], flags: ContainerFlags.stop, run: action(.stop))
    }

    var kill: Command {
        Command(
            "kill", spellings: ["container kill", "kill"], operands: Self.oneOrMore,
            summary: "Send a signal to containers",
            examples: [
                Example("Have it read its configuration again", "berth kill -s HUP web"),
                Example("End it at once", "berth kill web"),
            ], arity: Self.oneOrChosen, completion: [.names(.runningContainers)],
            flags: ContainerFlags.kill, run: action(.kill))
    }

    var restart: Command {
        Command(
            "restart", spellings: ["container restart", "restart"], operands: Self.oneOrMore,
            summary: "Stop containers and start them again",
            examples: [
                Example("With five seconds' time before it is killed", "berth restart -t 5 web"),
                Example("All that run", "berth restart --running"),
            ], arity: Self.oneOrChosen, completion: [.names(.containers)],
            flags: ContainerFlags.restart, run: action(.restart))
    }

    func rm(_ name: String, aliases: [String] = []) -> Command {
        Command(
            name, aliases: aliases, spellings: ["container rm", "container remove", "rm"], operands: Self.oneOrMore,
            summary: "Remove containers",
            examples: [
                Example("One that has ended", "berth rm job"),
                Example("One that runs, and its unnamed volumes", "berth rm -fv web"),
                Example("All", "berth rm -fa"),
            ], arity: Self.oneOrChosen, completion: [.names(.containers)],
            flags: ContainerFlags.rm, unsupported: { Flag.unsupported(switches: "depend link/l") }, run: action(.rm))
    }

    func ps(_ name: String, aliases: [String] = []) -> Command {
        Command(
            name, aliases: aliases, spellings: ["container ls", "container list", "container ps", "ps"],
            summary: "List containers",
            examples: [
                Example("Those that have ended too", "berth ps -a"),
                Example("Names and states of those that have ended", "berth ps --filter status=exited --format '{{.Names}}: {{.Status}}'"),
                Example("What each takes on disk", "berth ps -as"),
            ], flags: ContainerFlags.ps,
            unsupported: {
                Flag.unsupported(values: "namespace watch/w", switches: "ns pod/p")
            }, run: action(.ps))
    }

    var logs: Command {
        Command(
            "logs", spellings: ["container logs", "logs"], operands: "CONTAINER [CONTAINER...]",
            summary: "Show what containers have written",
            examples: [
                Example("The last ten lines with their times", "berth logs --tail 10 -t web"),
                Example("What it writes from now on", "berth logs -f --since 0s web"),
            ], arity: .someUnless(flag: "latest"), completion: [.names(.containers)],
            flags: ContainerFlags.logs, unsupported: { Flag.unsupported(switches: "color") },
            run: action(.logs))
    }

    var exec: Command {
        Command(
            "exec", spellings: ["container exec", "exec"], operands: "CONTAINER COMMAND [ARG...]",
            summary: "Run a command in a running container",
            examples: [
                Example("A shell beside what runs already", "berth exec -it web sh"),
                Example("With a variable, in a directory", "berth exec -e LEVEL=debug -w /tmp web env"),
                Example("As another user", "berth exec -u app web id"),
            ],
            exitStatuses: Self.ofTheCommand, arity: .oneFewerWith(flags: ["latest", "cidfile"], 2), interspersed: false,
            completion: [.names(.runningContainers), .file], flags: ContainerFlags.exec,
            unsupported: {
                Flag.unsupported(values: "preserve-fd", switches: "no-session")
            }, run: action(.exec))
    }

    var attach: Command {
        Command(
            "attach", spellings: ["container attach", "attach"], operands: "CONTAINER",
            summary: "Connect this terminal to a running container",
            examples: [
                Example("Leave it again by ctrl-p ctrl-q", "berth attach shell"),
                Example("Only look; ctrl-c ends the look", "berth attach --no-stdin --sig-proxy=false web"),
            ], arity: Self.latestOr(.exactly(1)),
            completion: [.names(.runningContainers)], flags: ContainerFlags.attach, run: action(.attach))
    }

    var wait: Command {
        Command(
            "wait", spellings: ["container wait", "wait"], operands: Self.oneOrMore,
            summary: "Wait until containers end, then print their exit codes",
            examples: [
                Example("Until its health check succeeds", "berth wait --condition healthy web"),
                Example("Until it ends", "berth wait job"),
            ], arity: Self.latestOr(.atLeast(1)),
            completion: [.names(.containers)], flags: ContainerFlags.wait,
            run: action(.wait))
    }

    var healthcheck: Command {
        .group("healthcheck", summary: "Look whether containers work") { [healthcheckRun] }
    }

    private var healthcheckRun: Command {
        Command(
            "run", operands: "CONTAINER", summary: "Run a container's health check now; exit with 1 where it fails",
            examples: [
                Example("Whether it works now, for a script", "berth healthcheck run web && echo works")
            ], arity: .exactly(1),
            completion: [.names(.runningContainers)], flags: ContainerFlags.healthcheckRun, run: action(.healthcheckRun))
    }

    var top: Command {
        Command(
            "top", spellings: ["container top", "top"], operands: "CONTAINER [ps OPTIONS]",
            summary: "List the processes of a container",
            examples: [
                Example("Its processes", "berth top web"),
                Example("Some columns of them", "berth top web -o pid,user,args"),
            ], arity: Self.latestOr(.atLeast(1), or: .any), interspersed: false,
            completion: [.names(.runningContainers), .nothing], flags: { [ContainerFlags.latest()] }, run: action(.top))
    }

    var pause: Command {
        Command(
            "pause", spellings: ["container pause", "pause"], operands: Self.oneOrMore,
            summary: "Freeze all processes of containers",
            examples: [
                Example("One", "berth pause web"),
                Example("All that run", "berth pause -a"),
            ], arity: Self.oneOrChosen,
            completion: [.names(.runningContainers)], flags: ContainerFlags.pause, run: action(.pause))
    }

    var unpause: Command {
        Command(
            "unpause", spellings: ["container unpause", "unpause"], operands: Self.oneOrMore,
            summary: "Let frozen containers go on",
            examples: [
                Example("One", "berth unpause web"),
                Example("All that are paused", "berth unpause -a"),
            ], arity: Self.oneOrChosen, completion: [.names(.runningContainers)],
            flags: ContainerFlags.pause, run: action(.unpause))
    }

    var rename: Command {
        Command(
            "rename", spellings: ["container rename", "rename"], operands: "CONTAINER NEW_NAME",
            summary: "Give a container another name",
            examples: [
                Example("From web to www", "berth rename web www")
            ], arity: .exactly(2),
            completion: [.names(.containers), .nothing], run: action(.rename))
    }

    var port: Command {
        Command(
            "port", spellings: ["container port", "port"], operands: "CONTAINER [PORT[/PROTO]]",
            summary: "Show where the ports of a container are published",
            examples: [
                Example("All of a container", "berth port web"),
                Example("Where one is to be found", "berth port web 80/tcp"),
            ], arity: .when(["all"], .none, otherwise: Self.latestOr(.range(1, 2), or: .atMost(1))),
            completion: [.names(.containers), .nothing], flags: ContainerFlags.port, run: action(.port))
    }

    var containerExists: Command {
        Command(
            "exists", operands: "CONTAINER", summary: "Say by the exit status whether a container is here",
            details: """
                Say by the exit status whether a container is here

                Ends with 0 when it is here, with 1 when it is not. Prints nothing.
                """,
            examples: [
                Example("In a script", "berth container exists web && echo here")
            ], exitStatuses: Self.existence, arity: .exactly(1), completion: [.names(.containers)],
            flags: { [.bool("external", nil, "Accepted for podman's sake: there are no others")] },
            run: action(.containerExists))
    }

    var cleanUp: Command {
        Command(
            "cleanup", operands: Self.oneOrMore, summary: "Take away what killed supervisors left of containers",
            details: """
                Take away what killed supervisors left of containers

                A container that has ended leaves nothing behind but itself; the next
                start would clear this away too.
                """,
            examples: [
                Example("One", "berth container cleanup job"),
                Example("All that do not run, and remove them", "berth container cleanup -a --rm"),
            ], arity: Self.oneOrChosen, completion: [.names(.stoppedContainers)], flags: ContainerFlags.cleanUp,
            unsupported: { Flag.unsupported(values: "exec", switches: "rmi") }, run: action(.containerCleanUp))
    }

    var unshare: Command {
        Command(
            "unshare", operands: "[COMMAND] [ARG...]", summary: "Run a command as root of this user's containers",
            details: """
                Run a command as root of this user's containers

                It runs in the user namespace that their files belong to, with mounts
                of its own. Without a command a shell. Not for root, who needs none.
                """,
            examples: [Example("Who owns files, as containers see it", "berth unshare ls -l data")],
            arity: .any, interspersed: false, completion: [.file],
            unsupported: { Flag.unsupported(switches: "rootless-netns") }, run: action(.unshare))
    }

    var stats: Command {
        Command(
            "stats", spellings: ["container stats", "stats"], operands: "[CONTAINER...]",
            summary: "Show live what containers use",
            details: """
                Show live what containers use: those that are named, or all that run

                The table is drawn anew every second. Processor time is a share of one
                processor, so that 200% is two of them. Memory is without page cache
                that the kernel would take back first. What nobody can tell is --.
                """,
            examples: [
                Example("A look at all that run, for a program to read", "berth stats --no-stream --format json"),
                Example("Two columns of one container", "berth stats --format 'table {{.Name}}\\t{{.MemUsage}}' web"),
            ],
            arity: .any, completion: [.names(.runningContainers)], flags: ContainerFlags.stats, run: action(.stats))
    }

    var update: Command {
        Command(
            "update", spellings: ["container update", "update"], operands: Self.oneOrMore,
            summary: "Change limits, restart policy, ports and more of containers",
            details: """
                Change limits, restart policy, ports and more of containers

                Limits, the restart policy, the health check, ports and rates change
                at once where a container runs, and stay for its next starts. The
                environment is that of the next start. A container is changed as asked
                for or not at all.
                """,
            examples: [
                Example("More memory for a container that runs", "berth update --memory 512m --memory-swap 1g web"),
                Example("Start it again whenever it ends", "berth update --restart always web"),
                Example("Look at it every ten seconds", "berth update --health-cmd 'test -e /etc/passwd' --health-interval 10s web"),
                Example("A further port of a container that runs", "berth update --publish-add 8443:443 web"),
                Example("At most 20 Mbit/s from now on out of it", "berth update --network-rate out=20mbit web"),
            ],
            arity: Self.latestOr(.atLeast(1)), completion: [.names(.containers)], flags: ContainerFlags.update,
            unsupported: {
                Flag.unsupported(
                    values: "health-log-destination kernel-memory memory-swappiness ulimit")
            }, run: action(.update))
    }

    var inspect: Command {
        Command(
            "inspect", operands: "NAME|ID [NAME|ID...]", summary: "Show all that is known of containers, images, networks and volumes",
            examples: [
                Example("All that is known", "berth inspect web"),
                Example("One value for a script", "berth inspect -f '{{.State.Status}}' web"),
                Example("Of the image, although a container has the same name", "berth inspect --type image busybox"),
            ], arity: Self.latestOr(.atLeast(1)), completion: [.names(.containers)], flags: ContainerFlags.inspectAny, run: action(.inspect)
        )
    }

    var inspectContainer: Command {
        Command(
            "inspect", operands: Self.oneOrMore, summary: "Show all that is known of containers",
            examples: [
                Example("Its addresses", "berth container inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}' web"),
                Example("With what it takes on disk", "berth container inspect -s web"),
            ], arity: Self.latestOr(.atLeast(1)),
            completion: [.names(.containers)], flags: ContainerFlags.inspect, run: action(.inspectContainer))
    }
}
