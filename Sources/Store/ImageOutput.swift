import Archive
import CLinux
import Glibc
import Linux

/// Where the files of a saved image go, one after the other.
protocol ImageOutput: AnyObject {
    /// Begins a file of exactly `size` bytes. Its name is one of a layout's own: never a name from an image.
    func begin(_ name: String, size: Int64) throws(ArchiveError)
    // SAFETY: the bytes are borrowed for the call and written before it returns.
    func write(_ bytes: UnsafeRawBufferPointer) throws(ArchiveError)
    /// Ends the output; nothing may be written afterwards.
    func finish() throws(ArchiveError)
}

extension ImageOutput {
    func add(_ name: String, _ contents: [UInt8]) throws(ArchiveError) {
        try begin(name, size: Int64(contents.count))
        let result = contents.withUnsafeBytes { buffer in Result { () throws(ArchiveError) in try write(buffer) } }
        try result.get()
    }
}

/// A tar stream. Times are zero: it depends on what is in it, not on when it was made.
final class TarImageOutput: ImageOutput {
    private let file: SharedFD
    private let writer: TarWriter

    init(_ file: SharedFD) throws(ArchiveError) {
        self.file = file
        writer = TarWriter(FileSink(file.fd, name: "image archive"))
        for directory in ["blobs/", "blobs/sha256/"] {
            try writer.append(TarEntry(kind: .directory, path: Array(directory.utf8), mode: 0o755))
        }
    }

    func begin(_ name: String, size: Int64) throws(ArchiveError) {
        try writer.append(TarEntry(kind: .file, path: Array(name.utf8), mode: 0o644, size: size))
    }

    func write(_ bytes: UnsafeRawBufferPointer) throws(ArchiveError) { try writer.write(bytes) }

    func finish() throws(ArchiveError) { try writer.finish() }
}

/// An OCI image layout below an empty directory.
final class DirectoryImageOutput: ImageOutput {
    private let directory: SharedFD
    private var current: SharedFD?
    private var remaining: Int64 = 0

    init(_ directory: SharedFD) throws(ArchiveError) {
        self.directory = directory
        do throws(SystemError) { try directory.fd.makeDirectories("blobs/sha256", mode: 0o755) } catch { throw .system(error) }
    }

    func begin(_ name: String, size: Int64) throws(ArchiveError) {
        try end()
        do throws(SystemError) {
            current = SharedFD(
                try directory.fd.open(name, [.writeOnly, .create, .exclusive, .noFollow], mode: 0o644))
        } catch { throw .system(error) }
        remaining = size
    }

    func write(_ bytes: UnsafeRawBufferPointer) throws(ArchiveError) {
        guard let current, Int64(bytes.count) <= remaining else {
            throw ArchiveError(.corrupt, "write image layout", cause: "more data than its size")
        }
        try writeAll(current.fd, bytes, name: "image layout")
        remaining -= Int64(bytes.count)
    }

    /// Everything is on disk when it returns.
    func finish() throws(ArchiveError) {
        try end()
        do throws(SystemError) { try directory.fd.syncFileSystem() } catch { throw .system(error) }
    }

    private func end() throws(ArchiveError) {
        current = nil
        guard remaining == 0 else { throw ArchiveError(.truncated, "write image layout", cause: "less data than its size") }
    }
}
