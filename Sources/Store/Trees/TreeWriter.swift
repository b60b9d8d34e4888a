import Archive
import CLinux
import Glibc
import Linux

/// Writes entries below a directory that programs of a container may be changing, or that is the host's own.
///
/// Parents are resolved by `openat2` inside the directory and used as descriptors; what is made is made exclusively and without
/// following links, and what is written to is what was made. What stands in a file's place is removed and replaced; directories
/// are merged. Runs with a umask of 0 (``run(_:)``).
public final class TreeWriter: TreeSink {
    /// Whose the files are.
    public enum Ownership: Sendable, Hashable {
        /// As the entry says.
        case entry
        /// The caller's: nothing is changed.
        case caller
        /// Ids of the container.
        case fixed(uid: UInt32, gid: UInt32)
    }

    public struct Options {
        public var ids = IDTranslation.none
        public var ownership = Ownership.entry
        /// Directories may take the place of other files, and the other way round.
        public var overwrite = false
        /// Device nodes are passed over: a user namespace cannot make them.
        public var skipsDevices = false
        /// Where links on the way to an entry lead: a root, and the path of the directory in it. Nil: nowhere.
        public var links: (root: SharedFD, path: [UInt8])?
        public init() {}
    }

    let base: SharedFD
    let options: Options
    private var parents: [[UInt8]: SharedFD] = [:]
    /// Times of directories, which are set when everything is in them.
    private var pending: [(path: [UInt8], time: FileTime)] = []
    /// The directories right below the base into which it writes: whatever it makes is in one of them.
    private var tops: Set<FileNumber> = []
    public private(set) var skippedDevices = 0
    public private(set) var droppedAttributes = 0
    /// What an archive of the entries would have, for messages: headers and content in blocks.
    public private(set) var volume: Int64 = 1024
    /// Called now and then with ``volume``.
    public var report: (Int64) -> Void = { _ in }

    /// - Parameter base: a directory; O_PATH is enough.
    public init(base: SharedFD, options: Options) {
        self.base = base
        self.options = options
    }

    /// Runs `body`, which adds entries, with a umask of 0; then sets what was kept back.
    public func run(_ body: () throws(StoreError) -> Void) throws(StoreError) {
        // Directories on the way are made with the mode they are to have.
        let old = cl_umask(0)
        defer { _ = cl_umask(old) }
        try body()
        try finish()
    }

    public func writes(below directory: FileNumber) -> Bool { tops.contains(directory) }

    /// Adds all entries of an archive.
    public func add(_ reader: TarReader) throws(StoreError) {
        while let entry = try archive({ () throws(ArchiveError) in try reader.next() }) {
            try add(entry, .archive(reader))
        }
    }

    public func add(_ entry: TarEntry, content: FD?) throws(StoreError) { try add(entry, content.map { .file($0) } ?? .none) }

    enum Payload {
        case none
        case file(FD)
        case archive(TarReader)
    }

    private func add(_ entry: TarEntry, _ payload: Payload) throws(StoreError) {
        let path = try checked(entry.path)
        if path.isRoot {
            guard entry.kind == .directory else { throw failure(entry, Errno.invalid) }
            return
        }
        let parent = try directory(path.parent)
        let name = path.name
        var existing = stat()
        let found = withName(name) { cl_fstatat(parent.raw, $0, &existing, AT_SYMLINK_NOFOLLOW) }
        if found != -ENOENT { try check(entry, found) }
        var isInPlace = false
        if found == 0, entry.kind != .directory || existing.st_mode & S_IFMT != S_IFDIR {
            isInPlace = try clear(existing, parent, name, entry)
        }
        switch entry.kind {
        case .directory: try makeDirectory(entry, path, parent, name, isNew: found != 0 || existing.st_mode & S_IFMT != S_IFDIR)
        case .file: try makeFile(entry, payload, parent, name, isInPlace: isInPlace)
        case .hardLink: try makeHardLink(entry, parent, name)
        default: try makeNode(entry, parent, name)
        }
        volume += 512 + (entry.kind == .file ? (entry.size + 511) / 512 * 512 : 0)
        report(volume)
    }

    /// - Throws: for names that lead out, and such as cannot be.
    private func checked(_ path: [UInt8]) throws(StoreError) -> LayerPath {
        do throws(StoreError) { return try LayerPath(path) } catch {
            throw StoreError(error.code, "write", error.object, cause: error.cause)
        }
    }

    // MARK: Places

