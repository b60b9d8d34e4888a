import Archive
import CLinux
import Glibc
import Linux

/// Unpacks one layer into a directory that overlay can use as a lower layer.
///
/// All names are resolved inside the directory by `openat2` and used as descriptors; metadata is set through descriptors or
/// without following links, so nothing outside can be reached by whatever the archive says. Runs on a thread of its own
/// with a umask of its own; memory holds one record for each directory and is otherwise constant.
public final class LayerUnpacker {
    /// Bounds against hostile layers. The defaults are far above what real images have.
    public struct Limits: Sendable {
        public var entries = 4_000_000
        public var directories = 500_000
        /// Bytes of all files, holes included.
        public var size: Int64 = 1 << 44
        public init() {}
    }

    /// What was left out of a layer, for a log: not an error.
    public struct Notes: Sendable, Hashable {
        /// Device nodes, which a user namespace cannot make.
        public var skippedDevices = 0
        /// Attributes that belong to overlay or SELinux, or that the file system or a user namespace refuses.
        public var droppedAttributes = 0
        /// Character devices 0:0, which would hide files of lower layers.
        public var droppedWhiteoutNodes = 0
    }

    let isInUserNamespace: Bool
    private let isLayer: Bool
    let directories: LayerDirectories
    private let limits: Limits
    private let cancellation: Cancellation?
    public private(set) var notes = Notes()
    private var entries = 0
    private var total: Int64 = 0
    private var sinceSpaceCheck: Int64 = 0
    /// Owner of new files: what need not be changed.
    let ownUser = geteuid()
    let ownGroup = getegid()
    var pending: [PendingDirectory] = []
    /// How many directories were pending when the one of this path was removed: those at or below it are gone.
    private(set) var removed: [[UInt8]: Int] = [:]

    /// - Parameters:
    ///   - root: an empty directory; borrowed descriptor is duplicated by the caller's `SharedFD`.
    ///   - isInUserNamespace: `user.` instead of `trusted.` overlay attributes; device nodes are skipped.
    ///   - isLayer: names with `.wh.` hide others, and the root gets the owner and mode of a new layer. Else all names are
    ///     files, and the directory may have content, which entries of the same names replace.
    public init(
        root: SharedFD, isInUserNamespace: Bool, isLayer: Bool = true, limits: Limits = Limits(), cancellation: Cancellation? = nil
    ) {
        self.isLayer = isLayer
        directories = LayerDirectories(root: root)
        self.isInUserNamespace = isInUserNamespace
        self.limits = limits
        self.cancellation = cancellation
        // Weak: the closure lives inside what this object owns.
        directories.onReplacedWhiteout = { [unowned self] (parent, name) throws(StoreError) in
            try makeOpaque(parent, name)
        }
    }

    /// Unpacks everything `reader` gives, then sets the metadata of directories.
    ///
    /// - Throws: `.corrupt`, `.unsupported`, `.tooLarge`, `.noSpace`, `.cancelled`, `.invalid` for ids that are not mapped;
    ///   what was unpacked so far is the caller's to remove.
    public func unpack(_ reader: TarReader) throws(StoreError) {
        var outcome: Result<Void, StoreError> = .success(())
        // SAFETY: this thread waits for the worker, so `outcome` and `self` are used by one thread at a time.
        let worker = try archive { () throws(ArchiveError) in
            try Worker {
                // The umask belongs to the process: take this thread out of the sharing first (CLONE_FS).
                _ = cl_unshare(0x200)
                _ = cl_umask(0)
                do throws(StoreError) { try self.unpackAll(reader) } catch { outcome = .failure(error) }
            }
        }
        worker.join()
        try outcome.get()
    }

