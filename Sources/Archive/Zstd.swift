import CZstd

/// Decompresses any number of zstd frames; skippable frames are skipped.
///
/// Frames that ask for a window above 128 MiB are refused: the window is the decoder's memory, and its size is chosen by
/// whoever made the file. Format: RFC 8878. C function: `ZSTD_decompressStream`.
public final class ZstdDecoder: ByteReader {
    private let source: any ByteLender
    // SAFETY: owned from init to deinit.
    private let context: OpaquePointer
    private var input = UnsafeRawBufferPointer(start: nil, count: 0)
    private var inputEnded = false
    /// What the last call returned: 0 at the end of a frame.
    private var wanted = 1
    private var framesBegan = false

    public init(_ source: any ByteLender) throws(ArchiveError) {
        self.source = source
        guard let context = ZSTD_createDCtx() else {
            throw ArchiveError(.system, "start zstd decoder", cause: "out of memory")
        }
        self.context = context
        ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, 27)
    }

    deinit { ZSTD_freeDCtx(context) }

    public func read(into buffer: UnsafeMutableRawBufferPointer) throws(ArchiveError) -> Int {
        var output = ZSTD_outBuffer(dst: buffer.baseAddress, size: buffer.count, pos: 0)
        while output.pos < output.size {
            if input.isEmpty, !inputEnded {
                input = try source.lend()
                inputEnded = input.isEmpty
            }
            if inputEnded, wanted == 0 { break }
            // At the end the decoder is still called: it may hold output that did not fit before.
            var piece = ZSTD_inBuffer(src: input.baseAddress, size: input.count, pos: 0)
            let before = output.pos
            let result = ZSTD_decompressStream(context, &output, &piece)
            if ZSTD_isError(result) != 0 {
                throw ArchiveError(
                    ZSTD_getErrorCode(result) == ZSTD_error_frameParameter_windowTooLarge ? .tooLarge : .corrupt,
                    "decompress zstd", cause: String(cString: ZSTD_getErrorName(result)))
            }
            framesBegan = framesBegan || piece.pos > 0
            input = UnsafeRawBufferPointer(rebasing: input[piece.pos...])
            wanted = result
            if inputEnded, result != 0, output.pos == before {
                throw .truncated("decompress zstd", framesBegan ? "unexpected end of data" : "no data")
            }
        }
        return output.pos
    }
}

/// Compresses to one zstd frame with a checksum.
public final class ZstdEncoder: ByteSink {
    private let sink: any ByteSink
    // SAFETY: owned from init to deinit.
    private let context: OpaquePointer
    private let buffer: UnsafeMutableRawBufferPointer

    /// - Parameter level: 1 (fast) to 19 (small).
    public init(_ sink: any ByteSink, level: Int32 = 3) throws(ArchiveError) {
        self.sink = sink
        guard let context = ZSTD_createCCtx() else {
            throw ArchiveError(.system, "start zstd encoder", cause: "out of memory")
        }
        self.context = context
        buffer = .allocate(byteCount: pipelineBufferSize, alignment: 16)
        ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, max(1, min(19, level)))
        ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1)
    }

    deinit {
        ZSTD_freeCCtx(context)
        buffer.deallocate()
    }

    public func write(_ bytes: UnsafeRawBufferPointer) throws(ArchiveError) {
        var input = ZSTD_inBuffer(src: bytes.baseAddress, size: bytes.count, pos: 0)
        while input.pos < input.size { _ = try step(&input, ZSTD_e_continue) }
    }

    public func finish() throws(ArchiveError) {
        var input = ZSTD_inBuffer(src: nil, size: 0, pos: 0)
        while try step(&input, ZSTD_e_end) != 0 {}
        try sink.finish()
    }

    private func step(
        _ input: inout ZSTD_inBuffer, _ directive: ZSTD_EndDirective
    ) throws(ArchiveError) -> Int {
        var output = ZSTD_outBuffer(dst: buffer.baseAddress, size: buffer.count, pos: 0)
        let result = ZSTD_compressStream2(context, &output, &input, directive)
        guard ZSTD_isError(result) == 0 else {
            throw ArchiveError(.system, "compress zstd", cause: String(cString: ZSTD_getErrorName(result)))
        }
        if output.pos > 0 { try sink.write(UnsafeRawBufferPointer(rebasing: buffer[0..<output.pos])) }
        return result
    }
}
