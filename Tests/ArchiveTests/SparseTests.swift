import Testing

@testable import Archive

@Suite struct SparseTests {
    /// Data "AAA" at 1000 and "BB" at 5000 of a file of 6000 bytes.
    static let expected = ["file s <1000>AAA<3997>BB", "file after !"]

    @Test func oldGNU() throws {
        var tar = TarBytes()
        tar.header("s", size: 5, type: "S", magic: "ustar  \u{0}") { block in
            func octal(_ value: Int, _ at: Int) {
                let digits = String(value, radix: 8)
                let text = String(repeating: "0", count: 11 - digits.count) + digits
                block.replaceSubrange(at..<(at + 12), with: Array(text.utf8) + [0])
            }
            octal(1000, 386)
            octal(3, 398)
            octal(5000, 410)
            octal(2, 422)
            octal(6000, 483)
        }
        tar.data(Array("AAABB".utf8))
        tar.file("after", "!")
        tar.end()
        #expect(try list(tar.bytes) == SparseTests.expected)
    }

    static let formats: [[(String, String)]] = [
        [
            ("GNU.sparse.size", "6000"), ("GNU.sparse.numblocks", "2"), ("GNU.sparse.offset", "1000"),
            ("GNU.sparse.numbytes", "3"), ("GNU.sparse.offset", "5000"), ("GNU.sparse.numbytes", "2"),
        ],
        [
            ("GNU.sparse.size", "6000"), ("GNU.sparse.numblocks", "2"), ("GNU.sparse.name", "s"),
            ("GNU.sparse.map", "1000,3,5000,2"),
        ],
    ]

    @Test(arguments: formats.indices) func paxZero(index: Int) throws {
        var tar = TarBytes()
        tar.pax(SparseTests.formats[index])
        tar.file("s", "AAABB")
        tar.file("after", "!")
        tar.end()
        #expect(try list(tar.bytes) == SparseTests.expected)
    }

    private func one(_ map: String, _ data: String, size: String = "6000") -> [UInt8] {
        var tar = TarBytes()
        tar.pax([
            ("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.name", "s"),
            ("GNU.sparse.realsize", size),
        ])
        let front = Array(map.utf8) + [UInt8](repeating: 0, count: 512 - map.utf8.count)
        tar.header("GNUSparseFile.0/s", size: 512 + data.utf8.count)
        tar.data(front + Array(data.utf8))
        tar.file("after", "!")
        tar.end()
        return tar.bytes
    }

    @Test func paxOne() throws {
        #expect(try list(one("2\n1000\n3\n5000\n2\n", "AAABB")) == SparseTests.expected)
        #expect(try list(one("0\n", "")) == ["file s ", "file after !"])
    }

    @Test(arguments: [
        "2\n5000\n3\n1000\n2\n", "2\n1000\n3\n1001\n2\n", "2\n1000\n3\n5999\n2\n", "1\n1000\n3\n", "2\n1000\n3\n5000\n",
        "2\n1000\n3\n9223372036854775807\n2\n", "99999999999999999999\n", "-1\n", "2\n1000\n6\n5000\n2\n", "x\n",
    ]) func contradictingMapsAreRefused(map: String) {
        #expect(code(one(map, "AAABB")) != nil)
    }

    @Test func contradictingHeadersAreRefused() {
        for records in [
            [("GNU.sparse.map", "0,5")], [("GNU.sparse.size", "9"), ("GNU.sparse.offset", "0")],
            [("GNU.sparse.size", "9"), ("GNU.sparse.numbytes", "5")],
            [("GNU.sparse.size", "9"), ("GNU.sparse.numblocks", "3"), ("GNU.sparse.map", "0,5")],
            [("GNU.sparse.major", "2"), ("GNU.sparse.minor", "0"), ("GNU.sparse.realsize", "5")],
            [("GNU.sparse.size", "4"), ("GNU.sparse.map", "0,5")],
        ] {
            var tar = TarBytes()
            tar.pax(records)
            tar.file("s", "AAABB")
            #expect(code(tar.bytes) != nil, "\(records)")
        }
    }
}