    private func unpackAll(_ reader: TarReader) throws(StoreError) {
        // The directory the layer goes to may have inherited a group and set-group-id from the one it was made in.
        if isLayer {
            try step([], cl_fchownat(directories.root.raw, "", ownUser, ownGroup, atEmptyPath))
            try step([], cl_fchmod(directories.root.raw, 0o755))
        }
        while let entry = try archive({ () throws(ArchiveError) in try reader.next() }) {
            try archive { () throws(ArchiveError) in try cancellation?.check("unpack layer") }
            entries += 1
            guard entries <= limits.entries else {
                throw StoreError(.tooLarge, "unpack layer", cause: "more than \(limits.entries) entries")
            }
            if entries % 4096 == 0 { try checkSpace() }
            try unpack(entry, reader)
        }
        try finishDirectories()
    }

    private func unpack(_ entry: TarEntry, _ reader: TarReader) throws(StoreError) {
        let path = try LayerPath(entry.path)
        if path.isRoot {
            guard entry.kind == .directory else { throw layerFailure(.corrupt, entry.path, "the root is no directory") }
            return try addPending(path.full, entry, isNew: false)
        }
        switch isLayer ? try path.whiteout() : .none {
        case .none: break
        case .ignored: return
        case .opaque: return try makeOpaque(try directories.directory(path.parent))
        case .name(let hidden): return try hide(try directories.directory(path.parent), hidden, path.full)
        }
        let parent = try directories.directory(path.parent)
        let name = path.name
        switch entry.kind {
        case .file: try makeFile(entry, reader, parent, name)
        case .directory: try makeDirectory(entry, path, parent, name)
        case .hardLink: try makeHardLink(entry, parent, name)
        case .symbolicLink:
            let target = entry.linkPath + [0]
            try create(entry, parent, name) { name in withName(target) { cl_symlinkat($0, parent.raw, name) } }
            try setMetadata(entry, parent, name)
        case .fifo:
            try create(entry, parent, name) { cl_mknodat(parent.raw, $0, S_IFIFO | entry.mode, 0) }
            try setMetadata(entry, parent, name)
        case .characterDevice, .blockDevice: try makeDevice(entry, parent, name)
        }
    }

    // MARK: Kinds

    private func makeFile(
        _ entry: TarEntry, _ reader: TarReader, _ parent: SharedFD, _ name: [UInt8]
    ) throws(StoreError) {
        (total, sinceSpaceCheck) = (total &+ entry.size, sinceSpaceCheck &+ entry.size)
        guard entry.size <= limits.size, total <= limits.size, total >= 0 else {
            throw StoreError(.tooLarge, "unpack layer", cause: "more than \(limits.size) bytes")
        }
        if sinceSpaceCheck >= 32 << 20 { try checkSpace() }
        var raw: Int32 = -1
        try create(entry, parent, name) {
            // Exclusive and without following: what is written to is the file made here and no other.
            raw = cl_openat(parent.raw, $0, O_WRONLY | O_CREAT | O_EXCL | 0o400000, entry.mode & 0o777)
            return raw
        }
        let file = OwnedFD(owning: raw)
        if entry.isSparse { try step(entry.path, cl_ftruncate(file.raw, entry.size)) }
        var written: Int64 = 0
        while let (offset, bytes) = try archive({ () throws(ArchiveError) in try reader.readSegment() }) {
            var done = 0
            while done < bytes.count {
                let rest = UnsafeRawBufferPointer(rebasing: bytes[done...])
                let count =
                    entry.isSparse
                    ? cl_pwrite(file.raw, rest.baseAddress, rest.count, offset + Int64(done))
                    : cl_write(file.raw, rest.baseAddress, rest.count)
                guard count > 0 else { throw writeFailure(entry, count) }
                done += count
            }
            written += Int64(bytes.count)
            if written & ~0x1ffffff != (written - Int64(bytes.count)) & ~0x1ffffff {
                try checkSpace()
                try archive { () throws(ArchiveError) in try cancellation?.check("unpack layer") }
            }
        }
        // In this order: a write and a change of owner clear set-id bits and capabilities, so those come after; the time last.
        if entry.uid != ownUser || entry.gid != ownGroup {
            try owner(entry, cl_fchownat(file.raw, "", entry.uid, entry.gid, atEmptyPath))
        }
        if entry.mode & 0o7000 != 0 { try step(entry.path, cl_fchmod(file.raw, entry.mode)) }
        try setAttributes(entry) { cl_setxattr(file.raw, $0, $1, $2, 0) }
        var times = [timespec(), timespec()]
        times[0].tv_sec = Int(entry.modification.seconds)
        times[0].tv_nsec = Int(entry.modification.nanoseconds)
        times[1] = times[0]
        if futimens(file.raw, times) != 0 { try step(entry.path, -errno) }
    }

