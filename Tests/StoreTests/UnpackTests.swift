import Archive
import CLinux
import Glibc
import Linux
import Testing

@testable import Store

/// Unpacks into `root`, beside which stands a canary that nothing may touch.
private final class Ground {
    let fixture: Fixture
    let root: SharedFD
    let path: String
    private let before: String

    init() throws {
        fixture = try Fixture()
        path = fixture.base + "/root"
        try FD.cwd.makeDirectory(path)
        root = SharedFD(try FD.cwd.open(path, [.directory]))
        let canary = fixture.base + "/canary"
        try FD.cwd.makeDirectory(canary)
        try FD.cwd.writeFile(canary + "/secret", Array("secret".utf8), mode: 0o640)
        before = try Ground.state(canary)
    }

    private static func state(_ canary: String) throws -> String {
        let directory = try FD.cwd.open(canary, [.directory])
        var text = ""
        for name in [""] + (try directoryEntries(directory.fd).map(\.name).sorted()) {
            let s = try FD.cwd.status(of: canary + "/" + name)
            text += "\(name) \(s.st_mode) \(s.st_uid) \(s.st_size) \(s.st_mtim.tv_sec) \(s.st_mtim.tv_nsec) \(s.st_nlink)\n"
        }
        return text
    }

    @discardableResult
    func unpack(
        _ bytes: [UInt8], limits: LayerUnpacker.Limits = .init(), cancellation: Cancellation? = nil
    ) throws(StoreError) -> LayerUnpacker.Notes {
        let unpacker = LayerUnpacker(
            root: root, isInUserNamespace: ownID != 0, limits: limits, cancellation: cancellation)
        try unpacker.unpack(TarReader(BufferedLender(MemoryReader(bytes))))
        return unpacker.notes
    }

    /// That nothing outside the root changed.
    func isIntact() throws -> Bool { try Ground.state(fixture.base + "/canary") == before }

    func text(_ name: String) -> String? { try? FD.cwd.readText(path + "/" + name) }
    func status(_ name: String) throws -> stat { try FD.cwd.status(of: path + "/" + name) }
    func isWhiteout(_ name: String) throws -> Bool { isWhiteoutNode(try status(name)) }
    func isOpaque(_ name: String) -> Bool {
        var value = [UInt8](repeating: 0, count: 8)
        let name = path + "/" + name
        return cl_lgetxattr(name, ownID == 0 ? "trusted.overlay.opaque" : "user.overlay.opaque", &value, 8) == 1
            && value[0] == UInt8(ascii: "y")
    }
}

@Suite struct UnpackTests {
    @Test func everythingALayerHas() throws {
        let ground = try Ground()
        defer { ground.fixture.remove() }
        let layer = try LayerBuilder()
            .directory("./", mode: 0o711).directory("d", mode: 0o555).file("d/f", "hello", mode: 0o4755)
            .file("./d//g", "x").link("d/l", "f").link("h", "/d/f", hard: true).node("p", .fifo)
            .file("deep/er/file", "implied").file("a\u{301}\u{feff}", "name").bytes()
        let notes = try ground.unpack(layer)
        #expect(notes == LayerUnpacker.Notes())
        #expect(ground.text("d/f") == "hello" && ground.text("d/g") == "x" && ground.text("deep/er/file") == "implied")
        #expect(try ground.status("d").st_mode == S_IFDIR | 0o555)
        #expect(try ground.status("").st_mode == S_IFDIR | 0o711)
        #expect(try ground.status("d/f").st_mode == S_IFREG | 0o4755)
        #expect(try ground.status("d/f").st_nlink == 2)
        #expect(try ground.status("d/f").st_mtim.tv_nsec == 5)
        #expect(try ground.status("d").st_mtim.tv_sec == 2000)
        #expect(try ground.status("d/l").st_mtim.tv_sec == 3000)
        #expect(try ground.status("p").st_mode == S_IFIFO | 0o666)
        #expect(try ground.status("deep").st_mode == S_IFDIR | 0o755)
    }

