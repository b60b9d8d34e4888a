import CLinux
import Glibc
import Linux
import Testing

@testable import Engine

struct UserTests {
    private let database = UserDatabase(
        passwd: Array(
            """
            root:x:0:0:root:/root:/bin/sh
            # comment
            broken line
            bad:x:-1:0::/:
            overflow:x:4294967296:0::/:
            alice:x:1000:1001:Alice:/home/alice:/bin/sh
            2000:x:77:78::/seventyseven:/bin/sh
            relative:x:5:5::home:/bin/sh

            """.utf8),
        group: Array("root:x:0:\nwheel:x:10:alice,root\nalice:x:1001:\nten:x:10:alice\nhuge:x:4294967295:alice\n".utf8))

    private func resolve(_ text: String) -> ResolvedUser? { try? database.resolve(text) }

    /// The matrix of CVE-2026-30892: exact, or an error, and never user 0 by accident.
    @Test func matrix() {
        #expect(resolve("")?.uid == 0)
        #expect(resolve("0")?.uid == 0)
        #expect(resolve("1")?.uid == 1 && resolve("1")?.gid == 0 && resolve("1")?.home == "/")
        #expect(resolve("1:0")?.uid == 1)
        #expect(resolve("1000")?.name == "alice" && resolve("1000")?.gid == 1001)
        #expect(resolve("1000:5")?.gid == 5 && resolve("1000:5")?.additionalGroups == [5])
        #expect(resolve("alice")?.uid == 1000)
        #expect(resolve("alice:wheel")?.gid == 10)
        #expect(resolve("2000")?.uid == 77, "a name of digits is a name first")
        for text in [
            ":5", "-1", " 1", "1 ", "01", "0x1", "1e0", "+1", "4294967295", "4294967296", "nobody", "alice:", "1:-1",
            "1:nope", "bad",
            "overflow", "1:0:0", "²", "0 ",
        ] {
            #expect(resolve(text) == nil, "\(text)")
        }
    }

    @Test func groupsAreTheImagesWithThePrimaryFirst() {
        #expect(resolve("alice")?.additionalGroups == [1001, 10])
        #expect(resolve("root")?.additionalGroups == [0, 10])
        #expect(resolve("123")?.additionalGroups == [0])
    }

    @Test func homesAreAbsolute() {
        #expect(resolve("relative")?.home == "/")
        #expect(resolve("alice")?.home == "/home/alice")
    }

    @Test func longLinesAreNoLines() {
        let line = "x:x:1:1::" + String(repeating: "a", count: 100_000) + ":\nalice:x:3:3::/:\n"
        #expect(UserDatabase(passwd: Array(line.utf8), group: nil).users.map(\.name) == ["alice"])
    }
}

/// Layers made by hand in a temporary directory; no root needed.
final class LayeredTreeTests {
    private let base: String
    private let outside: String

    init() throws {
        base = "/tmp/berth-engine-tests-" + hexadecimal(randomBytes(6))
        outside = base + "/outside"
        try FD.cwd.makeDirectories(base + "/top/etc")
        try FD.cwd.makeDirectories(base + "/low/etc")
        try FD.cwd.makeDirectories(base + "/low/dir/sub")
        try FD.cwd.writeFile(outside, Array("secret".utf8))
        try FD.cwd.writeFile(base + "/low/etc/passwd", Array("low".utf8))
        try FD.cwd.writeFile(base + "/low/etc/group", Array("group".utf8))
        try FD.cwd.writeFile(base + "/top/etc/passwd", Array("top".utf8))
        try FD.cwd.writeFile(base + "/low/dir/sub/file", Array("deep".utf8))
    }

    deinit {
        _ = try? spawn(SpawnRequest("/bin/rm", ["rm", "-rf", base])).wait()
    }

    private func read(_ path: String, limit: Int = 1024) throws -> String? {
        let tree = try LayeredTree(layers: [base + "/top", base + "/low"])
        return try tree.readFile(path, limit: limit).map { String(decoding: $0, as: UTF8.self) }
    }

