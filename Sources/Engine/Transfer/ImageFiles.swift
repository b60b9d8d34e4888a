import Archive
import Glibc
import Linux
import OCI

/// Files of an image by name: a directory, or an archive that is indexed once.
///
/// In a directory nothing outside of it is reached, whatever links somebody put there, and only regular files are read.
/// In an archive names are keys that reach no system call.
final class ImageFiles {
    private let directory: SharedFD?
    private var members: [String: Member] = [:]
    let description: String

    private enum Member {
        case file(FileRange)
        case link(String)
    }

    /// Far more than images have, and a bound on what an archive of empty files costs.
    private static let maximumMembers = 100_000

    /// Opens a directory.
    init(directory path: String) throws(EngineError) {
        description = path
        directory = try during("open", path) { () throws(SystemError) in SharedFD(try FD.cwd.open(path, [.directory])) }
    }

    /// Opens an archive, which may be compressed by gzip or zstd.
    init(archive path: String) throws(EngineError) {
        description = path
        directory = nil
        let file = try during("open", path) { () throws(SystemError) in
            SharedFD(try FD.cwd.open(path, [.noControllingTerminal]))
        }
        let information = try during("stat", path) { () throws(SystemError) in try file.fd.status() }
        guard information.st_mode & S_IFMT != S_IFDIR else {
            throw .invalid("\(path) is a directory, not an archive; use oci:\(path) or dir:\(path)")
        }
        let plain = try ImageFiles.decompressed(file, path, isRegular: information.st_mode & S_IFMT == S_IFREG)
        try index(plain)
    }

    private static func decompressed(_ file: SharedFD, _ path: String, isRegular: Bool) throws(EngineError) -> SharedFD {
        if isRegular {
            let reader = FileReader(file.fd, offset: 0, length: nil, name: path)
            let compression = try archived { () throws(ArchiveError) in
                try Compression.detect(try PrefixedReader.peek(reader, Compression.magicLength).bytes)
            }
            if compression == .none { return file }
        }
        let spool = try SpoolFile()
        _ = try spool.fill { (sink) throws(EngineError) in
            try archived { () throws(ArchiveError) in
                let stream = try LayerStream(FileReader(file.fd, name: path))
                while true {
                    let piece = try stream.lend()
                    if piece.isEmpty { break }
                    try sink.write(piece)
                }
                _ = try stream.finish()
            }
        }
        return spool.file
    }

    private func index(_ file: SharedFD) throws(EngineError) {
        try archived { () throws(ArchiveError) in
            let reader = TarReader(
                BufferedLender(FileReader(file.fd, offset: 0, length: nil, name: description), size: 16 << 10))
            while let entry = try reader.next() {
                guard members.count < ImageFiles.maximumMembers else {
                    throw ArchiveError(
                        .tooLarge, "read image archive", description, cause: "more than \(ImageFiles.maximumMembers) files")
                }
                try add(entry, FileRange(file: file, offset: reader.position, size: entry.size))
            }
        }
    }

    private func add(_ entry: TarEntry, _ content: FileRange) throws(ArchiveError) {
        let name = ImageFiles.normalised(String(decoding: entry.path, as: UTF8.self), in: "")
        let target = String(decoding: entry.linkPath, as: UTF8.self)
        switch entry.kind {
        case .file:
            guard !entry.isSparse else {
                throw ArchiveError(.unsupported, "read image archive", printable(entry.path), cause: "sparse file")
            }
            members[name] = .file(content)
        case .hardLink: members[name] = .link(ImageFiles.normalised(target, in: ""))
        case .symbolicLink:
            let directory = name.utf8.lastIndex(of: UInt8(ascii: "/")).map { String(name[..<$0]) } ?? ""
            members[name] = .link(ImageFiles.normalised(target, in: directory))
        default: break
        }
    }

    /// A path without `.`, `..` and double slashes, as a key: it never reaches a system call.
    private static func normalised(_ path: String, in directory: String) -> String {
        var parts = path.utf8.first == UInt8(ascii: "/") ? [] : directory.split(separator: "/")
        for part in path.split(separator: "/") where part != "." {
            if part == ".." { _ = parts.popLast() } else { parts.append(part) }
        }
        return parts.joined(separator: "/")
    }

    /// A file's content; nil when there is none.
    func find(_ name: String) throws(EngineError) -> FileRange? {
        if let directory { return try open(directory, name) }
        var current = ImageFiles.normalised(name, in: "")
        // Docker's older layout needs one step; chains are an attack or a mistake.
        for _ in 0..<8 {
            switch members[current] {
            case .file(let content): return content
            case .link(let target): current = target
            case nil: return nil
            }
        }
        return nil
    }

    private func open(_ directory: SharedFD, _ name: String) throws(EngineError) -> FileRange? {
        let opened: OwnedFD
        do throws(SystemError) {
            // No links at all: none of these formats has any. And without waiting on a fifo somebody put there.
            opened = try directory.fd.open(name, [.nonBlocking, .noControllingTerminal], resolve: [.beneath, .noSymlinks])
        } catch {
            switch error.errno {
            case .noEntry: return nil
            case .loop, .crossDevice:
                throw EngineError(.invalid, "read image", description + "/" + name, cause: "a symbolic link, which no image layout has")
            default: throw EngineError("open", description + "/" + name, error)
            }
        }
        let file = SharedFD(opened)
        let information = try during("stat", name) { () throws(SystemError) in try file.fd.status() }
        guard information.st_mode & S_IFMT == S_IFREG else {
            throw EngineError(.invalid, "read image", description + "/" + name, cause: "not a regular file")
        }
        return FileRange(file: file, offset: 0, size: Int64(information.st_size))
    }

    /// A small file's bytes; nil when there is none.
    func read(_ name: String, limit: Int = 4 << 20) throws(EngineError) -> [UInt8]? {
        try find(name)?.bytes(limit: limit, of: description + "/" + name)
    }

    /// The content of a blob under a name, of the size its descriptor says.
    func blob(_ name: String, _ descriptor: Descriptor) throws(EngineError) -> FileRange {
        try descriptor.digest.requireVerifiable()
        guard let content = try find(name) else {
            throw .damaged(descriptor.digest.description, "it is missing in \(description)")
        }
        guard content.size == descriptor.size else {
            throw .damaged(descriptor.digest.description, "it has \(content.size) bytes instead of \(descriptor.size)")
        }
        return content
    }
}
