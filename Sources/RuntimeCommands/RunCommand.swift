import CLinux
import Control
import Flags
import Glibc
import Linux
import OCI
import Runtime

/// `berth-runtime run`: create, start, wait, delete.
enum RunCommand {
    static var command: Command {
        Command(
            "run", operands: "CONTAINER", summary: "Create a container and run its program", arity: .exactly(1),
            flags: {
                CreateCommand.flags() + [
                    .bool("detach", "d", "Return when the program has started"),
                    .bool("keep", nil, "Do not delete the container when the program has ended"),
                    .bool("no-subreaper", nil, "Do not become the reaper of orphaned processes", hidden: true),
                ]
            },
            run: { arguments in
                CommandContext.run(arguments) { (context) throws(RuntimeError) in
                    try run(context, detach: arguments.bool("detach"), keep: arguments.bool("keep"))
                }
            })
    }

    private static func run(_ context: CommandContext, detach: Bool, keep: Bool) throws(RuntimeError) -> Int32 {
        var prepared = try PreparedRequest(context, foreground: !detach)
        prepared.request.gate = .socket
        // Before the program looks: a size that arrives later would be a resize it may miss.
        if !detach, prepared.request.spec.process?.consoleSize == nil, let size = terminalSize(.standardInput) {
            prepared.request.spec.process?.consoleSize = Box(height: UInt(size.rows), width: UInt(size.columns))
        }
        if !detach { Foreground.prepare() }
        let container = try Container.create(prepared.request)
        do throws(RuntimeError) { try container.start() } catch {
            _ = try? waitForProcess(container.pid)
            try? container.delete(force: true)
            throw error
        }
        if detach { return 0 }
        let foreground = Foreground(pid: container.pid, pidfd: container.pidfd.fd, console: container.console?.fd)
        let status: ExitStatus
        do throws(SystemError) { status = try foreground.wait() } catch {
            throw RuntimeError(.system, "wait for container", context.id, cause: error.description)
        }
        if !keep { try container.delete(force: true) }
        return status.code
    }
}

/// `berth-runtime exec`.
enum ExecCommand {
    static var command: Command {
        Command(
            "exec", operands: "CONTAINER [COMMAND] [ARG...]", summary: "Run another program in a running container",
            arity: .atLeast(1), interspersed: false, flags: flags,
            run: { arguments in
                CommandContext.run(arguments) { (context) throws(RuntimeError) in
                    // runc's exit statuses: 255 for its own failure, the program's otherwise; Docker's for `berth exec`.
                    do throws(RuntimeError) { return try run(context) } catch {
                        CommandContext.report(error.description, arguments)
                        return error.code == .commandNotFound ? 127 : error.code == .commandNotExecutable || isForEngine ? 126 : 255
                    }
                }
            })
    }

    @Sendable private static func flags() -> [Flag] {
        [
            .string("process", "p", "File with the whole process as JSON (config.json, member process)", value: "path"),
            .string("console-socket", nil, "Socket that receives the master of the terminal", value: "path"),
            .string("cwd", nil, "Working directory in the container", value: "path"),
            .list("env", "e", "Set a variable: NAME=VALUE", value: "variable"),
            .bool("tty", "t", "Give the program a terminal"),
            .string("user", "u", "Numeric user and group: UID[:GID]", value: "ids"),
            .list("additional-gids", "g", "Further group ids", value: "gid"),
            .bool("detach", "d", "Return when the program has started"),
            .string("pid-file", nil, "File that receives the process id", value: "path"),
            .string("process-label", nil, "SELinux label", value: "label"),
            .string("apparmor", nil, "AppArmor profile", value: "profile"),
            .bool("no-new-privs", nil, "Set no_new_privs"),
            .list("cap", "c", "Add a capability", value: "capability"),
            .value("preserve-fds", nil, .int, "Pass this many descriptors after standard error to the program", default: "0"),
            .bool("ignore-paused", nil, "Run although the container is paused"),
            .list("cgroup", nil, "Cgroup below the container's own: [HIERARCHY:]PATH", value: "path"),
            .bool("no-subreaper", nil, "Accepted for compatibility", hidden: true),
        ]
    }

    /// `berth exec` becomes this command, and says so.
    private static var isForEngine: Bool { environmentVariable("BERTH_EXEC") != nil }

