import CLinux
import Glibc
import Linux

extension Cgroup {
    /// How many processes of the container the kernel's OOM killer has killed. 0 when the cgroup is gone, or when
    /// memory is not controlled.
    public func oomKillCount() throws(CgroupError) -> UInt64 {
        do throws(CgroupError) {
            if let legacy = try legacyDirectory(.memory) {
                return KeyedText(try legacy.readIfPresent("memory.oom_control") ?? []).value("oom_kill") ?? 0
            }
            guard let unified = try unifiedDirectory() else { return 0 }
            return KeyedText(try unified.readIfPresent("memory.events") ?? []).value("oom_kill") ?? 0
        } catch {
            if error.code == .notFound { return 0 }
            throw error
        }
    }

    /// A descriptor that becomes readable when the container runs out of memory; then ask ``oomKillCount()``.
    ///
    /// It may wake for nothing (v2 reports every memory event, v1 the removal of the cgroup). Read it empty each time:
    /// v2 gives `inotify_event` records, v1 an eventfd's eight bytes. Non-blocking and CLOEXEC.
    /// - Returns: nil when the container's memory is not controlled, or the kernel cannot tell.
    public func oomEventDescriptor() throws(CgroupError) -> OwnedFD? {
        if let legacy = try legacyDirectory(.memory) { return try legacyDescriptor(legacy) }
        guard let index = unifiedIndex else { return nil }
        let path = record.entries[index].path + "/memory.events"
        let inotify = cl_inotify_init1(Int32(IN_NONBLOCK) | Int32(IN_CLOEXEC))
        if inotify < 0 { throw CgroupError(Errno(rawValue: -inotify), "make", "inotify descriptor") }
        let owned = OwnedFD(owning: inotify)
        let watch = cl_inotify_add_watch(inotify, path, UInt32(IN_MODIFY))
        if watch == -ENOENT { return nil }
        if watch < 0 { throw CgroupError(Errno(rawValue: -watch), "watch", "\"\(path)\"") }
        return owned
    }

    private func legacyDescriptor(_ directory: CgroupDirectory) throws(CgroupError) -> OwnedFD? {
        // The control file is needed during the registration only.
        let control = try directory.open("memory.oom_control", O_RDONLY)
        let event = eventfd(0, Int32(EFD_NONBLOCK) | Int32(EFD_CLOEXEC))
        if event < 0 { return nil }
        let owned = OwnedFD(owning: event)
        let errno = directory.attempt("cgroup.event_control", "\(event) \(control.raw)")
        // Real-time kernels cannot; the count is still there.
        if errno.rawValue != 0 { return nil }
        return owned
    }
}