    /// Opens a directory below the base, made with its parents where they are missing: root's, with mode 0755.
    ///
    /// - Parameter path: relative and clean; empty for the base.
    public func makeDirectories(_ path: [UInt8]) throws(StoreError) -> SharedFD { try directory(path) }

    /// A directory below the base by its path, made with its parents where it is missing.
    func directory(_ path: [UInt8]) throws(StoreError) -> SharedFD {
        if path.isEmpty { return base }
        if let known = parents[path] { return known }
        var result = lookUp(path)
        if result == -ENOENT {
            let above = path.lastIndex(of: UInt8(ascii: "/"))
            let parent = try directory(above.map { Array(path[..<$0]) } ?? [])
            let name = Array(path[(above.map { $0 + 1 } ?? 0)...]) + [0]
            let made = withName(name) { cl_mkdirat(parent.raw, $0, 0o755) }
            guard made == 0 || made == -EEXIST else { throw placeFailure(path, made) }
            if made == 0, options.ownership != .caller {
                // As docker does: root's. Where that has no number here it stays the caller's.
                let (uid, gid) = (options.ids.userOutside(0) ?? geteuid(), options.ids.groupOutside(0) ?? getegid())
                _ = withName(name) { cl_fchownat(parent.raw, $0, uid, gid, AT_SYMLINK_NOFOLLOW) }
            }
            result = lookUp(path)
        }
        guard result >= 0 else { throw placeFailure(path, result) }
        // Bounded, with room for the deepest path.
        if parents.count >= 512 { parents.removeAll() }
        let opened = SharedFD(owning: result)
        parents[path] = opened
        return opened
    }

    private func lookUp(_ path: [UInt8]) -> Int32 {
        // O_PATH | O_DIRECTORY; RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS
        let flags = UInt64(0o10000000 | 0o200000)
        let direct = withName(path + [0]) { cl_openat2(base.raw, $0, flags, 0, 0x08 | 0x04 | 0x02) }
        guard direct == -ELOOP, let links = options.links else { return direct }
        // RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS
        return withName(links.path + [UInt8(ascii: "/")] + path + [0]) { cl_openat2(links.root.raw, $0, flags, 0, 0x10 | 0x02) }
    }

    private func placeFailure(_ path: [UInt8], _ result: Int32) -> StoreError {
        if result == -ELOOP || result == -ENOTDIR {
            return StoreError(
                .invalid, "", cause: "cannot overwrite non-directory \"\(printable(path))\" with directory \"\(printable(path))\"")
        }
        return StoreError(
            .system, "open", printable(path), cause: Errno(rawValue: -result).description, systemError: Errno(rawValue: -result))
    }

    /// Makes room for an entry that is no directory, or in whose place no directory stands.
    ///
    /// - Returns: true when the file that stands there is a mount of its own and has to be written into.
    private func clear(_ existing: stat, _ parent: SharedFD, _ name: [UInt8], _ entry: TarEntry) throws(StoreError) -> Bool {
        if existing.st_mode & S_IFMT == S_IFDIR {
            guard options.overwrite else {
                throw StoreError(
                    .invalid, "",
                    cause:
                        "cannot overwrite directory \"\(printable(Array(name.dropLast())))\" with non-directory \"\(printable(entry.path))\""
                )
            }
            parents.removeAll()
            try system { () throws(SystemError) in try removeTree(parent.fd, bytes: name) }
            return false
        }
        if entry.kind == .directory, !options.overwrite {
            throw StoreError(
                .invalid, "",
                cause: "cannot overwrite non-directory \"\(printable(Array(name.dropLast())))\" with directory \"\(printable(entry.path))\""
            )
        }
        if entry.kind == .hardLink { return false }  // perhaps a link to itself
        let removed = withName(name) { cl_unlinkat(parent.raw, $0, 0) }
        if removed == -EBUSY, entry.kind == .file, existing.st_mode & S_IFMT == S_IFREG { return true }
        if removed != -ENOENT { try check(entry, removed) }
        return false
    }

    // MARK: Kinds

