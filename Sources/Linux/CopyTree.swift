import CLinux
import Glibc

/// Copies a directory's content with owners, modes, times and extended attributes; neither follows links nor crosses
/// mounts. Iterative: depth is bounded by descriptors, not by the stack.
///
/// Both directories are open for reading. Device nodes that may not be made are passed over (user namespaces).
/// Hard links become separate files.
public func copyTree(from source: FD, to target: FD) throws(SystemError) {
    let device = try source.status().st_dev
    try copyMetadata(from: source, to: target)
    var pending: [(from: SharedFD, to: SharedFD)] = [
        (SharedFD(try source.duplicate()), SharedFD(try target.duplicate()))
    ]
    while let (from, to) = pending.popLast() {
        for (name, _) in try directoryEntries(from.fd) {
            let info = try from.fd.status(of: name)
            if info.st_dev != device { continue }
            switch info.st_mode & S_IFMT {
            case S_IFDIR:
                try to.fd.makeDirectory(name, mode: 0o700)
                let child = SharedFD(try from.fd.open(name, [.readOnly, .directory, .noFollow]))
                let copy = SharedFD(try to.fd.open(name, [.readOnly, .directory, .noFollow]))
                try copyMetadata(from: child.fd, to: copy.fd)
                pending.append((child, copy))
            case S_IFREG:
                let child = try from.fd.open(name, [.readOnly, .noFollow, .nonBlocking])
                let copy = try to.fd.open(name, [.writeOnly, .create, .exclusive, .noFollow], mode: 0o600)
                try copyBytes(from: child.fd, to: copy.fd)
                try copyMetadata(from: child.fd, to: copy.fd)
            case S_IFLNK:
                try to.fd.makeSymbolicLink(to: try from.fd.readLink(name), at: name)
                _ = cl_fchownat(to.raw, name, info.st_uid, info.st_gid, AT_SYMLINK_NOFOLLOW)
            default:
                let made = cl_mknodat(to.raw, name, info.st_mode, UInt64(info.st_rdev))
                if made == -EPERM { continue }
                try check(made, "make node", name)
                _ = cl_fchownat(to.raw, name, info.st_uid, info.st_gid, AT_SYMLINK_NOFOLLOW)
            }
        }
    }
}

/// Copies a regular file's bytes, in the kernel where the file systems allow it.
public func copyBytes(from source: FD, to target: FD) throws(SystemError) {
    while true {
        let moved = cl_copy_file_range(source.rawValue, nil, target.rawValue, nil, 1 << 30)
        if moved == 0 { return }
        if moved == -Int(EXDEV) || moved == -Int(EINVAL) || moved == -Int(ENOSYS) || moved == -Int(EOPNOTSUPP) { break }
        try check(moved, "copy file")
    }
    while true {
        let moved = try check(cl_sendfile(target.rawValue, source.rawValue, nil, 1 << 30), "copy file")
        if moved == 0 { return }
    }
}

/// Copies the first bytes of a regular file to the same places of another, holes as holes; in the kernel where the file systems
/// allow it. What a file that has become shorter lacks is left out.
///
/// - Parameters:
///   - size: bytes; a file that grows meanwhile is copied no further.
///   - report: called with the bytes so far.
public func copyBytes(
    from source: FD, to target: FD, size: Int64, report: (Int64) -> Void = { _ in }
) throws(SystemError) {
    var position: Int64 = 0
    let isSparse = try Int64(source.status().st_blocks) * 512 < size
    if isSparse { try check(cl_ftruncate(target.rawValue, size), "set size") }
    while position < size {
        var end = size
        if isSparse {
            // ENXIO: only a hole is left.
            position = cl_lseek(source.rawValue, position, 3 /* SEEK_DATA */)
            if position == -Int64(ENXIO) || position >= size { return }
            try check(Int(position), "seek")
            end = min(size, max(position + 1, cl_lseek(source.rawValue, position, 4 /* SEEK_HOLE */)))
        }
        while position < end {
            let moved = try copyPiece(from: source, to: target, at: position, Int(min(end - position, 16 << 20)))
            if moved == 0 { return }
            position += Int64(moved)
            report(position)
        }
    }
}

/// - Returns: how many bytes were copied; 0 at the end of the source.
private func copyPiece(from source: FD, to target: FD, at position: Int64, _ count: Int) throws(SystemError) -> Int {
    var (from, to) = (position, position)
    let moved = cl_copy_file_range(source.rawValue, &from, target.rawValue, &to, count)
    if moved >= 0 { return moved }
    guard [-Int(EXDEV), -Int(EINVAL), -Int(ENOSYS), -Int(EOPNOTSUPP)].contains(moved) else {
        return try check(moved, "copy file")
    }
    try check(Int(cl_lseek(target.rawValue, position, SEEK_SET)), "seek")
    return try check(cl_sendfile(target.rawValue, source.rawValue, &from, count), "copy file")
}

private func copyMetadata(from source: FD, to target: FD) throws(SystemError) {
    let info = try source.status()
    let owned = cl_fchownat(target.rawValue, "", info.st_uid, info.st_gid, AT_EMPTY_PATH_)
    if owned != -EPERM { try check(owned, "change owner") }
    copyExtendedAttributes(from: source, to: target)
    // After the owner: chown clears the set-id bits.
    try check(cl_fchmod(target.rawValue, info.st_mode & 0o7777), "change mode")
    _ = cl_utimensat(
        target.rawValue, "", Int64(info.st_atim.tv_sec), Int64(info.st_atim.tv_nsec), Int64(info.st_mtim.tv_sec),
        Int64(info.st_mtim.tv_nsec), AT_EMPTY_PATH_)
}

/// Best effort: what the target file system or our privilege refuses is left out, as cp(1) does.
private func copyExtendedAttributes(from source: FD, to target: FD) {
    var names = [CChar](repeating: 0, count: 64 << 10)
    let size = cl_listxattr(source.rawValue, &names, names.count)
    guard size > 0 else { return }
    var value = [UInt8](repeating: 0, count: 64 << 10)
    for name in names[..<size].split(separator: 0) {
        let key = String(decoding: name.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let length = cl_getxattr(source.rawValue, key, &value, value.count)
        if length >= 0 { _ = cl_setxattr(target.rawValue, key, value, length, 0) }
    }
}
