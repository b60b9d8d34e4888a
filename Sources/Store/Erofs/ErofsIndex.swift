import Archive
import Glibc
import OCI

/// Writes the index of a layer: an erofs image of directories and inodes only, whose files lie in the layer's tar.
///
/// The tar is the image's second device. It begins, in blocks, where the index ends ("unified address"), so a file is a plain
/// extent of that range and needs nothing but its inode. Blocks have 512 bytes, as a tar's do. The bytes depend on the tar
/// alone: an index can be proved by writing it once more.
///
/// Fact source: the kernel's fs/erofs/erofs_fs.h and Documentation/filesystems/erofs.rst; multiple devices: Linux 5.16,
/// blocks smaller than a page: 6.4, images in files: 6.12.
struct ErofsIndex {
    /// An inode with its place in the image.
    private struct Placed {
        var inode: Int32
        var parent: Int32
        var links: UInt32
        var offset = 0
        var attributes = 0
        /// First of the blocks its data has of its own, counted from the end of the inodes; their number.
        var block = 0
        var blocks = 0
        /// Bytes that stand right behind the inode.
        var tail = 0
        var size: Int64 = 0
    }

    static let blockSize = 512
    private static let superblock = 1024
    private static let deviceSlot = 1152
    private static let firstInode = 1280
    private static let inodeSize = 64
    private static let entrySize = 12
    /// A longer tail has a block of its own: it would leave gaps where it does not fit.
    private static let maximumTail = 384

    private let tree: LayerTree
    private var placed: [Placed] = []
    /// Into `placed`, by inode; -1 for what cannot be reached.
    private var position: [Int32]
    /// Into the tree's names, directory by directory, in the order of their bytes.
    private var children: [Int32] = []
    /// Where a directory's begin in `children`.
    private var firstChild: [Int]

    init(_ tree: LayerTree) {
        self.tree = tree
        position = [Int32](repeating: -1, count: tree.inodes.count)
        firstChild = [Int](repeating: 0, count: tree.inodes.count + 1)
        collectChildren()
        order()
    }

    /// The image; nil when the tar is larger than 32 bits of blocks can say (2 TiB).
    ///
    /// - Parameters:
    ///   - diffID: of the tar; the device's tag, and the image's UUID.
    ///   - tarSize: bytes.
    mutating func image(diffID: Digest, tarSize: Int64) -> [UInt8]? {
        let block = Self.blockSize
        let (inodeBlocks, dataBlocks) = place()
        let blocks = inodeBlocks + dataBlocks
        let tarBlocks = tarSize / Int64(block) + (tarSize % Int64(block) == 0 ? 0 : 1)
        guard tarBlocks >= 0, Int64(blocks) + tarBlocks < Int64(UInt32.max) else { return nil }
        var image = ErofsImage(size: blocks * block)
        writeSuperblock(&image, blocks: blocks, diffID)
        writeDevice(&image, blocks: blocks, tarBlocks: tarBlocks, diffID)
        for (number, entry) in placed.enumerated() {
            write(entry, number: number, to: &image, dataStart: inodeBlocks, tarStart: blocks)
        }
        return image.bytes
    }

    // MARK: Order

    private mutating func collectChildren() {
        let tree = self.tree
        let names = tree.names
        for name in names where name.inode >= 0 { firstChild[Int(name.directory) + 1] += 1 }
        for index in 1..<firstChild.count { firstChild[index] += firstChild[index - 1] }
        var next = firstChild
        children = [Int32](repeating: 0, count: firstChild.last ?? 0)
        for (index, name) in names.enumerated() where name.inode >= 0 {
            children[next[Int(name.directory)]] = Int32(truncatingIfNeeded: index)
            next[Int(name.directory)] += 1
        }
        for directory in tree.inodes.indices where firstChild[directory + 1] - firstChild[directory] > 1 {
            children[firstChild[directory]..<firstChild[directory + 1]].sort {
                tree.name(Int($0)).lexicographicallyPrecedes(tree.name(Int($1)))
            }
        }
    }

    private func children(of directory: Int32) -> ArraySlice<Int32> {
        children[firstChild[Int(directory)]..<firstChild[Int(directory) + 1]]
    }

