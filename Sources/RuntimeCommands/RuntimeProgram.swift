import CLinux
import Flags
import Glibc
import Linux
import Runtime
import Supervision

/// The command line of `berth-runtime`: runc's, so that podman, dockerd and containerd can call it unchanged.
public enum RuntimeProgram {
    public static let version = "0.1.0"
    /// The day of that version, for the manual.
    static let released = "2026-11-01"
    /// The newest runtime-spec that is implemented completely.
    public static let specVersion = "1.2.1"

    static var program: Program {
        Program(
            root: Command(
                "berth-runtime", summary: "Run OCI containers",
                details: "An OCI runtime: creates, starts and manages containers from bundles, with the command line of runc.",
                arity: .any, flags: globalFlags, subcommands: commands),
            version: "berth-runtime version \(version)\nspec: \(specVersion)", released: released, flagFailure: 1)
    }

    @Sendable private static func globalFlags() -> [Flag] {
        [
            .string("root", nil, "Directory that keeps the state of containers", value: "path", persistent: true),
            .string("log", nil, "File that receives errors and warnings (default: standard error)", value: "path", persistent: true),
            .string("log-format", nil, "Form of the log: text or json", value: "format", default: "text", persistent: true),
            .bool("debug", nil, "Log more", persistent: true),
            .bool("systemd-cgroup", nil, "Let systemd manage the cgroups", persistent: true),
            .string(
                "rootless", nil, "Ignore cgroup permission errors: true, false or auto", value: "mode", default: "auto", persistent: true),
            .string("criu", nil, "The program criu (default: BERTH_CRIU, or criu in PATH)", value: "path", persistent: true),
        ]
    }

    @Sendable private static func commands() -> [Command] {
        [
            CreateCommand.command, StartCommand.command, RunCommand.command, ExecCommand.command, StateCommand.command,
            KillCommand.command, DeleteCommand.command, PauseCommand.pause, PauseCommand.resume, PsCommand.command,
            ListCommand.command, UpdateCommand.command, EventsCommand.command, SpecCommand.command, FeaturesCommand.command,
        ] + [CheckpointCommand.command, RestoreCommand.command]
    }

    /// The entry point of the program. The process has one thread and must keep it.
    /// - Parameter arguments: without the program's own name.
    /// - Returns: the exit status.
    public static func main(_ arguments: [String]) -> Int32 {
        // PID 1 of a container (`--init`): there the host's program is on a read-only mount already.
        if arguments.first == "init" { return initMain(arguments: Array(arguments.dropFirst())) }
        // The engine's own verb, not for people: no help, no flags to parse.
        if arguments.first == "supervise" {
            HostBinary.protect()
            HostBinary.finish()
            return superviseMain(arguments: Array(arguments.dropFirst()))
        }
        if arguments.first == "hold-network" { return holdNetworkMain(arguments: Array(arguments.dropFirst())) }
        if arguments.first == "forward-ports" { return forwardPortsMain(arguments: Array(arguments.dropFirst())) }
        // Only these have a process that a container can look at.
        if arguments.contains(where: { $0 == "create" || $0 == "run" || $0 == "exec" || $0 == "restore" }) { HostBinary.protect() }
        defer { HostBinary.finish() }
        // A hook or a client that closes its end early is an error of a write, not our death.
        _ = cl_signal_ignore(SIGPIPE)
        return program.run(withDoubleDashes(arguments))
    }

    /// runc accepts `-root` for `--root`, and callers use it. Only long names are rewritten, and nothing behind the id.
    private static func withDoubleDashes(_ arguments: [String]) -> [String] {
        var result: [String] = []
        var rest = arguments[...]
        while let word = rest.popFirst() {
            if word == "--" { return result + [word] + rest }
            let bytes = Array(word.utf8.prefix(3))
            if bytes.count == 3, bytes[0] == 45, bytes[1] != 45, bytes[1] >= 97, bytes[2] >= 97, bytes[2] <= 122,
                longNames.contains(where: { word.dropFirst() == $0 || word.hasPrefix("-\($0)=") })
            {
                result.append("-" + word)
            } else {
                result.append(word)
            }
        }
        return result
    }

    private static let longNames = [
        "root", "log", "log-format", "bundle", "pid-file", "console-socket", "preserve-fds", "no-pivot", "force", "process",
        "detach", "tty", "all", "quiet", "format", "systemd-cgroup", "no-new-keyring", "criu", "image-path", "work-path",
    ]
}
