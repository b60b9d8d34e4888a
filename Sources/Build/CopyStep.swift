import Archive
import CLinux
import Dockerfile
import Engine
import Glibc
import Linux
import Store

/// COPY or ADD, with everything known but whether it has to be done.
struct CopyStep {
    /// Something to copy, and what it becomes.
    struct Item {
        enum Content {
            case tree(FileSource, FileSource.Match)
            /// A here-document.
            case text([UInt8])
            /// A tar archive, plain or compressed, that is unpacked.
            case archive(FileSource.Match)
        }

        var content: Content
        /// Below the root, clean, without a slash at the beginning; empty: the root.
        var path: String
        /// Only what is in the directory is copied: it is there already.
        var isMerged = false
    }

    var items: [Item]
    var owner: FileOwner?
    var mode: FileModeChange?
    var excluded: PathMatcher

    /// Adds to a key what will be written. Reads all of it.
    func add(to key: inout CacheKey) throws(StoreError) {
        key.add("owner", [owner.map { "\($0.uid):\($0.gid)" } ?? ""])
        for item in items {
            key.add("item", [item.path])
            let digest = TreeDigest()
            switch item.content {
            case .archive(let match):
                try TreeReader().read(match.node, as: Array("archive".utf8), to: digest)
                key.add("archive", [digest.finish()])
            default:
                try write(item, to: digest)
                key.add("tree", [digest.finish()])
            }
        }
    }

    /// Writes everything into a tree.
    ///
    /// - Parameter root: of the tree that is written to.
    func write(in root: SharedFD) throws(StoreError) {
        var options = TreeWriter.Options()
        options.links = (root, [])
        for item in items {
            if case .archive(let match) = item.content {
                try unpack(match, item.path, root, options)
                continue
            }
            let writer = TreeWriter(base: root, options: options)
            try writer.run { () throws(StoreError) in try write(item, to: writer) }
        }
    }

    private func write(_ item: Item, to sink: any TreeSink) throws(StoreError) {
        let changed = CopySink(sink, owner: owner ?? FileOwner(uid: 0, gid: 0), mode: mode, skips: item.isMerged ? item.path : nil)
        switch item.content {
        case .tree(let source, let match): try source.read(match, as: item.path, excluding: excluded, to: changed)
        case .text(let bytes):
            let file = try temporaryFile(bytes)
            var entry = TarEntry(kind: .file, path: Array(item.path.utf8), mode: 0o644)
            entry.size = Int64(bytes.count)
            try changed.add(entry, content: bytes.isEmpty ? nil : file.fd)
        case .archive: break
        }
    }

    private func temporaryFile(_ bytes: [UInt8]) throws(StoreError) -> SharedFD {
        do throws(SystemError) {
            let file = SharedFD(owning: try check(cl_memfd_create("here-document", 0), "make memory file"))
            try file.fd.writeAll(bytes)
            return SharedFD(try file.fd.reopen(.readOnly))
        } catch { throw StoreError(.system, "keep", "here-document", cause: error.cause) }
    }

    private func unpack(_ match: FileSource.Match, _ path: String, _ root: SharedFD, _ options: TreeWriter.Options) throws(StoreError) {
        var inner = options
        inner.links = (root, Array(path.utf8))
        if let owner { inner.ownership = .fixed(uid: owner.uid, gid: owner.gid) }
        let directory = try TreeWriter(base: root, options: options).makeDirectories(Array(path.utf8))
        let writer = TreeWriter(base: directory, options: inner)
        let file = try AddedArchive(match.node)
        try writer.run { () throws(StoreError) in try writer.add(try file.reader()) }
    }
}

/// A file that ADD unpacks if it is a tar archive.
struct AddedArchive {
    private let file: SharedFD

    /// - Parameter node: O_PATH, of a regular file.
    init(_ node: SharedFD) throws(StoreError) {
        do throws(SystemError) { file = SharedFD(try node.fd.reopen(.readOnly)) } catch {
            throw StoreError(.system, "open", "archive", cause: error.cause)
        }
    }

    /// Whether it is one, by its first bytes; a compressed file that is none is copied as it is.
    func isArchive() throws(StoreError) -> Bool {
        do throws(ArchiveError) {
            let reader = try stream()
            let (bytes, _) = try PrefixedReader.peek(reader, 512)
            // POSIX.1 pax "ustar Interchange Format": the magic, with or without NUL.
            return bytes.count == 512 && bytes[257..<262].elementsEqual("ustar".utf8)
        } catch {
            if error.code == .unsupported { throw StoreError(error) }
            return false
        }
    }

    func reader() throws(StoreError) -> TarReader {
        do throws(ArchiveError) { return TarReader(BufferedLender(try stream())) } catch { throw StoreError(error) }
    }

    private func stream() throws(ArchiveError) -> any ByteReader {
        let reader = FileReader(file.fd, offset: 0, length: nil, name: "archive")
        let (prefix, source) = try PrefixedReader.peek(reader, Compression.magicLength)
        return try Compression.detect(prefix).decoder(BufferedLender(source)) ?? source
    }
}

extension FileSource {
    /// Patterns that nothing matches.
    static let nothing = PathMatcher()
}
