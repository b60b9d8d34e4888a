import Flags

/// What the machine's start and end call, and what makes it call them.
extension CommandTable {
    var systemBoot: Command {
        Command(
            "boot", summary: "Start what restart policies want up after a boot",
            details: """
                For the machine's start; berth system install-service has it called there. Starts what ended with an earlier boot, or with
                berth system shutdown: policy always, unless-stopped where nobody had stopped it, on-failure where it did not end with 0.
                """,
            examples: [
                Example("As the service calls it", "berth system boot")
            ], run: action(.systemBoot))
    }

    var systemShutDown: Command {
        Command(
            "shutdown", summary: "Stop all containers before the machine goes down",
            details: "As berth stop of all of them, but those that restart policies want up start again with berth system boot.",
            examples: [
                Example("With at most 30 seconds for each", "berth system shutdown -t 30")
            ],
            flags: {
                [.value("timeout", "t", .int, "Seconds to wait before SIGKILL; each container's own when not given")]
            },
            run: action(.systemShutDown))
    }

    var installService: Command {
        Command(
            "install-service", summary: "Start containers with the machine",
            details: """
                Writes and enables a unit of systemd, or a script in /etc/init.d, that calls berth system boot and berth system shutdown.
                Nothing of it runs in between. Called by an ordinary user it is a unit of that user.
                """,
            examples: [
                Example("The containers of root", "berth system install-service"),
                Example("Those of a user, set up by root", "berth system install-service --user ci"),
                Example("Only look at what it would write", "berth system install-service --init systemd --print"),
            ],
            flags: {
                [
                    .string("destdir", nil, "Set up the file system below this directory instead of this machine's", value: "dir"),
                    .string("init", nil, "What starts the machine: auto, systemd or rc", default: "auto", completion: .values(inits)) {
                        text in
                        inits.contains(text) ? nil : "must be one of auto, systemd, rc"
                    },
                    .bool("print", nil, "Print the file and change nothing"), .bool("remove", nil, "Take the service away again"),
                    .string("user", nil, "Whose containers; for root", value: "name"),
                ]
            }, run: action(.installService))
    }
}

private let inits = ["auto", "systemd", "rc"]
