import CLinux

/// Visits the entries of a directory from its beginning, `.` and `..` not among them: inode number and name.
///
/// Without a text for each name, for directories that are read often. The name is the caller's for the visit only. The
/// descriptor must be open for reading (not O_PATH). The C function is `getdents64(2)`.
public func visitEntries(_ directory: FD, _ visit: (_ inode: UInt64, _ name: UnsafeRawBufferPointer) -> Void) throws(SystemError) {
    guard cl_lseek(directory.rawValue, 0, 0) == 0 else { throw SystemError(.invalid, "rewind directory") }
    // SAFETY: scratch memory of this call; records are read within the count the kernel returned.
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 32 << 10, alignment: 8)
    defer { buffer.deallocate() }
    while true {
        let count = try check(cl_getdents64(directory.rawValue, buffer.baseAddress, buffer.count), "read directory")
        if count == 0 { return }
        var offset = 0
        // struct linux_dirent64: ino u64, off i64, reclen u16, type u8, name
        while offset + 19 <= count {
            let length = Int(buffer.loadUnaligned(fromByteOffset: offset + 16, as: UInt16.self))
            guard length >= 19, offset + length <= count else { break }
            var end = offset + 19
            while end < offset + length, buffer[end] != 0 { end += 1 }
            let name = UnsafeRawBufferPointer(rebasing: buffer[(offset + 19)..<end])
            let isSpecial = name.count < 3 && name.allSatisfy { $0 == 0x2e }
            if !isSpecial { visit(buffer.loadUnaligned(fromByteOffset: offset, as: UInt64.self), name) }
            offset += length
        }
    }
}
