import Flags

/// The command that looks into what has no tools of its own.
extension CommandTable {
    var debug: Command {
        Command(
            "debug", spellings: ["container debug", "debug"], operands: "CONTAINER|IMAGE [COMMAND] [ARG...]",
            summary: "Look into a container or image with tools that it does not have",
            details: """
                Look into a container or image with tools that it does not have

                Runs a shell, or a command, of an image of tools. The files of what is
                looked into are at /target. Of a container that runs its processes and
                its network are seen, and what is written to /target is written to it;
                nothing of the tools is to be found in it. Of any other container, and
                of images, nothing is changed: what is written is thrown away. All of
                it ends with this command, however that ends.
                """,
            examples: [
                Example("A shell beside what runs", "berth debug web"),
                Example("What a container that fails has written", "berth debug web cat /target/var/log/app.log"),
                Example(
                    "Packets of a container, with tools from an image that has tcpdump",
                    "berth debug --image nicolaka/netshoot --cap-add NET_RAW web tcpdump -ni eth0"),
            ],
            arity: .atLeast(1), interspersed: false, completion: [.names(.containers), .file], flags: DebugFlags.debug,
            run: action(.debug))
    }
}

enum DebugFlags {
    @Sendable static func debug() -> [Flag] {
        [
            .list("cap-add", nil, "Add a capability to the command's", completion: .names(.capabilities)),
            .string("command", "c", "Give this to the shell to run"),
            .list(
                "env", "e", "Environment variable, as NAME=value, or NAME to pass on this shell's",
                completion: .names(.environment), check: ValueRules.environment),
            .string("image", nil, "Image with the tools, instead of the configured one", completion: .names(.images)),
            .bool("interactive", "i", "Keep standard input open; without a command it is"),
            .string("network", nil, "Network of what does not run: as for run"),
            .string("platform", nil, "Platform of the tools' image, as os[/arch[/variant]]"),
            .bool("privileged", nil, "Give the command every capability and device"),
            .string(
                "pull", nil, "When to fetch the tools' image: always, missing or never", default: "missing",
                completion: .values(ValueWords.pullPolicies), check: ValueRules.pullPolicy),
            .bool("quiet", "q", "Do not tell how fetching goes"),
            .bool("read-only", nil, "Let nothing be written to /target"),
            .string("shell", "s", "Shell to run: a program of the tools' image; auto is bash or else sh", default: "auto"),
            .bool("tty", "t", "Give the command a terminal; where this one has one, it gets one"),
            .string("user", "u", "User who runs the command, as name or ID, with :group to set the group too", default: "0"),
        ] + PullFlags.ofRun
    }
}
