import Archive
import CLinux
import Glibc
import Linux

/// Where a ``TreeReader`` puts what it finds.
public protocol TreeSink: AnyObject {
    /// Takes an entry, and with it a regular file's content.
    ///
    /// - Parameter content: open for reading at its beginning; of a file that has bytes.
    func add(_ entry: TarEntry, content: FD?) throws(StoreError)

    /// Whether what is in a directory may have come from here: a copy is no part of what is copied.
    func writes(below directory: FileNumber) -> Bool
}

extension TreeSink {
    public func writes(below directory: FileNumber) -> Bool { false }
}

/// Reads a tree that programs of a container may be changing, as entries of an archive: names sorted, so that the same tree
/// gives the same entries.
///
/// Everything is opened without side effects first (O_PATH, never by a link) and looked at; only what then is a regular file or
/// a directory is opened for reading, by that descriptor. So neither a device nor a fifo is ever opened, whatever takes the place
/// of a name meanwhile (CVE-2018-15664 class). Memory holds the names of the directories on the way and one record for each file
/// with several names.
public final class TreeReader {
    private let ids: IDTranslation
    private let marks: OverlayMarks?
    private let isVolume: Bool
    /// Of a volume: what is mounted in it is not its own.
    private var device: UInt64?
    /// The first name of files that have several.
    private var linked: [FileNumber: [UInt8]] = [:]
    /// The first directory that was passed over because the sink writes into it.
    public private(set) var output: [UInt8]?
    /// Whether marks are taken away that mean something only as long as overlay writes to the tree: it becomes a layer.
    var settlesMarks = false
    /// Sockets, which archives cannot hold.
    public private(set) var skippedSockets = 0

    /// What becomes of something that was found.
    public enum Admission: Sendable {
        case taken
        /// Of a directory: it is not told, what is in it may be.
        case passed
        case left
    }

    /// Asked for everything by its path in the archive.
    public var admit: (_ path: [UInt8], _ isDirectory: Bool) -> Admission = { _, _ in .taken }

    /// - Parameters:
    ///   - ids: how the owners of files are told.
    ///   - marks: the tree is an overlay's writable layer: what it hides is told as layers of images tell it.
    ///   - isVolume: the top is told too, as `./`, and nothing of other file systems.
    public init(ids: IDTranslation = .none, marks: OverlayMarks? = nil, isVolume: Bool = false) {
        self.ids = ids
        self.marks = marks
        self.isVolume = isVolume
    }

    /// A directory on the way down.
    private final class Level {
        let directory: SharedFD
        /// Of its entries, with a final slash; empty for the top.
        let path: [UInt8]
        var names: [[UInt8]]

        init(_ directory: SharedFD, _ path: [UInt8], _ names: [[UInt8]]) {
            (self.directory, self.path, self.names) = (directory, path, names)
        }
    }

    /// Reads a node and, if it is a directory, all that is below it.
    ///
    /// - Parameters:
    ///   - node: opened with O_PATH.
    ///   - path: its path in the archive; empty for a directory that is the archive's root, and not told itself.
    public func read(_ node: SharedFD, as path: [UInt8], to sink: any TreeSink) throws(StoreError) {
        // By a stack of its own, as the depth of a tree may come from an attacker.
        var stack: [Level] = []
        if let top = try visit(node, path, sink) { stack.append(top) }
        while let level = stack.last {
            guard let name = level.names.popLast() else {
                stack.removeLast()
                continue
            }
            if marks != nil, name.starts(with: ".wh.".utf8) {
                throw StoreError(
                    .unsupported, "read", printable(level.path + name.dropLast()),
                    cause: "names that begin with .wh. cannot be stored in layers of images: rename it")
            }
            let child = withName(name) { cl_openat(level.directory.raw, $0, 0o10000000 | 0o400000, 0) }
            // Gone since the directory was listed.
            if child == -ENOENT { continue }
            guard child >= 0 else { throw failure("open", level.path + name.dropLast(), child) }
            if let next = try visit(SharedFD(owning: child), level.path + name.dropLast(), sink) { stack.append(next) }
        }
    }