    /// The root first, as its number has 16 bits only; then level by level.
    private mutating func order() {
        placed.append(Placed(inode: LayerTree.root, parent: LayerTree.root, links: 2))
        position[Int(LayerTree.root)] = 0
        var index = 0
        while index < placed.count {
            let directory = placed[index].inode
            if tree.inodes[Int(directory)].isDirectory {
                for child in children(of: directory) {
                    let inode = tree.names[Int(child)].inode
                    let isDirectory = tree.inodes[Int(inode)].isDirectory
                    if isDirectory { placed[index].links += 1 }
                    if position[Int(inode)] >= 0 {
                        placed[Int(position[Int(inode)])].links += 1
                        continue
                    }
                    position[Int(inode)] = Int32(truncatingIfNeeded: placed.count)
                    placed.append(Placed(inode: inode, parent: directory, links: isDirectory ? 2 : 1))
                }
            }
            index += 1
        }
    }

    // MARK: Places

    /// - Returns: blocks up to the end of the inodes, and blocks of data behind them.
    private mutating func place() -> (inodes: Int, data: Int) {
        let block = Self.blockSize
        var offset = Self.firstInode
        var data = 0
        for index in placed.indices {
            var entry = placed[index]
            let inode = tree.inodes[Int(entry.inode)]
            entry.size = inode.isDirectory ? directorySize(entry.inode) : inode.size
            if inode.isDirectory || inode.isLink {
                entry.tail = Int(entry.size) % block
                entry.blocks = Int(entry.size) / block
                if entry.tail > Self.maximumTail || inode.isLink && entry.blocks > 0 {
                    entry.blocks += entry.tail > 0 ? 1 : 0
                    entry.tail = 0
                }
            }
            entry.attributes = ErofsAttribute.size(of: attributes(inode), isOpaque: inode.isOpaque)
            let head = Self.inodeSize + entry.attributes
            // A tail may not cross the border of a block.
            while entry.tail > 0, (offset + head) % block + entry.tail > block { offset += 32 }
            entry.offset = offset
            entry.block = data
            data += entry.blocks
            offset = (offset + head + entry.tail + 31) & ~31
            placed[index] = entry
        }
        return ((offset + block - 1) / block, data)
    }

    private func attributes(_ inode: LayerTree.Inode) -> [ExtendedAttribute] {
        inode.attributes >= 0 ? tree.attributes[Int(inode.attributes)] : []
    }

    private func directorySize(_ directory: Int32) -> Int64 {
        var size: Int64 = 0
        var used = 0
        forEachEntry(of: directory) { name, _ in
            if used + Self.entrySize + name.count > Self.blockSize {
                size += Int64(Self.blockSize)
                used = 0
            }
            used += Self.entrySize + name.count
        }
        return size + Int64(used)
    }

    /// All names in a directory with what they name, `.` and `..` in their places among the others.
    private func forEachEntry(of directory: Int32, _ body: (ArraySlice<UInt8>, _ inode: Int32) -> Void) {
        let dot: UInt8 = UInt8(ascii: ".")
        var dots: [(name: ArraySlice<UInt8>, inode: Int32)] = [
            ([dot, dot], Int32(truncatingIfNeeded: tree.inodes[Int(directory)].place)), ([dot], directory),
        ]
        for child in children(of: directory) {
            let name = tree.name(Int(child))
            while let next = dots.last, next.name.lexicographicallyPrecedes(name) {
                body(next.name, next.inode)
                dots.removeLast()
            }
            body(name, tree.names[Int(child)].inode)
        }
        while let next = dots.popLast() { body(next.name, next.inode) }
    }

    // MARK: Bytes

    private func writeSuperblock(_ image: inout ErofsImage, blocks: Int, _ diffID: Digest) {
        let start = Self.superblock
        image.put(UInt32(0xe0f5_e1e2), at: start)
        image.put(UInt32(0x2), at: start + 8)  // EROFS_FEATURE_COMPAT_MTIME
        image.put(UInt8(9), at: start + 12)  // 2^9 bytes a block
        image.put(UInt16(truncatingIfNeeded: number(of: LayerTree.root)), at: start + 14)
        image.put(UInt64(truncatingIfNeeded: placed.count), at: start + 16)
        image.put(UInt32(truncatingIfNeeded: blocks), at: start + 36)
        image.put(diffID.bytes.prefix(16), at: start + 48)
        image.put(UInt32(0x8), at: start + 80)  // EROFS_FEATURE_INCOMPAT_DEVICE_TABLE
        image.put(UInt16(1), at: start + 86)
        image.put(UInt16(Self.deviceSlot / 128), at: start + 88)
    }

