import Archive
import Glibc
import Linux
import Store

/// A file without a name, for bytes that must be written before their size or digest is known.
///
/// The kernel takes it away with its last descriptor, whatever happens to the command. In $TMPDIR, or else /var/tmp: images
/// are too large for /tmp, which is often memory.
final class SpoolFile {
    let file: SharedFD

    init() throws(EngineError) {
        let directory = SpoolFile.directory
        file = try during("make temporary file in", directory) { () throws(SystemError) in
            do throws(SystemError) {
                return SharedFD(try FD.cwd.open(directory, [.readWrite, .temporary], mode: 0o600))
            } catch {
                // File systems without O_TMPFILE (NFS, older overlay): a name for a moment.
                guard [.notSupported, .isDirectory, .invalid].contains(error.errno) else { throw error }
                let path = directory + "/.berth-" + hexadecimal(randomBytes(12))
                let file = SharedFD(try FD.cwd.open(path, [.readWrite, .create, .exclusive, .noFollow], mode: 0o600))
                try FD.cwd.removeFile(path)
                return file
            }
        }
    }

    static var directory: String {
        if let wanted = environmentVariable("TMPDIR"), wanted.hasPrefix("/") { return wanted }
        return "/var/tmp"
    }

    /// Fills the file.
    /// - Returns: its size.
    func fill(_ body: (any ByteSink) throws(EngineError) -> Void) throws(EngineError) -> Int64 {
        let sink = FileSink(file.fd, name: "temporary file")
        try body(sink)
        try archived { () throws(ArchiveError) in try sink.finish() }
        return try during("stat", "temporary file") { () throws(SystemError) in Int64(try file.fd.status().st_size) }
    }
}

/// A part of an open file that holds one blob.
struct FileRange {
    var file: SharedFD
    var offset: Int64
    var size: Int64

    var reader: FileReader { FileReader(file.fd, offset: offset, length: size, name: "blob") }

    func write(into sink: any ByteSink) throws(EngineError) {
        try archived { () throws(ArchiveError) in
            let lender = BufferedLender(reader)
            while true {
                let piece = try lender.lend()
                if piece.isEmpty { return }
                try sink.write(piece)
            }
        }
    }

    func bytes(limit: Int, of name: String) throws(EngineError) -> [UInt8] {
        guard size <= Int64(limit) else { throw .damaged(name, "it is larger than \(limit) bytes") }
        let memory = MemorySink(limit: limit)
        try write(into: memory)
        return memory.bytes
    }
}

/// A part of a file as something that the store fetches.
final class FileStream: RemoteStream {
    private let range: FileRange
    private let reader: FileReader
    private let stop = Cancellation()

    /// - Parameter offset: within the part; behind its end there is nothing.
    init(_ range: FileRange, from offset: Int64) {
        let offset = max(0, min(offset, range.size))
        self.range = range
        reader = FileReader(range.file.fd, offset: range.offset + offset, length: range.size - offset, name: "blob")
    }

    var failure: StoreError? { nil }
    func cancel() { stop.cancel() }

    // SAFETY: the buffer is the caller's and is only handed on for the time of the call.
    func read(into buffer: UnsafeMutableRawBufferPointer) throws(ArchiveError) -> Int {
        try stop.check("read blob")
        return try reader.read(into: buffer)
    }
}
