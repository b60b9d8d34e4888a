import CLinux
import CSQLite
import Glibc
import Linux

/// A store that cannot be written, and one whose disk is full.
extension Database {
    static func isReadOnly(_ error: SystemError) -> Bool {
        [EROFS, EACCES, EPERM].contains(error.errno.rawValue)
    }

    func readOnlyFailure() -> StoreError {
        StoreError(
            .system, "write to store", path, cause: "it is on a read-only file system, or not writable for this user",
            systemError: Errno(rawValue: EROFS))
    }

    /// Opens a database that cannot be written: commands that only look still work.
    ///
    /// SQLite reads the log without the index beside it that it cannot make (since 3.22). Where there is no log, it wants to
    /// make one; then nothing can be in it, and the file is read as one that never changes.
    // SAFETY: the handle is closed here on failure; otherwise it goes to the one database that owns and closes it.
    static func openToRead(_ path: String) throws(StoreError) -> OpaquePointer {
        let hasLog = FD.cwd.exists(path + "-wal")
        var escaped = ""
        for byte in path.utf8 {
            let isPlain = byte < 0x80 && byte > 0x20 && ![0x25, 0x3f, 0x23].contains(byte)
            escaped += isPlain ? String(UnicodeScalar(byte)) : "%" + hexadecimal([byte])
        }
        var opened: OpaquePointer?
        let result = sqlite3_open_v2(
            "file:" + escaped + (hasLog ? "" : "?immutable=1"), &opened,
            SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_URI, nil)
        guard result == SQLITE_OK, let opened else {
            let cause = opened.map { String(cString: sqlite3_errmsg($0)) } ?? "out of memory"
            sqlite3_close_v2(opened)
            throw StoreError(.system, "open database", path, cause: cause)
        }
        sqlite3_extended_result_codes(opened, 1)
        sqlite3_busy_timeout(opened, 30_000)
        return opened
    }

    // MARK: Reserve

    /// Room that is given up when the disk is full, so that things can still be removed: deleting rows needs room in the log.
    private static let reserveSize: Int64 = 1 << 20
    private var reservePath: String { path + ".reserve" }

    /// Makes the reserve where it is missing. Failures are left to the next time.
    package func keepReserve() {
        if lockIsMissing || FD.cwd.exists(reservePath) { return }
        guard let file = try? FD.cwd.open(reservePath, [.readWrite, .create, .exclusive, .noFollow], mode: 0o600) else { return }
        // Blocks that are the file's, not only a size: what is merely promised is not there when the disk is full.
        if cl_fallocate(file.raw, 0, 0, Database.reserveSize) != 0 { try? FD.cwd.removeFile(reservePath) }
    }

    /// - Returns: whether there was one.
    func releaseReserve() -> Bool {
        do throws(SystemError) {
            try FD.cwd.removeFile(reservePath)
            return true
        } catch { return false }
    }
}
