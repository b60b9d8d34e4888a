import Flags

/// Flags of the commands on containers that exist.
enum ContainerFlags {
    @Sendable static func start() -> [Flag] {
        [
            .bool("attach", "a", "Show what it writes, and pass signals on"),
            .bool("interactive", "i", "Connect this terminal's input to it"),
            detachKeys(),
            .bool("sig-proxy", nil, "With --attach, pass signals on to it", initially: true),
            .bool("all", nil, "Start all that do not run"), filter("f"), latest(),
        ]
    }

    /// Instead of names: podman's.
    private static func chosen(_ all: String) -> [Flag] {
        [.bool("all", "a", all), cidfile(), filter("f"), latest()]
    }

    private static func filter(_ short: Unicode.Scalar?) -> Flag {
        .list("filter", short, "Instead of names: those that match name=value", value: "filter", check: ValueRules.filter)
    }

    private static func cidfile() -> Flag {
        .list("cidfile", nil, "Read an ID from a file that run or create wrote", value: "file", completion: .file)
    }

    static func latest(_ short: Unicode.Scalar? = "l") -> Flag { .bool("latest", short, "Instead of a name: the newest container") }

    private static func ignore(_ short: Unicode.Scalar? = "i") -> Flag {
        .bool("ignore", short, "Pass over containers that are not here")
    }

    @Sendable static func stop() -> [Flag] { end() + chosen("Stop all that run") + [ignore()] }

    @Sendable static func restart() -> [Flag] {
        end() + chosen("Restart all, also those that do not run") + [.bool("running", nil, "Restart all that run")]
    }

    /// Docker's older spelling `--time` still works.
    private static func end() -> [Flag] {
        [
            .string("signal", "s", "Signal that asks it to end; its own when not given", completion: .names(.signals)),
            .value("timeout", "t", .int, "Seconds to wait before killing it; its own when not given, -1 waits for ever", aliases: ["time"]),
        ]
    }

    @Sendable static func wait() -> [Flag] {
        [
            .value(
                "condition", nil, .stringSlice,
                "What to wait for, one of several: exited, healthy, unhealthy, running, paused, removed and others",
                completion: .values(ValueWords.waitConditions)),
            .bool("exit-first-match", nil, "End when a condition holds for the first of the containers, and print its exit code alone"),
            .bool("ignore", nil, "Print -1 for containers that do not exist"),
            .string("interval", "i", "Time between two looks for what nobody tells", value: "duration", default: "250ms"), latest(),
        ]
    }

    @Sendable static func healthcheckRun() -> [Flag] {
        [.bool("ignore-result", nil, "Exit with 0 where the check fails too")]
    }

    @Sendable static func kill() -> [Flag] {
        [
            .string("signal", "s", "Signal to send", default: "KILL", completion: .names(.signals)),
            .bool("all", "a", "Send it to all that run"), cidfile(), latest(),
        ]
    }

    /// Of `pause` and `unpause`.
    @Sendable static func pause() -> [Flag] { chosen("All for which it changes something") }

    @Sendable static func port() -> [Flag] { [.bool("all", "a", "Show ports of all that run"), latest()] }

    @Sendable static func cleanUp() -> [Flag] {
        [.bool("all", "a", "All that do not run"), latest(), .bool("rm", nil, "Remove them too")]
    }

    @Sendable static func rm() -> [Flag] {
        [
            .bool("force", "f", "Kill it first where it is running"),
            .bool("volumes", "v", "Remove its unnamed volumes too"),
            .value("time", "t", .int, "With --force, seconds to wait before killing it"),
            .bool("all", "a", "Remove all"), cidfile(), filter(nil), latest(nil), ignore(),
        ]
    }

    @Sendable static func ps() -> [Flag] {
        [
            .bool("all", "a", "Show containers that are not running too"),
            .list(
                "filter", "f",
                "Show those that match name=value: ancestor, before, exited, expose, health, id, label, name, network, publish, since, "
                    + "status, volume",
                value: "filter", check: ValueRules.filter),
            format(table: true, short: nil),
            .value("last", "n", .int, "Show the given number of newest containers, whatever their state", default: "-1"),
            .bool("latest", "l", "Show the newest container, whatever its state"),
            .bool("no-trunc", nil, "Show IDs and commands in full"),
            .bool("quiet", "q", "Show IDs only"),
            .bool("size", "s", "Show how much they hold on disk"),
            .bool("noheading", nil, "Leave the table's heading out"),
            .string(
                "sort", nil, "Order: command, created, id, image, names, runningfor, size or status; without it the newest first",
                completion: .values(ContainerOrder.words)
            ) { ContainerOrder(rawValue: $0) == nil ? "must be one of " + ContainerOrder.words.joined(separator: ", ") : nil },
            .bool("external", nil, "Accepted for podman's sake: there are no others"),
            .bool("sync", nil, "Accepted for podman's sake: what is shown is never out of date"),
        ]
    }

    @Sendable static func stats() -> [Flag] {
        [
            .bool("all", "a", "Show containers that do not run too"),
            format(table: true, short: nil),
            .value("interval", "i", .int, "Seconds between two rounds", default: "1"),
            latest(),
            .bool("no-reset", nil, "Leave on the terminal what was shown before"),
            .bool("no-stream", nil, "Show one round only"),
            .bool("no-trunc", nil, "Show IDs in full"),
        ]
    }

