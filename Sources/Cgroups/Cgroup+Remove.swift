import CLinux
import Glibc
import Linux

private let removeDirectoryFlag: Int32 = 0x200  // AT_REMOVEDIR

extension Cgroup {
    /// Removes the cgroups in all hierarchies, with those the container made below. Nothing to remove is success.
    ///
    /// Kill the processes first: those still leaving are waited for, with growing pauses. One system call for each
    /// hierarchy in the common case.
    /// - Parameter timeoutMilliseconds: for all hierarchies together.
    /// - Throws: `.busy` when processes are still there at the end; the others are removed all the same.
    public func remove(timeoutMilliseconds: Int32 = 10_000) throws(CgroupError) {
        // The scope's last process may be our own anchor. systemd removes the cgroup when it stops the unit; stopping it
        // also makes its name free again, which a later container may want.
        releaseAnchor()
        if let scope = record.scope { SystemdScope.stop(scope, rootless: record.rootless) }
        // v1 before v2 and in record order: independent trees, the order only has to be the same every time.
        var remaining = record.entries.map(\.path)
        let deadline = monotonicNanoseconds() + Int64(timeoutMilliseconds) * 1_000_000
        var delay: Int32 = 1
        while true {
            var last: CgroupError?
            var busy: [String] = []
            for path in remaining {
                let errno = Self.removeOnce(path)
                if errno.rawValue == 0 || errno == .noEntry { continue }
                busy.append(path)
                last = CgroupError(errno, "remove cgroup", "\"\(path)\"")
                if errno != .busy, errno != .notEmpty { throw CgroupError(errno, "remove cgroup", "\"\(path)\"") }
            }
            guard let last else { break }
            if monotonicNanoseconds() >= deadline { throw last }
            remaining = busy
            pause(milliseconds: delay)
            delay = min(delay * 2, 50)
        }
        for index in directories.indices { directories[index] = nil }
    }

    /// One try: the directory itself, and when that is busy, first everything below it.
    private static func removeOnce(_ path: String) -> Errno {
        let result = cl_unlinkat(AT_FDCWD, path, removeDirectoryFlag)
        if result == 0 { return Errno(rawValue: 0) }
        guard result == -EBUSY || result == -ENOTEMPTY else { return Errno(rawValue: -result) }
        let root = cl_openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0)
        if root < 0 { return Errno(rawValue: -root) }
        let owned = OwnedFD(owning: root)
        var removed = 0
        CgroupWalk.run(
            owned.fd,
            leave: { parent, name in
                if cl_unlinkat(parent.rawValue, name, removeDirectoryFlag) == 0 { removed += 1 }
            })
        if removed == 0 { return Errno(rawValue: -result) }
        return Errno(rawValue: -min(cl_unlinkat(AT_FDCWD, path, removeDirectoryFlag), 0))
    }
}