    private static func run(_ context: CommandContext) throws(RuntimeError) -> Int32 {
        let arguments = context.arguments
        let detach = arguments.bool("detach")
        let directory = try context.directory()
        let spec = try directory.spec()
        var process = try ExecSpecification(arguments, spec).process()
        if !detach, process.terminal, process.consoleSize == nil, let size = terminalSize(.standardInput) {
            process.consoleSize = Box(height: UInt(size.rows), width: UInt(size.columns))
        }
        var request = ExecRequest(root: context.root, id: context.id, process: process)
        request.spec = spec
        request.preserveFDs = try PreparedRequest.preserved(arguments)
        request.pidFile = arguments.optionalString("pid-file").flatMap { $0.isEmpty ? nil : $0 }
        request.ignorePaused = arguments.bool("ignore-paused")
        request.cgroups = arguments.strings("cgroup")
        let console = try PreparedRequest.consoleSocket(arguments, terminal: process.terminal, detached: detach)
        request.consoleSocket = console?.fd
        // What the engine leaves in the background must not hold the streams of whoever asked.
        let null = detach && isForEngine ? try? FD.cwd.open("/dev/null", .readWrite) : nil
        if let null { (request.standardInput, request.standardOutput, request.standardError) = (null.fd, null.fd, null.fd) }
        if !detach { Foreground.prepare() }
        var side: DetachableTerminal.Side?
        if !detach, process.terminal, let keys = detachKeys {
            do throws(SystemError) {
                switch try DetachableTerminal.divide(keys) {
                case .parent(let status): return status
                case .child(let made): side = made
                }
            } catch {
                throw RuntimeError(.system, "divide terminal", cause: error.description)
            }
        }
        // Before it runs: whoever sees what it does finds its id.
        let told = detach ? nil : EngineExec(root: context.root, bundle: try directory.read().bundle, container: context.id)
        let started: ExecProcess
        do throws(RuntimeError) { started = try ExecProcess.start(request) } catch {
            told?.failed()
            throw error
        }
        if detach { return 0 }
        do throws(SystemError) {
            var foreground = Foreground(pid: started.pid, pidfd: started.pidfd.fd, console: started.console?.fd)
            foreground.detachable = side
            foreground.onDetach = { told?.detached() }
            let status = try foreground.wait()
            told?.ended(status)
            return status.code
        } catch {
            throw RuntimeError(.system, "wait for process", cause: error.description)
        }
    }

    /// The engine's user may leave a process whose terminal is theirs.
    private static var detachKeys: DetachKeys? {
        guard isForEngine, cl_isatty(0) == 1, let text = environmentVariable("BERTH_DETACH_KEYS") else { return nil }
        return try? DetachKeys.parse(text)
    }
}

/// The process of an exec: `--process FILE`, or the container's own changed by flags.
struct ExecSpecification {
    let arguments: ParsedArguments
    let spec: Spec

    init(_ arguments: ParsedArguments, _ spec: Spec) {
        self.arguments = arguments
        self.spec = spec
    }

    func process() throws(RuntimeError) -> OCI.Process {
        let file = arguments.string("process")
        if !file.isEmpty { return try read(file) }
        let words = Array(arguments.positionals.dropFirst())
        guard !words.isEmpty else { throw RuntimeError(.invalid, "exec", cause: "there is no program to run") }
        var process = spec.process ?? OCI.Process()
        process.args = words
        process.terminal = arguments.bool("tty")
        process.consoleSize = nil
        process.env += arguments.strings("env")
        if arguments.isSet("cwd") { process.cwd = arguments.string("cwd") }
        if arguments.isSet("no-new-privs") { process.noNewPrivileges = arguments.bool("no-new-privs") }
        if arguments.isSet("apparmor") { process.apparmorProfile = arguments.string("apparmor") }
        if arguments.isSet("process-label") { process.selinuxLabel = arguments.string("process-label") }
        try applyUser(to: &process)
        addCapabilities(to: &process)
        return process
    }

    private func read(_ path: String) throws(RuntimeError) -> OCI.Process {
        let bytes: [UInt8]
        do throws(SystemError) { bytes = try FD.cwd.readFile(path) } catch {
            throw RuntimeError(.invalid, "read process", path, cause: error.description)
        }
        do throws(OCIError) { return try OCI.Process.decode(bytes) } catch {
            throw RuntimeError(.invalid, "read process", path, cause: error.description)
        }
    }

    /// Decimal numbers only: a name would have to be looked up in files of the container, and anything that is not a
    /// plain number must never become 0 (CVE-2026-30892).
    private func applyUser(to process: inout OCI.Process) throws(RuntimeError) {
        if arguments.isSet("user") {
            let parts = arguments.string("user").split(separator: ":", omittingEmptySubsequences: false)
            guard (1...2).contains(parts.count), let uid = Self.id(parts[0]) else { throw badUser }
            process.user.uid = uid
            if parts.count == 2 {
                guard let gid = Self.id(parts[1]) else { throw badUser }
                process.user.gid = gid
            }
        }
        for text in arguments.strings("additional-gids") {
            guard let gid = Self.id(Substring(text)) else {
                throw RuntimeError(.invalid, "--additional-gids", text, cause: "it is not a group id")
            }
            process.user.additionalGids.append(gid)
        }
    }

    private var badUser: RuntimeError {
        RuntimeError(.invalid, "--user", arguments.string("user"), cause: "it must be UID or UID:GID, decimal numbers")
    }

    private static func id(_ text: Substring) -> UInt32? {
        guard !text.isEmpty, text.utf8.allSatisfy({ $0 >= 48 && $0 <= 57 }), text == "0" || text.first != "0" else { return nil }
        // 2^32-1 is "unchanged" to the kernel.
        return UInt32(text).flatMap { $0 == UInt32.max ? nil : $0 }
    }

    private func addCapabilities(to process: inout OCI.Process) {
        let names = arguments.strings("cap").map { $0.uppercased() }.map { $0.hasPrefix("CAP_") ? $0 : "CAP_" + $0 }
        guard !names.isEmpty else { return }
        var sets = process.capabilities ?? LinuxCapabilities()
        for name in names {
            if !sets.bounding.contains(name) { sets.bounding.append(name) }
            if !sets.effective.contains(name) { sets.effective.append(name) }
            if !sets.permitted.contains(name) { sets.permitted.append(name) }
            // The program may be run by an ordinary user: only the ambient set survives that execve.
            if process.user.uid != 0 {
                if !sets.inheritable.contains(name) { sets.inheritable.append(name) }
                if !sets.ambient.contains(name) { sets.ambient.append(name) }
            }
        }
        process.capabilities = sets
    }
}
