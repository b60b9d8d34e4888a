import CLinux
import Control
import Flags
import Glibc
import Linux
import Runtime

/// `berth-runtime checkpoint`: runc's command line.
enum CheckpointCommand {
    static var command: Command {
        Command(
            "checkpoint", operands: "CONTAINER", summary: "Write the processes of a container down, and end them", arity: .exactly(1),
            flags: flags,
            run: { arguments in
                CommandContext.run(arguments) { (context) throws(RuntimeError) in
                    try run(context)
                    return 0
                }
            })
    }

    /// Those of `checkpoint` and `restore`.
    static var common: [Flag] {
        [
            .string("image-path", nil, "Directory of the images (default: checkpoint in the working directory)", value: "path"),
            .string("work-path", nil, "Directory for the log and the statistics (default: that of the images)", value: "path"),
            .bool("tcp-established", nil, "Keep open TCP connections"),
            .bool("tcp-skip-in-flight", nil, "Leave out TCP connections that are being made"),
            .bool("ext-unix-sk", nil, "Allow Unix sockets whose other end is outside"),
            .bool("shell-job", nil, "Allow processes of a session that began outside"),
            .bool("lazy-pages", nil, "Get memory from criu lazy-pages when it is needed"),
            .bool("file-locks", nil, "Keep file locks"),
            .bool("link-remap", nil, "Give files that are open and have lost their name a new one"),
            .string("manage-cgroups-mode", nil, "What CRIU does with cgroups: soft, full, strict or ignore", value: "mode"),
            .list("empty-ns", nil, "Restore a namespace empty: network", value: "namespace"),
            .bool("auto-dedup", nil, "Remove memory from earlier images that later ones have too"),
        ]
    }

    @Sendable private static func flags() -> [Flag] {
        common + [
            .string("parent-path", nil, "Directory of an earlier --pre-dump, relative to the images", value: "path"),
            .bool("leave-running", nil, "Let the container run on"),
            .string("page-server", nil, "Send memory to a criu page-server", value: "address:port"),
            .value("status-fd", nil, .int, "Descriptor that is written to when the lazy-pages server is ready", default: "-1"),
            .bool("pre-dump", nil, "Only memory, to be the parent of a later checkpoint"),
            // The engine's.
            .string("publish-as", nil, "Move the images there when they are whole", value: "path", hidden: true),
            .bool("replace", nil, "Exchange what is there", hidden: true),
            .bool("keep-state", nil, "Somebody else removes the container that has ended", hidden: true),
        ]
    }

    private static func run(_ context: CommandContext) throws(RuntimeError) {
        let arguments = context.arguments
        var request = CheckpointRequest(images: try images(arguments))
        request.work = arguments.string("work-path")
        request.parent = arguments.string("parent-path")
        request.isPreDump = arguments.bool("pre-dump")
        request.leavesRunning = arguments.bool("leave-running")
        request.establishedConnections = arguments.bool("tcp-established")
        request.skipsInFlight = arguments.bool("tcp-skip-in-flight")
        request.externalUnixSockets = arguments.bool("ext-unix-sk")
        request.isShellJob = arguments.bool("shell-job")
        request.fileLocks = arguments.bool("file-locks")
        request.remapsLinks = arguments.bool("link-remap")
        request.deduplicates = arguments.bool("auto-dedup")
        request.lazyPages = arguments.bool("lazy-pages")
        request.statusDescriptor = Int32(clamping: arguments.int64("status-fd") ?? -1)
        request.emptyNetwork = try emptiesNetwork(arguments)
        request.cgroupMode = arguments.string("manage-cgroups-mode")
        request.pageServer = arguments.string("page-server")
        request.publishedAs = arguments.string("publish-as")
        request.replaces = arguments.bool("replace")
        let directory = try context.directory()
        let checkpoint = ContainerCheckpoint(directory, program: try CriuProgram.find(arguments.string("criu")))
        // Ended by a signal it still lets the container go on.
        let ending: UInt64 = 1 << UInt64(SIGHUP - 1) | 1 << UInt64(SIGINT - 1) | 1 << UInt64(SIGTERM - 1)
        _ = cl_signal_mask(ending, nil)
        let signals = cl_signalfd(-1, ending, 0)
        let cancelled = signals < 0 ? nil : SharedFD(owning: signals)
        try checkpoint.run(request, cancelled: cancelled?.fd)
        if request.leavesRunning || request.isPreDump || arguments.bool("keep-state") { return }
        // As runc: nothing of it is left but the images.
        try ContainerDeletion(directory).run(force: true)
    }

