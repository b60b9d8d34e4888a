import Testing

@testable import Archive

@Suite struct TarReaderTests {
    @Test(arguments: [1, 7, 511, 512, 513, Int.max]) func plainFilesWhateverTheBoundaries(step: Int) throws {
        var tar = TarBytes()
        tar.header("dir/", type: "5", mode: 0o755)
        tar.file("dir/a", "hello")
        tar.file("dir/empty", "")
        tar.header("dir/l", type: "2", link: "a")
        tar.header("dir/h", type: "1", link: "dir/a")
        tar.file("b", String(repeating: "x", count: 512))
        tar.end()
        #expect(
            try list(tar.bytes, step: step) == [
                "directory dir/ ", "file dir/a hello", "file dir/empty ", "symbolicLink dir/l ", "hardLink dir/h ",
                "file b " + printable([UInt8](repeating: 0x78, count: 512)),
            ])
    }

    @Test func fieldsOfAnEntry() throws {
        var tar = TarBytes()
        var pax = TarBytes.record("path", Array("ünï/x".utf8))
        pax += TarBytes.record("mtime", Array("-1.25".utf8)) + TarBytes.record("uid", Array("4000000000".utf8))
        pax += TarBytes.record("SCHILY.xattr.user.b", [0, 1, 0x0a, 0x3d])
        pax += TarBytes.record("LIBARCHIVE.xattr.user.b", Array("AAAA".utf8))
        pax += TarBytes.record("LIBARCHIVE.xattr.user%2ea", Array("aGk".utf8))
        tar.pax(raw: pax)
        tar.file("ignored", "1")
        tar.end()
        let reader = TarReader(BufferedLender(MemoryReader(tar.bytes)))
        let entry = try #require(try reader.next())
        #expect(entry.path == Array("ünï/x".utf8))
        #expect(entry.modification == FileTime(seconds: -2, nanoseconds: 750_000_000))
        #expect(entry.uid == 4_000_000_000)
        #expect(
            Set(entry.xattrs) == [
                ExtendedAttribute(name: Array("user.b".utf8), value: [0, 1, 0x0a, 0x3d]),
                ExtendedAttribute(name: Array("user.a".utf8), value: Array("hi".utf8)),
            ])
        #expect(try reader.next() == nil)
    }

    /// S48, the generator of the published attack: whoever trusts the ustar size lists `smuggled`.
    @Test func paxSizeCoversTheInnerArchive() throws {
        var tar = TarBytes()
        tar.pax(raw: Array("13 size=1024\n".utf8))
        tar.header("inner.tar", size: 0)
        tar.file("smuggled", "bad")
        tar.file("after", "ok")
        tar.end()
        let names = try list(tar.bytes)
        #expect(names.count == 2)
        #expect(names.first?.hasPrefix("file inner.tar ") == true)
        #expect(names.last == "file after ok")
    }

    @Test func base256AndLongNames() throws {
        let long = String(repeating: "d/", count: 120) + "end"
        var tar = TarBytes()
        tar.long(long)
        tar.header("short", size: 0) { $0.replaceSubrange(124..<136, with: [0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]) }
        tar.data(Array("hi".utf8))
        tar.long(long, type: "K")
        tar.header("link", type: "2", link: "x")
        tar.end()
        let reader = TarReader(BufferedLender(MemoryReader(tar.bytes)))
        #expect(try reader.next()?.path == Array(long.utf8))
        #expect(try reader.next()?.linkPath == Array(long.utf8))
    }

    @Test func ustarPrefix() throws {
        var tar = TarBytes()
        tar.header("name") { $0.replaceSubrange(345..<348, with: Array("pre".utf8)) }
        #expect(try list(tar.bytes) == ["file pre/name "])
        var gnu = TarBytes()
        gnu.header("name", magic: "ustar  \u{0}") { $0.replaceSubrange(345..<348, with: Array("123".utf8)) }
        #expect(code(gnu.bytes) == .corrupt)
    }

    @Test func endsAtTheFirstZeroBlockAndAtACleanEnd() throws {
        var tar = TarBytes()
        tar.file("a", "1")
        #expect(try list(tar.bytes).count == 1)
        tar.bytes += [UInt8](repeating: 0, count: 512)
        tar.file("hidden", "2")
        #expect(try list(tar.bytes).count == 1)
        #expect(try list([]).isEmpty)
    }

    static let rejected: [(String, @Sendable (inout TarBytes) -> Void)] = [
        ("bad checksum", { $0.header("a", badChecksum: true) }),
        (
            "negative base 256 size",
            { tar in
                tar.header("a") { $0.replaceSubrange(124..<136, with: [UInt8](repeating: 0xff, count: 12)) }
            }
        ),
        (
            "base 256 beyond 63 bits",
            { tar in
                tar.header("a") { $0.replaceSubrange(124..<136, with: [0x80, 0, 0, 0xff] + [UInt8](repeating: 0xff, count: 8)) }
            }
        ),
        ("other top bit", { tar in tar.header("a") { $0[124] = 0x81 } }),
        ("garbage after digits", { tar in tar.header("a") { $0.replaceSubrange(124..<136, with: Array("1 2         ".utf8)) } }),
        ("digit eight", { tar in tar.header("a") { $0.replaceSubrange(124..<126, with: Array("08".utf8)) } }),
        ("hard link with a bad size", { tar in tar.header("a", type: "1", link: "b") { $0[130] = 0x4c } }),
        ("uid -1", { tar in tar.header("a") { $0.replaceSubrange(108..<116, with: [0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]) } }),
        ("blank size", { tar in tar.header("a") { $0.replaceSubrange(124..<136, with: [UInt8](repeating: 0x20, count: 12)) } }),
        ("no name", { $0.header("") }),
        ("unknown type", { $0.header("a", type: "Z") }),
        ("dump directory", { $0.header("a", type: "D") }),
        ("multi-volume", { $0.header("a", type: "M") }),
        (
            "directory with data",
            { tar in
                tar.header("a/", size: 512, type: "5"); tar.file("b", "")
            }
        ),
        (
            "link with PAX size",
            { tar in
                tar.pax([("size", "512")])
                tar.header("a", type: "1", link: "b")
            }
        ),
        ("file named like a directory", { $0.header("a/") }),
        (
            "PAX name makes a directory of a file",
            { tar in
                tar.pax([("path", "b/")])
                tar.header("a", type: "\0")
            }
        ),
        ("link without target", { $0.header("a", type: "2") }),
        (
            "two PAX in a row",
            { tar in
                tar.pax([("path", "b")])
                tar.pax([("path", "c")])
                tar.file("a", "")
            }
        ),
        (
            "GNU and PAX name",
            { tar in
                tar.long("b")
                tar.pax([("path", "c")])
                tar.file("a", "")
            }
        ),
        (
            "PAX and GNU link name",
            { tar in
                tar.pax([("linkpath", "c")])
                tar.long("b", type: "K")
                tar.header("a", type: "2", link: "x")
            }
        ),
        (
            "two long names",
            { tar in
                tar.long("b")
                tar.long("c")
                tar.file("a", "")
            }
        ),
        (
            "global size",
            { tar in
                tar.pax([("size", "512")], type: "g")
                tar.file("a", "")
            }
        ),
        (
            "global path",
            { tar in
                tar.pax([("path", "b")], type: "g")
                tar.file("a", "")
            }
        ),
        (
            "PAX then global",
            { tar in
                tar.pax([("path", "b")])
                tar.pax([("mtime", "1")], type: "g")
                tar.file("a", "")
            }
        ),
        (
            "PAX without entry",
            { tar in
                tar.pax([("path", "b")])
                tar.end()
            }
        ),
        (
            "NUL in PAX path",
            { tar in
                tar.pax([("path", "a\0b")])
                tar.file("a", "")
            }
        ),
        (
            "empty PAX path",
            { tar in
                tar.pax([("path", "")])
                tar.file("a", "")
            }
        ),
        (
            "record length too long",
            { tar in
                tar.pax(raw: Array("99 path=b\n".utf8))
                tar.file("a", "")
            }
        ),
        (
            "record length too short",
            { tar in
                tar.pax(raw: Array("5 path=b\n".utf8))
                tar.file("a", "")
            }
        ),
        (
            "record length zero",
            { tar in
                tar.pax(raw: Array("0 a=b\n".utf8))
                tar.file("a", "")
            }
        ),
        (
            "record length overflow",
            { tar in
                tar.pax(raw: Array("99999999999999999999 a=b\n".utf8))
                tar.file("a", "")
            }
        ),
        (
            "record without newline",
            { tar in
                tar.pax(raw: Array("9 path=bb".utf8))
                tar.file("a", "")
            }
        ),
        (
            "record without keyword",
            { tar in
                tar.pax(raw: Array("6 =bb\n".utf8))
                tar.file("a", "")
            }
        ),
        (
            "negative PAX size",
            { tar in
                tar.pax([("size", "-1")])
                tar.file("a", "")
            }
        ),
        (
            "PAX size beyond 63 bits",
            { tar in
                tar.pax([("size", "9223372036854775808")])
                tar.file("a", "")
            }
        ),
        (
            "PAX size with sign",
            { tar in
                tar.pax([("size", "+512")])
                tar.file("a", "")
            }
        ),
        (
            "foreign charset",
            { tar in
                tar.pax([("hdrcharset", "KOI8-R")])
                tar.file("a", "")
            }
        ),
        ("prefix in v7", { tar in tar.header("a", magic: "") { $0[345] = 0x61 } }),
    ]

    @Test(arguments: rejected.indices) func ambiguousOrBrokenArchivesAreRefused(index: Int) {
        let (name, build) = TarReaderTests.rejected[index]
        var tar = TarBytes()
        tar.file("before", "x")
        build(&tar)
        tar.end()
        let result = code(tar.bytes)
        #expect(result == .corrupt || result == .unsupported, "\(name): \(String(describing: result))")
    }

    @Test func truncationIsNeverAnEnd() {
        var tar = TarBytes()
        tar.pax([("path", "long")])
        tar.file("a", String(repeating: "y", count: 700))
        for length in 1..<tar.bytes.count where length != 0 {
            #expect(code(Array(tar.bytes[..<length])) != nil, "cut at \(length)")
        }
        #expect(code(tar.bytes) == nil)
    }

    @Test func hugeSizesDoNotTrap() {
        for value in ["9223372036854775807", "9223372036854775296"] {
            var tar = TarBytes()
            tar.pax([("size", value)])
            tar.file("a", "")
            tar.end()
            #expect(code(tar.bytes) == .truncated)
        }
    }

    @Test func extendedHeadersAreCapped() {
        var tar = TarBytes()
        tar.header("PaxHeader", size: 1 << 21, type: "x")
        tar.data([UInt8](repeating: 0, count: 1 << 21))
        #expect(code(tar.bytes) == .tooLarge)
        var several = TarBytes()
        several.long(String(repeating: "a", count: 600_000))
        several.long(String(repeating: "b", count: 600_000), type: "K")
        several.header("x", type: "2", link: "y")
        #expect(code(several.bytes) == .tooLarge)
    }

    @Test func globalOwnerAndTime() throws {
        var tar = TarBytes()
        tar.pax([("uid", "7"), ("mtime", "5"), ("comment", "abc")], type: "g")
        tar.file("a", "")
        tar.pax([("uid", "8")])
        tar.file("b", "")
        tar.end()
        let reader = TarReader(BufferedLender(MemoryReader(tar.bytes)))
        let first = try reader.next()
        #expect(first?.uid == 7 && first?.modification == FileTime(seconds: 5))
        #expect(try reader.next()?.uid == 8)
    }

    @Test func everySingleByteChangeIsReadOrRefusedWithoutATrap() {
        var tar = TarBytes()
        tar.pax([("path", "p"), ("mtime", "1.5"), ("SCHILY.xattr.user.a", "b")])
        tar.file("a", "data")
        tar.long("long")
        tar.header("s", type: "2", link: "t")
        tar.end()
        for index in tar.bytes.indices {
            for value: UInt8 in [0, 0x39, 0xff] {
                var changed = tar.bytes
                changed[index] = value
                _ = code(changed)
            }
        }
    }
}
