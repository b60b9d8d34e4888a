import CLinux
import Glibc
import Linux

/// Copies a directory's content as it is: names as bytes, owners, modes, times, extended attributes, hard links, holes; and
/// shares blocks with the source where the file system can (FICLONE), so that a copy takes neither time nor room.
///
/// Neither follows links nor crosses into other mounts: directories are opened anew below the two roots, by descriptors.
/// Device nodes that may not be made (user namespaces) and sockets are passed over.
final class TreeCopy {
    private let source: SharedFD
    private let target: SharedFD
    /// Where the first name of a file with several is below the target.
    private var links: [FileNumber: [UInt8]] = [:]
    /// Directories below the roots, parents before children.
    private var directories: [[UInt8]] = [[]]
    private var canClone = true

    /// - Parameters: both open for reading; the target is empty and nobody else's.
    init(from source: SharedFD, to target: SharedFD) {
        self.source = source
        self.target = target
    }

    /// - Throws: `.nameTooLong` for paths longer than the kernel takes.
    func run() throws(SystemError) {
        let device = try source.fd.status().st_dev
        var next = 0
        // The list grows while it is walked.
        while next < directories.count {
            let path = directories[next]
            next += 1
            let from = try open(source, path)
            if try from.fd.status().st_dev != device { continue }
            let to = try open(target, path)
            let stream = DirectoryStream(from)
            while let name = try stream.next() {
                let child = (path.isEmpty ? [] : path + [UInt8(ascii: "/")]) + name.dropLast()
                let info = try from.fd.status(named: name)
                if info.st_dev != device { continue }
                if info.st_mode & S_IFMT == S_IFDIR {
                    guard child.count <= LayerPath.maximumLength else { throw SystemError(.nameTooLong, "copy", shown(child)) }
                    try check(withName(name) { cl_mkdirat(to.raw, $0, 0o700) }, "make directory", shown(child))
                    directories.append(child)
                } else {
                    try copy(name, child, info, from, to)
                }
            }
        }
        // Children first: what is made in a directory changes its time.
        for path in directories.reversed() {
            let (from, to) = (try open(source, path), try open(target, path))
            try copyMetadata(from, to, try from.fd.status())
        }
    }

    private func open(_ root: SharedFD, _ path: [UInt8]) throws(SystemError) -> SharedFD {
        let name = (path.isEmpty ? [UInt8(ascii: ".")] : path) + [0]
        let flags = UInt64(UInt32(bitPattern: O_RDONLY | 0o200000 | 0o400000))
        // RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH. Other mounts are told by their device, as they must not end the copy.
        return SharedFD(owning: try check(withName(name) { cl_openat2(root.raw, $0, flags, 0, 0x04 | 0x08) }, "open", shown(path)))
    }

    private func copy(_ name: [UInt8], _ path: [UInt8], _ info: stat, _ from: SharedFD, _ to: SharedFD) throws(SystemError) {
        if info.st_nlink > 1 {
            let number = FileNumber(info)
            if let first = links[number] {
                let made = withName(first + [0]) { old in withName(name) { cl_linkat(target.raw, old, to.raw, $0, 0) } }
                try check(made, "link", shown(path))
                return
            }
            links[number] = path
        }
        switch info.st_mode & S_IFMT {
        case S_IFREG: try copyFile(name, path, from, to)
        case S_IFLNK:
            let link = try from.fd.readLink(named: name) + [0]
            try check(withName(link) { content in withName(name) { cl_symlinkat(content, to.raw, $0) } }, "make link", shown(path))
            try setOwnerAndTimes(name, info, to)
        case S_IFIFO, S_IFCHR, S_IFBLK:
            let made = withName(name) { cl_mknodat(to.raw, $0, info.st_mode, UInt64(info.st_rdev)) }
            if made == -EPERM { return forget(info) }
            try check(made, "make node", shown(path))
            try setOwnerAndTimes(name, info, to)
            try check(withName(name) { cl_fchmodat(to.raw, $0, UInt32(info.st_mode) & 0o7777, 0) }, "change mode", shown(path))
        default: forget(info)  // a socket file without its socket is of no use
        }
    }

    /// Other names of what was not copied are not copied either.
    private func forget(_ info: stat) { links[FileNumber(info)] = nil }

