import CLinux
import Flags
import Linux
import OCI
import Runtime

/// `berth-runtime create`: a container that waits for `start`.
enum CreateCommand {
    static var command: Command {
        Command(
            "create", operands: "CONTAINER", summary: "Create a container from a bundle; `start` runs its program",
            arity: .exactly(1), flags: flags,
            run: { arguments in
                CommandContext.run(arguments) { (context) throws(RuntimeError) in
                    let prepared = try PreparedRequest(context)
                    _ = try Container.create(prepared.request)
                    return 0
                }
            })
    }

    @Sendable static func flags() -> [Flag] {
        [
            .string("bundle", "b", "Directory of the bundle (default: the working directory)", value: "path"),
            .string("console-socket", nil, "Socket that receives the master of the container's terminal", value: "path"),
            .string("pid-file", nil, "File that receives the process id", value: "path"),
            .value("preserve-fds", nil, .int, "Pass this many descriptors after standard error to the program", default: "0"),
            .bool("no-pivot", nil, "Move the root mount instead of pivot_root, for hosts that run from a ramdisk"),
            .bool("no-new-keyring", nil, "Keep the caller's session keyring"),
        ]
    }
}

/// A ``CreateRequest`` from the flags that `create` and `run` share, with what it borrows.
struct PreparedRequest {
    var request: CreateRequest
    private let console: SharedFD?

    init(_ context: CommandContext, foreground: Bool = false) throws(RuntimeError) {
        let arguments = context.arguments
        let bundle = try context.loadBundle()
        request = CreateRequest(id: context.id, bundle: bundle.path, root: context.root, spec: bundle.spec)
        request.specBytes = bundle.bytes
        // Callers of an OCI runtime read statistics and freeze through any hierarchy, so the container is in all.
        request.controllers = .all
        request.systemdCgroup = arguments.bool("systemd-cgroup")
        request.spec.process = try Self.passingSocketActivation(bundle.spec.process, &request.preserveFDs, arguments)
        request.pidFile = arguments.optionalString("pid-file").flatMap { $0.isEmpty ? nil : $0 }
        request.noPivot = arguments.bool("no-pivot")
        request.noNewKeyring = arguments.bool("no-new-keyring")
        console = try Self.consoleSocket(
            arguments, terminal: bundle.spec.process?.terminal == true, detached: !foreground)
        request.consoleSocket = console?.fd
    }

    /// systemd's socket activation: the descriptors pass on, and the program is told under the pid it will have.
    private static func passingSocketActivation(
        _ process: OCI.Process?, _ preserved: inout Int32, _ arguments: ParsedArguments
    ) throws(RuntimeError) -> OCI.Process? {
        preserved = try Self.preserved(arguments)
        guard let text = environmentVariable("LISTEN_FDS"), let count = Int32(text), (1...1024).contains(count) else {
            return process
        }
        preserved += count
        var changed = process
        changed?.env += ["LISTEN_FDS=\(count)", "LISTEN_PID=1"]
        return changed
    }

    static func preserved(_ arguments: ParsedArguments) throws(RuntimeError) -> Int32 {
        let count = arguments.int64("preserve-fds") ?? 0
        guard (0...1024).contains(count) else {
            throw RuntimeError(.invalid, "--preserve-fds", cause: "\(count) is not within 0 to 1024")
        }
        for number in 3..<(3 + Int32(count)) where cl_fcntl(number, 1 /* F_GETFD */, 0) < 0 {
            throw RuntimeError(.invalid, "--preserve-fds", cause: "descriptor \(number) is not open")
        }
        return Int32(count)
    }

    /// Connected before anything is created, so that a wrong path costs nothing.
    static func consoleSocket(_ arguments: ParsedArguments, terminal: Bool, detached: Bool) throws(RuntimeError) -> SharedFD? {
        let path = arguments.string("console-socket")
        if path.isEmpty {
            if terminal && detached {
                throw RuntimeError(
                    .invalid, "--console-socket",
                    cause: "a detached container with process.terminal needs a socket to send its terminal to")
            }
            return nil
        }
        guard terminal else {
            throw RuntimeError(.invalid, "--console-socket", cause: "the container has no terminal (process.terminal is false)")
        }
        guard detached else {
            throw RuntimeError(.invalid, "--console-socket", cause: "it goes with a detached container only (--detach)")
        }
        do throws(SystemError) { return SharedFD(try connectLocal(path, kind: .stream)) } catch {
            throw RuntimeError(.system, "--console-socket", cause: error.description)
        }
    }
}