    private func makeDirectory(
        _ entry: TarEntry, _ path: LayerPath, _ parent: SharedFD, _ name: [UInt8]
    ) throws(StoreError) {
        var isNew = true
        // Open to the owner until the end: an ordinary user could not fill a directory of mode 0555.
        var result = withName(name) { cl_mkdirat(parent.raw, $0, 0o755) }
        if result == -EEXIST {
            var information = stat()
            try step(entry.path, withName(name) { cl_fstatat(parent.raw, $0, &information, AT_SYMLINK_NOFOLLOW) })
            if information.st_mode & S_IFMT != S_IFDIR {
                try remove(information, parent, name, entry.path)
                result = withName(name) { cl_mkdirat(parent.raw, $0, 0o755) }
                if isWhiteoutNode(information), result == 0 { try makeOpaque(parent, name) }
            } else {
                result = 0
                isNew = false
            }
        }
        try step(entry.path, result)
        try addPending(path.full, entry, isNew: isNew)
    }

    private func makeHardLink(_ entry: TarEntry, _ parent: SharedFD, _ name: [UInt8]) throws(StoreError) {
        let target = try LayerPath(entry.linkPath)
        guard !target.isRoot, case .none = isLayer ? try target.whiteout() : .none else {
            throw layerFailure(.corrupt, entry.path, "hard link to \"\(shown(entry.linkPath))\"")
        }
        let from = try directories.directory(target.parent, create: false)
        let targetName = target.name
        var information = stat()
        let found = withName(targetName) { cl_fstatat(from.raw, $0, &information, AT_SYMLINK_NOFOLLOW) }
        if found == -ENOENT || found == 0 && isWhiteoutNode(information) {
            throw layerFailure(.corrupt, entry.path, "hard link to \"\(shown(entry.linkPath))\", which is not in the layer")
        }
        try step(entry.path, found)
        guard information.st_mode & S_IFMT != S_IFDIR else {
            throw layerFailure(.corrupt, entry.path, "hard link to a directory")
        }
        var existing = stat()
        let present = withName(name) { cl_fstatat(parent.raw, $0, &existing, AT_SYMLINK_NOFOLLOW) }
        // Already the same file: replacing it would remove what it links to.
        if present == 0, existing.st_ino == information.st_ino { return }
        try create(entry, parent, name) { name in
            withName(targetName) { cl_linkat(from.raw, $0, parent.raw, name, 0) }
        }
    }

    private func makeDevice(_ entry: TarEntry, _ parent: SharedFD, _ name: [UInt8]) throws(StoreError) {
        if entry.kind == .characterDevice, entry.major == 0, entry.minor == 0 {
            notes.droppedWhiteoutNodes += 1
            return
        }
        if isInUserNamespace {
            notes.skippedDevices += 1
            return
        }
        let type: UInt32 = entry.kind == .characterDevice ? S_IFCHR : S_IFBLK
        let device = cl_makedev(entry.major, entry.minor)
        try create(entry, parent, name) { cl_mknodat(parent.raw, $0, type | entry.mode, device) }
        try setMetadata(entry, parent, name)
    }

    // MARK: Replacing

