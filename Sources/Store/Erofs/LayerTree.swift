import Archive
import Glibc

/// The files of one layer in memory: what its index is written from.
///
/// Names and link targets lie in one array and are found by one table of open addressing, so that a file costs about 100
/// bytes. Nothing is ever taken out: a name that loses its file is marked, and what was below a directory that was replaced
/// cannot be reached from the root any more.
final class LayerTree {
    struct Inode {
        /// Type and permissions, as `st_mode` has them.
        var mode: UInt32
        var uid: UInt32 = 0
        var gid: UInt32 = 0
        var modification = FileTime(seconds: 0)
        /// Bytes of a file or of a link's target.
        var size: Int64 = 0
        /// Where a file's bytes begin in the tar; where a link's target begins in `text`; the directory that a directory is
        /// in; the number of a device as the kernel's `new_encode_dev` makes it.
        var place: Int64 = 0
        /// Into `attributes`; -1 for none.
        var attributes: Int32 = -1
        /// Hides what lower layers have in the directory.
        var isOpaque = false

        var isDirectory: Bool { mode & S_IFMT == S_IFDIR }
        var isLink: Bool { mode & S_IFMT == S_IFLNK }
        /// Overlay's mark for "hidden": a character device 0:0.
        var isWhiteout: Bool { mode & S_IFMT == S_IFCHR && place == 0 }
    }

    struct Name {
        var directory: Int32
        /// -1: nothing has this name any more.
        var inode: Int32
        var start: Int
        var count: Int
    }

    static let root: Int32 = 0
    /// Bounds on memory: a layer beyond them is kept as a directory instead.
    static let maximumNames = 400_000
    static let maximumText = 64 << 20

    private(set) var names: [Name] = []
    var inodes = [Inode(mode: S_IFDIR | 0o755)]
    private(set) var attributes: [[ExtendedAttribute]] = []
    private(set) var text: [UInt8] = []
    private var attributeBytes = 0
    /// Places in `names`; -1 for free. Its size is a power of two, at least twice the number of names.
    private var table = [Int32](repeating: -1, count: 1024)

    /// Whether it has become larger than memory should hold.
    var isFull: Bool { names.count > LayerTree.maximumNames || text.count + attributeBytes > LayerTree.maximumText }

    /// What has a name in a directory.
    func find(_ name: ArraySlice<UInt8>, in directory: Int32) -> Int32? {
        let known = table[slot(name, directory)]
        guard known >= 0, names[Int(known)].inode >= 0 else { return nil }
        return names[Int(known)].inode
    }

    /// Gives a name to an inode; whatever had it loses it.
    func set(_ name: ArraySlice<UInt8>, in directory: Int32, to inode: Int32) {
        let place = slot(name, directory)
        if table[place] >= 0 {
            names[Int(table[place])].inode = inode
            return
        }
        table[place] = Int32(truncatingIfNeeded: names.count)
        names.append(Name(directory: directory, inode: inode, start: text.count, count: name.count))
        text.append(contentsOf: name)
        if names.count * 2 > table.count { grow() }
    }

    func add(_ inode: Inode) -> Int32 {
        inodes.append(inode)
        return Int32(truncatingIfNeeded: inodes.count - 1)
    }

    func add(attributes list: [ExtendedAttribute]) -> Int32 {
        attributes.append(list)
        for attribute in list { attributeBytes += attribute.name.count + attribute.value.count + 64 }
        return Int32(truncatingIfNeeded: attributes.count - 1)
    }

    /// Keeps a link's target; gives its place.
    func add(target: [UInt8]) -> Int64 {
        text.append(contentsOf: target)
        return Int64(text.count - target.count)
    }

    func name(_ index: Int) -> ArraySlice<UInt8> {
        let name = names[index]
        return text[name.start..<(name.start + name.count)]
    }

    func target(_ inode: Inode) -> ArraySlice<UInt8> {
        let start = Int(inode.place)
        return text[start..<(start + Int(inode.size))]
    }

    private func slot(_ name: ArraySlice<UInt8>, _ directory: Int32) -> Int {
        // Seeded for each process: an attacker cannot choose names that collide.
        var hasher = Hasher()
        hasher.combine(directory)
        name.withUnsafeBytes { hasher.combine(bytes: $0) }
        var place = hasher.finalize() & (table.count - 1)
        while true {
            let known = table[place]
            if known < 0 { return place }
            let other = names[Int(known)]
            if other.directory == directory, other.count == name.count,
                text[other.start..<(other.start + other.count)].elementsEqual(name)
            {
                return place
            }
            place = (place + 1) & (table.count - 1)
        }
    }

    private func grow() {
        table = [Int32](repeating: -1, count: table.count * 2)
        for index in names.indices {
            table[slot(name(index), names[index].directory)] = Int32(truncatingIfNeeded: index)
        }
    }
}
