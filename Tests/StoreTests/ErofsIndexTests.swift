import Archive
import Glibc
import Linux
import OCI
import Testing

@testable import Store

private func indexed(_ tar: [UInt8]) throws(StoreError) -> LayerIndexer {
    let indexer = LayerIndexer()
    try indexer.read(TarReader(TarCopy(BufferedLender(MemoryReader(tar)))))
    return indexer
}

private func image(_ tar: [UInt8]) throws -> [UInt8] {
    let indexer = try indexed(tar)
    var index = ErofsIndex(indexer.tree)
    let image = index.image(diffID: digest(tar), tarSize: Int64(tar.count))
    return try #require(image)
}

private func tree(_ tar: [UInt8]) throws -> [String: (node: ErofsReader.Node, target: String)] {
    try ErofsReader(image(tar)).tree()
}

struct ErofsIndexTests {
    @Test func emptyLayer() throws {
        let tar = try LayerBuilder().bytes()
        let reader = try ErofsReader(image(tar))
        #expect(reader.tag == digest(tar).hex)
        #expect(Int(reader.tarBlocks) * 512 == tar.count)
        let found = try reader.tree()
        #expect(found.count == 1 && found[""]?.node.mode == S_IFDIR | 0o755 && found[""]?.node.links == 2)
    }

    /// A file's bytes are where its inode says, counted from the end of the index.
    @Test func filesPointIntoTheTar() throws {
        let text = String(repeating: "0123456789abcdef", count: 100)
        let tar = try LayerBuilder().file("first", "1").file("d/second", text, mode: 0o4755).file("empty").bytes()
        let reader = try ErofsReader(image(tar))
        let found = try reader.tree()
        for (name, expected) in [("/first", "1"), ("/d/second", text)] {
            let node = try #require(found[name]).node
            let start = Int(node.data - reader.blocks) * 512
            #expect(String(decoding: tar[start..<(start + node.size)], as: UTF8.self) == expected)
            #expect(node.seconds == 1000 && node.nanoseconds == 5 && node.links == 1)
        }
        #expect(found["/d/second"]?.node.mode == S_IFREG | 0o4755)
        #expect(found["/empty"]?.node.size == 0)
        #expect(found["/d"]?.node.mode == S_IFDIR | 0o755 && found[""]?.node.links == 3)
    }

    @Test func linksAndNodes() throws {
        let long = String(repeating: "x", count: 1500)
        let tar = try LayerBuilder().file("a", "a").link("b", "a", hard: true).link("d/c", "b", hard: true).link("s", "a")
            .link("long", long).link("odd", String(repeating: "y", count: 512)).node("p", .fifo)
            .node("n", .characterDevice, major: 1, minor: 3).node("m", .blockDevice, major: 259, minor: 0xfffff).bytes()
        let found = try tree(tar)
        #expect(found["/a"]?.node == found["/b"]?.node && found["/a"]?.node == found["/d/c"]?.node)
        #expect(found["/a"]?.node.links == 3)
        #expect(found["/s"]?.target == "a" && found["/long"]?.target == long && found["/odd"]?.target.utf8.count == 512)
        #expect(found["/p"]?.node.mode == S_IFIFO | 0o666)
        #expect(found["/n"]?.node.data == 0x103 && found["/m"]?.node.data == 0xfff1_03ff)
    }

    @Test func largeDirectoriesAndNames() throws {
        var builder = LayerBuilder()
        for number in 0..<1000 { builder = try builder.file("d/" + String(repeating: "n", count: number % 250) + "\(number)", "x") }
        for name in ["!", "-", "..x", ".a", "\u{fc}"] { builder = try builder.file("d/" + name) }
        let found = try tree(builder.bytes())
        #expect(found.count == 1007)
        #expect(found["/d/!"] != nil && found["/d/..x"] != nil && found["/d/\u{fc}"] != nil)
    }

