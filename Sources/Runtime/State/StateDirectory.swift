import CLinux
import Cgroups
import Glibc
import Linux
import OCI

/// `<root>/<id>/`: the record, a copy of config.json as it was at create, and the gate while the container waits.
public struct StateDirectory: Sendable {
    public let root: String
    public let id: String
    public var path: String { root + "/" + id }

    /// - Throws: `.invalid` for an id that could leave the root.
    public init(root: String, id: String) throws(RuntimeError) {
        try Self.validate(id: id)
        self.root = root
        self.id = id
    }

    /// runc's grammar: letters, digits and `_+-.`; not `.` or `..`; at most 1024 bytes.
    public static func validate(id: String) throws(RuntimeError) {
        let allowed = id.utf8.allSatisfy { b in
            (b >= 48 && b <= 57) || (b >= 65 && b <= 90) || (b >= 97 && b <= 122) || b == 95 || b == 43 || b == 45 || b == 46
        }
        guard allowed, !id.isEmpty, id != ".", id != "..", id.utf8.count <= 255 else {
            throw RuntimeError(.invalid, "use container id", id, cause: "it must match [a-zA-Z0-9_+.-]+ and have at most 255 characters")
        }
    }

    /// Makes the directory; the one who succeeds owns the id.
    /// - Throws: `.exists`.
    public func make() throws(RuntimeError) {
        do throws(SystemError) {
            try FD.cwd.makeDirectories(root, mode: 0o711)
            try FD.cwd.makeDirectory(path, mode: 0o711)
        } catch {
            if error.errno == .exists {
                throw RuntimeError(.exists, "create container", id, cause: "a container with this id exists")
            }
            throw RuntimeError(error)
        }
    }

    public func read() throws(RuntimeError) -> ContainerRecord {
        let bytes: [UInt8]
        do throws(SystemError) {
            bytes = try FD.cwd.readFile(path + "/state.json")
        } catch {
            if error.errno == .noEntry {
                throw RuntimeError(.notFound, "find container", id, cause: "container does not exist")
            }
            throw RuntimeError(error)
        }
        return try ContainerRecord.decode(bytes)
    }

    /// Appears whole or not at all. Not synced: it describes processes that do not survive power loss either.
    public func replace(_ record: ContainerRecord) throws(RuntimeError) { try write(record) }

    func write(_ record: ContainerRecord) throws(RuntimeError) {
        try kernel("write state") { () throws(SystemError) in
            try FD.cwd.replaceFile(path + "/state.json", with: record.encode(), durable: false)
        }
    }

    /// config.json as it was when the container was created (runtime.md: later changes must not have an effect).
    public func spec() throws(RuntimeError) -> Spec {
        let bytes = try kernel("read configuration") { () throws(SystemError) in
            try FD.cwd.readFile(path + "/config.json")
        }
        do throws(OCIError) { return try Spec.decode(bytes) } catch {
            throw RuntimeError(.system, "read configuration", path, cause: error.description)
        }
    }

    /// The compiled seccomp filter of `config.json`; made by the first `exec` for those that follow.
    var seccompPath: String { path + "/seccomp" }

    var gatePath: String { path + "/exec.fifo" }

    /// Removes the directory with its few known files. Idempotent.
    public func remove() throws(RuntimeError) {
        try kernel("remove state") { () throws(SystemError) in
            let directory: OwnedFD
            do throws(SystemError) { directory = try FD.cwd.open(path, [.readOnly, .directory, .noFollow]) } catch {
                if error.errno == .noEntry { return }
                throw error
            }
            for (name, _) in try directoryEntries(directory.fd) { _ = cl_unlinkat(directory.raw, name, 0) }
            let removed = cl_unlinkat(AT_FDCWD, path, 0x200)
            if removed != -ENOENT { try check(removed, "remove directory", path) }
        }
    }

    /// Ids of all containers below a root, in no order. A root that does not exist has none.
    public static func list(root: String) throws(RuntimeError) -> [String] {
        try kernel("list containers") { () throws(SystemError) in
            let directory: OwnedFD
            do throws(SystemError) { directory = try FD.cwd.open(root, [.readOnly, .directory]) } catch {
                if error.errno == .noEntry { return [] }
                throw error
            }
            return try directoryEntries(directory.fd).filter { $0.type == 4 /* DT_DIR */ }.map(\.name)
        }
    }
}

extension ContainerRecord {
    /// Whether the first process is the one that was created and has not ended.
    public var isAlive: Bool {
        guard pid > 0, let state = processState(pid), state != "Z", state != "X" else { return false }
        return startTime == 0 || processStartTime(pid) == startTime
    }

    /// Derived at this moment from the process, the gate and the cgroup.
    public func status(in directory: StateDirectory) -> ContainerStatus {
        if pid == 0 { return .creating }
        if !isAlive { return .stopped }
        if FD.cwd.exists(directory.gatePath) { return .created }
        if (try? Cgroup(record: cgroup).isFrozen) == true { return .paused }
        return .running
    }

    /// The document of `state` (runtime.md "State"): the pid is there only while there is a process.
    public func state(in directory: StateDirectory) -> State {
        let status = status(in: directory)
        return State(
            ociVersion: ociVersion, id: id, status: status.rawValue, pid: status == .stopped ? 0 : pid, bundle: bundle,
            annotations: annotations)
    }
}
