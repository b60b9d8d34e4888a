import CLinux
import Glibc
import Linux

/// Reads an index that ``ErofsIndex`` wrote, without mounting it: a mount and its end cost ten times what a few reads do, and
/// `run` only wants to know who `/etc/passwd` says its user is.
///
/// Whatever the bytes are, a damaged index is an error (EIO) and nothing else.
public final class LayerIndexReader {
    public struct Node: Sendable {
        /// Type and permissions.
        public let mode: UInt32
        public let size: Int64
        fileprivate let offset: Int64
        /// Bytes of attributes behind the inode.
        fileprivate let attributes: Int64
        /// First block of its data; the number of a device.
        fileprivate let data: UInt32
        fileprivate let hasTail: Bool

        public var isDirectory: Bool { mode & S_IFMT == S_IFDIR }
        public var isLink: Bool { mode & S_IFMT == S_IFLNK }
        public var isFile: Bool { mode & S_IFMT == S_IFREG }
        /// Overlay's mark for "hidden".
        public var isWhiteout: Bool { mode & S_IFMT == S_IFCHR && data == 0 }
    }

    private static let block: Int64 = 512
    private let path: String
    private let index: OwnedFD
    private let tar: OwnedFD
    private let blocks: UInt32
    private let rootOffset: Int64

    public init(_ path: String) throws(SystemError) {
        self.path = path
        index = try FD.cwd.open(path, [.readOnly, .noFollow])
        tar = try FD.cwd.open(String(path.dropLast(6)) + ".tar", [.readOnly, .noFollow])
        let superblock = try Self.read(index.fd, at: 1024, count: 128, path)
        guard Self.number(superblock, 0, 4) == 0xe0f5_e1e2, superblock[12] == 9, Self.number(superblock, 80, 4) == 8 else {
            throw SystemError(.io, "read layer index", path)
        }
        rootOffset = Int64(Self.number(superblock, 14, 2)) * 32
        blocks = UInt32(truncatingIfNeeded: Self.number(superblock, 36, 4))
    }

    public func root() throws(SystemError) -> Node {
        let root = try node(at: rootOffset)
        guard root.isDirectory else { throw damaged }
        return root
    }

    /// What has a name in a directory; nil for nothing.
    public func find(_ name: String, in directory: Node) throws(SystemError) -> Node? {
        let wanted = Array(name.utf8)
        // The last block whose first name is not behind the one that is wanted.
        var low: Int64 = 0
        var high = (directory.size + Self.block - 1) / Self.block
        while high - low > 1 {
            let middle = low + (high - low) / 2
            guard let first = try entries(directory, middle).first else { throw damaged }
            if wanted.lexicographicallyPrecedes(first.name) { high = middle } else { low = middle }
        }
        if high == 0 { return nil }
        guard let entry = try entries(directory, low).first(where: { $0.name == wanted }) else { return nil }
        guard entry.number < UInt64(blocks) * 16 else { throw damaged }
        return try node(at: Int64(entry.number) * 32)
    }

    /// The target of a link.
    public func target(of link: Node) throws(SystemError) -> String {
        guard link.isLink, link.size > 0, link.size < 4096 else { throw damaged }
        return String(decoding: try data(link, from: 0, count: Int(link.size)), as: UTF8.self)
    }

    /// A file's bytes. The caller has looked at its size.
    public func contents(of file: Node) throws(SystemError) -> [UInt8] {
        if file.size == 0 { return [] }
        guard file.isFile, file.data >= blocks, file.size <= 1 << 30 else { throw damaged }
        return try Self.read(tar.fd, at: Int64(file.data - blocks) * Self.block, count: Int(file.size), path)
    }

    /// Whether a directory hides what is below it.
    public func isOpaque(_ directory: Node) throws(SystemError) -> Bool {
        if directory.attributes == 0 { return false }
        let bytes = try Self.read(index.fd, at: directory.offset + 64, count: Int(directory.attributes), path)
        var place = 12
        while place + 4 <= bytes.count {
            let (name, value) = (Int(bytes[place]), Int(Self.number(bytes, place + 2, 2)))
            guard place + 4 + name + value <= bytes.count else { throw damaged }
            let isTrusted = bytes[place + 1] == 4
            if isTrusted, bytes[(place + 4)..<(place + 4 + name)].elementsEqual("overlay.opaque".utf8) { return true }
            place += (4 + name + value + 3) & ~3
        }
        return false
    }

    // MARK: Parts

    private var damaged: SystemError { SystemError(.io, "read layer index", path) }

    private func node(at offset: Int64) throws(SystemError) -> Node {
        let bytes = try Self.read(index.fd, at: offset, count: 64, path)
        let format = Self.number(bytes, 0, 2)
        let count = Int64(Self.number(bytes, 2, 2))
        let size = Int64(bitPattern: Self.number(bytes, 8, 8))
        // An extended inode, flat, with or without a tail.
        guard format == 1 || format == 5, size >= 0, size < 1 << 50 else { throw damaged }
        return Node(
            mode: UInt32(truncatingIfNeeded: Self.number(bytes, 4, 2)), size: size, offset: offset,
            attributes: count == 0 ? 0 : 12 + (count - 1) * 4, data: UInt32(truncatingIfNeeded: Self.number(bytes, 16, 4)),
            hasTail: format == 5)
    }

    /// Bytes of a directory or link, which may stand behind the inode.
    private func data(_ node: Node, from start: Int64, count: Int) throws(SystemError) -> [UInt8] {
        let whole = node.hasTail ? node.size / Self.block * Self.block : node.size
        let offset =
            start < whole
            ? Int64(node.data) * Self.block + start : node.offset + 64 + node.attributes + start - whole
        return try Self.read(index.fd, at: offset, count: count, path)
    }

    private func entries(_ directory: Node, _ block: Int64) throws(SystemError) -> [(name: [UInt8], number: UInt64)] {
        let count = Int(min(Self.block, directory.size - block * Self.block))
        guard count >= 12 else { throw damaged }
        let bytes = try data(directory, from: block * Self.block, count: count)
        let entries = Int(Self.number(bytes, 8, 2)) / 12
        guard entries > 0, entries * 12 <= count else { throw damaged }
        var found: [(name: [UInt8], number: UInt64)] = []
        for entry in 0..<entries {
            let from = Int(Self.number(bytes, entry * 12 + 8, 2))
            let to = entry + 1 < entries ? Int(Self.number(bytes, entry * 12 + 20, 2)) : count
            guard from <= to, to <= count else { throw damaged }
            // The last name of a block that is not full ends with a NUL.
            found.append((Array(bytes[from..<to].prefix { $0 != 0 }), Self.number(bytes, entry * 12, 8)))
        }
        return found
    }

    private static func number(_ bytes: [UInt8], _ at: Int, _ count: Int) -> UInt64 {
        var result: UInt64 = 0
        for index in (at..<(at + count)).reversed() { result = result << 8 | UInt64(bytes[index]) }
        return result
    }

    /// Exactly so many bytes.
    private static func read(_ file: FD, at offset: Int64, count: Int, _ path: String) throws(SystemError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        let got = cl_pread(file.rawValue, &bytes, count, offset)
        if got < 0 { throw SystemError(Errno(rawValue: Int32(truncatingIfNeeded: -got)), "read layer index", path) }
        guard got == count else { throw SystemError(.io, "read layer index", path) }
        return bytes
    }
}
