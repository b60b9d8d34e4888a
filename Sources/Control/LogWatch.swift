import CLinux
import Glibc
import Linux

/// Wakes when a log's directory changes or its supervisor goes.
struct LogWatch {
    /// nil when the user has no inotify instance left: then it is looked at ten times a second.
    private let notify: SharedFD?

    init(_ directory: FD) {
        let number = cl_inotify_init1(Int32(O_NONBLOCK) | 0o2000000 /* IN_CLOEXEC */)
        guard number >= 0 else {
            notify = nil
            return
        }
        let owned = SharedFD(owning: number)
        // IN_MODIFY | IN_MOVED_TO | IN_CREATE
        notify = cl_inotify_add_watch(number, directory.procPath, 0x2 | 0x80 | 0x100) >= 0 ? owned : nil
    }

    /// - Returns: false when it has to be looked at again and again.
    func add(to set: inout PollSet) -> Bool { notify.map { set.add($0.fd, Int16(POLLIN)) } != nil }

    /// Forgets what has changed so far.
    func clear() {
        guard let notify else { return }
        withUnsafeTemporaryAllocation(byteCount: 4096, alignment: 8) { buffer in
            _ = cl_read(notify.raw, buffer.baseAddress, buffer.count)
        }
    }

    /// - Returns: whether the container has ended for good.
    func wait(_ supervisor: SupervisorConnection?, timeout: Int32) -> Bool {
        var set = PollSet()
        let changed = notify.map { set.add($0.fd, Int16(POLLIN)) } ?? -1
        let spoke = supervisor.map { set.add($0.fd, Int16(POLLIN)) } ?? -1
        if supervisor?.hasPending != true {
            set.wait(timeout: notify == nil ? (timeout < 0 ? 100 : min(timeout, 100)) : timeout)
        }
        if set.isReady(changed) { clear() }
        guard let supervisor, set.isReady(spoke) || supervisor.hasPending else { return false }
        // One message and no more: an answer that carries nothing must not keep us from the log.
        do throws(ControlError) {
            if case .exited(_, let restarting) = try supervisor.receiveOne() { return !restarting }
            return false
        } catch {
            return true
        }
    }
}
