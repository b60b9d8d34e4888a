import CLinux
import Glibc
import Linux

/// One open directory of a cgroup hierarchy; all files are reached from its descriptor.
///
/// The descriptor pins the cgroup: a new one made later under the same name is not touched by accident.
final class CgroupDirectory {
    let path: String
    let fd: FD
    private let owner: SharedFD
    /// Told of every write that succeeded; for tests that check order.
    var onWrite: ((_ file: String, _ value: String) -> Void)?
    /// Told what a file holds before each write to it.
    var journal: CgroupJournal?

    /// - Throws: `.notFound` when it is gone.
    init(path: String) throws(CgroupError) {
        let result = cl_openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0)
        if result < 0 { throw CgroupError(Errno(rawValue: -result), "open cgroup", "\"\(path)\"") }
        self.path = path
        self.owner = SharedFD(owning: result)
        self.fd = owner.fd
    }

    /// Writes a value with one `write(2)`: cgroupfs takes a value whole or not at all.
    func write(_ file: String, _ value: String) throws(CgroupError) {
        let errno = attempt(file, value)
        if errno.rawValue != 0 { throw failure(errno, file, value) }
    }

    /// As ``write(_:_:)``, returning the error number (0 on success) where the caller decides what a refusal means.
    func attempt(_ file: String, _ value: String) -> Errno {
        let opened = cl_openat(fd.rawValue, file, O_WRONLY, 0)
        if opened < 0 { return Errno(rawValue: -opened) }
        defer { _ = cl_close(opened) }
        return put(opened, file, value)
    }

    /// Writes several values to one file, one `write(2)` each, opening it once.
    func writeEach(_ file: String, _ values: [String]) throws(CgroupError) {
        if values.isEmpty { return }
        let opened = cl_openat(fd.rawValue, file, O_WRONLY, 0)
        if opened < 0 { throw failure(Errno(rawValue: -opened), file, values.first ?? "") }
        defer { _ = cl_close(opened) }
        for value in values {
            let errno = put(opened, file, value)
            if errno.rawValue != 0 { throw failure(errno, file, value) }
        }
    }

    private func put(_ opened: Int32, _ file: String, _ value: String) -> Errno {
        let before = journal == nil ? nil : try? readIfPresent(file)
        var copy = value
        let written = copy.withUTF8 { cl_write(opened, $0.baseAddress, $0.count) }
        if written < 0 { return Errno(rawValue: Int32(truncatingIfNeeded: -written)) }
        if let journal, let before { journal.note(self, file, value, before) }
        onWrite?(file, value)
        return Errno(rawValue: 0)
    }

    func failure(_ errno: Errno, _ file: String, _ value: String) -> CgroupError {
        CgroupError(errno, "write \"\(value)\" to", file)
    }

    /// Reads a file to its end.
    func read(_ file: String) throws(CgroupError) -> [UInt8] {
        let opened = cl_openat(fd.rawValue, file, O_RDONLY, 0)
        if opened < 0 { throw CgroupError(Errno(rawValue: -opened), "read", file) }
        defer { _ = cl_close(opened) }
        return try readToEnd(opened, file)
    }

    /// As ``read(_:)``, nil when the kernel has no such file.
    func readIfPresent(_ file: String) throws(CgroupError) -> [UInt8]? {
        do throws(CgroupError) {
            return try read(file)
        } catch {
            if error.errno == .noEntry || error.errno == .notSupported { return nil }
            throw error
        }
    }

    /// A file that holds one number; nil when the kernel has no such file or it is not a number.
    func number(_ file: String) throws(CgroupError) -> UInt64? {
        let opened = cl_openat(fd.rawValue, file, O_RDONLY, 0)
        if opened == -ENOENT { return nil }
        if opened < 0 { throw CgroupError(Errno(rawValue: -opened), "read", file) }
        defer { _ = cl_close(opened) }
        // Twenty digits at most, and one read: statistics of many containers are made of these.
        var buffer = [UInt8](repeating: 0, count: 32)
        let count = cl_read(opened, &buffer, buffer.count)
        if count < 0 {
            let errno = Errno(rawValue: Int32(truncatingIfNeeded: -count))
            if errno == .noEntry || errno == .notSupported { return nil }
            throw CgroupError(errno, "read", file)
        }
        return KeyedText(Array(buffer[..<count])).single
    }

    private func readToEnd(_ opened: Int32, _ file: String) throws(CgroupError) -> [UInt8] {
        var result: [UInt8] = []
        // Most files fit: the kernel gives them in one read, and a short read is their end.
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = cl_read(opened, &buffer, buffer.count)
            if count < 0 { throw CgroupError(Errno(rawValue: Int32(truncatingIfNeeded: -count)), "read", file) }
            if count == 0 { return result }
            result.append(contentsOf: buffer[..<count])
            if result.count > 16 << 20 { throw CgroupError(.tooBig, "read", file) }
        }
    }

    func open(_ file: String, _ flags: Int32) throws(CgroupError) -> OwnedFD {
        let opened = cl_openat(fd.rawValue, file, flags, 0)
        if opened < 0 { throw CgroupError(Errno(rawValue: -opened), "open", file) }
        return OwnedFD(owning: opened)
    }
}

/// Sleeps; signals may end it early, which every caller's loop tolerates.
func pause(milliseconds: Int32) { _ = cl_poll(nil, nil, nil, 0, milliseconds) }
