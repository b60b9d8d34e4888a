import Archive
import CLinux
import Glibc
import Linux

/// A directory whose owner, mode, attributes and time are set when everything is in it.
struct PendingDirectory {
    let path: [UInt8]
    let depth: Int
    /// Made for this entry, with the owner and mode that new directories get; otherwise an earlier entry may have set others.
    let isNew: Bool
    let uid: UInt32
    let gid: UInt32
    let mode: UInt32
    let modification: FileTime
    let xattrs: [ExtendedAttribute]

    init(_ path: [UInt8], _ entry: TarEntry, isNew: Bool) {
        self.path = path
        self.isNew = isNew
        depth = path.isEmpty ? 0 : 1 + path.count { $0 == UInt8(ascii: "/") }
        uid = entry.uid
        gid = entry.gid
        mode = entry.mode
        modification = entry.modification
        xattrs = entry.xattrs
    }
}

extension LayerUnpacker {
    /// Sets owner, attributes and time of a link, fifo or device, which cannot be opened without effects.
    ///
    /// The mode was given when it was made (the umask is 0).
    func setMetadata(_ entry: TarEntry, _ parent: SharedFD, _ name: [UInt8]) throws(StoreError) {
        if entry.uid != ownUser || entry.gid != ownGroup {
            try owner(entry, withName(name) { cl_fchownat(parent.raw, $0, entry.uid, entry.gid, AT_SYMLINK_NOFOLLOW) })
            if entry.kind != .symbolicLink, entry.mode & 0o6000 != 0 {
                try step(entry.path, withName(name) { cl_fchmodat(parent.raw, $0, entry.mode, AT_SYMLINK_NOFOLLOW) })
            }
        }
        if !entry.xattrs.isEmpty {
            // There is no setxattrat before Linux 6.13. Only the magic link to our own descriptor is followed here.
            let path = Array(parent.fd.procPath.utf8) + [UInt8(ascii: "/")] + name
            try setAttributes(entry) { attribute, value, size in
                withName(path) { cl_lsetxattr($0, attribute, value, size, 0) }
            }
        }
        let time = entry.modification
        try step(
            entry.path,
            withName(name) {
                cl_utimensat(
                    parent.raw, $0, time.seconds, Int64(time.nanoseconds), time.seconds, Int64(time.nanoseconds),
                    AT_SYMLINK_NOFOLLOW)
            })
    }

    func setAttributes(
        // SAFETY: names and values are borrowed for the length of the system call that `set` makes.
        _ entry: TarEntry, _ set: (UnsafePointer<CChar>, UnsafeRawPointer?, Int) -> Int32
    ) throws(StoreError) {
        try setAttributes(entry.xattrs, entry.path, isLink: entry.kind == .symbolicLink, set)
    }

    private func setAttributes(
        _ xattrs: [ExtendedAttribute], _ path: [UInt8], isLink: Bool,
        _ set: (UnsafePointer<CChar>, UnsafeRawPointer?, Int) -> Int32
    ) throws(StoreError) {
        for attribute in xattrs {
            if isPrivateAttribute(attribute.name) {
                note { $0.droppedAttributes += 1 }
                continue
            }
            let result = withName(attribute.name + [0]) { name in
                attribute.value.withUnsafeBytes { set(name, $0.baseAddress, $0.count) }
            }
            switch result {
            // The file system has none of them, or the kernel does not give this one to this kind of file or to a user
            // namespace: the file is usable without.
            case -EOPNOTSUPP: note { $0.droppedAttributes += 1 }
            case -EPERM where isInUserNamespace || isLink: note { $0.droppedAttributes += 1 }
            default: try step(path, result)
            }
        }
    }

    // MARK: Whiteouts

    /// Hides a name of lower layers.
    func hide(_ parent: SharedFD, _ name: [UInt8], _ path: [UInt8]) throws(StoreError) {
        var information = stat()
        let found = withName(name) { cl_fstatat(parent.raw, $0, &information, AT_SYMLINK_NOFOLLOW) }
        if found == 0 {
            // This layer has its own: a file hides the lower one anyway, a directory must not be merged with it.
            if information.st_mode & S_IFMT == S_IFDIR { try makeOpaque(parent, name) }
            return
        }
        guard found == -ENOENT else { return try step(path, found) }
        // A device 0:0 needs no privilege since Linux 5.8, so this also works in a user namespace.
        try step(path, withName(name) { cl_mknodat(parent.raw, $0, S_IFCHR, 0) })
    }

