import CLinux
import Glibc

extension FD {
    /// Reads at most `buffer.count` bytes; 0 at end of file. The C function is `read(2)`; EINTR is retried.
    public func read(into buffer: UnsafeMutableRawBufferPointer) throws(SystemError) -> Int {
        try check(cl_read(rawValue, buffer.baseAddress, buffer.count), "read")
    }

    /// Writes all bytes, continuing after short writes. Not for non-blocking descriptors.
    public func writeAll(_ bytes: UnsafeRawBufferPointer) throws(SystemError) {
        var done = 0
        while done < bytes.count {
            done += try check(cl_write(rawValue, bytes.baseAddress.map { $0 + done }, bytes.count - done), "write")
        }
    }

    public func writeAll(_ bytes: [UInt8]) throws(SystemError) {
        let result = bytes.withUnsafeBytes { b in Result { () throws(SystemError) in try writeAll(b) } }
        try result.get()
    }

    public func writeAll(_ text: String) throws(SystemError) {
        var copy = text
        let result = copy.withUTF8 { b in
            Result { () throws(SystemError) in try writeAll(UnsafeRawBufferPointer(b)) }
        }
        try result.get()
    }

    /// Writes `text` with exactly one `write(2)`, as procfs, sysfs and cgroupfs want it.
    public func writeOnce(_ text: String, to name: String) throws(SystemError) {
        var copy = text
        let written = copy.withUTF8 { cl_write(rawValue, $0.baseAddress, $0.count) }
        if written < 0 {
            throw SystemError(Errno(rawValue: Int32(truncatingIfNeeded: -written)), "write \"\(text)\" to", name)
        }
        if written != text.utf8.count { throw SystemError(.io, "write \"\(text)\" to", name) }
    }

    /// Reads to the end of the file.
    /// - Parameter limit: bytes; a longer file throws `.tooBig` instead of growing memory.
    public func readAll(limit: Int = 16 << 20) throws(SystemError) -> [UInt8] {
        var result: [UInt8] = []
        var size = 4096
        var info = stat()
        if cl_fstatat(rawValue, "", &info, AT_EMPTY_PATH_) == 0, info.st_size > 0 {
            if info.st_size > limit { throw SystemError(.tooBig, "read") }
            size = Int(info.st_size) + 1
        }
        while true {
            var outcome = 0
            let piece = [UInt8](unsafeUninitializedCapacity: size) { buffer, initialized in
                outcome = cl_read(rawValue, buffer.baseAddress, size)
                initialized = max(0, outcome)
            }
            try check(outcome, "read")
            if outcome == 0 { return result }
            if result.isEmpty { result = piece } else { result += piece }
            if result.count > limit { throw SystemError(.tooBig, "read") }
            size = max(4096, min(result.count, 1 << 20))
        }
    }

    /// Metadata of the open file. The C function is `fstat(2)`.
    public func status() throws(SystemError) -> stat {
        var info = stat()
        try check(cl_fstatat(rawValue, "", &info, AT_EMPTY_PATH_), "stat")
        return info
    }

    /// Metadata of a path below this directory; a final symbolic link is followed only when asked.
    public func status(of path: String, follow: Bool = false) throws(SystemError) -> stat {
        var info = stat()
        try check(cl_fstatat(rawValue, path, &info, follow ? 0 : AT_SYMLINK_NOFOLLOW), "stat", path)
        return info
    }

    public func exists(_ path: String) -> Bool {
        var info = stat()
        return cl_fstatat(rawValue, path, &info, AT_SYMLINK_NOFOLLOW) == 0
    }

    public func makeDirectory(_ path: String, mode: UInt32 = 0o755) throws(SystemError) {
        try check(cl_mkdirat(rawValue, path, mode), "make directory", path)
    }