    /// What an entry says about a directory holds, whatever earlier entries said of it or of one that was there before.
    @Test func theLastEntryOfADirectoryWins() throws {
        let ground = try Ground()
        defer { ground.fixture.remove() }
        try ground.unpack(
            LayerBuilder().directory("twice", mode: 0o700).directory("twice", mode: 0o755)
                .directory("again", mode: 0o700).directory("again/in", mode: 0o711).file("again").directory("again").file("again/in/x")
                .directory("usr/lib").link("lib", "usr/lib").directory("lib/linked", mode: 0o750)
                .directory("gone", mode: 0o700).file("gone").link("gone", "usr").bytes())
        #expect(try ground.status("twice").st_mode == S_IFDIR | 0o755)
        #expect(try ground.status("again").st_mode == S_IFDIR | 0o755)
        #expect(try ground.status("again/in").st_mode == S_IFDIR | 0o755)
        #expect(try ground.status("usr/lib/linked").st_mode == S_IFDIR | 0o750)
        #expect(try ground.status("usr").st_mode == S_IFDIR | 0o755)
    }

    @Test func sparseFilesStaySparse() throws {
        let ground = try Ground()
        defer { ground.fixture.remove() }
        // PAX 0.1: "A" at 0 and "B" at 64 MiB of a file of 128 MiB.
        let records = ["GNU.sparse.size=134217728", "GNU.sparse.numblocks=2", "GNU.sparse.map=0,1,67108864,1"]
        var pax = ""
        for record in records {
            var length = record.utf8.count + 3
            while "\(length)".utf8.count + record.utf8.count + 2 != length { length += 1 }
            pax += "\(length) \(record)\n"
        }
        let sink = MemorySink()
        let writer = TarWriter(sink)
        try writer.append(TarEntry(kind: .file, path: Array("x".utf8), mode: 0o644, uid: ownID, gid: ownGroup), contents: Array(pax.utf8))
        try writer.append(TarEntry(kind: .file, path: Array("s".utf8), mode: 0o644, uid: ownID, gid: ownGroup), contents: Array("AB".utf8))
        try writer.finish()
        var bytes = sink.bytes
        bytes[156] = UInt8(ascii: "x")
        for index in 148..<156 { bytes[index] = 0x20 }
        let sum = bytes[0..<512].reduce(0) { $0 + Int($1) }
        let digits = String(sum, radix: 8)
        bytes.replaceSubrange(148..<155, with: Array((String(repeating: "0", count: 6 - digits.count) + digits).utf8) + [0])
        try ground.unpack(bytes)
        let status = try ground.status("s")
        #expect(status.st_size == 134_217_728 && status.st_blocks < 64)
        let file = try FD.cwd.open(ground.path + "/s", [])
        var byte: UInt8 = 0
        #expect(cl_pread(file.raw, &byte, 1, 67_108_864) == 1 && byte == UInt8(ascii: "B"))
    }

