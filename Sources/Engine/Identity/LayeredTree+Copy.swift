import CLinux
import Glibc
import Linux

extension LayeredTree {
    /// Copies a merged directory, whose layers are mounted, with owners, modes, times and extended attributes but overlay's own.
    ///
    /// Device nodes that may not be made are passed over. Hard links become separate files.
    func copy(_ source: Directory, to target: FD) throws(SystemError) {
        guard case .directory(let top)? = source.parts.first else { return }
        var pending: [(from: Directory, to: SharedFD)] = [(source, SharedFD(try target.duplicate()))]
        try LayeredTree.copyMetadata(of: top, target)
        while let (from, to) = pending.popLast() {
            for name in try entries(from) {
                switch try step(from, name) {
                case nil: continue
                case .directory(let child):
                    guard case .directory(let first)? = child.parts.first else { continue }
                    try to.fd.makeDirectory(name, mode: 0o700)
                    let made = SharedFD(try to.fd.open(name, [.readOnly, .directory, .noFollow]))
                    try LayeredTree.copyMetadata(of: first, made.fd)
                    pending.append((child, made))
                case .other(.entry(let parent, let entry, let info)):
                    try LayeredTree.copyFile(parent.fd, entry, info, to: to.fd)
                case .other(.node): continue  // nothing is copied from a layer that is not mounted
                }
            }
        }
    }

    private static func copyFile(_ parent: FD, _ name: String, _ info: stat, to target: FD) throws(SystemError) {
        switch info.st_mode & S_IFMT {
        case S_IFREG:
            let from = try parent.open(name, [.readOnly, .noFollow, .nonBlocking])
            let to = try target.open(name, [.writeOnly, .create, .exclusive, .noFollow], mode: 0o600)
            try copyBytes(from: from.fd, to: to.fd)
            try copyMetadata(from.fd, to.fd)
        case S_IFLNK:
            try target.makeSymbolicLink(to: try parent.readLink(name), at: name)
            _ = cl_fchownat(target.rawValue, name, info.st_uid, info.st_gid, AT_SYMLINK_NOFOLLOW)
        case S_IFIFO, S_IFCHR, S_IFBLK:
            let made = cl_mknodat(target.rawValue, name, info.st_mode, UInt64(info.st_rdev))
            if made == -EPERM { return }
            try check(made, "make node", name)
            _ = cl_fchownat(target.rawValue, name, info.st_uid, info.st_gid, AT_SYMLINK_NOFOLLOW)
        default: return  // a socket file without its socket is of no use
        }
    }

    /// A directory that is only named (O_PATH) must be opened to read its attributes.
    private static func copyMetadata(of directory: SharedFD, _ target: FD) throws(SystemError) {
        let opened = try directory.fd.open(".", [.readOnly, .directory])
        try copyMetadata(opened.fd, target)
    }

    /// Owner before mode: chown(2) clears setuid bits. Times last.
    private static func copyMetadata(_ source: FD, _ target: FD) throws(SystemError) {
        let info = try source.status()
        try check(
            cl_fchownat(target.rawValue, "", info.st_uid, info.st_gid, 0x1000 /* AT_EMPTY_PATH */), "change owner")
        try check(cl_fchmod(target.rawValue, UInt32(info.st_mode) & 0o7777), "change mode")
        copyAttributes(source, target)
        _ = cl_utimensat(
            target.rawValue, "", Int64(info.st_atim.tv_sec), Int64(info.st_atim.tv_nsec), Int64(info.st_mtim.tv_sec),
            Int64(info.st_mtim.tv_nsec), 0x1000)
    }

    private static func copyAttributes(_ source: FD, _ target: FD) {
        var names = [CChar](repeating: 0, count: 4096)
        let size = cl_listxattr(source.rawValue, &names, names.count)
        guard size > 0 else { return }
        for part in names[..<size].split(separator: 0) {
            let name = String(decoding: part.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            if name.hasPrefix("trusted.overlay.") || name.hasPrefix("user.overlay.") { continue }
            var value = [UInt8](repeating: 0, count: 65536)
            let length = cl_getxattr(source.rawValue, name, &value, value.count)
            if length >= 0 { _ = cl_setxattr(target.rawValue, name, value, length, 0) }
        }
    }
}
