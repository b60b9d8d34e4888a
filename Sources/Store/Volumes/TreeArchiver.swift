import Archive
import CLinux
import Glibc
import Linux

/// Writes a directory's content as a tar: the directory itself as `./`, then what is in it, sorted by name.
///
/// Neither follows links nor crosses into other mounts: every directory is opened anew below the root, by descriptors, so that
/// containers that change the tree meanwhile cannot lead the way out of it. Sockets are left out.
final class TreeArchiver {
    private let root: SharedFD
    private let writer: TarWriter
    /// Where the first name of a file with several is in the archive.
    private var links: [FileNumber: [UInt8]] = [:]
    private static let padding = [UInt8](repeating: 0, count: 64 << 10)

    /// - Parameter root: open for reading.
    init(_ root: SharedFD, _ writer: TarWriter) {
        self.root = root
        self.writer = writer
    }

    /// Writes everything; the archive's end is the caller's.
    ///
    /// - Throws: `.tooLarge` for paths longer than the kernel takes; `.system`.
    func run() throws(StoreError) {
        let device = try system { () throws(SystemError) in try root.fd.status() }.st_dev
        // Directories that are to be written, by their path below the root; the last is next.
        var pending: [[UInt8]] = [[]]
        while let path = pending.popLast() {
            guard let directory = try open(path) else { continue }
            let info = try system { () throws(SystemError) in try directory.fd.status() }
            if info.st_dev != device { continue }
            var entry = entry(.directory, path: path.isEmpty ? Array("./".utf8) : path + [UInt8(ascii: "/")], info)
            entry.xattrs = attributes(directory)
            try append(entry)
            var below: [[UInt8]] = []
            for name in try names(in: directory) {
                let child = (path.isEmpty ? [] : path + [UInt8(ascii: "/")]) + name.dropLast()
                guard let info = try? directory.fd.status(named: name), info.st_dev == device else { continue }
                if info.st_mode & S_IFMT == S_IFDIR {
                    guard child.count <= LayerPath.maximumLength else {
                        throw StoreError(.tooLarge, "archive", shown(child), cause: "path longer than \(LayerPath.maximumLength) bytes")
                    }
                    below.append(child)
                } else {
                    try write(child, name, in: directory, info)
                }
            }
            pending += below.reversed()
        }
    }

    /// A directory by its path; nil when it went away, or something else took its place.
    private func open(_ path: [UInt8]) throws(StoreError) -> SharedFD? {
        let name = (path.isEmpty ? [UInt8(ascii: ".")] : path) + [0]
        let flags = UInt64(UInt32(bitPattern: O_RDONLY | 0o200000 | 0o400000))
        // RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH.
        let result = withName(name) { cl_openat2(root.raw, $0, flags, 0, 0x01 | 0x04 | 0x08) }
        if [-ENOENT, -ENOTDIR, -ELOOP, -EXDEV].contains(result), !path.isEmpty { return nil }
        return try system { () throws(SystemError) in SharedFD(owning: try check(result, "open", shown(path))) }
    }

    private func names(in directory: SharedFD) throws(StoreError) -> [[UInt8]] {
        try system { () throws(SystemError) in
            let stream = DirectoryStream(directory)
            var names: [[UInt8]] = []
            while let name = try stream.next() { names.append(name) }
            return names.sorted { $0.lexicographicallyPrecedes($1) }
        }
    }

    private func write(_ path: [UInt8], _ name: [UInt8], in directory: SharedFD, _ info: stat) throws(StoreError) {
        let number = FileNumber(info)
        if info.st_nlink > 1 {
            if let first = links[number] {
                var entry = entry(.hardLink, path: path, info)
                entry.linkPath = first
                return try append(entry)
            }
            links[number] = path
        }
        switch info.st_mode & S_IFMT {
        case S_IFREG:
            // O_NONBLOCK: should it have become a FIFO meanwhile, the open must not wait.
            guard let file = try? directory.fd.open(named: name, [.readOnly, .noFollow, .nonBlocking]) else {
                return try refuseUnreadable(directory, name, path)
            }
            try write(SharedFD(file), path)
        case S_IFLNK:
            guard let target = try? directory.fd.readLink(named: name) else { return }
            var entry = entry(.symbolicLink, path: path, info)
            entry.linkPath = target
            try append(entry)
        case S_IFIFO: try append(entry(.fifo, path: path, info))
        case S_IFCHR, S_IFBLK:
            var entry = entry(info.st_mode & S_IFMT == S_IFCHR ? .characterDevice : .blockDevice, path: path, info)
            entry.major = UInt32(cl_major(UInt64(info.st_rdev)))
            entry.minor = UInt32(cl_minor(UInt64(info.st_rdev)))
            try append(entry)
        default: break  // a socket file without its socket is of no use
        }
    }

    /// A file that went away is left out; one that cannot be read must not be missing silently.
    private func refuseUnreadable(_ directory: SharedFD, _ name: [UInt8], _ path: [UInt8]) throws(StoreError) {
        try system { () throws(SystemError) in
            do throws(SystemError) { _ = try directory.fd.open(named: name, [.readOnly, .noFollow, .nonBlocking]) } catch {
                if error.errno == .noEntry || error.errno == .loop { return }
                throw error
            }
        }
    }

    /// The size is what it is now; a file that is cut short while it is read is filled up with zeros, as tar(1) does.
    private func write(_ file: SharedFD, _ path: [UInt8]) throws(StoreError) {
        let info = try system { () throws(SystemError) in try file.fd.status() }
        guard info.st_mode & S_IFMT == S_IFREG else { return }
        var entry = entry(.file, path: path, info)
        entry.size = Int64(info.st_size)
        entry.xattrs = attributes(file)
        try append(entry)
        try archive { () throws(ArchiveError) in
            let lender = BufferedLender(FileReader(file.fd, offset: 0, length: nil, name: shown(path)))
            var left = entry.size
            while left > 0 {
                let piece = try lender.lend()
                if piece.isEmpty { break }
                // It may have grown.
                if Int64(piece.count) > left {
                    try writer.write(Array(piece.prefix(Int(left))))
                    left = 0
                } else {
                    try writer.write(piece)
                    left -= Int64(piece.count)
                }
            }
            while left > 0 {
                let count = min(left, Int64(Self.padding.count))
                try writer.write(Array(Self.padding.prefix(Int(count))))
                left -= count
            }
        }
    }

    private func append(_ entry: TarEntry) throws(StoreError) {
        try archive { () throws(ArchiveError) in try writer.append(entry) }
    }

    private func entry(_ kind: TarEntry.Kind, path: [UInt8], _ info: stat) -> TarEntry {
        TarEntry(
            kind: kind, path: path, mode: UInt32(info.st_mode) & 0o7777, uid: info.st_uid, gid: info.st_gid,
            modification: FileTime(seconds: Int64(info.st_mtim.tv_sec), nanoseconds: Int32(truncatingIfNeeded: info.st_mtim.tv_nsec)))
    }

    private func attributes(_ file: SharedFD) -> [ExtendedAttribute] {
        file.fd.extendedAttributes().map { ExtendedAttribute(name: Array($0.key.utf8), value: $0.value) }
            .filter { !isPrivateAttribute($0.name) }
    }
}
