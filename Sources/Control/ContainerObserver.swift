import CLinux
import Glibc
import Linux

/// Looks at the containers of one store.
///
/// About seven system calls for a running container and six for one that has ended.
public struct ContainerObserver: ~Copyable {
    private let containers: OwnedFD
    private var bootID: String?

    /// - Parameter store: the store's root; it must have a `containers` directory.
    public init(store: String) throws(ControlError) {
        let path = ContainerFiles.containers(store: store)
        do throws(SystemError) {
            containers = try FD.cwd.open(path, [.path, .directory])
        } catch {
            throw ControlError(error, "observe containers")
        }
    }

    /// What the container is now.
    ///
    /// - Parameter isOwner: the caller holds the container's lock, which is therefore no supervisor's.
    /// - Throws: `.system` when the store cannot be read. A damaged exit record is reported in `error`, not thrown.
    public mutating func observe(_ id: String, isOwner: Bool = false) throws(ControlError) -> ContainerObservation {
        // The order matters. A supervisor writes exit.json before it lets go of the lock; a lock that is free is
        // therefore followed by the final record. If the lock is taken in between, the next question sees it.
        let lock: (held: Bool, record: PhaseRecord?)
        do throws(SystemError) {
            lock = try SupervisorLock.inspect(containers.fd, id + "/" + ContainerFiles.lock)
        } catch {
            guard error.errno == .noEntry else { throw ControlError(error, "observe", id) }
            return try observeWithoutLock(id)
        }
        if lock.held, !isOwner { return observeHeld(id, lock.record) }
        if containers.fd.exists(id + "/" + ContainerFiles.removed) { return ContainerObservation(.removed) }
        if let record = try exitRecord(id) { return record }
        return observeFree(lock.record)
    }

    /// No lock file: no supervisor has ever been there.
    private func observeWithoutLock(_ id: String) throws(ControlError) -> ContainerObservation {
        guard containers.fd.exists(id) else { return ContainerObservation(.removed) }
        if containers.fd.exists(id + "/" + ContainerFiles.removed) { return ContainerObservation(.removed) }
        return try exitRecord(id) ?? ContainerObservation(.created)
    }

    private func observeHeld(_ id: String, _ record: PhaseRecord?) -> ContainerObservation {
        guard let record else { return ContainerObservation(.starting) }
        var result = ContainerObservation(
            .starting, pid: record.pid, supervisor: record.supervisor, startedAt: record.startedAt,
            finishedAt: record.finishedAt, exitCode: Int(record.exitCode), restartCount: record.restartCount)
        result.processStart = record.processStartTime
        result.health = record.health
        result.isRestored = record.isRestored
        switch record.phase {
        case .running: result.status = isFrozen(record.freezeFile) ? .paused : .running
        case .stopping: result.status = .stopping
        case .restarting: result.status = .restarting
        case .removing: result.status = .removing
        case .initialized: result.status = .initialized
        case .exited:
            // Only slow readers of its output keep this supervisor.
            if let ended = try? exitRecord(id) { return ended }
            result.status = .exited
        default: break
        }
        return result
    }

    /// Lock free and no exit record: never started, or the supervisor did not live to write one.
    private mutating func observeFree(_ record: PhaseRecord?) -> ContainerObservation {
        guard let record, record.startedAt != 0 || record.pid != 0 else { return ContainerObservation(.created) }
        // Its process ended with its supervisor, and its program never ran.
        if record.startedAt == 0, record.phase == .created || record.phase == .initialized { return ContainerObservation(.created) }
        var result = ContainerObservation(
            .exited, startedAt: record.startedAt, exitCode: ExitRecord.unknownCode, restartCount: record.restartCount,
            bootID: record.bootID)
        if record.phase == .restarting || record.phase == .exited || record.phase == .removing {
            // It had seen the end, and only the record is missing.
            result.exitCode = Int(record.exitCode)
            result.finishedAt = record.finishedAt
            return result
        }
        if record.bootID != currentBoot() {
            result.error = "the machine went down while the container ran"
        } else if record.pid > 0, isAlive(record) {
            result.status = isFrozen(record.freezeFile) ? .paused : .running
            result.pid = record.pid
            result.processStart = record.processStartTime
            result.exitCode = 0
            result.supervisorLost = true
            result.error = "supervisor was killed"
        } else {
            result.error = "supervisor was killed"
        }
        return result
    }

    private func exitRecord(_ id: String) throws(ControlError) -> ContainerObservation? {
        let bytes: [UInt8]
        do throws(SystemError) {
            bytes = try readSmallFile(containers.fd, id + "/" + ContainerFiles.exitRecord)
        } catch {
            if error.errno == .noEntry { return nil }
            // Damaged like a record that cannot be parsed: one container must not hide all others.
            if error.errno == .isDirectory {
                return ContainerObservation(.exited, exitCode: ExitRecord.unknownCode, error: error.description)
            }
            throw ControlError(error, "observe", id)
        }
        do throws(ControlError) {
            return ContainerObservation(try ExitRecord.parse(bytes))
        } catch {
            return ContainerObservation(.exited, exitCode: ExitRecord.unknownCode, error: error.description)
        }
    }

    private mutating func currentBoot() -> String {
        if let bootID { return bootID }
        let id = bootIdentifier()
        bootID = id
        return id
    }

    private func isAlive(_ record: PhaseRecord) -> Bool {
        guard processStartTime(record.pid) == record.processStartTime, let state = processState(record.pid) else {
            return false
        }
        return state != "Z" && state != "X"
    }
}

/// Whether the kernel's file says that a cgroup is frozen: `frozen 1` in v2's cgroup.events, `FROZEN` in v1's freezer.state.
package func isFrozen(_ path: String) -> Bool {
    guard !path.isEmpty, let bytes = try? readSmallFile(.cwd, path) else { return false }
    let text = String(decoding: bytes, as: UTF8.self)
    if text.hasPrefix("FROZEN") { return true }
    return text.split(separator: "\n").contains("frozen 1")
}

/// A file of a few hundred bytes with three calls: open, read, close.
func readSmallFile(_ directory: FD, _ path: String) throws(SystemError) -> [UInt8] {
    let file = try directory.open(path, .readOnly)
    var result = 0
    let bytes = [UInt8](unsafeUninitializedCapacity: 4096) { buffer, count in
        result = cl_read(file.raw, buffer.baseAddress, buffer.count)
        count = max(0, result)
    }
    try check(result, "read", path)
    return bytes.count < 4096 ? bytes : bytes + (try file.fd.readAll(limit: 1 << 20))
}