    /// Makes a directory and its missing parents. For host paths of our own; existing directories are left as they are.
    public func makeDirectories(_ path: String, mode: UInt32 = 0o755) throws(SystemError) {
        let result = cl_mkdirat(rawValue, path, mode)
        if result == 0 || result == -EEXIST { return }
        guard result == -ENOENT, let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")), slash != path.startIndex else {
            try check(result, "make directory", path)
            return
        }
        try makeDirectories(String(path[..<slash]), mode: mode)
        let again = cl_mkdirat(rawValue, path, mode)
        if again != -EEXIST { try check(again, "make directory", path) }
    }

    public func removeFile(_ path: String) throws(SystemError) {
        try check(cl_unlinkat(rawValue, path, 0), "remove", path)
    }

    public func removeDirectory(_ path: String) throws(SystemError) {
        try check(cl_unlinkat(rawValue, path, 0x200 /* AT_REMOVEDIR */), "remove directory", path)
    }

    public func rename(_ from: String, to target: String, in directory: FD? = nil, flags: UInt32 = 0) throws(SystemError) {
        try check(cl_renameat2(rawValue, from, (directory ?? self).rawValue, target, flags), "rename", from)
    }

    public func makeSymbolicLink(to target: String, at path: String) throws(SystemError) {
        try check(cl_symlinkat(target, rawValue, path), "make symbolic link", path)
    }

    public func readLink(_ path: String) throws(SystemError) -> String {
        var buffer = [CChar](repeating: 0, count: 4097)
        let count = try check(cl_readlinkat(rawValue, path, &buffer, 4096), "read link", path)
        return String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    public func sync() throws(SystemError) { try check(cl_fsync(rawValue), "sync") }
    public func syncFileSystem() throws(SystemError) { try check(cl_syncfs(rawValue), "sync file system") }

    /// Reads a whole file below this directory.
    ///
    /// Not `open(…).fd.readAll()`: a descriptor that nothing holds is closed before it is read.
    public func readFile(_ path: String, limit: Int = 16 << 20) throws(SystemError) -> [UInt8] {
        let file = try open(path, .readOnly)
        return try file.fd.readAll(limit: limit)
    }

    /// Reads a small file below this directory as text (invalid UTF-8 is repaired).
    public func readText(_ path: String, limit: Int = 1 << 20) throws(SystemError) -> String {
        let file = try open(path, .readOnly)
        return String(decoding: try file.fd.readAll(limit: limit), as: UTF8.self)
    }

    /// Writes a new or existing small file in place, not durably. See ``replaceFile(_:with:mode:durable:)`` for more.
    public func writeFile(_ path: String, _ bytes: [UInt8], mode: UInt32 = 0o600) throws(SystemError) {
        let file = try open(path, [.writeOnly, .create, .truncate], mode: mode)
        try file.fd.writeAll(bytes)
    }

    /// Replaces a file by writing a sibling and renaming it over: readers see the old bytes or the new.
    ///
    /// - Parameter durable: sync the bytes before the rename and the directory after it, so that power loss keeps it.
    public func replaceFile(_ path: String, with bytes: [UInt8], mode: UInt32 = 0o600, durable: Bool) throws(SystemError) {
        let staging = "\(path).\(getpid()).new"
        do throws(SystemError) {
            let file = try open(staging, [.writeOnly, .create, .truncate, .noFollow], mode: mode)
            try file.fd.writeAll(bytes)
            if durable { try file.fd.sync() }
            try rename(staging, to: path)
        } catch {
            try? removeFile(staging)
            throw error
        }
        guard durable else { return }
        let parent = path.utf8.lastIndex(of: UInt8(ascii: "/")).map { String(path[..<$0]) }
        if let parent {
            let directory = try open(parent.isEmpty ? "/" : parent, [.directory])
            try directory.fd.sync()
        } else if rawValue >= 0 {
            try sync()
        }
    }
}

let AT_EMPTY_PATH_: Int32 = 0x1000

/// Names in a directory, without `.` and `..`, in the kernel's order. The C function is `getdents64(2)`.
///
/// The descriptor's offset is moved to the end; it must be open for reading (not O_PATH).
public func directoryEntries(_ directory: FD) throws(SystemError) -> [(name: String, type: UInt8)] {
    var entries: [(name: String, type: UInt8)] = []
    let size = 32 << 10
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 8)
    defer { buffer.deallocate() }
    while true {
        let count = try check(cl_getdents64(directory.rawValue, buffer.baseAddress, size), "read directory")
        if count == 0 { return entries }
        var offset = 0
        while offset + 19 <= count {
            // struct linux_dirent64: ino u64, off i64, reclen u16, type u8, name
            let length = Int(buffer.loadUnaligned(fromByteOffset: offset + 16, as: UInt16.self))
            let type = buffer[offset + 18]
            var end = offset + 19
            while end < offset + length, buffer[end] != 0 { end += 1 }
            let name = String(decoding: UnsafeRawBufferPointer(rebasing: buffer[(offset + 19)..<end]), as: UTF8.self)
            if name != ".", name != ".." { entries.append((name, type)) }
            offset += max(length, 19)
        }
    }
}
