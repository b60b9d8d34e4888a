import Flags

/// A small engine with one flag of every kind and every rule of arity.
enum Sample {
    static let program = Program(
        root: Command(
            "berth", summary: "A container engine",
            flags: {
                [
                    .string("root", nil, "Keep state here", value: "dir", persistent: true, completion: .directory),
                    .string("log-level", "l", "How much to tell", default: "info", persistent: true),
                    .bool("debug", "D", "Tell everything"),
                ]
            },
            subcommands: {
                [
                    run, exec, ps(), rm, stop, images(), tag, wait, search, remote,
                    .group("container", summary: "Manage containers") { [ps("ls", ["list", "ps"]), run, rm] },
                    .group("image", summary: "Manage images") { [images("ls", ["list"])] },
                ]
            }),
        version: "berth 1.2.3", released: "2026-01-31", closing: "More at the project's page",
        candidates: { source, _ in
            switch source {
            case .containers: [Candidate("web", "running"), Candidate("database", "exited")]
            case .images: [Candidate("localhost:5000/app"), Candidate("busybox")]
            default: []
            }
        })

    static let run = Command(
        "run", spellings: ["container run", "run"], group: .common, operands: "IMAGE [COMMAND] [ARG...]",
        summary: "Create a container and start it",
        examples: [Example("Say hello", "berth run --rm busybox echo hello")], arity: .atLeast(1),
        interspersed: false, completion: [.names(.images), .file], flags: runFlags,
        unsupported: {
            [
                .unsupported("dns"), .unsupported("tls", takesValue: false), .unsupported("publish", "p"),
                .unsupported("publish-all", "P", takesValue: false),
            ]
        },
        run: { _ in 0 })

    @Sendable static func runFlags() -> [Flag] {
        [
            .bool("rm", nil, "Remove the container when it ends"),
            .bool("detach", "d", "Leave it in the background"),
            .bool("interactive", "i", "Keep its input open"),
            .bool("tty", "t", "Give it a terminal"),
            .bool("sig-proxy", nil, "Pass signals on", initially: true),
            .list("env", "e", "Set a variable", completion: .names(.environment)) { text in
                text.isEmpty || text.utf8.first == UInt8(ascii: "=") ? "invalid environment variable: \(text)" : nil
            },
            .list("volume", "v", "Mount a directory or a volume"),
            .value("mount", nil, .list, "Mount something", value: "mount"),
            .string("hostname", "h", "Its host name"),
            .string("network", nil, "Its network", aliases: ["net"]),
            .string(
                "pull", nil, "When to fetch the image", default: "missing",
                completion: .values(["always", "missing", "never"])),
            .string("init-path", nil, "Run this first", bare: "/sbin/init"),
            .string("old-name", nil, "Former spelling", deprecated: "use --name instead"),
            .value("memory", "m", .bytes, "Limit of memory"),
            .value("memory-swap", nil, .signedBytes, "Limit of memory and swap, '-1' for none"),
            .value("cpus", nil, .nanoCPUs, "Number of CPUs"),
            .value("cpu-shares", "c", .int, "Weight"),
            .value("blkio-weight", nil, .uint16, "Weight of block input and output"),
            .value("limit", nil, .uint, "Some limit"),
            .value("ratio", nil, .float, "Some ratio"),
            .value("health-interval", nil, .duration, "Time between probes"),
            .value("stop-timeout", nil, .int, "Seconds to wait", default: "10"),
            .value("publish-range", nil, .stringSlice, "Ranges"),
            .value("label", "L", .map, "Set a label"),
            .count("verbose", "V", "Say more"),
            .string("env-file", nil, "Read variables from a file", completion: .file),
            .bool("secret-switch", nil, "Not shown", hidden: true),
        ]
    }

    static let exec = Command(
        "exec", group: .common, operands: "CONTAINER COMMAND [ARG...]", summary: "Run a program in a container",
        arity: .atLeast(2), interspersed: false, completion: [.names(.containers)],
        flags: { [.bool("interactive", "i", "Keep its input open"), .bool("tty", "t", "Give it a terminal")] },
        run: { _ in 0 })

    @Sendable static func ps(_ name: String = "ps", _ aliases: [String] = []) -> Command {
        Command(
            name, aliases: aliases,
            spellings: ["container ls", "container list", "container ps", "ps"], group: .common,
            summary: "List containers",
            flags: {
                [
                    .bool("all", "a", "Show those that ended too"), .bool("no-trunc", nil, "Show all of every text"),
                    .value("last", "n", .int, "Show the last few", default: "-1"),
                ]
            }, run: { _ in 0 })
    }

    static let rm = Command(
        "rm", aliases: ["remove"], operands: "CONTAINER [CONTAINER...]", summary: "Remove containers",
        arity: .atLeast(1), completion: [.names(.containers)],
        flags: { [.bool("force", "f", "Kill it first"), .bool("volumes", "v", "Remove its volumes too")] },
        run: { _ in 7 })

    static let stop = Command(
        "stop", operands: "CONTAINER [CONTAINER...]", summary: "Stop containers", arity: .atLeast(1),
        flags: { [.value("timeout", "t", .int, "Seconds to wait"), .string("signal", "s", "Which signal")] },
        run: { _ in 0 })

    @Sendable static func images(_ name: String = "images", _ aliases: [String] = []) -> Command {
        Command(
            name, aliases: aliases, spellings: ["image ls", "image list", "images"],
            operands: "[REPOSITORY[:TAG]]", summary: "List images", arity: .atMost(1), run: { _ in 0 })
    }

    static let tag = Command(
        "tag", operands: "SOURCE TARGET", summary: "Give an image a name", arity: .exactly(2), run: { _ in 0 })

    static let wait = Command(
        "wait", operands: "CONTAINER [CONTAINER...]", summary: "Wait for containers", arity: .atLeast(1),
        run: { _ in 0 })

    static let search = Command(
        "search", operands: "TERM [LIMIT]\nTERM -", summary: "Search", arity: .range(1, 2), run: { _ in 0 })

    static let remote = Command("remote", summary: "Not shown", hidden: true, run: { _ in 0 })

    static func parsed(_ words: [String]) -> ParsedArguments? {
        if case .run(let parsed) = program.parse(words) { return parsed }
        return nil
    }

    static func failure(_ words: [String]) -> FlagError? {
        if case .failure(let error) = program.parse(words) { return error }
        return nil
    }

    /// Splits at blanks; `''` is an empty word.
    static func words(_ line: String) -> [String] {
        line.split(separator: " ").map { $0 == "''" ? "" : String($0) }
    }
}
