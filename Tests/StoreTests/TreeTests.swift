import Archive
import Linux
import Testing

@testable import Store

struct IDTranslationTests {
    let ids = IDTranslation(
        users: [IDMapping(inside: 0, outside: 0x4000_0000, count: 65536)],
        groups: [IDMapping(inside: 0, outside: 0x4000_0000, count: 65536)])

    @Test func idsAreTranslatedBothWays() {
        #expect(ids.userInside(0x4000_0000) == 0)
        #expect(ids.groupInside(0x4000_03e8) == 1000)
        #expect(ids.userInside(0) == IDTranslation.unmapped)
        #expect(ids.userInside(0x4001_0000) == IDTranslation.unmapped)
        #expect(ids.userOutside(65535) == 0x4000_ffff)
        #expect(ids.groupOutside(65536) == nil)
        #expect(IDTranslation.none.userOutside(.max) == .max)
    }

    /// linux/capability.h: revision 2 is for the first namespace's root, revision 3 names whose.
    @Test func capabilitiesAreTheContainersRoots() {
        let plain: [UInt8] = [1, 0, 0, 2] + [UInt8](repeating: 7, count: 16)
        let named: [UInt8] = [1, 0, 0, 3] + [UInt8](repeating: 7, count: 16) + [0, 0, 0, 0x40]
        #expect(ids.capabilityOutside(plain) == named)
        #expect(ids.capabilityInside(named) == plain)
        let foreign = Array(named.dropLast(4)) + [1, 0, 0, 0]
        #expect(ids.capabilityInside(foreign) == foreign)
        for value in [[], [1, 0, 0, 3], plain] { #expect(IDTranslation.none.capabilityInside(value) == value) }
        #expect(IDTranslation.none.capabilityOutside(plain) == plain)
    }
}

/// A directory that goes with the object.
private final class Scratch {
    private let name = "berth-trees-" + hexadecimal(randomBytes(6))
    let directory: SharedFD
    var fd: FD { directory.fd }

    init() throws {
        try FD.cwd.makeDirectory("/tmp/" + name, mode: 0o700)
        directory = SharedFD(try FD.cwd.open("/tmp/" + name, [.readOnly, .directory]))
    }

    deinit {
        if let tmp = try? FD.cwd.open("/tmp", [.directory]) { try? removeTree(tmp.fd, name) }
    }
}

struct TreeTests {
    private func read(_ directory: SharedFD, as path: String) throws -> [TarEntry] {
        let sink = MemorySink()
        let writer = TarSink(TarWriter(sink))
        try TreeReader().read(directory, as: Array(path.utf8), to: writer)
        try writer.finish()
        let reader = TarReader(BufferedLender(MemoryReader(sink.bytes)))
        var entries: [TarEntry] = []
        while let entry = try reader.next() { entries.append(entry) }
        return entries
    }

    private func names(_ entries: [TarEntry]) -> [String] { entries.map { String(decoding: $0.path, as: UTF8.self) } }

    private func tree() throws -> Scratch {
        let scratch = try Scratch()
        try scratch.fd.makeDirectory("t")
        try scratch.fd.makeDirectory("t/b")
        for name in ["t/c", "t/a", "t/b/z", "t/b/y"] { try scratch.fd.writeFile(name, Array(name.utf8), mode: 0o640) }
        try scratch.fd.makeSymbolicLink(to: "/etc/passwd", at: "t/link")
        return scratch
    }

    @Test func theSameTreeIsTheSameArchive() throws {
        let scratch = try tree()
        let top = SharedFD(try scratch.fd.open("t", [.path, .directory]))
        #expect(names(try read(top, as: "")) == ["a", "b/", "b/y", "b/z", "c", "link"])
        #expect(names(try read(top, as: ".")) == ["./", "./a", "./b/", "./b/y", "./b/z", "./c", "./link"])
        #expect(names(try read(top, as: "new")) == ["new/", "new/a", "new/b/", "new/b/y", "new/b/z", "new/c", "new/link"])
    }

    @Test func aTreeIsWrittenAsItWasRead() throws {
        let scratch = try tree()
        try scratch.fd.makeDirectory("copy")
        var options = TreeWriter.Options()
        options.ownership = .caller
        let writer = TreeWriter(base: SharedFD(try scratch.fd.open("copy", [.path, .directory])), options: options)
        let top = SharedFD(try scratch.fd.open("t", [.path, .directory]))
        try writer.run { () throws(StoreError) in try TreeReader().read(top, as: Array("t".utf8), to: writer) }
        #expect(try scratch.fd.readText("copy/t/b/z") == "t/b/z")
        #expect(try scratch.fd.readLink("copy/t/link") == "/etc/passwd")
        let (one, other) = (try scratch.fd.status(of: "t/a"), try scratch.fd.status(of: "copy/t/a"))
        #expect(one.st_mode == other.st_mode)
        #expect(one.st_mtim.tv_sec == other.st_mtim.tv_sec)
        #expect(one.st_mtim.tv_nsec == other.st_mtim.tv_nsec)
    }

    @Test(arguments: ["../x", "a/../../x", "/../x", "a/.."])
    func nothingIsWrittenOutside(path: String) throws {
        let scratch = try Scratch()
        try scratch.fd.makeDirectory("base")
        let writer = TreeWriter(base: SharedFD(try scratch.fd.open("base", [.path, .directory])), options: TreeWriter.Options())
        #expect(throws: StoreError.self) {
            try writer.run { () throws(StoreError) in
                try writer.add(TarEntry(kind: .file, path: Array(path.utf8), mode: 0o644), content: nil)
            }
        }
        #expect(try directoryEntries(scratch.fd).map(\.name) == ["base"])
    }

    @Test func linksBelowAreNotFollowed() throws {
        let scratch = try Scratch()
        try scratch.fd.makeDirectory("base")
        try scratch.fd.makeDirectory("outside")
        try scratch.fd.makeSymbolicLink(to: "../outside", at: "base/link")
        let writer = TreeWriter(base: SharedFD(try scratch.fd.open("base", [.path, .directory])), options: TreeWriter.Options())
        #expect(throws: StoreError.self) {
            try writer.run { () throws(StoreError) in
                try writer.add(TarEntry(kind: .file, path: Array("link/x".utf8), mode: 0o644), content: nil)
            }
        }
        #expect(!scratch.fd.exists("outside/x"))
    }

    @Test func marksOfOverlayBecomeThoseOfLayers() {
        #expect(names([OverlayMarks.whiteout(of: Array("a/b".utf8)), OverlayMarks.whiteout(of: Array("b".utf8))]) == ["a/.wh.b", ".wh.b"])
        #expect(names([OverlayMarks.opaque(Array("a".utf8)), OverlayMarks.opaque([])]) == ["a/.wh..wh..opq", ".wh..wh..opq"])
    }

    @Test func onlyAttributesOfTheRightKindCount() throws {
        let root = OverlayMarks(isUser: false)
        #expect(try root.isOpaque(["trusted.overlay.opaque": [UInt8(ascii: "y")]], []))
        #expect(try !root.isOpaque(["user.overlay.opaque": [UInt8(ascii: "y")]], []))
        #expect(try !root.isOpaque(["trusted.overlay.opaque": [UInt8(ascii: "x")]], []))
        #expect(throws: StoreError.self) { try root.isOpaque(["trusted.overlay.redirect": [0x2f]], []) }
        #expect(try OverlayMarks(isUser: true).isOpaque(["user.overlay.opaque": [UInt8(ascii: "y")]], []))
    }
}
