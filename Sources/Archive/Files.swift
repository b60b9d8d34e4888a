import CLinux
import Linux

/// Reads an open file, pipe or socket, or one range of a file.
///
/// The descriptor is borrowed: the caller keeps it open for the reader's life.
public final class FileReader: ByteReader {
    private let descriptor: FD
    private let name: String
    /// nil: not seekable, `read(2)` from wherever the descriptor stands.
    private var offset: Int64?
    /// Bytes left of the range; nil: up to the end of the file.
    private var remaining: Int64?

    /// Reads from the current position to the end, with `read(2)`.
    public init(_ descriptor: FD, name: String = "") {
        self.descriptor = descriptor
        self.name = name
    }

    /// Reads `length` bytes at `offset` with `pread(2)`; several readers may share the descriptor.
    ///
    /// `read` throws `.truncated` when the file ends before the range does.
    public init(_ descriptor: FD, offset: Int64, length: Int64?, name: String = "") {
        self.descriptor = descriptor
        self.name = name
        self.offset = max(0, offset)
        remaining = length.map { max(0, $0) }
    }

    public func read(into buffer: UnsafeMutableRawBufferPointer) throws(ArchiveError) -> Int {
        var wanted = buffer.count
        if let remaining { wanted = Int(min(Int64(wanted), remaining)) }
        if wanted == 0 { return 0 }
        let got: Int
        if let offset {
            got = cl_pread(descriptor.rawValue, buffer.baseAddress, wanted, offset)
        } else {
            got = cl_read(descriptor.rawValue, buffer.baseAddress, wanted)
        }
        guard got >= 0 else { throw .system("read", name, result: got) }
        if got == 0 {
            if let remaining, remaining > 0 { throw ArchiveError(.truncated, "read", name, cause: "file ends early") }
            return 0
        }
        if let offset { self.offset = offset + Int64(got) }
        if let remaining { self.remaining = remaining - Int64(got) }
        return got
    }

    /// Only within a file that is at least that long: a truncated archive must fail, not list its last entry.
    public func skip(_ count: Int64) throws(ArchiveError) -> Int64 {
        guard let offset, count > 0 else { return 0 }
        let size: Int64
        do { size = Int64(try descriptor.status().st_size) } catch { throw .system(error) }
        var possible = max(0, size - offset)
        if let remaining { possible = min(possible, remaining) }
        let skipped = min(count, possible)
        self.offset = offset + skipped
        if let remaining { self.remaining = remaining - skipped }
        return skipped
    }
}

/// Writes to an open file or pipe in large pieces. The descriptor is borrowed.
public final class FileSink: ByteSink {
    private let descriptor: FD
    private let name: String
    // SAFETY: owned by this object from init to deinit and never lent.
    private let buffer: UnsafeMutableRawBufferPointer
    private var filled = 0

    public init(_ descriptor: FD, name: String = "") {
        self.descriptor = descriptor
        self.name = name
        buffer = .allocate(byteCount: pipelineBufferSize, alignment: 16)
    }

    deinit { buffer.deallocate() }

    public func write(_ bytes: UnsafeRawBufferPointer) throws(ArchiveError) {
        if filled + bytes.count <= buffer.count {
            UnsafeMutableRawBufferPointer(rebasing: buffer[filled...]).copyMemory(from: bytes)
            filled += bytes.count
            return
        }
        try flush()
        if bytes.count >= buffer.count {
            try writeAll(descriptor, bytes, name: name)
        } else {
            buffer.copyMemory(from: bytes)
            filled = bytes.count
        }
    }

    public func finish() throws(ArchiveError) { try flush() }

    private func flush() throws(ArchiveError) {
        try writeAll(descriptor, UnsafeRawBufferPointer(rebasing: buffer[0..<filled]), name: name)
        filled = 0
    }
}

/// Writes all bytes at the descriptor's position. C function: `write(2)`.
public func writeAll(_ descriptor: FD, _ bytes: UnsafeRawBufferPointer, name: String = "") throws(ArchiveError) {
    var done = 0
    while done < bytes.count {
        let rest = UnsafeRawBufferPointer(rebasing: bytes[done...])
        let wrote = cl_write(descriptor.rawValue, rest.baseAddress, rest.count)
        guard wrote > 0 else { throw .system("write", name, result: wrote) }
        done += wrote
    }
}