    /// - Returns: what is below, of a directory.
    private func visit(_ node: SharedFD, _ path: [UInt8], _ sink: any TreeSink) throws(StoreError) -> Level? {
        let info = try call("stat", path) { () throws(SystemError) in try node.fd.status() }
        if isVolume {
            if let device, device != UInt64(info.st_dev) { return nil }
            device = UInt64(info.st_dev)
        }
        let isDirectory = info.st_mode & S_IFMT == S_IFDIR
        let admission = admit(path, isDirectory)
        if admission == .left || admission == .passed && !isDirectory { return nil }
        switch info.st_mode & S_IFMT {
        case S_IFDIR: return try visitDirectory(node, info, path, sink, isTold: admission == .taken)
        case S_IFREG: try visitFile(node, info, path, sink)
        case S_IFLNK:
            var entry = entry(.symbolicLink, path, info)
            // C function: readlinkat(2) with an empty path is about the descriptor, Linux 2.6.39.
            entry.linkPath = try call("read link", path) { () throws(SystemError) in try node.fd.readLink(named: [0]) }
            try sink.add(entry, content: nil)
        case S_IFIFO: try sink.add(entry(.fifo, path, info), content: nil)
        case S_IFCHR where info.st_rdev == 0 && marks != nil: try sink.add(OverlayMarks.whiteout(of: path), content: nil)
        case S_IFCHR, S_IFBLK:
            var entry = entry(info.st_mode & S_IFMT == S_IFCHR ? .characterDevice : .blockDevice, path, info)
            entry.major = cl_major(UInt64(info.st_rdev))
            entry.minor = cl_minor(UInt64(info.st_rdev))
            try sink.add(entry, content: nil)
        default: skippedSockets += 1
        }
        return nil
    }

    private func visitDirectory(
        _ node: SharedFD, _ info: stat, _ path: [UInt8], _ sink: any TreeSink, isTold: Bool
    ) throws(StoreError) -> Level? {
        if sink.writes(below: FileNumber(info)) {
            if output == nil { output = path }
            return nil
        }
        let directory = try call("open", path) { () throws(SystemError) in
            SharedFD(try node.fd.open(".", [.readOnly, .directory]))
        }
        let found = settled(directory.fd)
        if isTold, !path.isEmpty || isVolume {
            var entry = entry(.directory, (path.isEmpty ? [UInt8(ascii: ".")] : path) + [UInt8(ascii: "/")], info)
            entry.xattrs = attributes(found)
            try sink.add(entry, content: nil)
        }
        if let marks, try marks.isOpaque(found, path) {
            try sink.add(OverlayMarks.opaque(path), content: nil)
        }
        let names = try call("read", path) { () throws(SystemError) in
            let stream = DirectoryStream(directory)
            var names: [[UInt8]] = []
            do throws(SystemError) { while let name = try stream.next() { names.append(name) } } catch {
                // It was removed meanwhile, with all that was in it.
                if error.errno != .noEntry { throw error }
            }
            return names
        }
        // Taken from the end.
        return Level(
            directory, path.isEmpty ? [] : path + [UInt8(ascii: "/")], names.sorted { $1.lexicographicallyPrecedes($0) })
    }

    private func visitFile(_ node: SharedFD, _ info: stat, _ path: [UInt8], _ sink: any TreeSink) throws(StoreError) {
        if info.st_nlink > 1 {
            let identity = FileNumber(info)
            if let first = linked[identity] {
                var entry = entry(.hardLink, path, info)
                entry.linkPath = first
                return try sink.add(entry, content: nil)
            }
            linked[identity] = path
        }
        let file = try call("open", path) { () throws(SystemError) in SharedFD(try node.fd.reopen(.readOnly)) }
        var entry = entry(.file, path, info)
        entry.size = max(0, Int64(info.st_size))
        let found = settled(file.fd)
        if let marks { _ = try marks.isOpaque(found, path) }
        entry.xattrs = attributes(found)
        try sink.add(entry, content: entry.size > 0 ? file.fd : nil)
    }

