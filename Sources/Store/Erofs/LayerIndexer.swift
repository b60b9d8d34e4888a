import Archive
import Glibc
import Linux

/// Reads a layer's tar and remembers what ``LayerUnpacker`` would make of it, without making anything.
///
/// The rules are the unpacker's, entry by entry. What an index cannot say, or what only the kernel can judge, is an
/// ``obstacle``: then the layer is unpacked after all.
final class LayerIndexer {
    let tree = LayerTree()
    private(set) var notes = LayerUnpacker.Notes()
    /// Why there can be no index of this layer.
    private(set) var obstacle: String?

    private let limits: LayerUnpacker.Limits
    private let cancellation: Cancellation?
    private var entries = 0
    private var directories = 0
    private var total: Int64 = 0
    /// Where the last entry went.
    private var lastPath: [UInt8] = []
    private var last = LayerTree.root

    /// Most links on the way to a directory, as the kernel has it.
    private static let maximumLinks = 40

    init(limits: LayerUnpacker.Limits = LayerUnpacker.Limits(), cancellation: Cancellation? = nil) {
        self.limits = limits
        self.cancellation = cancellation
    }

    /// Reads up to the end of the archive, or up to an obstacle.
    ///
    /// - Throws: what ``LayerUnpacker/unpack(_:)`` throws for such an archive.
    func read(_ reader: TarReader) throws(StoreError) {
        while let entry = try archive({ () throws(ArchiveError) in try reader.next() }) {
            try archive { () throws(ArchiveError) in try cancellation?.check("unpack layer") }
            entries += 1
            guard entries <= limits.entries else {
                throw StoreError(.tooLarge, "unpack layer", cause: "more than \(limits.entries) entries")
            }
            try add(entry, at: reader.position)
            if tree.isFull { obstacle = "it has too many files" }
            if obstacle != nil { return }
        }
    }

    private func add(_ entry: TarEntry, at position: Int64) throws(StoreError) {
        let path = try LayerPath(entry.path)
        if path.isRoot {
            guard entry.kind == .directory else { throw layerFailure(.corrupt, entry.path, "the root is no directory") }
            return try describe(LayerTree.root, entry)
        }
        switch try path.whiteout() {
        case .none: break
        case .ignored: return
        case .opaque:
            tree.inodes[Int(try directory(path.parent))].isOpaque = true
            return
        case .name(let hidden): return hide(hidden.dropLast(), in: try directory(path.parent))
        }
        let parent = try directory(path.parent)
        let name = path.name.dropLast()
        switch entry.kind {
        case .file: try addFile(entry, name, parent, position)
        case .directory: try addDirectory(entry, name, parent)
        case .hardLink: try addHardLink(entry, name, parent)
        case .symbolicLink: try addLink(entry, name, parent)
        case .fifo: try place(inode(entry, S_IFIFO | entry.mode), name, parent)
        case .characterDevice, .blockDevice: try addDevice(entry, name, parent)
        }
    }

    // MARK: Kinds

    private func addFile(
        _ entry: TarEntry, _ name: ArraySlice<UInt8>, _ parent: Int32, _ position: Int64
    ) throws(StoreError) {
        let (sum, overflow) = total.addingReportingOverflow(entry.size)
        guard entry.size >= 0, entry.size <= limits.size, !overflow, sum <= limits.size else {
            throw StoreError(.tooLarge, "unpack layer", cause: "more than \(limits.size) bytes")
        }
        total = sum
        if entry.isSparse { return obstacle = "\"\(shown(entry.path))\" is sparse" }
        guard position % 512 == 0 else { return obstacle = "its files do not begin at blocks" }
        var file = try inode(entry, S_IFREG | entry.mode)
        file.size = entry.size
        file.place = entry.size == 0 ? 0 : position
        place(file, name, parent)
    }

    private func addDirectory(_ entry: TarEntry, _ name: ArraySlice<UInt8>, _ parent: Int32) throws(StoreError) {
        let known = tree.find(name, in: parent)
        if let known, tree.inodes[Int(known)].isDirectory { return try describe(known, entry) }
        try describe(makeDirectory(name, parent, replacing: known), entry)
    }