    /// Every size of a directory, as its last block may stand behind the inode or not.
    @Test func everySizeOfADirectory() throws {
        for count in (1...40).map({ $0 * 3 }) {
            var builder = LayerBuilder()
            for number in 0..<count { builder = try builder.file("d/\(number % 7)-\(number)") }
            #expect(try tree(builder.bytes()).count == count + 2, "\(count) files")
        }
    }

    @Test func attributes() throws {
        let tar = try LayerBuilder().file("f", "x", xattrs: [attribute("user.a", "1"), attribute("trusted.overlay.opaque", "y")])
            .directory("d", xattrs: [attribute("user.b", String(repeating: "v", count: 3000)), attribute("security.x", "")])
            .directory("d", mode: 0o700, xattrs: [attribute("user.c", "3")]).file("d/.wh..wh..opq").bytes()
        let indexer = try indexed(tar)
        #expect(indexer.obstacle == nil && indexer.notes.droppedAttributes == 1)
        let found = try tree(tar)
        #expect(found["/f"]?.node.xattrs == ["user.a": [0x31]])
        let directory = try #require(found["/d"]).node
        #expect(directory.mode == S_IFDIR | 0o700)
        #expect(directory.xattrs.keys.sorted() == ["security.x", "trusted.overlay.opaque", "user.b", "user.c"])
        #expect(directory.xattrs["user.b"]?.count == 3000 && directory.xattrs["trusted.overlay.opaque"] == [0x79])
    }

    @Test func whiteouts() throws {
        let tar = try LayerBuilder().file(".wh.gone").file("d/x").file(".wh.d").file(".wh.later").directory("later")
            .file("kept").file(".wh.kept").file(".wh..wh.plnk/1").bytes()
        let found = try tree(tar)
        #expect(found["/gone"]?.node.mode == S_IFCHR && found["/gone"]?.node.data == 0)
        #expect(found["/d"]?.node.xattrs["trusted.overlay.opaque"] != nil)
        #expect(found["/later"]?.node.xattrs["trusted.overlay.opaque"] != nil)
        #expect(found["/kept"]?.node.mode == S_IFREG | 0o644)
        #expect(found.count == 6)
    }

    @Test func theLastEntryOfANameWins() throws {
        let tar = try LayerBuilder().file("a", "old").directory("a").file("a/in").file("b/x").file("b", "new").link("c", "b")
            .directory("c").file("c/y").bytes()
        let found = try tree(tar)
        #expect(found.keys.sorted() == ["", "/a", "/a/in", "/b", "/c", "/c/y"])
        #expect(found["/b"]?.node.size == 3 && found[""]?.node.links == 4)
    }

    @Test func linksOnTheWay() throws {
        let tar = try LayerBuilder().directory("usr/lib").link("lib", "usr/lib").link("up", "../../usr").link("abs", "/usr/./lib/..")
            .file("lib/a").file("up/b").file("abs/c").bytes()
        #expect(try tree(tar).keys.filter { $0.hasPrefix("/usr/") }.sorted() == ["/usr/b", "/usr/c", "/usr/lib", "/usr/lib/a"])
    }

    @Test func sameBytesEachTime() throws {
        var builder = LayerBuilder()
        for number in 0..<300 { builder = try builder.file("d\(number % 13)/\(number)", "x", xattrs: [attribute("user.n", "\(number)")]) }
        let tar = try builder.bytes()
        #expect(try image(tar) == image(tar))
    }

    @Test(
        arguments: [
            ("../x", nil), ("a/../../x", nil), (String(repeating: "n", count: 256), nil), (".wh.", nil), ("f/x", "f"), ("l/x", "l"),
        ] as [(String, String?)])
    func refused(_ path: String, _ before: String?) throws {
        var builder = LayerBuilder()
        if before == "f" { builder = try builder.file("f") }
        if before == "l" { builder = try builder.link("l", "l") }
        let tar = try builder.file(path).bytes()
        let unpacked = unpackFailure(tar)
        #expect(unpacked != nil && failure { () throws(StoreError) in _ = try indexed(tar) }?.description == unpacked?.description)
    }