    private func entry(_ kind: TarEntry.Kind, _ path: [UInt8], _ info: stat) -> TarEntry {
        TarEntry(
            kind: kind, path: path, mode: UInt32(info.st_mode) & 0o7777, uid: ids.userInside(info.st_uid),
            gid: ids.groupInside(info.st_gid),
            modification: FileTime(seconds: Int64(info.st_mtim.tv_sec), nanoseconds: Int32(truncatingIfNeeded: info.st_mtim.tv_nsec)))
    }

    private func settled(_ file: FD) -> [String: [UInt8]] {
        var found = file.extendedAttributes()
        if settlesMarks, let marks {
            for key in found.keys where marks.isTransient(key) {
                _ = cl_removexattr(file.rawValue, key)
                found[key] = nil
            }
        }
        return found
    }

    /// What means the same elsewhere: neither overlay's own nor a security module's labels, nor lists of ids.
    private func attributes(_ found: [String: [UInt8]]) -> [ExtendedAttribute] {
        var result: [ExtendedAttribute] = []
        for (key, value) in found {
            let name = Array(key.utf8)
            if isPrivateAttribute(name) || key.hasPrefix("trusted.") { continue }
            if !ids.isNone, key.hasPrefix("system.posix_acl_") { continue }
            result.append(
                ExtendedAttribute(name: name, value: name == IDTranslation.capabilityName ? ids.capabilityInside(value) : value))
        }
        return result
    }

    private func call<R: ~Copyable>(
        _ operation: String, _ path: [UInt8], _ body: () throws(SystemError) -> R
    ) throws(StoreError) -> R {
        do throws(SystemError) { return try body() } catch { throw failure(operation, path, -error.errno.rawValue) }
    }

    private func failure(_ operation: String, _ path: [UInt8], _ result: Int32) -> StoreError {
        let error = Errno(rawValue: -result)
        return StoreError(.system, operation, printable(path), cause: error.description, systemError: error)
    }
}

/// Writes what a ``TreeReader`` finds to an archive.
public final class TarSink: TreeSink {
    private let writer: TarWriter
    private let keepsFractions: Bool

    /// - Parameter keepsFractions: of times. Docker writes whole seconds: fractions cost every entry a header of its own.
    public init(_ writer: TarWriter, keepsFractions: Bool = false) {
        self.writer = writer
        self.keepsFractions = keepsFractions
    }

    /// Ends the archive.
    public func finish() throws(ArchiveError) { try writer.finish() }

    public func add(_ entry: TarEntry, content: FD?) throws(StoreError) {
        var entry = entry
        if !keepsFractions { entry.modification.nanoseconds = 0 }
        let told = entry
        try archive { () throws(ArchiveError) in
            try writer.append(told)
            guard let content else { return }
            // A file that grows is cut where it ended when it was looked at; one that shrinks is filled up, as GNU tar does.
            let size = Int(min(Int64(pipelineBufferSize), max(4096, told.size)))
            let lender = BufferedLender(FileReader(content, name: printable(told.path)), size: size)
            var left = told.size
            while left > 0 {
                let piece = try lender.lend()
                if piece.isEmpty { break }
                let count = Int(min(Int64(piece.count), left))
                try writer.write(.init(rebasing: piece[..<count]))
                left -= Int64(count)
            }
            let zeros = [UInt8](repeating: 0, count: left > 0 ? 64 << 10 : 0)
            while left > 0 {
                let count = Int(min(Int64(zeros.count), left))
                try writer.write(Array(zeros[..<count]))
                left -= Int64(count)
            }
        }
    }
}