    private func writeDevice(_ image: inout ErofsImage, blocks: Int, tarBlocks: Int64, _ diffID: Digest) {
        image.put(Array(diffID.hex.utf8).prefix(64), at: Self.deviceSlot)
        image.put(UInt32(truncatingIfNeeded: tarBlocks), at: Self.deviceSlot + 64)
        image.put(UInt32(truncatingIfNeeded: blocks), at: Self.deviceSlot + 68)
    }

    /// What erofs calls the number of an inode is its place.
    private func number(of inode: Int32) -> UInt64 {
        let index = position[Int(inode)]
        return index < 0 ? 0 : UInt64(placed[Int(index)].offset / 32)
    }

    private func write(_ entry: Placed, number: Int, to image: inout ErofsImage, dataStart: Int, tarStart: Int) {
        let inode = tree.inodes[Int(entry.inode)]
        let start = entry.offset
        // An extended inode; a flat one, with (2) or without (0) a tail.
        image.put(UInt16(1 | (entry.tail > 0 ? 2 : 0) << 1), at: start)
        if entry.attributes > 0 { image.put(UInt16(truncatingIfNeeded: (entry.attributes - 12) / 4 + 1), at: start + 2) }
        image.put(UInt16(truncatingIfNeeded: inode.mode), at: start + 4)
        image.put(UInt64(bitPattern: entry.size), at: start + 8)
        let data: Int64
        switch inode.mode & S_IFMT {
        case S_IFREG: data = inode.size == 0 ? 0 : Int64(tarStart) + inode.place / Int64(Self.blockSize)
        case S_IFDIR, S_IFLNK: data = entry.blocks == 0 ? 0 : Int64(dataStart + entry.block)
        case S_IFCHR, S_IFBLK: data = inode.place
        default: data = 0
        }
        image.put(UInt32(truncatingIfNeeded: data), at: start + 16)
        image.put(UInt32(truncatingIfNeeded: number + 1), at: start + 20)
        image.put(inode.uid, at: start + 24)
        image.put(inode.gid, at: start + 28)
        image.put(inode.modification.seconds, at: start + 32)
        image.put(inode.modification.nanoseconds, at: start + 40)
        image.put(entry.links, at: start + 44)
        ErofsAttribute.write(attributes(inode), isOpaque: inode.isOpaque, to: &image, at: start + Self.inodeSize)
        let tail = start + Self.inodeSize + entry.attributes
        if inode.isLink {
            image.put(tree.target(inode), at: entry.tail > 0 ? tail : (dataStart + entry.block) * Self.blockSize)
        } else if inode.isDirectory {
            writeDirectory(entry, to: &image, blocks: (dataStart + entry.block) * Self.blockSize, tail: tail)
        }
    }

    /// Blocks of entries, each with its names behind them.
    private func writeDirectory(_ entry: Placed, to image: inout ErofsImage, blocks: Int, tail: Int) {
        var pending: [(name: ArraySlice<UInt8>, inode: Int32)] = []
        var used = 0
        var block = 0
        func flush() {
            var start = blocks + block * Self.blockSize
            if entry.tail > 0, block == entry.blocks { start = tail }
            var name = pending.count * Self.entrySize
            for (index, child) in pending.enumerated() {
                let place = start + index * Self.entrySize
                image.put(self.number(of: child.inode), at: place)
                image.put(UInt16(truncatingIfNeeded: name), at: place + 8)
                image.put(Self.type(tree.inodes[Int(child.inode)].mode), at: place + 10)
                image.put(child.name, at: start + name)
                name += child.name.count
            }
            pending.removeAll(keepingCapacity: true)
            used = 0
            block += 1
        }
        forEachEntry(of: entry.inode) { name, inode in
            if used + Self.entrySize + name.count > Self.blockSize { flush() }
            pending.append((name, inode))
            used += Self.entrySize + name.count
        }
        flush()
    }

    private static func type(_ mode: UInt32) -> UInt8 {
        switch mode & S_IFMT {
        case S_IFREG: 1
        case S_IFDIR: 2
        case S_IFCHR: 3
        case S_IFBLK: 4
        case S_IFIFO: 5
        case S_IFLNK: 7
        default: 0
        }
    }
}
