/// Size of every buffer of a pipeline: large enough that a system call or a thread switch costs nothing per byte, small
/// enough that a whole pipeline stays under 4 MiB.
public let pipelineBufferSize = 256 * 1024

/// Bytes are read into the caller's buffer, like `read(2)`.
public protocol ByteReader: AnyObject {
    /// Fills some of `buffer`. Returns 0 only at the end (or for an empty buffer).
    func read(into buffer: UnsafeMutableRawBufferPointer) throws(ArchiveError) -> Int
    /// Moves past up to `count` bytes without reading them; returns how many were skipped, 0 when it cannot.
    func skip(_ count: Int64) throws(ArchiveError) -> Int64
}

extension ByteReader {
    public func skip(_ count: Int64) throws(ArchiveError) -> Int64 { 0 }
}

/// Bytes are lent from the source's own buffer: nothing is copied between the stages of a pipeline.
public protocol ByteLender: AnyObject {
    /// The next bytes, empty at the end. They are valid until the next call.
    func lend() throws(ArchiveError) -> UnsafeRawBufferPointer
    /// Moves past up to `count` bytes that were not lent yet; returns how many were skipped, 0 when it cannot.
    func skip(_ count: Int64) throws(ArchiveError) -> Int64
}

extension ByteLender {
    public func skip(_ count: Int64) throws(ArchiveError) -> Int64 { 0 }
}

/// Where bytes are written.
public protocol ByteSink: AnyObject {
    /// Takes all of `bytes`.
    func write(_ bytes: UnsafeRawBufferPointer) throws(ArchiveError)
    /// Writes what is still buffered. Nothing may be written afterwards.
    func finish() throws(ArchiveError)
}

extension ByteSink {
    public func write(_ bytes: [UInt8]) throws(ArchiveError) {
        // withUnsafeBytes only rethrows untyped errors: the typed one is carried out by hand.
        let result: Result<Void, ArchiveError> = bytes.withUnsafeBytes { buffer in
            do throws(ArchiveError) { return .success(try write(buffer)) } catch { return .failure(error) }
        }
        try result.get()
    }
}

/// Turns a reader into a lender with one buffer of its own.
public final class BufferedLender: ByteLender {
    private let reader: any ByteReader
    // SAFETY: owned by this object from init to deinit; lent slices are valid until the next `lend`, by contract.
    private let buffer: UnsafeMutableRawBufferPointer

    public init(_ reader: any ByteReader, size: Int = pipelineBufferSize) {
        self.reader = reader
        buffer = .allocate(byteCount: size, alignment: 16)
    }

    deinit { buffer.deallocate() }

    public func lend() throws(ArchiveError) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: buffer[0..<(try reader.read(into: buffer))])
    }

    public func skip(_ count: Int64) throws(ArchiveError) -> Int64 { try reader.skip(count) }
}

/// Turns a lender into a reader (one copy).
public final class LenderReader: ByteReader {
    private let lender: any ByteLender
    private var rest = UnsafeRawBufferPointer(start: nil, count: 0)

    public init(_ lender: any ByteLender) { self.lender = lender }

    public func read(into buffer: UnsafeMutableRawBufferPointer) throws(ArchiveError) -> Int {
        if buffer.isEmpty { return 0 }
        if rest.isEmpty { rest = try lender.lend() }
        let count = min(rest.count, buffer.count)
        buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: rest[0..<count]))
        rest = UnsafeRawBufferPointer(rebasing: rest[count...])
        return count
    }
}

/// Bytes in memory as a stream.
public final class MemoryReader: ByteReader {
    private let bytes: [UInt8]
    private var position = 0
    private let step: Int

    /// - Parameter step: most bytes given per call, so that tests can place every boundary.
    public init(_ bytes: [UInt8], step: Int = .max) {
        self.bytes = bytes
        self.step = max(1, step)
    }

    public func read(into buffer: UnsafeMutableRawBufferPointer) throws(ArchiveError) -> Int {
        let count = min(buffer.count, bytes.count - position, step)
        if count == 0 { return 0 }
        bytes.withUnsafeBytes {
            buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[position..<(position + count)]))
        }
        position += count
        return count
    }
}

/// Some bytes already taken from a reader, then the rest of it.
public final class PrefixedReader: ByteReader {
    private var prefix: [UInt8]
    private var position = 0
    private let rest: any ByteReader

    public init(_ prefix: [UInt8], _ rest: any ByteReader) {
        self.prefix = prefix
        self.rest = rest
    }

    /// Takes up to `count` bytes from a reader (fewer only at its end) and gives a reader that begins with them.
    public static func peek(
        _ reader: any ByteReader, _ count: Int
    ) throws(ArchiveError) -> (bytes: [UInt8], reader: PrefixedReader) {
        // SAFETY: local scratch memory, freed on every way out.
        let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 16)
        defer { scratch.deallocate() }
        var filled = 0
        while filled < count {
            let got = try reader.read(into: UnsafeMutableRawBufferPointer(rebasing: scratch[filled...]))
            if got == 0 { break }
            filled += got
        }
        let bytes = Array(scratch[0..<filled])
        return (bytes, PrefixedReader(bytes, reader))
    }

    public func read(into buffer: UnsafeMutableRawBufferPointer) throws(ArchiveError) -> Int {
        if position == prefix.count { return try rest.read(into: buffer) }
        let count = min(buffer.count, prefix.count - position)
        prefix.withUnsafeBytes {
            buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[position..<(position + count)]))
        }
        position += count
        return count
    }

    public func skip(_ count: Int64) throws(ArchiveError) -> Int64 {
        position == prefix.count ? try rest.skip(count) : 0
    }
}

/// Collects what is written in memory, up to a limit.
public final class MemorySink: ByteSink {
    public private(set) var bytes: [UInt8] = []
    private let limit: Int

    public init(limit: Int = .max) { self.limit = limit }

    public func write(_ bytes: UnsafeRawBufferPointer) throws(ArchiveError) {
        guard bytes.count <= limit - self.bytes.count else {
            throw ArchiveError(.tooLarge, "write", cause: "more than \(limit) bytes")
        }
        self.bytes.append(contentsOf: bytes)
    }

    public func finish() throws(ArchiveError) {}
}