    @Test func whiteouts() throws {
        let ground = try Ground()
        defer { ground.fixture.remove() }
        try ground.unpack(
            try LayerBuilder()
                .file("d/.wh.gone").file("o/.wh..wh..opq").file("o/new", "n").file(".wh..wh.plnk/1", "x")
                // A name of its own beside its whiteout, in both orders, as file and as directory.
                .file(".wh.f1").file("f1", "1").file("f2", "2").file(".wh.f2").file(".wh.d1").file("d1/x", "3")
                .directory("d2").file("d2/x", "4").file(".wh.d2").file(".wh.d3").directory("d3").bytes())
        #expect(try ground.isWhiteout("d/gone"))
        #expect(ground.isOpaque("o") && !ground.isOpaque("d") && ground.text("o/new") == "n")
        #expect(!FD.cwd.exists(ground.path + "/.wh..wh.plnk"))
        #expect(ground.text("f1") == "1" && ground.text("f2") == "2")
        for name in ["d1", "d2", "d3"] { #expect(ground.isOpaque(name), "\(name)") }
        #expect(ground.text("d1/x") == "3" && ground.text("d2/x") == "4")
    }

    /// S47: nothing in a layer speaks to overlay, and no device 0:0 hides lower files.
    @Test func smuggledAttributesAndNodes() throws {
        let ground = try Ground()
        defer { ground.fixture.remove() }
        let own = [attribute("user.keep", "k")]
        let bad = [
            "trusted.overlay.redirect", "trusted.overlay.metacopy", "trusted.overlay.opaque", "user.overlay.opaque",
            "user.fuseoverlayfs.opaque", "security.selinux",
        ].map { attribute($0, "y") }
        let notes = try ground.unpack(
            try LayerBuilder().directory("d", xattrs: own + bad).file("f", "x", xattrs: own + bad)
                .node("zero", .characterDevice).bytes())
        #expect(notes.droppedAttributes == 12 && notes.droppedWhiteoutNodes == 1)
        #expect(!FD.cwd.exists(ground.path + "/zero") && !ground.isOpaque("d"))
        for name in ["d", "f"] {
            var list = [UInt8](repeating: 0, count: 256)
            let count = cl_llistxattr(ground.path + "/" + name, &list, 256)
            #expect(String(decoding: list[..<max(0, count)], as: UTF8.self) == "user.keep\0")
        }
    }

    @Test(.enabled(if: geteuid() == 0, "file capabilities need root")) func capabilitiesAndDevices() throws {
        let ground = try Ground()
        defer { ground.fixture.remove() }
        // VFS_CAP_REVISION_2, effective, CAP_NET_RAW.
        let value: [UInt8] = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        let capability = ExtendedAttribute(name: Array("security.capability".utf8), value: value)
        let builder = LayerBuilder()
        _ = try builder.entry(
            TarEntry(kind: .file, path: Array("ping".utf8), mode: 0o4755, uid: 7, gid: 8, xattrs: [capability]), "x")
        _ = try builder.node("null", .characterDevice, major: 1, minor: 3)
        try ground.unpack(try builder.bytes())
        var read = [UInt8](repeating: 0, count: 64)
        #expect(cl_lgetxattr(ground.path + "/ping", "security.capability", &read, 64) == 20)
        #expect(try ground.status("ping").st_mode == S_IFREG | 0o4755 && ground.status("ping").st_uid == 7)
        #expect(try ground.status("null").st_rdev == cl_makedev(1, 3))
    }

    /// S52: the last entry of a name wins, whatever it was before, and nothing is followed.
    @Test func duplicatesAndTypeFlips() throws {
        let ground = try Ground()
        defer { ground.fixture.remove() }
        try ground.unpack(
            try LayerBuilder()
                .file("a", "1").file("a", "2").directory("a").file("a/in", "3").link("a", "../canary").file("a", "4")
                .directory("dup", mode: 0o700).file("dup/x", "kept").directory("dup", mode: 0o750)
                .link("s", "../canary/secret").file("s", "mine").directory("t").link("t", "../canary").directory("t")
                .file("t/secret", "inside").bytes())
        #expect(ground.text("a") == "4" && ground.text("s") == "mine" && ground.text("t/secret") == "inside")
        #expect(ground.text("dup/x") == "kept")
        #expect(try ground.status("dup").st_mode == S_IFDIR | 0o750)
        #expect(try ground.isIntact())
    }

    static let escapes: [@Sendable (LayerBuilder) throws -> LayerBuilder] = [
        { try $0.file("../canary/secret", "x") }, { try $0.file("a/../../canary/secret", "x") },
        { try $0.file("/../canary/secret", "x") }, { try $0.link("d", "../canary").file("d/secret", "x") },
        { try $0.link("d", "/../../../../canary").file("d/secret", "x") },
        { try $0.link("e", "../canary").link("d", "e").file("d/new", "x") },
        { try $0.link("h", "../canary/secret", hard: true) }, { try $0.link("h", "../../canary/secret", hard: true) },
        { try $0.link("d", "../canary").link("h", "d/secret", hard: true, mode: 0o4777) },
        { try $0.link("s", "../canary/secret").link("h", "s", hard: true, mode: 0o4777).file("h", "x") },
        { try $0.link("d", "../canary").file("d/.wh..wh..opq") }, { try $0.link("d", "../canary").file("d/.wh.secret") },
        { try $0.link("d", "../canary").directory("d/sub") }, { try $0.link("d", "../canary").directory("d", mode: 0o777) },
        { try $0.link("d", "/proc/self/root").file("d/tmp/berth-escape", "x") }, { try $0.file("a", "").file("a/b", "x") },
        { try $0.link("loop", "loop").file("loop/x", "") }, { try $0.file(".wh...", "") }, { try $0.file(".wh.", "") },
        { try $0.link("later", "file", hard: true).file("file", "") }, { try $0.directory("d").link("h", "d", hard: true) },
        { try $0.file(".wh.x").link("h", "x", hard: true) }, { try $0.link("h", ".", hard: true) },
        { try $0.file(String(repeating: "n", count: 256), "") },
        { try $0.file(String(repeating: "d/", count: 2050) + "f", "") }, { try $0.node(".", .fifo) },
        { try $0.link("", "x") }, { try $0.file(".wh.a/b", "") },
    ]

    /// S41 to S45: whatever the archive says, it is refused or stays inside.
    @Test(arguments: escapes.indices) func nothingEscapes(index: Int) throws {
        let ground = try Ground()
        defer { ground.fixture.remove() }
        do { try ground.unpack(try UnpackTests.escapes[index](LayerBuilder()).bytes()) } catch { _ = error }
        #expect(try ground.isIntact(), "escape \(index)")
        #expect(!FD.cwd.exists("/tmp/berth-escape"))
    }

    /// S44: somebody swaps names for links to the canary while they are unpacked.
    @Test func racingWithTheUnpacker() throws {
        let ground = try Ground()
        defer { ground.fixture.remove() }
        var builder = LayerBuilder()
        for index in 0..<400 {
            builder = try builder.directory("d\(index)", mode: 0o777).file("d\(index)/f", "x", mode: 0o666)
        }
        let bytes = try builder.bytes()
        let stop = Cancellation()
        let path = ground.path
        let racer = try Worker {
            while !stop.isCancelled {
                for index in 0..<400 {
                    let name = path + "/d\(index)"
                    if rename(name, path + "/x\(index)") == 0 { symlink("../canary", name) }
                    let inner = path + "/d\(index)/f"
                    if unlink(inner) == 0 { symlink("../../canary/secret", inner) }
                }
            }
        }
        for _ in 0..<5 { do throws(StoreError) { try ground.unpack(bytes) } catch { _ = error } }
        stop.cancel()
        racer.join()
        // The racer itself works through the links it made: only its own removal may have touched the canary's names.
        #expect(ground.fixture.base.isEmpty == false)
        #expect(try FD.cwd.status(of: ground.fixture.base + "/canary").st_mode & 0o7777 == 0o755)
        #expect(!FD.cwd.exists(ground.fixture.base + "/canary/f"))
    }

    /// S51: bounds, and a quick end when asked.
    @Test func limits() throws {
        let ground = try Ground()
        defer { ground.fixture.remove() }
        var builder = LayerBuilder()
        for index in 0..<200 { builder = try builder.directory("d\(index)") }
        builder = try builder.file("big", String(repeating: "x", count: 1000))
        let bytes = try builder.bytes()
        var limits = LayerUnpacker.Limits()
        limits.entries = 100
        #expect(failure { () throws(StoreError) in try ground.unpack(bytes, limits: limits) }?.code == .tooLarge)
        limits = LayerUnpacker.Limits()
        limits.directories = 100
        #expect(failure { () throws(StoreError) in try ground.unpack(bytes, limits: limits) }?.code == .tooLarge)
        limits = LayerUnpacker.Limits()
        limits.size = 999
        #expect(failure { () throws(StoreError) in try ground.unpack(bytes, limits: limits) }?.code == .tooLarge)
        let stop = Cancellation()
        stop.cancel()
        #expect(failure { () throws(StoreError) in try ground.unpack(bytes, cancellation: stop) }?.code == .cancelled)
        try ground.unpack(bytes)
    }

    @Test(.enabled(if: geteuid() != 0, "needs an ordinary user")) func unmappedOwnersSayWhatToType() throws {
        let ground = try Ground()
        defer { ground.fixture.remove() }
        let layer = try LayerBuilder().entry(TarEntry(kind: .file, path: [0x61], mode: 0o644, uid: 70_000), "").bytes()
        let error = failure { () throws(StoreError) in try ground.unpack(layer) }
        #expect(error?.description.contains("usermod --add-subuids") == true)
    }
}
