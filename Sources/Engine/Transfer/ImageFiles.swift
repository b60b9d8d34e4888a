import Archive
import Glibc
import Linux
import OCI
import Store

/// Files of an image by name: a directory, or an archive that is indexed once.
///
/// In a directory nothing outside of it is reached, whatever links somebody put there, and only regular files are read.
/// In an archive names are keys that reach no system call.
final class ImageFiles {
    private let directory: SharedFD?
    private var members: ArchiveMembers<FileRange>
    let description: String

    /// Opens a directory.
    init(directory path: String) throws(EngineError) {
        description = path
        members = ArchiveMembers(of: path)
        directory = try during("open", path) { () throws(SystemError) in SharedFD(try FD.cwd.open(path, [.directory])) }
    }

    /// Opens an archive, which may be compressed by gzip or zstd.
    init(archive path: String) throws(EngineError) {
        description = path
        members = ArchiveMembers(of: path)
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
                try members.add(entry, FileRange(file: file, offset: reader.position, size: entry.size))
            }
        }
    }

    /// A file's content; nil when there is none.
    func find(_ name: String) throws(EngineError) -> FileRange? {
        if let directory { return try open(directory, name) }
        return members.find(name)
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