    @Sendable static func update() -> [Flag] {
        RunFlags.processors() + RunFlags.blockDevices() + RunFlags.health(change: true) + [
            .value(
                "blkio-weight", nil, .uint16, "Weight of block input and output, 10 to 1000; 0 leaves it alone",
                check: ValueRules.blockWeight),
            .list(
                "env", "e", "Environment variable of the next start, as NAME=value, or NAME to pass on this shell's",
                completion: .names(.environment), check: ValueRules.environment),
            .value("memory", "m", .bytes, "Most memory the container may use, as 512m or 2g"),
            .value("memory-reservation", nil, .bytes, "Memory that is left to the container when the host runs short, as 256m"),
            .value("memory-swap", nil, .signedBytes, "Most memory and swap together, as 1g; '-1' sets no limit to swap"),
            .value("pids-limit", nil, .int, "Most processes and threads; -1 for no limit"),
            .string(
                "restart", nil, "When to start it again: no, on-failure[:TIMES], always or unless-stopped",
                completion: .values(ValueWords.restartPolicies), check: ValueRules.restartPolicy),
            latest(),
            .list("unsetenv", nil, "Environment variable that the next start is to be without", value: "name"),
            .string(
                "network-rate", nil, "Most bits per second into and out of it, as in=RATE,out=RATE with rates as 100mbit; 0 for no limit"),
            .list("publish-add", nil, "Publish a port, as [[address:]port:]port[/udp]", value: "port"),
            .list("publish-rm", nil, "Publish a port of the container no longer, as port[/udp] or as it was published", value: "port"),
        ]
    }

    @Sendable static func events() -> [Flag] {
        [
            .list(
                "filter", "f", "Show those that match name=value: container, event, image, label, network, scope, type, volume",
                value: "filter", check: ValueRules.filter),
            format(table: false, short: nil),
            .bool("no-trunc", nil, "Show IDs in full", initially: true),
            .string("since", nil, "Show what was since a time (2026-01-31T10:00:00Z) or for a span (10m), too"),
            .bool("stream", nil, "Wait for more after the last event", initially: true),
            .string("until", nil, "End at a time (2026-01-31T10:00:00Z) or as long ago as a span (10m)"),
        ]
    }

    @Sendable static func logs() -> [Flag] {
        [
            .bool("details", nil, "Show labels and variables chosen by log options too"),
            .bool("follow", "f", "Go on as more is written"),
            latest(),
            .bool("names", nil, "Put the container's name before each line"),
            .string("since", nil, "Leave out what is older than a time (2026-01-31T10:00:00Z) or an age (10m)"),
            .string(
                "tail", "n", "Show this many of the last lines, or all", default: "all", check: ValueRules.logTail),
            .bool("timestamps", "t", "Show when each line was written"),
            .string("until", nil, "Leave out what is newer than a time (2026-01-31T10:00:00Z) or an age (10m)"),
        ]
    }

    @Sendable static func exec() -> [Flag] {
        [
            .string("cidfile", nil, "Read the container's ID from a file, instead of naming it", completion: .file),
            .bool("detach", "d", "Leave the command in the background"),
            detachKeys(),
            .list(
                "env", "e", "Environment variable, as NAME=value, or NAME to pass on this shell's",
                completion: .names(.environment), check: ValueRules.environment),
            .list("env-file", nil, "Read environment variables from a file, one a line", completion: .file),
            .bool("interactive", "i", "Keep standard input open"),
            .bool("latest", "l", "Instead of a name: the newest container"),
            .value("preserve-fds", nil, .int, "Pass this many descriptors after standard error to the command", default: "0"),
            .bool("privileged", nil, "Give the command every capability"),
            .bool("tty", "t", "Give the command a terminal"),
            .string("user", "u", "User who runs the command, as name or ID, with :group to set the group too"),
            .string("workdir", "w", "Directory in which the command starts"),
        ]
    }

    @Sendable static func attach() -> [Flag] {
        [
            detachKeys(),
            .bool("no-stdin", nil, "Leave standard input alone"),
            .bool("sig-proxy", nil, "Pass signals on to the container", initially: true),
            latest(),
        ]
    }

    @Sendable static func inspect() -> [Flag] {
        [format(table: false), latest(), .bool("size", "s", "Show how much it holds on disk")]
    }

    @Sendable static func inspectAny() -> [Flag] {
        inspect() + [
            .string(
                "type", "t", "Look for objects of this kind only: container, image, network or volume",
                completion: .values(["container", "image", "network", "volume"]), check: ValueRules.objectType)
        ]
    }

    /// - Parameter table: true where the command prints a table by itself.
    static func format(table: Bool, short: Unicode.Scalar? = "f") -> Flag {
        let words = table ? ["table", "json"] : ["json"]
        let summary =
            table
            ? "How to print: table, 'table TEMPLATE', json, or a template in Go's syntax"
            : "How to print: json, or a template in Go's syntax"
        return .string("format", short, summary, completion: .values(words))
    }

    private static func detachKeys() -> Flag {
        .string(
            "detach-keys", nil, "Keys that leave the container running and end the command; ctrl-p,ctrl-q when not given",
            check: ValueRules.detachKeys)
    }
}
