import Glibc
import Linux
import Testing

@testable import Archive

@Suite struct CompressionTests {
    static let sample: [UInt8] = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* $0 >> 3) }

    private func compress(_ bytes: [UInt8], _ compression: Compression) throws(ArchiveError) -> [UInt8] {
        let sink = MemorySink()
        let encoder = try compression.encoder(sink)
        try encoder.write(bytes)
        try encoder.finish()
        return sink.bytes
    }

    private func decompress(_ bytes: [UInt8], step: Int = .max, limit: Int = 1 << 26) throws(ArchiveError) -> [UInt8] {
        let compression = try Compression.detect(Array(bytes.prefix(6)))
        guard let decoder = try compression.decoder(BufferedLender(MemoryReader(bytes, step: step))) else { return bytes }
        let sink = MemorySink(limit: limit)
        let lender = BufferedLender(decoder, size: 10_000)
        while true {
            let piece = try lender.lend()
            if piece.isEmpty { return sink.bytes }
            try sink.write(piece)
        }
    }

    @Test(arguments: [Compression.gzip, .zstd], [1, 100, Int.max]) func roundTrip(
        compression: Compression, step: Int
    ) throws {
        let packed = try compress(CompressionTests.sample, compression)
        #expect(try decompress(packed, step: step) == CompressionTests.sample)
        #expect(try compress(CompressionTests.sample, compression) == packed)
        #expect(try decompress(packed + packed) == CompressionTests.sample + CompressionTests.sample)
        #expect(try decompress(try compress([], compression)) == [])
        #expect(throws: ArchiveError.self) { try decompress(Array(packed.dropLast())) }
        #expect(throws: ArchiveError.self) { try decompress(packed + [1, 2, 3, 4, 5, 6, 7]) }
        var broken = packed
        broken[broken.count / 2] ^= 0xff
        #expect(throws: ArchiveError.self) { try decompress(broken) }
    }

    @Test func gzipPadding() throws {
        let packed = try compress(CompressionTests.sample, .gzip)
        #expect(try decompress(packed + [UInt8](repeating: 0, count: 5000)) == CompressionTests.sample)
        #expect(throws: ArchiveError.self) { try decompress(packed + [0, 0, 1]) }
        #expect(throws: ArchiveError.self) { try decompress(packed + [0x1f, 0x8c]) }
    }

    @Test func manyEmptyMembersDoNotRecurse() throws {
        let empty = try compress([], .gzip)
        let many = [[UInt8]](repeating: empty, count: 20_000).flatMap { $0 }
        #expect(try decompress(many, step: 1000) == [])
    }

    @Test func zstdSkippableFrames() throws {
        let packed = try compress(CompressionTests.sample, .zstd)
        let skip: [UInt8] = [0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 9, 9, 9]
        #expect(try decompress(skip + packed + skip) == CompressionTests.sample)
    }

    @Test func zstdWindowsAreCapped() {
        // Frame header: no single segment, window descriptor exponent 21 = 2^31 bytes.
        let frame: [UInt8] = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 21 << 3, 0x01, 0, 0]
        #expect { try decompress(frame) } throws: { ($0 as? ArchiveError)?.code == .tooLarge }
    }

    @Test func bombsStopAtTheLimit() throws {
        let bomb = try compress([UInt8](repeating: 0, count: 64 << 20), .gzip)
        #expect(bomb.count < 1 << 17)
        let stream = try LayerStream(MemoryReader(bomb), limit: 1 << 20)
        #expect { _ = try stream.finish() } throws: { ($0 as? ArchiveError)?.code == .tooLarge }
    }

    @Test func otherCompressionsSayWhatToType() {
        #expect { _ = try Compression.detect([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0]) } throws: {
            "\($0)".contains("xz -dc")
        }
        #expect { _ = try Compression.detect(Array("BZh91A".utf8)) } throws: { "\($0)".contains("bzip2 -dc") }
        #expect(try! Compression.detect([]) == .none)
    }
}

@Suite struct LayerStreamTests {
    @Test func digestsOfEveryKind() throws {
        #expect(SHA256.hex([]) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
        #expect(SHA256.hex(Array("abc".utf8)) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        let data = CompressionTests.sample + CompressionTests.sample + CompressionTests.sample
        let sink = MemorySink()
        let encoder = try GzipEncoder(sink)
        try encoder.write(data)
        try encoder.finish()
        let copy = OwnedFD(owning: try #require(Int32(exactly: memfd())))
        let stream = try LayerStream(MemoryReader(sink.bytes, step: 5000), copy: copy.fd)
        var seen = SHA256()
        while true {
            let piece = try stream.lend()
            if piece.isEmpty { break }
            seen.update(piece)
        }
        let summary = try stream.finish()
        #expect(summary.diffHex == SHA256.hex(data) && seen.finishHex() == summary.diffHex)
        #expect(summary.blobHex == SHA256.hex(sink.bytes) && summary.blobSize == Int64(sink.bytes.count))
        #expect(summary.diffSize == Int64(data.count) && summary.compression == .gzip)
        #expect(try copy.fd.status().st_size == sink.bytes.count)
    }

    @Test func stoppingEarlyEndsTheThreads() throws {
        for _ in 0..<50 {
            let stream = try LayerStream(MemoryReader([UInt8](repeating: 7, count: 8 << 20)))
            _ = try stream.lend()
            stream.cancel()
        }
        let sink = MemorySink()
        let encoder = try ZstdEncoder(sink)
        try encoder.write([UInt8](repeating: 7, count: 8 << 20))
        try encoder.finish()
        for _ in 0..<50 {
            let stream = try LayerStream(MemoryReader(sink.bytes))
            _ = try stream.lend()
        }
    }

    @Test func errorsOfTheSourceArrive() throws {
        let stream = try LayerStream(MemoryReader([0x1f, 0x8b, 8, 0, 0, 0]))
        #expect { _ = try stream.finish() } throws: { ($0 as? ArchiveError)?.code == .truncated }
    }

    private func memfd() -> Int { Int(open("/tmp", 0o20200000 | O_RDWR, 0o600)) }
}
