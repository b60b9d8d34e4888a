import Testing

@testable import Archive

@Suite struct TarWriterTests {
    static let entries: [TarEntry] = [
        TarEntry(kind: .directory, path: Array("d/".utf8), mode: 0o1777),
        TarEntry(
            kind: .file, path: Array("d/ünï".utf8), mode: 0o4755, uid: 3_000_000, gid: 5, size: 3,
            modification: FileTime(seconds: 1_700_000_000, nanoseconds: 120)),
        TarEntry(kind: .file, path: Array((String(repeating: "p/", count: 90) + "x").utf8), mode: 0o600, size: 3),
        TarEntry(kind: .file, path: Array(String(repeating: "n", count: 240).utf8), mode: 0o600, size: 3),
        TarEntry(
            kind: .symbolicLink, path: Array("l".utf8), linkPath: Array(String(repeating: "t", count: 300).utf8),
            mode: 0o777, modification: FileTime(seconds: -5, nanoseconds: 500_000_000)),
        TarEntry(kind: .hardLink, path: Array("h".utf8), linkPath: Array("d/ünï".utf8), mode: 0o644),
        TarEntry(kind: .characterDevice, path: Array("null".utf8), mode: 0o666, major: 1, minor: 3),
        TarEntry(kind: .fifo, path: Array("f".utf8), mode: 0o644),
        TarEntry(
            kind: .file, path: Array("x".utf8), mode: 0o644,
            xattrs: [
                ExtendedAttribute(name: Array("security.capability".utf8), value: [1, 0, 0, 2, 0x0a]),
                ExtendedAttribute(name: Array("user.a=b%".utf8), value: []),
            ]),
    ]

    @Test func whatIsWrittenIsRead() throws {
        let sink = MemorySink()
        let writer = TarWriter(sink)
        for entry in TarWriterTests.entries {
            try writer.append(entry)
            if entry.size > 0 { try writer.write(Array("abc".utf8)) }
        }
        try writer.finish()
        let reader = TarReader(BufferedLender(MemoryReader(sink.bytes)))
        for expected in TarWriterTests.entries {
            let entry = try #require(try reader.next())
            #expect(entry.path == expected.path && entry.kind == expected.kind && entry.mode == expected.mode)
            #expect(entry.linkPath == expected.linkPath && entry.size == expected.size)
            #expect(entry.modification == expected.modification && entry.uid == expected.uid)
            #expect(entry.major == expected.major && entry.minor == expected.minor)
            #expect(Set(entry.xattrs) == Set(expected.xattrs))
            if entry.size > 0 { #expect(try reader.readAll(limit: 10, of: entry) == Array("abc".utf8)) }
        }
        #expect(try reader.next() == nil)
        #expect(sink.bytes.count % 512 == 0)
    }

    @Test func sizeMismatchIsAnError() throws {
        let writer = TarWriter(MemorySink())
        try writer.append(TarEntry(kind: .file, path: [0x61], mode: 0, size: 2))
        #expect(throws: ArchiveError.self) { try writer.write(Array("abc".utf8)) }
        try writer.write(Array("a".utf8))
        #expect(throws: ArchiveError.self) { try writer.finish() }
    }
}
