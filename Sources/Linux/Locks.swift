import CLinux
import Glibc

/// A lock of an open file description: released by the kernel when the last descriptor closes, however that happens.
public enum FileLock {
    case shared, exclusive
    var type: Int32 { self == .shared ? Int32(F_RDLCK) : Int32(F_WRLCK) }
}

extension FD {
    /// Waits for a lock over the whole file, or over some bytes of it. The C function is `fcntl(2)` with F_OFD_SETLKW.
    ///
    /// An exclusive lock needs a descriptor open for writing.
    public func lock(_ kind: FileLock, _ bytes: Range<Int64>? = nil) throws(SystemError) {
        try check(set(kind.type, bytes, wait: true), "lock file")
    }

    /// Takes the lock if it is free. The C function is `fcntl(2)` with F_OFD_SETLK.
    public func tryLock(_ kind: FileLock, _ bytes: Range<Int64>? = nil) throws(SystemError) -> Bool {
        let result = set(kind.type, bytes, wait: false)
        if result == -EAGAIN || result == -EACCES { return false }
        try check(result, "lock file")
        return true
    }

    /// Whether somebody else holds a lock that conflicts with `kind`. Takes nothing (F_OFD_GETLK).
    public func isLocked(against kind: FileLock) throws(SystemError) -> Bool {
        var holder: Int32 = 0
        try check(cl_ofd_lock_holder(rawValue, kind.type, &holder), "query lock")
        return holder != 0
    }

    public func unlock() throws(SystemError) {
        try check(set(Int32(F_UNLCK), nil, wait: false), "unlock file")
    }

    /// A length of 0 is all there is and will be.
    private func set(_ type: Int32, _ bytes: Range<Int64>?, wait: Bool) -> Int32 {
        cl_ofd_lock(rawValue, type, wait ? 1 : 0, bytes?.lowerBound ?? 0, bytes.map { $0.upperBound - $0.lowerBound } ?? 0)
    }
}