    private func makeDirectory(
        _ entry: TarEntry, _ path: LayerPath, _ parent: SharedFD, _ name: [UInt8], isNew: Bool
    ) throws(StoreError) {
        if isNew { try check(entry, withName(name) { cl_mkdirat(parent.raw, $0, 0o700) }) }
        let opened = withName(name) { cl_openat(parent.raw, $0, O_RDONLY | 0o200000 | 0o400000, 0) }
        try check(entry, opened)
        let directory = SharedFD(owning: opened)
        if isNew || path.parent.isEmpty {
            let info = try system { () throws(SystemError) in try directory.fd.status() }
            guard !isNew || info.st_uid == geteuid() && info.st_mode & 0o777 == 0o700 else { throw changed(entry) }
            if path.parent.isEmpty { tops.insert(FileNumber(info)) }
        }
        try setOwner(entry, directory.raw)
        try check(entry, cl_fchmod(directory.raw, entry.mode))
        try setAttributes(entry, directory.raw)
        pending.append((path.full, entry.modification))
        parents[path.full] = directory
    }

    private func makeFile(
        _ entry: TarEntry, _ payload: Payload, _ parent: SharedFD, _ name: [UInt8], isInPlace: Bool
    ) throws(StoreError) {
        if isInPlace { return try overwrite(entry, payload, parent, name) }
        let raw = withName(name) { cl_openat(parent.raw, $0, O_WRONLY | O_CREAT | O_EXCL | 0o400000, 0o600) }
        try check(entry, raw)
        let file = SharedFD(owning: raw)
        try write(entry, payload, file.fd)
        // In this order: a write and a change of owner clear set-id bits and capabilities; the time last.
        try setOwner(entry, file.raw)
        try check(entry, cl_fchmod(file.raw, entry.mode))
        try setAttributes(entry, file.raw)
        try setTime(entry.modification, file.raw, entry)
    }

    /// A file that is mounted by itself, such as /etc/hosts: it keeps its owner and mode.
    private func overwrite(_ entry: TarEntry, _ payload: Payload, _ parent: SharedFD, _ name: [UInt8]) throws(StoreError) {
        let path = withName(name) { cl_openat(parent.raw, $0, 0o10000000 | 0o400000, 0) }
        try check(entry, path)
        let node = SharedFD(owning: path)
        let info = try system { () throws(SystemError) in try node.fd.status() }
        guard info.st_mode & S_IFMT == S_IFREG else { throw failure(entry, .busy) }
        let file = try system { () throws(SystemError) in SharedFD(try node.fd.reopen([.writeOnly, .truncate])) }
        try write(entry, payload, file.fd)
    }

    private func makeHardLink(_ entry: TarEntry, _ parent: SharedFD, _ name: [UInt8]) throws(StoreError) {
        let target = try checked(entry.linkPath)
        guard !target.isRoot else { throw failure(entry, .isDirectory) }
        let from = try directory(target.parent)
        let targetName = target.name
        var (information, existing) = (stat(), stat())
        try check(entry, withName(targetName) { cl_fstatat(from.raw, $0, &information, AT_SYMLINK_NOFOLLOW) })
        if withName(name, { cl_fstatat(parent.raw, $0, &existing, AT_SYMLINK_NOFOLLOW) }) == 0 {
            // Already the same file: replacing it would remove what it links to.
            if existing.st_ino == information.st_ino, existing.st_dev == information.st_dev { return }
            try check(entry, withName(name) { cl_unlinkat(parent.raw, $0, 0) })
        }
        try check(entry, withName(name) { name in withName(targetName) { cl_linkat(from.raw, $0, parent.raw, name, 0) } })
    }

    private func makeNode(_ entry: TarEntry, _ parent: SharedFD, _ name: [UInt8]) throws(StoreError) {
        var made: Int32 = 0
        switch entry.kind {
        case .symbolicLink:
            made = withName(entry.linkPath + [0]) { target in withName(name) { cl_symlinkat(target, parent.raw, $0) } }
        case .fifo: made = withName(name) { cl_mknodat(parent.raw, $0, S_IFIFO | entry.mode, 0) }
        default:
            if options.skipsDevices {
                skippedDevices += 1
                return
            }
            let type: UInt32 = entry.kind == .characterDevice ? S_IFCHR : S_IFBLK
            made = withName(name) { cl_mknodat(parent.raw, $0, type | entry.mode, cl_makedev(entry.major, entry.minor)) }
        }
        try check(entry, made)
        let opened = withName(name) { cl_openat(parent.raw, $0, 0o10000000 | 0o400000, 0) }
        try check(entry, opened)
        let node = SharedFD(owning: opened)
        // Something else may have been put in its place, which is not to be given away.
        let info = try system { () throws(SystemError) in try node.fd.status() }
        guard info.st_mode & S_IFMT == TreeWriter.type(entry.kind), info.st_nlink == 1 else { throw changed(entry) }
        try setOwner(entry, node.raw)
        try setTime(entry.modification, node.raw, entry)
    }

