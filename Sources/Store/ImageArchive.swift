import Archive
import CLinux
import Glibc
import Linux
import OCI

/// Bytes of an image: a range of an open file.
final class Content {
    let file: SharedFD
    let offset: Int64
    let size: Int64
    /// The name of a staging file that holds exactly these bytes and may be moved; nil when they must be copied.
    var stagedName: String?

    init(_ file: SharedFD, offset: Int64 = 0, size: Int64, stagedName: String? = nil) {
        self.file = file
        self.offset = offset
        self.size = size
        self.stagedName = stagedName
    }

    var reader: FileReader { FileReader(file.fd, offset: offset, length: size, name: "image archive") }

    /// All bytes, at most `limit`.
    func bytes(limit: Int, of name: String) throws(StoreError) -> [UInt8] {
        guard size <= Int64(limit) else {
            throw StoreError(.tooLarge, "read image archive", name, cause: "larger than \(limit) bytes")
        }
        let sink = MemorySink()
        try archive { () throws(ArchiveError) in
            let lender = BufferedLender(reader, size: 64 << 10)
            while true {
                let piece = try lender.lend()
                if piece.isEmpty { return }
                try sink.write(piece)
            }
        }
        return sink.bytes
    }
}

/// An image archive or layout whose files can be read in any order.
///
/// A seekable plain tar is only indexed; a pipe or a compressed archive is written to staging as it comes, each byte once,
/// and its blobs are later moved into place.
final class ImageArchive {
    private var members: ArchiveMembers<Content>
    private let layout: SharedFD?
    let description: String

    /// Opens what a path or descriptor gives.
    ///
    /// - Parameter file: a directory (an OCI layout), a regular file, or anything else that can be read once.
    init(_ file: SharedFD, name: String, staging: Staging, cancellation: Cancellation?) throws(StoreError) {
        description = name
        members = ArchiveMembers(of: name)
        let information = try system { () throws(SystemError) in try file.fd.status() }
        guard information.st_mode & S_IFMT != S_IFDIR else {
            layout = file
            return
        }
        layout = nil
        let position = information.st_mode & S_IFMT == S_IFREG ? cl_lseek(file.raw, 0, SEEK_CUR) : -1
        if position >= 0 {
            let reader = FileReader(file.fd, offset: position, length: nil, name: name)
            let magic = try archive { () throws(ArchiveError) in try PrefixedReader.peek(reader, Compression.magicLength).bytes }
            if try archive({ () throws(ArchiveError) in try Compression.detect(magic) }) == .none {
                try index(file, from: position, cancellation)
                return
            }
        }
        try stage(file, staging, cancellation)
    }

    /// The content of a file, links resolved; nil when there is none.
    func find(_ name: String) throws(StoreError) -> Content? {
        if let layout { return try open(layout, name) }
        return members.find(name)
    }

    /// A small file's bytes; nil when there is none.
    func read(_ name: String, limit: Int = 4 << 20) throws(StoreError) -> [UInt8]? {
        try find(name)?.bytes(limit: limit, of: name)
    }

    func blob(_ digest: Digest) throws(StoreError) -> Content {
        guard let content = try find(digest.layoutPath) else {
            throw StoreError(.corrupt, "load image", description, cause: "blob \(digest) is missing")
        }
        return content
    }

    private func open(_ layout: SharedFD, _ name: String) throws(StoreError) -> Content? {
        let opened: OwnedFD
        do throws(SystemError) {
            // Inside the layout only, and without waiting on a fifo somebody put there.
            opened = try layout.fd.open(name, [.nonBlocking, .noControllingTerminal], resolve: [.beneath, .noMagicLinks])
        } catch {
            if error.errno == .noEntry { return nil }
            throw StoreError(error)
        }
        let file = SharedFD(opened)
        let information = try system { () throws(SystemError) in try file.fd.status() }
        guard information.st_mode & S_IFMT == S_IFREG else {
            throw StoreError(.corrupt, "read image layout", name, cause: "not a regular file")
        }
        return Content(file, size: Int64(information.st_size))
    }

    // MARK: Tar

    private func index(_ file: SharedFD, from position: Int64, _ cancellation: Cancellation?) throws(StoreError) {
        try archive { () throws(ArchiveError) in
            let reader = TarReader(
                BufferedLender(
                    FileReader(file.fd, offset: position, length: nil, name: description), size: 16 << 10))
            while let entry = try reader.next() {
                try cancellation?.check("load image")
                try members.add(entry, Content(file, offset: position + reader.position, size: entry.size))
            }
        }
    }

    private func stage(_ file: SharedFD, _ staging: Staging, _ cancellation: Cancellation?) throws(StoreError) {
        try archive { () throws(ArchiveError) in
            // Reading (from a pipe) and decompressing overlap with writing; the whole stream's digest is not needed, but it
            // is what the pipeline has, and it runs on the otherwise idle core.
            let stream = try LayerStream(FileReader(file.fd, name: description))
            let reader = TarReader(stream)
            var sinceCheck: Int64 = 0
            while let entry = try reader.next() {
                try cancellation?.check("load image")
                guard entry.kind == .file else {
                    try members.add(entry, nil)
                    continue
                }
                let name = staging.freshName("member")
                let output: SharedFD
                do throws(StoreError) { output = try staging.makeFile(name) } catch {
                    throw ArchiveError(.system, "stage image", cause: error.cause, systemError: error.systemError.rawValue)
                }
                while let (_, bytes) = try reader.readSegment() {
                    try writeAll(output.fd, bytes, name: "staging")
                    sinceCheck += Int64(bytes.count)
                    if sinceCheck >= 32 << 20 {
                        sinceCheck = 0
                        try cancellation?.check("load image")
                        if let shortage = spaceShortage(output.fd) { throw shortage }
                    }
                }
                try members.add(entry, Content(output, size: entry.size, stagedName: name))
            }
            // What follows the end of the archive is read, so that the writer of the pipe does not get SIGPIPE.
            _ = try stream.finish()
        }
    }
}

/// An error when a file system has so little room left that filling it would take the database and every container down.
func spaceShortage(_ file: FD) -> ArchiveError? {
    var (type, blockSize, blocks, free, flags): (Int64, Int64, Int64, Int64, Int64) = (0, 0, 0, 0, 0)
    guard cl_fstatfs(file.rawValue, &type, &blockSize, &blocks, &free, &flags) == 0 else { return nil }
    let (available, overflow) = free.multipliedReportingOverflow(by: blockSize)
    let (onePercent, _) = (blocks / 100).multipliedReportingOverflow(by: blockSize)
    let reserve = min(64 << 20, max(0, onePercent))
    guard !overflow, available < reserve else { return nil }
    return ArchiveError(
        .system, "write to store", cause: "less than \(reserve >> 20) MiB would be left on its file system",
        systemError: ENOSPC)
}