    private func addHardLink(_ entry: TarEntry, _ name: ArraySlice<UInt8>, _ parent: Int32) throws(StoreError) {
        let target = try LayerPath(entry.linkPath)
        guard !target.isRoot, case .none = try target.whiteout() else {
            throw layerFailure(.corrupt, entry.path, "hard link to \"\(shown(entry.linkPath))\"")
        }
        let from = try directory(target.parent, create: false)
        guard let inode = tree.find(target.name.dropLast(), in: from), !tree.inodes[Int(inode)].isWhiteout else {
            throw layerFailure(.corrupt, entry.path, "hard link to \"\(shown(entry.linkPath))\", which is not in the layer")
        }
        guard !tree.inodes[Int(inode)].isDirectory else {
            throw layerFailure(.corrupt, entry.path, "hard link to a directory")
        }
        set(name, parent, inode)
    }

    private func addLink(_ entry: TarEntry, _ name: ArraySlice<UInt8>, _ parent: Int32) throws(StoreError) {
        // As the system call would see it.
        let target = Array(entry.linkPath.prefix { $0 != 0 })
        guard !target.isEmpty else { return obstacle = "\"\(shown(entry.path))\" leads nowhere" }
        guard target.count <= LayerPath.maximumLength else {
            throw layerFailure(.tooLarge, entry.path, "target longer than 4095 bytes")
        }
        var link = try inode(entry, S_IFLNK | 0o777)
        link.size = Int64(target.count)
        link.place = tree.add(target: target)
        place(link, name, parent)
    }

    private func addDevice(_ entry: TarEntry, _ name: ArraySlice<UInt8>, _ parent: Int32) throws(StoreError) {
        if entry.kind == .characterDevice, entry.major == 0, entry.minor == 0 {
            notes.droppedWhiteoutNodes += 1
            return
        }
        // What fits into the kernel's dev_t.
        guard entry.major < 1 << 12, entry.minor < 1 << 20 else {
            return obstacle = "\"\(shown(entry.path))\" has a large device number"
        }
        var device = try inode(entry, (entry.kind == .characterDevice ? S_IFCHR : S_IFBLK) | entry.mode)
        device.place = Int64(entry.minor & 0xff | entry.major << 8 | (entry.minor & ~0xff) << 12)
        place(device, name, parent)
    }

    private func hide(_ name: ArraySlice<UInt8>, in parent: Int32) {
        guard let known = tree.find(name, in: parent) else {
            return place(LayerTree.Inode(mode: S_IFCHR), name, parent)
        }
        // This layer has its own: a file hides the lower one anyway, a directory must not be merged with it.
        if tree.inodes[Int(known)].isDirectory { tree.inodes[Int(known)].isOpaque = true }
    }

    // MARK: Placing

    private func place(_ inode: LayerTree.Inode, _ name: ArraySlice<UInt8>, _ parent: Int32) {
        set(name, parent, tree.add(inode))
    }

    /// The last entry of a name wins.
    private func set(_ name: ArraySlice<UInt8>, _ parent: Int32, _ inode: Int32) {
        if let known = tree.find(name, in: parent), tree.inodes[Int(known)].isDirectory || tree.inodes[Int(known)].isLink {
            // It may be on the way to where the last entry went.
            lastPath = []
            last = LayerTree.root
        }
        tree.set(name, in: parent, to: inode)
    }

    private func makeDirectory(_ name: ArraySlice<UInt8>, _ parent: Int32, replacing known: Int32?) -> Int32 {
        var directory = LayerTree.Inode(mode: S_IFDIR | 0o755)
        directory.place = Int64(parent)
        // In the place of a whiteout it must hide what lower layers have in theirs.
        if let known { directory.isOpaque = tree.inodes[Int(known)].isWhiteout }
        let made = tree.add(directory)
        set(name, parent, made)
        return made
    }

    /// Takes over what an entry says about a directory that is there.
    private func describe(_ directory: Int32, _ entry: TarEntry) throws(StoreError) {
        directories += 1
        guard directories <= limits.directories else {
            throw StoreError(.tooLarge, "unpack layer", cause: "more than \(limits.directories) directories")
        }
        var known = tree.inodes[Int(directory)]
        let described = try inode(entry, S_IFDIR | entry.mode, earlier: known.attributes)
        (known.mode, known.uid, known.gid) = (described.mode, described.uid, described.gid)
        (known.modification, known.attributes) = (described.modification, described.attributes)
        tree.inodes[Int(directory)] = known
    }

