import CZlib

/// Inflates a gzip stream of any number of members, as `gzip -d` does.
///
/// After the last member only zero bytes may follow (padding of tapes and block devices); anything else is an error.
/// Format: RFC 1952. C function: `inflate` with window bits 15 + 16.
public final class GzipDecoder: ByteReader {
    private enum State { case between(first: Bool), inside, padding, end }

    private let source: any ByteLender
    // SAFETY: zlib keeps a pointer to its stream, so the stream needs one address for life; freed in deinit.
    private let stream: UnsafeMutablePointer<z_stream>
    private var input = UnsafeRawBufferPointer(start: nil, count: 0)
    private var inputEnded = false
    private var state = State.between(first: true)

    public init(_ source: any ByteLender) throws(ArchiveError) {
        self.source = source
        stream = .allocate(capacity: 1)
        stream.initialize(to: z_stream())
        guard inflateInit2_(stream, 15 + 16, zlibVersion(), Int32(MemoryLayout<z_stream>.size)) == Z_OK else {
            throw ArchiveError(.system, "start gzip decoder", cause: "out of memory")
        }
    }

    deinit {
        inflateEnd(stream)
        stream.deallocate()
    }

    public func read(into buffer: UnsafeMutableRawBufferPointer) throws(ArchiveError) -> Int {
        var produced = 0
        while produced < buffer.count {
            if input.isEmpty, !inputEnded {
                input = try source.lend()
                inputEnded = input.isEmpty
            }
            switch state {
            case .end:
                return produced
            case .between(let first):
                if inputEnded {
                    if first { throw .truncated("decompress gzip", "no data") }
                    state = .end
                } else if input[0] == 0, !first {
                    state = .padding
                } else if input[0] == 0x1f {
                    state = .inside
                } else {
                    throw ArchiveError(
                        .corrupt, "decompress gzip", cause: first ? "not a gzip stream" : "trailing garbage")
                }
            case .padding:
                if inputEnded { state = .end }
                guard input.allSatisfy({ $0 == 0 }) else {
                    throw ArchiveError(.corrupt, "decompress gzip", cause: "trailing garbage")
                }
                input = UnsafeRawBufferPointer(start: nil, count: 0)
            case .inside:
                produced += try inflateSome(UnsafeMutableRawBufferPointer(rebasing: buffer[produced...]))
            }
        }
        return produced
    }

    private func inflateSome(_ output: UnsafeMutableRawBufferPointer) throws(ArchiveError) -> Int {
        // SAFETY: zlib does not write through next_in; the field is mutable only for C's sake. Both pointers are set anew
        // for every call, so none outlives its buffer. Counts fit: lent buffers are far below 4 GiB, output is clamped.
        let outputSize = min(output.count, 1 << 30)
        let inputSize = min(input.count, 1 << 30)
        stream.pointee.next_in = UnsafeMutablePointer(
            mutating: input.baseAddress?.assumingMemoryBound(to: UInt8.self))
        stream.pointee.avail_in = UInt32(inputSize)
        stream.pointee.next_out = output.baseAddress?.assumingMemoryBound(to: UInt8.self)
        stream.pointee.avail_out = UInt32(outputSize)
        let result = inflate(stream, Z_NO_FLUSH)
        let consumed = inputSize - Int(stream.pointee.avail_in)
        let produced = outputSize - Int(stream.pointee.avail_out)
        input = UnsafeRawBufferPointer(rebasing: input[consumed...])
        switch result {
        case Z_STREAM_END:
            inflateReset(stream)
            state = .between(first: false)
        case Z_OK, Z_BUF_ERROR:
            if inputEnded, consumed == 0, produced == 0 {
                throw .truncated("decompress gzip", "unexpected end of data")
            }
        case Z_MEM_ERROR:
            throw ArchiveError(.system, "decompress gzip", cause: "out of memory")
        default:
            let text = stream.pointee.msg.map { String(cString: $0) } ?? "invalid data"
            throw ArchiveError(.corrupt, "decompress gzip", cause: text)
        }
        return produced
    }
}

/// Deflates to one gzip member without name or time, so that equal input gives equal output.
public final class GzipEncoder: ByteSink {
    private let sink: any ByteSink
    // SAFETY: as in GzipDecoder: one address for life, freed in deinit.
    private let stream: UnsafeMutablePointer<z_stream>
    private let buffer: UnsafeMutableRawBufferPointer

    /// - Parameter level: 1 (fast) to 9 (small).
    public init(_ sink: any ByteSink, level: Int32 = 6) throws(ArchiveError) {
        self.sink = sink
        stream = .allocate(capacity: 1)
        stream.initialize(to: z_stream())
        buffer = .allocate(byteCount: pipelineBufferSize, alignment: 16)
        let result = deflateInit2_(
            stream, max(1, min(9, level)), Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY, zlibVersion(),
            Int32(MemoryLayout<z_stream>.size))
        guard result == Z_OK else { throw ArchiveError(.system, "start gzip encoder", cause: "out of memory") }
    }

    deinit {
        deflateEnd(stream)
        stream.deallocate()
        buffer.deallocate()
    }

    public func write(_ bytes: UnsafeRawBufferPointer) throws(ArchiveError) {
        var rest = bytes
        while !rest.isEmpty {
            let piece = UnsafeRawBufferPointer(rebasing: rest[0..<min(rest.count, 1 << 30)])
            try deflate(piece, flush: Z_NO_FLUSH)
            rest = UnsafeRawBufferPointer(rebasing: rest[piece.count...])
        }
    }

    public func finish() throws(ArchiveError) {
        try deflate(UnsafeRawBufferPointer(start: nil, count: 0), flush: Z_FINISH)
        try sink.finish()
    }

    private func deflate(_ input: UnsafeRawBufferPointer, flush: Int32) throws(ArchiveError) {
        stream.pointee.next_in = UnsafeMutablePointer(
            mutating: input.baseAddress?.assumingMemoryBound(to: UInt8.self))
        stream.pointee.avail_in = UInt32(input.count)
        while true {
            stream.pointee.next_out = buffer.baseAddress?.assumingMemoryBound(to: UInt8.self)
            stream.pointee.avail_out = UInt32(buffer.count)
            let result = CZlib.deflate(stream, flush)
            guard result == Z_OK || result == Z_STREAM_END || result == Z_BUF_ERROR else {
                throw ArchiveError(.system, "compress gzip", cause: "zlib error \(result)")
            }
            let produced = buffer.count - Int(stream.pointee.avail_out)
            if produced > 0 { try sink.write(UnsafeRawBufferPointer(rebasing: buffer[0..<produced])) }
            if stream.pointee.avail_out > 0 { return }
        }
    }
}
