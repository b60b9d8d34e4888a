import CLinux
import Cgroups
import Glibc
import Linux
import OCI

/// What holds the container's first process back until `start`.
public enum Gate: Sendable {
    /// A FIFO in the state directory: another process will start the container (`create`, then `start`).
    case fifo
    /// A socket of this process: if it ends before the start, the container does too.
    case socket
}

/// What ``Container/create(_:)`` makes a container from.
public struct CreateRequest {
    public var id: String
    /// Absolute path of the bundle directory.
    public var bundle: String
    /// The directory that holds one state directory for each container.
    public var root: String
    public var spec: Spec
    /// The bytes `spec` was decoded from, kept for `exec` and poststop; empty: encoded again.
    public var specBytes: [UInt8] = []
    public var rootfs = RootfsSource.directory
    public var standardInput = FD(0)
    public var standardOutput = FD(1)
    public var standardError = FD(2)
    /// A connected socket that gets the pty master (runc's protocol); nil keeps it in ``Container/console``.
    public var consoleSocket: FD?
    /// Descriptors 3 ..< 3 + n pass to the program.
    public var preserveFDs: Int32 = 0
    public var pidFile: String?
    public var gate = Gate.fifo
    /// The program starts with all signals blocked, for an init that takes them up by itself: none is lost before it can.
    public var blocksSignals = false
    public var noPivot = false
    public var noNewKeyring = false
    /// On v1: controllers to have beside those of the limits.
    public var controllers: Controllers = .accounting
    /// Let systemd make the cgroup: `linux.cgroupsPath` is then `slice:prefix:name`, or empty.
    public var systemdCgroup = false
    /// The caller is in another user namespace than the one that owns its mount namespace: its capabilities mean nothing for
    /// what is mounted there.
    public var mountsAreForeign = false
    /// Called once the first process is in its namespaces, with that of its network, while it makes its mounts: what is to be done in it by
    /// the creator takes no time of its own then. What it throws ends the creation. Not called where the namespace cannot be had so early.
    public var whileMaking: ((_ network: SharedFD) throws(RuntimeError) -> Void)?

    public init(id: String, bundle: String, root: String, spec: Spec) {
        self.id = id
        self.bundle = bundle
        self.root = root
        self.spec = spec
    }
}

/// A container whose first process is a child of this process.
///
/// Not thread-safe; the process must have one thread (its address space is copied into the container's first process).
public final class Container {
    public let id: String
    public let directory: StateDirectory
    /// Host pid of the first process; reap it with waitpid(2).
    public let pid: Int32
    public let pidfd: SharedFD
    /// The pty master when the program has a terminal and nobody else was to get it.
    public internal(set) var console: SharedFD?
    public let cgroup: Cgroup
    public let record: ContainerRecord
    /// What `start` and `delete` need of it: the whole one would stay in memory as long as the container runs.
    private let spec: Spec
    private let sync: SharedFD
    private var gate: SharedFD?
    /// Its processes were restored, and stand still.
    private var restoring: RestoredProcesses?

    init(
        request: CreateRequest, directory: StateDirectory, record: ContainerRecord, pidfd: SharedFD, cgroup: Cgroup,
        sync: SharedFD, gate: SharedFD?, console: SharedFD?
    ) {
        id = request.id
        self.directory = directory
        self.record = record
        pid = record.pid
        self.pidfd = pidfd
        self.cgroup = cgroup
        let whole = request.spec
        spec = Spec(ociVersion: whole.ociVersion, hooks: whole.hooks, annotations: whole.annotations)
        self.sync = sync
        self.gate = gate
        self.console = console
    }

    /// From a checkpoint: its processes exist, and stand still until ``start()``.
    init(request: CreateRequest, directory: StateDirectory, record: ContainerRecord, cgroup: Cgroup, _ restored: RestoredProcesses) {
        id = request.id
        self.directory = directory
        self.record = record
        pid = record.pid
        pidfd = restored.pidfd
        self.cgroup = cgroup
        let whole = request.spec
        spec = Spec(ociVersion: whole.ociVersion, hooks: whole.hooks, annotations: whole.annotations)
        sync = restored.pidfd
        console = restored.console
        restoring = restored
    }

    /// Creates a container: its first process exists, confined, and waits for ``start()``.
    ///
    /// Either everything exists afterwards or nothing does.
    /// Spec: runtime-spec runtime.md "Create".
    /// - Throws: with ``RuntimeError/exitCode`` 127 or 126 when the program is missing or not executable.
    public static func create(_ request: CreateRequest) throws(RuntimeError) -> Container {
        try Launcher(request).launch()
    }

    /// Creates a container from a checkpoint: its processes exist as they were, and stand still until ``start()``.
    ///
    /// Either everything exists afterwards or nothing does. The standard streams of the request take the place of those that the
    /// container had, its network namespace is a new one or that of config.json, its cgroup and its limits are made anew.
    /// Needs the machine's root.
    /// - Throws: CRIU's own reason, and where its log is.
    public static func restore(_ request: CreateRequest, _ restore: RestoreRequest, program: CriuProgram) throws(RuntimeError) -> Container
    {
        try ContainerRestore(try Launcher(request), restore, program).run()
    }

    /// Lets the program run and returns once execve has happened. For containers with a socket gate.
    ///
    /// poststart hooks run after that; the first that fails stops the container (runtime.md "Lifecycle", step 9).
    /// - Throws: what kept the program from running; the first process has ended then.
    public func start() throws(RuntimeError) {
        if let restoring {
            self.restoring = nil
            _ = cl_unlinkat(AT_FDCWD, directory.gatePath, 0)
            try restoring.resume()
            return try runPoststartHooks()
        }
        guard let gate else { throw RuntimeError(.wrongState, "start container", id, cause: "it has been started") }
        _ = cl_unlinkat(AT_FDCWD, directory.gatePath, 0)
        try kernel("start container") { () throws(SystemError) in try gate.fd.send([1]) }
        self.gate = nil
        // The end of the file is the sign of success: execve closed the other side.
        if let message = try SyncChannel(socket: sync.fd).receive() {
            throw RuntimeError(.system, "start container", id, cause: "unexpected message \(message.step.rawValue)")
        }
        try runPoststartHooks()
    }

    private func runPoststartHooks() throws(RuntimeError) {
        if let hooks = spec.hooks, !hooks.poststart.isEmpty {
            let state = State(
                ociVersion: spec.ociVersion, id: id, status: ContainerStatus.running.rawValue, pid: pid,
                bundle: record.bundle, annotations: spec.annotations)
            do throws(RuntimeError) { try HookRunner(state: state).run(hooks.poststart, "poststart") } catch {
                try? cgroup.kill()
                try? pidfd.fd.sendSignal(9)
                throw error
            }
        }
    }

    /// Removes what the runtime made: processes that are left, the cgroup, the state directory; then poststop hooks.
    /// - Parameter force: kill what still runs.
    public func delete(force: Bool) throws(RuntimeError) {
        try ContainerRemoval(directory: directory, record: record, spec: spec).run(force: force)
    }
}

/// A message for the operator that is not an error; one line on standard error.
func warn(_ text: String) {
    try? FD.standardError.writeAll("berth-runtime: warning: \(text)\n")
}