    private func setOwnerAndTimes(_ name: [UInt8], _ info: stat, _ to: SharedFD) throws(SystemError) {
        try check(withName(name) { cl_fchownat(to.raw, $0, info.st_uid, info.st_gid, AT_SYMLINK_NOFOLLOW) }, "change owner")
        _ = withName(name) {
            cl_utimensat(
                to.raw, $0, Int64(info.st_atim.tv_sec), Int64(info.st_atim.tv_nsec), Int64(info.st_mtim.tv_sec),
                Int64(info.st_mtim.tv_nsec), AT_SYMLINK_NOFOLLOW)
        }
    }

    private func copyFile(_ name: [UInt8], _ path: [UInt8], _ from: SharedFD, _ to: SharedFD) throws(SystemError) {
        // O_NONBLOCK: should it have become a FIFO meanwhile, the open must not wait.
        let file = SharedFD(try from.fd.open(named: name, [.readOnly, .noFollow, .nonBlocking]))
        let info = try file.fd.status()
        guard info.st_mode & S_IFMT == S_IFREG else { throw SystemError(.invalid, "copy (not a regular file any more)", shown(path)) }
        let flags = O_WRONLY | O_CREAT | O_EXCL | 0o400000 | 0o2000000
        let made = withName(name) { cl_openat(to.raw, $0, flags, 0o600) }
        let copy = SharedFD(owning: try check(made, "make file", shown(path)))
        try copyContent(file, copy, Int64(info.st_size))
        try copyMetadata(file, copy, info)
    }

    private func copyContent(_ file: SharedFD, _ copy: SharedFD, _ size: Int64) throws(SystemError) {
        if size == 0 { return }
        if canClone {
            // FICLONE.
            let cloned = cl_ioctl(copy.raw, 0x4004_9409, Int(file.raw))
            if cloned == 0 { return }
            canClone = false
        }
        try check(cl_ftruncate(copy.raw, size), "copy file")
        var position: Int64 = 0
        while position < size {
            let data = cl_lseek(file.raw, position, 3 /* SEEK_DATA */)
            if data == -Int64(ENXIO) { return }  // only a hole is left
            var end = size
            if data >= 0 {
                position = data
                let hole = cl_lseek(file.raw, data, 4 /* SEEK_HOLE */)
                if hole > data { end = min(hole, size) }
            }
            try copyRange(file, copy, from: position, to: end)
            position = end
        }
    }

    private func copyRange(_ file: SharedFD, _ copy: SharedFD, from start: Int64, to end: Int64) throws(SystemError) {
        var position = start
        while position < end {
            var (input, output) = (position, position)
            let moved = cl_copy_file_range(file.raw, &input, copy.raw, &output, Int(min(end - position, 1 << 30)))
            if moved == 0 { return }  // it was cut short meanwhile
            if moved < 0 {
                guard [EXDEV, EINVAL, ENOSYS, EOPNOTSUPP].contains(Int32(-moved)) else { try check(moved, "copy file"); return }
                try check(Int(cl_lseek(copy.raw, position, SEEK_SET)), "copy file")
                var offset = position
                let sent = try check(cl_sendfile(copy.raw, file.raw, &offset, Int(min(end - position, 1 << 30))), "copy file")
                if sent == 0 { return }
                position += Int64(sent)
                continue
            }
            position += Int64(moved)
        }
    }

    /// Owner before attributes and mode, as a change of owner clears set-id bits and capabilities; times last.
    private func copyMetadata(_ from: SharedFD, _ to: SharedFD, _ info: stat) throws(SystemError) {
        try check(cl_fchownat(to.raw, "", info.st_uid, info.st_gid, atEmptyPath), "change owner")
        for (name, value) in from.fd.extendedAttributes() where !isPrivateAttribute(Array(name.utf8)) {
            _ = cl_setxattr(to.raw, name, value, value.count, 0)
        }
        try check(cl_fchmod(to.raw, UInt32(info.st_mode) & 0o7777), "change mode")
        _ = cl_utimensat(
            to.raw, "", Int64(info.st_atim.tv_sec), Int64(info.st_atim.tv_nsec), Int64(info.st_mtim.tv_sec),
            Int64(info.st_mtim.tv_nsec), atEmptyPath)
    }
}

/// What tells a file from others, whatever its names.
public struct FileNumber: Hashable {
    private let device: UInt64
    private let inode: UInt64

    init(_ info: stat) {
        device = UInt64(info.st_dev)
        inode = UInt64(info.st_ino)
    }
}
