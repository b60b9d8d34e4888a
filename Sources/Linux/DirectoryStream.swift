import CLinux
import Glibc

/// A directory's entries by their bytes, in the kernel's order; names need not be UTF-8.
public final class DirectoryStream {
    public let directory: SharedFD
    private var entries: [[UInt8]] = []
    private var isAtEnd = false

    /// Opens a directory by its name below another, without following a link.
    ///
    /// - Parameter name: one path component, ending in NUL. A name of NUL alone is not one: use ``init(_:)``.
    public convenience init(named name: [UInt8], in parent: FD) throws(SystemError) {
        self.init(SharedFD(try parent.open(named: name, [.readOnly, .directory, .noFollow, .nonBlocking])))
    }

    /// - Parameter directory: open for reading, at its beginning.
    public init(_ directory: SharedFD) { self.directory = directory }

    /// The next name, ending in NUL; nil at the end. The C function is `getdents64(2)`.
    public func next() throws(SystemError) -> [UInt8]? {
        while entries.isEmpty, !isAtEnd { try fill() }
        return entries.popLast()
    }

    private func fill() throws(SystemError) {
        // SAFETY: scratch memory of this call; records are read within the count the kernel returned.
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 32 << 10, alignment: 8)
        defer { buffer.deallocate() }
        let count = try check(cl_getdents64(directory.raw, buffer.baseAddress, buffer.count), "read directory")
        if count == 0 { isAtEnd = true }
        var offset = 0
        // struct linux_dirent64: ino u64, off i64, reclen u16, type u8, name
        while offset + 19 <= count {
            let length = Int(buffer.loadUnaligned(fromByteOffset: offset + 16, as: UInt16.self))
            guard length >= 19, offset + length <= count else { break }
            let bytes = buffer[(offset + 19)..<(offset + length)].prefix { $0 != 0 }
            offset += length
            if bytes.elementsEqual([0x2e]) || bytes.elementsEqual([0x2e, 0x2e]) { continue }
            entries.append(Array(bytes) + [0])
        }
    }
}

/// Calls with names as bytes that end in NUL, as ``DirectoryStream`` gives them.
extension FD {
    public func open(named name: [UInt8], _ flags: OpenFlags) throws(SystemError) -> OwnedFD {
        let result = withCharacters(name) { cl_openat(rawValue, $0, flags.rawValue, 0) }
        if result < 0 { throw SystemError(Errno(rawValue: -result), "open", printable(name)) }
        return OwnedFD(owning: result)
    }

    /// Does not follow a final link.
    public func status(named name: [UInt8]) throws(SystemError) -> stat {
        var info = stat()
        let result = withCharacters(name) { cl_fstatat(rawValue, $0, &info, AT_SYMLINK_NOFOLLOW) }
        if result < 0 { throw SystemError(Errno(rawValue: -result), "stat", printable(name)) }
        return info
    }

    public func readLink(named name: [UInt8]) throws(SystemError) -> [UInt8] {
        var buffer = [CChar](repeating: 0, count: 4097)
        let result = withCharacters(name) { cl_readlinkat(rawValue, $0, &buffer, 4096) }
        if result < 0 { throw SystemError(Errno(rawValue: Int32(truncatingIfNeeded: -result)), "read link", printable(name)) }
        return buffer[..<Int(result)].map { UInt8(bitPattern: $0) }
    }

    /// Names and values of the open file's extended attributes; none where the file system has none.
    public func extendedAttributes() -> [String: [UInt8]] {
        // Most files have none.
        guard cl_listxattr(rawValue, nil, 0) > 0 else { return [:] }
        var names = [CChar](repeating: 0, count: 64 << 10)
        let size = cl_listxattr(rawValue, &names, names.count)
        guard size > 0 else { return [:] }
        var result: [String: [UInt8]] = [:]
        var value = [UInt8](repeating: 0, count: 64 << 10)
        for name in names[..<Int(size)].split(separator: 0) {
            let key = String(decoding: name.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            let length = cl_getxattr(rawValue, key, &value, value.count)
            if length >= 0 { result[key] = Array(value[..<Int(length)]) }
        }
        return result
    }
}

/// Whether two open regular files have the same bytes from their positions on.
public func haveSameContent(_ one: FD, _ other: FD) throws(SystemError) -> Bool {
    // SAFETY: scratch memory of this call; compared within the counts that were read.
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 16)
    defer { buffer.deallocate() }
    let half = buffer.count / 2
    while true {
        let left = try fill(UnsafeMutableRawBufferPointer(rebasing: buffer[..<half]), from: one)
        let right = try fill(UnsafeMutableRawBufferPointer(rebasing: buffer[half...]), from: other)
        if left != right { return false }
        if left == 0 { return true }
        guard let base = buffer.baseAddress, memcmp(base, base + half, left) == 0 else { return false }
    }
}

/// Reads until the buffer is full or the file ends.
private func fill(_ buffer: UnsafeMutableRawBufferPointer, from file: FD) throws(SystemError) -> Int {
    var count = 0
    while count < buffer.count {
        let piece = try file.read(into: UnsafeMutableRawBufferPointer(rebasing: buffer[count...]))
        if piece == 0 { break }
        count += piece
    }
    return count
}

private func printable(_ name: [UInt8]) -> String { String(decoding: name.dropLast(), as: UTF8.self) }

private func withCharacters<R>(_ name: [UInt8], _ body: (UnsafePointer<CChar>) -> R) -> R {
    // SAFETY: names end in NUL (made by DirectoryStream and beside it); CChar and UInt8 have one layout.
    name.withUnsafeBytes { bytes in
        guard let base = bytes.baseAddress else { return body("") }
        return body(base.assumingMemoryBound(to: CChar.self))
    }
}