    private static func type(_ kind: TarEntry.Kind) -> UInt32 {
        switch kind {
        case .symbolicLink: S_IFLNK
        case .fifo: S_IFIFO
        case .characterDevice: S_IFCHR
        default: S_IFBLK
        }
    }

    private func changed(_ entry: TarEntry) -> StoreError {
        StoreError(.inUse, "write", printable(entry.path), cause: "it was replaced by a program of the container meanwhile")
    }

    // MARK: Content

    private func write(_ entry: TarEntry, _ payload: Payload, _ file: FD) throws(StoreError) {
        switch payload {
        case .none: break
        case .file(let source):
            do throws(SystemError) {
                var told: Int64 = 0
                try copyBytes(from: source, to: file, size: entry.size) { done in
                    if done - told < 8 << 20 { return }
                    told = done
                    report(volume + done)
                }
            } catch { throw failure(entry, error.errno) }
        case .archive(let reader):
            if entry.isSparse { try check(entry, cl_ftruncate(file.rawValue, entry.size)) }
            while let (offset, bytes) = try archive({ () throws(ArchiveError) in try reader.readSegment() }) {
                var done = 0
                while done < bytes.count {
                    let count = cl_pwrite(
                        file.rawValue, bytes.baseAddress.map { $0 + done }, bytes.count - done, offset + Int64(done))
                    guard count > 0 else { throw failure(entry, Errno(rawValue: Int32(truncatingIfNeeded: -count))) }
                    done += count
                }
            }
        }
    }

    // MARK: Metadata

    private func setOwner(_ entry: TarEntry, _ node: Int32) throws(StoreError) {
        var (user, group) = (entry.uid, entry.gid)
        switch options.ownership {
        case .caller: return
        case .fixed(let uid, let gid): (user, group) = (uid, gid)
        case .entry: break
        }
        guard let uid = options.ids.userOutside(user), let gid = options.ids.groupOutside(group) else {
            throw ownerFailure(entry, user, group)
        }
        let result = cl_fchownat(node, "", uid, gid, atEmptyPath)
        if result == -EINVAL { throw ownerFailure(entry, user, group) }
        try check(entry, result)
    }

    private func ownerFailure(_ entry: TarEntry, _ user: UInt32, _ group: UInt32) -> StoreError {
        StoreError(
            .invalid, "change owner of", printable(entry.path),
            cause: "the container's user namespace has no user \(user) with group \(group)", systemError: .invalid)
    }

    /// What the file system or the kernel refuses is left out: the file is usable without.
    private func setAttributes(_ entry: TarEntry, _ file: Int32) throws(StoreError) {
        for attribute in entry.xattrs {
            if isPrivateAttribute(attribute.name) || attribute.name.starts(with: "trusted.".utf8) {
                droppedAttributes += 1
                continue
            }
            let value = attribute.name == IDTranslation.capabilityName ? options.ids.capabilityOutside(attribute.value) : attribute.value
            let result = withName(attribute.name + [0]) { name in
                value.withUnsafeBytes { cl_setxattr(file, name, $0.baseAddress, $0.count, 0) }
            }
            if result == -EOPNOTSUPP || result == -EPERM { droppedAttributes += 1 } else { try check(entry, result) }
        }
    }

    private func setTime(_ time: FileTime, _ node: Int32, _ entry: TarEntry) throws(StoreError) {
        let nanoseconds = Int64(time.nanoseconds)
        try check(entry, cl_utimensat(node, "", time.seconds, nanoseconds, time.seconds, nanoseconds, atEmptyPath))
    }

    private func finish() throws(StoreError) {
        parents.removeAll()
        for (path, time) in pending.reversed() {
            let raw = lookUp(path)
            // Replaced since, by a later entry or by a program of the container.
            if raw < 0 { continue }
            let directory = SharedFD(owning: raw)
            let nanoseconds = Int64(time.nanoseconds)
            _ = cl_utimensat(directory.raw, "", time.seconds, nanoseconds, time.seconds, nanoseconds, atEmptyPath)
        }
        pending.removeAll()
    }

    private func check(_ entry: TarEntry, _ result: Int32) throws(StoreError) {
        if result < 0 { throw failure(entry, Errno(rawValue: -result)) }
    }

    private func failure(_ entry: TarEntry, _ error: Errno) -> StoreError {
        StoreError(error == .noSpace ? .noSpace : .system, "write", printable(entry.path), cause: error.description, systemError: error)
    }
}