    func makeOpaque(_ parent: SharedFD, _ name: [UInt8]) throws(StoreError) {
        let opened = withName(name) { cl_openat(parent.raw, $0, O_RDONLY | 0o200000 | 0o400000, 0) }
        try step(name, opened)
        try makeOpaque(SharedFD(owning: opened))
    }

    /// Hides everything that lower layers have in a directory.
    func makeOpaque(_ directory: SharedFD) throws(StoreError) {
        // In a user namespace overlay is mounted with "userxattr" and reads the other prefix.
        let name = isInUserNamespace ? "user.overlay.opaque" : "trusted.overlay.opaque"
        try step([], cl_setxattr(directory.raw, name, "y", 1, 0))
    }

    // MARK: Directories

    /// Sets what was kept back, deepest first, so that a closed directory does not bar the way to those inside.
    func finishDirectories() throws(StoreError) {
        let root = directories.root
        directories.forget()
        let order = pending.indices.sorted {
            // Equal depth: in the archive's order, as the last entry of a name wins.
            pending[$0].depth != pending[$1].depth ? pending[$0].depth > pending[$1].depth : $0 < $1
        }
        for index in order {
            let directory = pending[index]
            if wasRemoved(directory.path, index) { continue }
            var raw = root.raw
            if !directory.path.isEmpty {
                raw = withName(directory.path + [0]) {
                    // By the links on its way, as it was made, but not to where a link in its own place leads. RESOLVE_IN_ROOT |
                    // RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV, O_DIRECTORY | O_NOFOLLOW.
                    cl_openat2(root.raw, $0, UInt64(UInt32(bitPattern: O_RDONLY | 0o200000 | 0o400000)), 0, 0x10 | 0x02 | 0x01)
                }
                if [-ENOENT, -ENOTDIR, -ELOOP].contains(raw) { continue }
                try step(directory.path, raw)
            }
            // The root's descriptor is not ours to close.
            let owned = directory.path.isEmpty ? nil : SharedFD(owning: raw)
            try finish(directory, raw)
            withExtendedLifetime(owned) {}
        }
        pending.removeAll()
    }

    /// Whether a later entry took the directory, or one that it was in, away.
    private func wasRemoved(_ path: [UInt8], _ index: Int) -> Bool {
        if removed.isEmpty { return false }
        for end in path.indices where path[end] == UInt8(ascii: "/") {
            if let count = removed[Array(path[..<end])], index < count { return true }
        }
        return removed[path].map { index < $0 } ?? false
    }

    private func finish(_ directory: PendingDirectory, _ raw: Int32) throws(StoreError) {
        if !directory.isNew || directory.uid != ownUser || directory.gid != ownGroup {
            let entry = TarEntry(kind: .directory, path: directory.path, mode: 0, uid: directory.uid, gid: directory.gid)
            try owner(entry, cl_fchownat(raw, "", directory.uid, directory.gid, atEmptyPath))
        }
        if !directory.isNew || directory.mode != 0o755 { try step(directory.path, cl_fchmod(raw, directory.mode)) }
        try setAttributes(directory.xattrs, directory.path, isLink: false) { cl_setxattr(raw, $0, $1, $2, 0) }
        var times = [timespec(), timespec()]
        times[0].tv_sec = Int(directory.modification.seconds)
        times[0].tv_nsec = Int(directory.modification.nanoseconds)
        times[1] = times[0]
        if futimens(raw, times) != 0 { try step(directory.path, -errno) }
    }
}

/// Attributes by which an archive could speak to overlay itself, and labels that only the host may give.
func isPrivateAttribute(_ name: [UInt8]) -> Bool {
    func starts(_ prefix: StaticString) -> Bool {
        name.starts(with: UnsafeBufferPointer(start: prefix.utf8Start, count: prefix.utf8CodeUnitCount))
    }
    return starts("trusted.overlay.") || starts("user.overlay.") || starts("user.fuseoverlayfs.")
        || starts("trusted.fuseoverlayfs.") || starts("security.selinux") || starts("security.ima")
        || starts("security.evm") || starts("security.apparmor") || starts("security.SMACK64")
}