    static func images(_ arguments: ParsedArguments) throws(RuntimeError) -> String {
        let path = arguments.string("image-path")
        return try absolute(path.isEmpty ? "checkpoint" : path)
    }

    static func absolute(_ path: String) throws(RuntimeError) -> String {
        if path.isEmpty || path.hasPrefix("/") { return path }
        do throws(SystemError) {
            let here = try FD.cwd.open(".", [.path, .directory])
            return try FD.cwd.readLink(here.fd.procPath) + "/" + path
        } catch {
            throw RuntimeError(.system, "find working directory", cause: error.description)
        }
    }

    static func emptiesNetwork(_ arguments: ParsedArguments) throws(RuntimeError) -> Bool {
        let words = arguments.strings("empty-ns")
        if let unknown = words.first(where: { $0 != "network" }) {
            throw RuntimeError(.invalid, "--empty-ns", unknown, cause: "only network can be restored empty")
        }
        return !words.isEmpty
    }
}

/// `berth-runtime restore`: `run`, with a checkpoint in the place of a program.
enum RestoreCommand {
    static var command: Command {
        Command(
            "restore", operands: "CONTAINER", summary: "Create a container from a checkpoint, and let it run", arity: .exactly(1),
            flags: {
                CreateCommand.flags() + CheckpointCommand.common + [
                    .bool("detach", "d", "Return when its processes run"),
                    .string("lsm-profile", nil, "Label of the processes: selinux:LABEL or apparmor:PROFILE", value: "label"),
                    .string("lsm-mount-context", nil, "SELinux context of its mounts", value: "label"),
                    .bool("no-subreaper", nil, "Do not become the reaper of orphaned processes", hidden: true),
                ]
            },
            run: { arguments in
                CommandContext.run(arguments) { (context) throws(RuntimeError) in
                    try run(context, detach: arguments.bool("detach"))
                }
            })
    }

    private static func run(_ context: CommandContext, detach: Bool) throws(RuntimeError) -> Int32 {
        let arguments = context.arguments
        var restore = RestoreRequest(images: try CheckpointCommand.images(arguments))
        restore.work = arguments.string("work-path")
        restore.establishedConnections = arguments.bool("tcp-established")
        restore.skipsInFlight = arguments.bool("tcp-skip-in-flight")
        restore.externalUnixSockets = arguments.bool("ext-unix-sk")
        restore.isShellJob = arguments.bool("shell-job")
        restore.fileLocks = arguments.bool("file-locks")
        restore.remapsLinks = arguments.bool("link-remap")
        restore.deduplicates = arguments.bool("auto-dedup")
        restore.lazyPages = arguments.bool("lazy-pages")
        restore.emptyNetwork = try CheckpointCommand.emptiesNetwork(arguments)
        restore.cgroupMode = arguments.string("manage-cgroups-mode")
        restore.labelProfile = arguments.string("lsm-profile")
        restore.labelMountContext = arguments.string("lsm-mount-context")
        let program = try CriuProgram.find(arguments.string("criu"))
        var prepared = try PreparedRequest(context, foreground: !detach)
        prepared.request.gate = .socket
        if !detach { Foreground.prepare() }
        let container = try Container.restore(prepared.request, restore, program: program)
        do throws(RuntimeError) { try container.start() } catch {
            _ = cl_kill(container.pid, SIGKILL)
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
        try container.delete(force: true)
        return status.code
    }
}
