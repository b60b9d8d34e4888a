import CLinux
import Glibc
import Linux

/// Removes a tree below a directory: by descriptors, without following links, without crossing into another mount, and
/// without recursion, as the depth of a tree may come from an attacker.
///
/// C functions: `openat2(2)` with RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH, `unlinkat(2)`.
/// - Parameters:
///   - name: one path component below `parent`, as bytes. Missing is fine.
/// - Throws: `.busy` or `.crossDevice` for a mount inside; everything else that could be removed is gone then.
func removeTree(_ parent: FD, _ name: String) throws(SystemError) {
    try removeTree(parent, bytes: Array(name.utf8) + [0])
}

/// As ``removeTree(_:_:)`` for a name that need not be UTF-8, with a final NUL.
func removeTree(_ parent: FD, bytes name: [UInt8]) throws(SystemError) {
    var firstFailure: SystemError?
    // The open directories from the top down. A deep tree would need too many descriptors: beyond this many, a directory is
    // moved up to the top and emptied there, so the depth is bounded whatever the tree looks like.
    let maximumDepth = 64
    let result = withName(name) { cl_unlinkat(parent.rawValue, $0, 0) }
    if result == 0 || result == -ENOENT { return }
    guard result == -EISDIR || result == -EPERM || result == -ENOTDIR else {
        throw failure(result, name)
    }
    var stack: [OpenDirectory] = [try OpenDirectory(parent, name)]
    let top = stack[0].descriptor
    var moved = 0
    while let current = stack.last {
        guard let entry = try current.next() else {
            stack.removeLast()
            let above = stack.last?.descriptor.fd ?? parent
            let removed = withName(current.name) { cl_unlinkat(above.rawValue, $0, AT_REMOVEDIR) }
            // Directories were moved up into this one after it was listed: list it again, unless nothing goes any more.
            if removed == -ENOTEMPTY, current.progress, firstFailure == nil {
                current.rewind()
                stack.append(current)
            } else if removed < 0, removed != -ENOENT {
                if firstFailure == nil { firstFailure = failure(removed, current.name) }
            } else {
                stack.last?.progress = true
            }
            continue
        }
        let removed = withName(entry.name) { cl_unlinkat(current.descriptor.raw, $0, 0) }
        if removed == 0 { current.progress = true }
        if removed == 0 || removed == -ENOENT { continue }
        guard entry.mayBeDirectory else {
            if firstFailure == nil { firstFailure = failure(removed, entry.name) }
            continue
        }
        if stack.count >= maximumDepth {
            let target = Array(".deep-\(moved)".utf8) + [0]
            moved += 1
            let renamed = withName(entry.name) { from in
                withName(target) { cl_renameat2(current.descriptor.raw, from, top.raw, $0, 1 /* NOREPLACE */) }
            }
            if renamed == 0 {
                current.progress = true
                stack[0].progress = true
                continue
            }
            if renamed != -EEXIST, firstFailure == nil { firstFailure = failure(renamed, entry.name) }
            continue
        }
        do throws(SystemError) {
            stack.append(try OpenDirectory(current.descriptor.fd, entry.name))
        } catch {
            if firstFailure == nil { firstFailure = error }
        }
    }
    if let firstFailure { throw firstFailure }
}

private func failure(_ result: Int32, _ name: [UInt8]) -> SystemError {
    SystemError(Errno(rawValue: -result), "remove", String(decoding: name.dropLast(), as: UTF8.self))
}

/// A directory being emptied, with a part of its listing. Names are bytes with a final NUL: they need not be UTF-8.
private final class OpenDirectory {
    let descriptor: SharedFD
    let name: [UInt8]
    /// Whether anything was removed since the last listing.
    var progress = false
    private var entries: [(name: [UInt8], mayBeDirectory: Bool)] = []

    init(_ parent: FD, _ name: [UInt8]) throws(SystemError) {
        self.name = name
        let flags = UInt64(UInt32(bitPattern: O_RDONLY | 0o200000 | 0o400000))
        func open() -> Int32 {
            withName(name) { cl_openat2(parent.rawValue, $0, flags, 0, 0x01 | 0x04 | 0x08) }
        }
        var result = open()
        if result == -EACCES {
            // Our own directory without permission bits: an ordinary user must give them to itself first. O_PATH, so that a
            // link put in its place is not followed.
            let path = withName(name) {
                cl_openat2(parent.rawValue, $0, UInt64(0o10000000 | 0o400000), 0, 0x01 | 0x04 | 0x08)
            }
            if path >= 0 {
                let held = OwnedFD(owning: path)
                _ = cl_fchmodat(AT_FDCWD, held.fd.procPath, 0o700, 0)
                result = open()
            }
        }
        descriptor = SharedFD(owning: try check(result, "open", String(decoding: name.dropLast(), as: UTF8.self)))
    }

    func rewind() {
        _ = cl_lseek(descriptor.raw, 0, SEEK_SET)
        progress = false
    }

    func next() throws(SystemError) -> (name: [UInt8], mayBeDirectory: Bool)? {
        if entries.isEmpty { try fill() }
        return entries.popLast()
    }

    private func fill() throws(SystemError) {
        // SAFETY: scratch memory of this call; records are read within the count the kernel returned.
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 32 << 10, alignment: 8)
        defer { buffer.deallocate() }
        while entries.isEmpty {
            let count = try check(cl_getdents64(descriptor.raw, buffer.baseAddress, buffer.count), "read directory")
            if count == 0 { return }
            var offset = 0
            while offset + 19 <= count {
                let length = Int(buffer.loadUnaligned(fromByteOffset: offset + 16, as: UInt16.self))
                guard length >= 19, offset + length <= count else { break }
                let type = buffer[offset + 18]
                let bytes = buffer[(offset + 19)..<(offset + length)].prefix { $0 != 0 }
                offset += length
                if bytes.elementsEqual([0x2e]) || bytes.elementsEqual([0x2e, 0x2e]) { continue }
                // DT_DIR or DT_UNKNOWN.
                entries.append((Array(bytes) + [0], type == 4 || type == 0))
            }
        }
    }
}