    @Test func obstacles() throws {
        let large = attribute("user.x", String(repeating: "v", count: 70_000))
        for (name, builder) in [
            ("acl", try LayerBuilder().file("f", xattrs: [attribute("system.posix_acl_access", "x")])),
            ("capability", try LayerBuilder().file("f", xattrs: [attribute("security.capability", "x")])),
            (
                "fifo",
                try LayerBuilder().entry(TarEntry(kind: .fifo, path: Array("p".utf8), mode: 0o600, xattrs: [attribute("user.x", "1")]))
            ),
            ("unknown", try LayerBuilder().file("f", xattrs: [attribute("foreign.x", "1")])),
            ("large", try LayerBuilder().file("f", xattrs: [large])),
            ("device", try LayerBuilder().node("n", .blockDevice, major: 5000)),
        ] {
            #expect(try indexed(builder.bytes()).obstacle != nil, "\(name)")
        }
    }

    /// Whatever the bytes: an error or a tree that can be read back, and the unpacker's opinion of it.
    @Test func spoiledArchives() throws {
        let good = try LayerBuilder().directory("d").file("d/f", "content", xattrs: [attribute("user.a", "1")]).link("d/l", "f")
            .link("h", "d/f", hard: true).file("d/.wh.x").file("very/deep/file", "x").bytes()
        var random = SystemRandomNumberGenerator()
        var refused = 0
        for _ in 0..<150 {
            var tar = good
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                let place = Int.random(in: 0..<tar.count, using: &random)
                tar[place] = UInt8.random(in: 0...255, using: &random)
                fixChecksum(&tar, block: place / 512)
            }
            if Int.random(in: 0..<10, using: &random) == 0 { tar.removeLast(Int.random(in: 0..<tar.count, using: &random)) }
            var obstacle: String?
            let error = failure { () throws(StoreError) in obstacle = try indexed(tar).obstacle }
            if error != nil { refused += 1 }
            if error == nil, obstacle == nil { _ = try tree(tar) }
            // Owners of other numbers are for root only.
            if ownID == 0, obstacle == nil { #expect((unpackFailure(tar) != nil) == (error != nil), "\(tar)") }
        }
        #expect(refused > 8)
    }

    private func fixChecksum(_ tar: inout [UInt8], block: Int) {
        let start = block * 512
        guard start + 512 <= tar.count, tar[(start + 257)..<(start + 262)].elementsEqual("ustar".utf8) else { return }
        for index in 148..<156 { tar[start + index] = 0x20 }
        let sum = tar[start..<(start + 512)].reduce(0) { $0 + Int($1) }
        for (index, digit) in Array(String(sum, radix: 8).utf8).reversed().enumerated() { tar[start + 153 - index] = digit }
        for index in 148..<(154 - String(sum, radix: 8).utf8.count) { tar[start + index] = 0x30 }
        tar[start + 154] = 0
    }

    private func unpackFailure(_ tar: [UInt8]) -> StoreError? {
        guard let fixture = try? Fixture() else { return nil }
        defer { fixture.remove() }
        return failure { () throws(StoreError) in
            let root = try system { () throws(SystemError) in
                try FD.cwd.makeDirectory(fixture.base + "/root")
                return SharedFD(try FD.cwd.open(fixture.base + "/root", [.directory]))
            }
            try LayerUnpacker(root: root, isInUserNamespace: ownID != 0).unpack(TarReader(BufferedLender(MemoryReader(tar))))
        }
    }
}

/// Loading into a store that keeps indexes; nothing is mounted, so no root is needed.
struct ErofsLoadTests {
    private func load(_ image: TestImage, _ fixture: Fixture) throws -> String {
        fixture.store.chooseLayerFormat = { () throws(StoreError) in .erofs }
        let path = try fixture.write(StoreTests.tar(image.docker()))
        return try #require(try fixture.store.load(path: path).first).id
    }