    /// - Parameter earlier: attributes it has already, which stay unless the entry has its own of the name.
    private func inode(_ entry: TarEntry, _ mode: UInt32, earlier: Int32 = -1) throws(StoreError) -> LayerTree.Inode {
        var inode = LayerTree.Inode(mode: mode)
        // chown(2) takes -1 for "as it is".
        inode.uid = entry.uid == .max ? 0 : entry.uid
        inode.gid = entry.gid == .max ? 0 : entry.gid
        inode.modification = entry.modification
        inode.attributes = earlier
        if entry.xattrs.isEmpty { return inode }
        var kept = earlier >= 0 ? tree.attributes[Int(earlier)] : []
        for attribute in entry.xattrs {
            if isPrivateAttribute(attribute.name) {
                notes.droppedAttributes += 1
                continue
            }
            guard ErofsAttribute.canHold(attribute, mode: mode) else {
                obstacle = "\"\(shown(entry.path))\" has the attribute \"\(shown(attribute.name))\""
                return inode
            }
            kept.removeAll { $0.name == attribute.name }
            kept.append(attribute)
        }
        guard ErofsAttribute.size(of: kept, isOpaque: true) <= ErofsAttribute.maximumSize else {
            obstacle = "\"\(shown(entry.path))\" has large attributes"
            return inode
        }
        if !kept.isEmpty { inode.attributes = tree.add(attributes: kept) }
        return inode
    }
}

extension LayerIndexer {
    private enum Step {
        case directory(Int32)
        case missing
        case notDirectory
        case loop
    }

    /// The directory `path` (empty: the root), with links inside the layer followed; made with its parents where it is missing.
    private func directory(_ path: [UInt8], create: Bool = true) throws(StoreError) -> Int32 {
        if path == lastPath { return last }
        var current = LayerTree.root
        var links = 0
        for part in path.split(separator: UInt8(ascii: "/")) {
            switch step(part, from: current, &links) {
            case .directory(let next): current = next
            case .missing where !create: throw layerFailure(.notFound, path, "no such file or directory")
            case .loop: throw layerFailure(.corrupt, path, "a directory of the path is none")
            case .missing, .notDirectory:
                let known = tree.find(part, in: current)
                guard create, known.map({ tree.inodes[Int($0)].isWhiteout }) ?? true else {
                    let prefix = create ? Array(path[..<part.endIndex]) : path
                    throw layerFailure(.corrupt, prefix, "a directory of the path is none")
                }
                current = makeDirectory(part, current, replacing: known)
            }
        }
        (lastPath, last) = (path, current)
        return current
    }

    private func step(_ part: ArraySlice<UInt8>, from directory: Int32, _ links: inout Int) -> Step {
        guard let found = tree.find(part, in: directory) else { return .missing }
        let inode = tree.inodes[Int(found)]
        if inode.isDirectory { return .directory(found) }
        return inode.isLink ? follow(inode, from: directory, &links) : .notDirectory
    }

    /// As `openat2(2)` with RESOLVE_IN_ROOT: absolute targets begin at the layer's root, and nothing is above it.
    private func follow(_ link: LayerTree.Inode, from directory: Int32, _ links: inout Int) -> Step {
        var current = directory
        var pending: [ArraySlice<UInt8>] = []
        func enter(_ link: LayerTree.Inode) -> Bool {
            links += 1
            let target = tree.target(link)
            if target.first == UInt8(ascii: "/") { current = LayerTree.root }
            pending += target.split(separator: UInt8(ascii: "/")).reversed()
            return links <= LayerIndexer.maximumLinks
        }
        guard enter(link) else { return .loop }
        while let part = pending.popLast() {
            if part.elementsEqual([0x2e]) { continue }
            if part.elementsEqual([0x2e, 0x2e]) {
                // The root's own `place` is the root.
                current = Int32(truncatingIfNeeded: tree.inodes[Int(current)].place)
                continue
            }
            guard let found = tree.find(part, in: current) else { return .missing }
            let inode = tree.inodes[Int(found)]
            if inode.isDirectory {
                current = found
            } else if inode.isLink {
                guard enter(inode) else { return .loop }
            } else {
                return .notDirectory
            }
        }
        return .directory(current)
    }
}