    /// Makes a name with `make`; whatever has it already is removed first (the last entry of a name wins).
    private func create(
        _ entry: TarEntry, _ parent: SharedFD, _ name: [UInt8], _ make: (UnsafePointer<CChar>) -> Int32
    ) throws(StoreError) {
        var result = withName(name, make)
        if result == -EEXIST {
            var information = stat()
            try step(entry.path, withName(name) { cl_fstatat(parent.raw, $0, &information, AT_SYMLINK_NOFOLLOW) })
            try remove(information, parent, name, entry.path)
            result = withName(name, make)
        }
        try step(entry.path, result)
    }

    private func remove(
        _ information: stat, _ parent: SharedFD, _ name: [UInt8], _ path: [UInt8]
    ) throws(StoreError) {
        switch information.st_mode & S_IFMT {
        case S_IFDIR:
            directories.forget()
            guard removed.count < limits.directories else { throw tooManyDirectories }
            if !pending.isEmpty { removed[try LayerPath(path).full] = pending.count }
            try system { () throws(SystemError) in try removeTree(parent.fd, bytes: name) }
        case S_IFLNK:
            directories.forget()
            try step(path, withName(name) { cl_unlinkat(parent.raw, $0, 0) })
        default:
            try step(path, withName(name) { cl_unlinkat(parent.raw, $0, 0) })
        }
    }

    // MARK: Limits and errors

    /// Stops before the disk is full: a full disk takes the database and every container down.
    private func checkSpace() throws(StoreError) {
        sinceSpaceCheck = 0
        if let shortage = spaceShortage(directories.root.fd) { throw StoreError(shortage) }
    }

    private func writeFailure(_ entry: TarEntry, _ result: Int) -> StoreError {
        let error = Errno(rawValue: Int32(truncatingIfNeeded: -result))
        return StoreError(
            error == .noSpace ? .noSpace : .system, "unpack layer entry", shown(entry.path), cause: error.description,
            systemError: error)
    }

    /// Turns a failed call into an error about the entry.
    func step(_ path: [UInt8], _ result: Int32) throws(StoreError) {
        if result >= 0 { return }
        let error = Errno(rawValue: -result)
        let code: StoreError.Code =
            switch error {
            case .noSpace: .noSpace
            case .nameTooLong, .tooBig, Errno(rawValue: EMLINK): .tooLarge
            default: .system
            }
        throw StoreError(code, "unpack layer entry", shown(path), cause: error.description, systemError: error)
    }

    /// As ``step(_:_:)`` for a change of owner, whose usual failure has a remedy.
    func owner(_ entry: TarEntry, _ result: Int32) throws(StoreError) {
        guard result == -EINVAL || result == -EPERM, isInUserNamespace else { return try step(entry.path, result) }
        let highest = max(entry.uid, entry.gid)
        throw StoreError(
            .invalid, "unpack layer entry", shown(entry.path),
            cause: "owner \(entry.uid):\(entry.gid) is not mapped in the user namespace; give the user more subordinate ids, "
                + "e.g. usermod --add-subuids 100000-\(100_000 + max(UInt64(highest), 65535)) "
                + "--add-subgids 100000-\(100_000 + max(UInt64(highest), 65535)) USER",
            systemError: Errno(rawValue: -result))
    }

    func addPending(_ path: [UInt8], _ entry: TarEntry, isNew: Bool) throws(StoreError) {
        guard pending.count < limits.directories else { throw tooManyDirectories }
        pending.append(PendingDirectory(path, entry, isNew: isNew))
    }

    private var tooManyDirectories: StoreError {
        StoreError(.tooLarge, "unpack layer", cause: "more than \(limits.directories) directories")
    }

    func note(_ change: (inout Notes) -> Void) { change(&notes) }
}

/// AT_EMPTY_PATH: the call is about the descriptor itself. Hidden by the Glibc module.
let atEmptyPath: Int32 = 0x1000

/// An archive's name, safe to show.
func shown(_ path: [UInt8]) -> String { printable(path) }