    @Test func theTopLayerWins() throws {
        #expect(try read("/etc/passwd") == "top")
        #expect(try read("/etc/group") == "group")
        #expect(try read("/etc/shadow") == nil)
        #expect(try read("/nope/x") == nil)
    }

    @Test func linksStayInside() throws {
        try FD.cwd.makeSymbolicLink(to: outside, at: base + "/top/etc/absolute")
        try FD.cwd.makeSymbolicLink(to: "../../../../../../../../" + outside, at: base + "/top/etc/relative")
        try FD.cwd.makeSymbolicLink(to: "/dir/sub", at: base + "/top/link")
        try FD.cwd.makeSymbolicLink(to: "loop", at: base + "/top/loop")
        #expect(try read("/etc/absolute") == nil)
        #expect(try read("/etc/relative") == nil)
        #expect(try read("/link/file") == "deep")
        #expect(try read("/link/../sub/file") == "deep")
        #expect(try read("/../../etc/passwd") == "top")
        #expect(throws: SystemError.self) { try read("/loop") }
    }

    @Test func onlyRegularFilesAreReadAndNotTooMuch() throws {
        #expect(cl_mknodat(FD.cwd.rawValue, base + "/top/etc/fifo", 0o010600, 0) == 0)
        #expect(throws: SystemError.self) { try read("/etc/fifo") }
        #expect(throws: SystemError.self) { try read("/etc") }
        #expect(throws: SystemError.self) { try read("/etc/passwd", limit: 2) }
        let sparse = try FD.cwd.open(base + "/top/etc/sparse", [.writeOnly, .create], mode: 0o600)
        #expect(cl_ftruncate(sparse.raw, 10 << 30) == 0)
        #expect(throws: SystemError.self) { try read("/etc/sparse", limit: 10 << 20) }
    }

    @Test func aFileHidesADirectoryBelow() throws {
        try FD.cwd.writeFile(base + "/top/dir", Array("file".utf8))
        #expect(try read("/dir/sub/file") == nil)
        #expect(try read("/dir") == "file")
    }

    @Test func opaqueDirectoriesHideWhatIsBelow() throws {
        try FD.cwd.makeDirectories(base + "/top/dir")
        let mark: [UInt8] = [UInt8(ascii: "y")]
        // Some file systems have no user attributes; then there is nothing to test.
        guard cl_lsetxattr(base + "/top/dir", "user.overlay.opaque", mark, 1, 0) == 0 else { return }
        #expect(try read("/dir/sub/file") == nil)
    }

    @Test func volumesAreFilledFromTheMergedTree() throws {
        let volume = base + "/volume"
        try FD.cwd.makeDirectories(volume)
        try FD.cwd.makeDirectories(base + "/top/dir")
        try FD.cwd.writeFile(base + "/top/dir/new", Array("new".utf8))
        try FD.cwd.makeSymbolicLink(to: outside, at: base + "/top/dir/link")
        try VolumeContent.fill(volume, from: [base + "/top", base + "/low"], at: "/../dir")
        #expect(try FD.cwd.readText(volume + "/new") == "new")
        #expect(try FD.cwd.readText(volume + "/sub/file") == "deep")
        #expect(try FD.cwd.readLink(volume + "/link") == outside, "links are copied, not followed")
        try VolumeContent.fill(volume, from: [base + "/low"], at: "/etc")
        #expect(!FD.cwd.exists(volume + "/passwd"), "a volume with content stays as it is")
    }

    @Test func aVolumePathThatLeavesTheImageFillsNothing() throws {
        let volume = base + "/volume2"
        try FD.cwd.makeDirectories(volume)
        try FD.cwd.makeDirectories(base + "/host")
        try FD.cwd.writeFile(base + "/host/file", [1])
        try FD.cwd.makeSymbolicLink(to: base + "/host", at: base + "/top/out")
        try VolumeContent.fill(volume, from: [base + "/top"], at: "/out")
        #expect(!FD.cwd.exists(volume + "/file"))
    }
}