    @Test(arguments: [Compression.none, .gzip, .zstd])
    func loadCheckRemove(_ compression: Compression) throws {
        let fixture = try Fixture()
        defer { fixture.remove() }
        let layers = [try LayerBuilder().file("a", "a").bytes(), try LayerBuilder().file("b", String(repeating: "b", count: 5000)).bytes()]
        var image = TestImage(layers)
        image.compression = compression
        let id = try load(image, fixture)
        let paths = try fixture.store.layerDirectories(image: id)
        #expect(paths.count == 2 && paths.allSatisfy(ErofsLayer.isIndex))
        for (path, tar) in zip(paths.reversed(), layers) {
            #expect(try FD.cwd.readFile(String(path.dropLast(5)) + "tar") == tar)
        }
        #expect(try fixture.store.isWhole(image: id))
        #expect(try fixture.store.check() == [])
        try fixture.store.removeImage(id) { _ in false }
        #expect(fixture.store.names(in: "layers").isEmpty && fixture.store.names(in: "blobs/sha256").isEmpty)
    }

    @Test func damageIsFoundAndRepaired() throws {
        let fixture = try Fixture()
        defer { fixture.remove() }
        var image = TestImage([try LayerBuilder().file("a", "content").bytes()])
        image.compression = .gzip
        let index = try #require(try fixture.store.layerDirectories(image: load(image, fixture)).first)
        let tar = String(index.dropLast(5)) + "tar"
        for path in [index, tar] {
            let good = try FD.cwd.readFile(path)
            var bad = good
            bad[1300] ^= 1
            try FD.cwd.writeFile(path, bad)
            #expect(try fixture.store.check().map(\.kind) == [.layer])
            #expect(try fixture.store.check(repair: true).map(\.outcome) == [.repaired])
            #expect(try FD.cwd.readFile(path) == good)
            #expect(try fixture.store.check() == [])
        }
    }

    @Test func readWithoutAMount() throws {
        let fixture = try Fixture()
        defer { fixture.remove() }
        var builder = try LayerBuilder().file("etc/passwd", "root:x:0:0").link("etc/link", "passwd").file("etc/empty").directory("d")
            .file("d/.wh..wh..opq").file(".wh.gone").node("p", .fifo)
        for number in 0..<500 { builder = try builder.file("many/\(number)", "\(number)") }
        let index = try #require(try fixture.store.layerDirectories(image: load(TestImage([builder.bytes()]), fixture)).first)
        func walk(_ path: String) throws -> LayerIndexReader.Node? {
            let reader = try LayerIndexReader(index)
            var node = try reader.root()
            for part in path.split(separator: "/") {
                guard let next = try reader.find(String(part), in: node) else { return nil }
                node = next
            }
            return node
        }
        let reader = try LayerIndexReader(index)
        #expect(try reader.contents(of: #require(try walk("etc/passwd"))) == Array("root:x:0:0".utf8))
        #expect(try reader.contents(of: #require(try walk("etc/empty"))) == [])
        #expect(try reader.target(of: #require(try walk("etc/link"))) == "passwd")
        #expect(try walk("gone")?.isWhiteout == true && walk("p")?.isWhiteout == false)
        #expect(try reader.isOpaque(#require(try walk("d"))) && !reader.isOpaque(#require(try walk("etc"))))
        for number in 0..<500 { #expect(try reader.contents(of: #require(try walk("many/\(number)"))) == Array("\(number)".utf8)) }
        for name in ["", "0a", "\u{ff}", "-1", "500"] { #expect(try walk("many/x" + name) == nil) }
        // Whatever the bytes: an answer or an error.
        let good = try FD.cwd.readFile(index)
        for _ in 0..<300 {
            var bad = good
            for _ in 0..<6 { bad[Int.random(in: 1024..<bad.count)] = UInt8.random(in: 0...255) }
            try FD.cwd.writeFile(index, bad)
            for path in ["etc/passwd", "many/77", "d", "gone"] {
                guard let found = try? walk(path) else { continue }
                _ = try? reader.contents(of: found)
                _ = try? reader.isOpaque(found)
            }
        }
    }
}
