import CLinux
import Cgroups
import Glibc
import Linux
import OCI

/// `start` from another process than the one that created the container (a FIFO gate).
public struct ContainerStart {
    private let directory: StateDirectory

    public init(_ directory: StateDirectory) { self.directory = directory }

    /// Opens the gate; the program runs, or reports why not on its standard error.
    ///
    /// The FIFO is renamed before it is written: of two starts one wins.
    public func run() throws(RuntimeError) {
        let record = try directory.read()
        let status = record.status(in: directory)
        guard status == .created else {
            throw RuntimeError(.wrongState, "start container", record.id, cause: "it is \(status.rawValue), not created")
        }
        let claimed = directory.path + "/started"
        try kernel("start container") { () throws(SystemError) in
            do throws(SystemError) { try FD.cwd.rename(directory.gatePath, to: claimed) } catch {
                throw SystemError(error.errno == .noEntry ? .exists : error.errno, "open gate (another start was first)", record.id)
            }
            // Without a reader the process is gone; non-blocking turns that into an error.
            let gate = try FD.cwd.open(claimed, [.writeOnly, .nonBlocking])
            try gate.fd.writeAll([1])
            _ = cl_unlinkat(AT_FDCWD, claimed, 0)
            try waitForExecve(gate.fd)
        }
        // What kept the program from running is on the container's standard error; here it is at least an error.
        guard let hooks = try directory.spec().hooks, !hooks.poststart.isEmpty else { return }
        let state = State(
            ociVersion: record.ociVersion, id: record.id, status: ContainerStatus.running.rawValue, pid: record.pid,
            bundle: record.bundle, annotations: record.annotations)
        do throws(RuntimeError) { try HookRunner(state: state).run(hooks.poststart, "poststart") } catch {
            try? ContainerSignal(directory).send(9, toAll: true)
            throw error
        }
    }
}

/// The first process holds the other side of the gate until execve closes it (or its end does): then a writer's poll
/// reports an error condition.
private func waitForExecve(_ gate: FD) throws(SystemError) {
    var fds = [gate.rawValue]
    var events: [Int16] = [0]
    var ready: [Int16] = [0]
    while ready[0] & 0x8 /* POLLERR */ == 0 {
        let count = cl_poll(&fds, &events, &ready, 1, -1)
        if count != -EINTR { try check(count, "wait for program") }
    }
}

/// `kill`.
public struct ContainerSignal {
    private let directory: StateDirectory

    public init(_ directory: StateDirectory) { self.directory = directory }

    /// Sends a signal to the first process, by pidfd; or to all processes of the cgroup.
    ///
    /// A container without a pid namespace of its own has no process that takes the others along: SIGKILL goes to all.
    public func send(_ signal: Int32, toAll: Bool) throws(RuntimeError) {
        let record = try directory.read()
        let cgroup = Cgroup(record: record.cgroup)
        let alive = record.isAlive
        guard alive || (toAll && !cgroup.isEmpty) else {
            throw RuntimeError(.wrongState, "kill container", record.id, cause: "it is not running")
        }
        let ownsPids = try ownsPidNamespace()
        let sharesPids = signal == 9 && !ownsPids
        if toAll || sharesPids, !cgroup.isEmpty {
            do throws(CgroupError) {
                if signal == 9 { try cgroup.kill() } else { try cgroup.signalAll(signal) }
            } catch {
                throw RuntimeError(.system, "kill container", record.id, cause: error.description)
            }
            return
        }
        try kernel("kill container") { () throws(SystemError) in
            let pidfd = try openProcess(record.pid)
            guard record.isAlive else { throw SystemError(.noProcess, "kill container", record.id) }
            try pidfd.fd.sendSignal(signal)
        }
        // A frozen process acts on SIGKILL only when it thaws.
        if signal == 9, (try? cgroup.isFrozen) == true { try? cgroup.thaw() }
    }

    private func ownsPidNamespace() throws(RuntimeError) -> Bool {
        try directory.spec().linux?.namespaces.contains { $0.type == "pid" && $0.path.isEmpty } ?? false
    }
}

/// `delete`.
public struct ContainerDeletion {
    private let directory: StateDirectory

    public init(_ directory: StateDirectory) { self.directory = directory }

    /// - Parameter force: kill it first, and succeed when there is no such container.
    public func run(force: Bool) throws(RuntimeError) {
        let record: ContainerRecord
        do throws(RuntimeError) { record = try directory.read() } catch {
            if error.code == .notFound {
                // A create that was killed leaves a directory without a record.
                if FD.cwd.exists(directory.path) {
                    try directory.remove()
                    return
                }
                if force { return }
            }
            throw error
        }
        try ContainerRemoval(directory: directory, record: record, spec: try? directory.spec()).run(force: force)
    }
}

/// `pause` and `resume`.
public struct ContainerFreezer {
    private let directory: StateDirectory

    public init(_ directory: StateDirectory) { self.directory = directory }

    public func pause() throws(RuntimeError) {
        let record = try directory.read()
        let status = record.status(in: directory)
        guard status == .running || status == .created else {
            throw RuntimeError(.wrongState, "pause container", record.id, cause: "it is \(status.rawValue)")
        }
        let cgroup = try cgroup(of: record, "pause container")
        do throws(CgroupError) { try cgroup.freeze() } catch {
            throw RuntimeError(.system, "pause container", record.id, cause: error.description)
        }
    }

    public func resume() throws(RuntimeError) {
        let record = try directory.read()
        let status = record.status(in: directory)
        guard status == .paused else {
            throw RuntimeError(.wrongState, "resume container", record.id, cause: "it is \(status.rawValue), not paused")
        }
        let cgroup = try cgroup(of: record, "resume container")
        do throws(CgroupError) { try cgroup.thaw() } catch {
            throw RuntimeError(.system, "resume container", record.id, cause: error.description)
        }
    }

    private func cgroup(of record: ContainerRecord, _ operation: String) throws(RuntimeError) -> Cgroup {
        if record.cgroup.entries.isEmpty {
            throw RuntimeError(
                .unsupported, operation, record.id,
                cause: "it has no cgroup; an ordinary user needs a delegated one (systemd: loginctl enable-linger)")
        }
        return Cgroup(record: record.cgroup)
    }
}
