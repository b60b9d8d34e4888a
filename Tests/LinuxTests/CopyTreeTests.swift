import CLinux
import Glibc
import Testing

@testable import Linux

struct CopyTreeTests {
    @Test func holesStayHolesAndGrowthIsCutOff() throws {
        let scratch = try Scratch()
        let source = try scratch.fd.open("source", [.readWrite, .create], mode: 0o600)
        try check(cl_ftruncate(source.raw, 64 << 20), "grow")
        try check(Int(cl_lseek(source.raw, 32 << 20, SEEK_SET)), "seek")
        try source.fd.writeAll("middle")
        let target = try scratch.fd.open("target", [.readWrite, .create], mode: 0o600)
        try copyBytes(from: source.fd, to: target.fd, size: 64 << 20)
        let info = try target.fd.status()
        #expect(info.st_size == 64 << 20)
        #expect(info.st_blocks * 512 < 1 << 20)
        try check(Int(cl_lseek(target.raw, 32 << 20, SEEK_SET)), "seek")
        let read = try target.fd.readAll(limit: 64 << 20)
        #expect(read.starts(with: bytes("middle")))

        try scratch.fd.writeFile("plain", bytes("0123456789"))
        let plain = try scratch.fd.open("plain", .readOnly)
        let cut = try scratch.fd.open("cut", [.readWrite, .create], mode: 0o600)
        var told: [Int64] = []
        try copyBytes(from: plain.fd, to: cut.fd, size: 4) { told.append($0) }
        #expect(try scratch.text("cut") == "0123")
        #expect(told.last == 4)
    }

    @Test func contentModesTimesAndLinksAreCopied() throws {
        let scratch = try Scratch()
        try scratch.fd.makeDirectory("from")
        try scratch.fd.makeDirectory("to")
        try scratch.fd.makeDirectory("from/sub", mode: 0o711)
        try scratch.fd.writeFile("from/sub/file", bytes("content"), mode: 0o640)
        try scratch.fd.writeFile("from/setuid", bytes("x"))
        try #require(chmod("\(scratch.path)/from/setuid", 0o4755) == 0)
        try scratch.fd.makeSymbolicLink(to: "/etc/passwd", at: "from/absolute")
        try scratch.fd.makeSymbolicLink(to: "nowhere", at: "from/dangling")
        try #require(mkfifo("\(scratch.path)/from/fifo", 0o622) == 0)
        _ = cl_utimensat(scratch.fd.rawValue, "from/sub/file", 1, 2, 1_000_000_000, 500, 0)
        let from = try scratch.fd.open("from", [.readOnly, .directory])
        let to = try scratch.fd.open("to", [.readOnly, .directory])
        try copyTree(from: from.fd, to: to.fd)

        #expect(try scratch.text("to/sub/file") == "content")
        #expect(try scratch.fd.status(of: "to/sub").st_mode & 0o7777 == 0o711)
        #expect(try scratch.fd.status(of: "to/sub/file").st_mode & 0o7777 == 0o640)
        #expect(try scratch.fd.status(of: "to/setuid").st_mode & 0o7777 == 0o4755)
        let time = try scratch.fd.status(of: "to/sub/file").st_mtim
        #expect(time.tv_sec == 1_000_000_000 && time.tv_nsec == 500)
        #expect(try scratch.fd.readLink("to/absolute") == "/etc/passwd", "links are copied, not followed")
        #expect(try scratch.fd.readLink("to/dangling") == "nowhere")
        #expect(try scratch.fd.status(of: "to/fifo").st_mode & S_IFMT == S_IFIFO)
    }

    @Test func extendedAttributesAreCopied() throws {
        let scratch = try Scratch()
        try scratch.fd.makeDirectory("from")
        try scratch.fd.makeDirectory("to")
        try scratch.fd.writeFile("from/f", bytes("x"))
        let file = try scratch.fd.open("from/f", .readOnly)
        // tmpfs has no user attributes before Linux 6.6.
        guard cl_setxattr(file.raw, "user.berth", [UInt8]([1, 0, 255]), 3, 0) == 0 else { return }
        let from = try scratch.fd.open("from", [.readOnly, .directory])
        let to = try scratch.fd.open("to", [.readOnly, .directory])
        try copyTree(from: from.fd, to: to.fd)
        let copy = try scratch.fd.open("to/f", .readOnly)
        var value = [UInt8](repeating: 0, count: 8)
        #expect(cl_getxattr(copy.raw, "user.berth", &value, 8) == 3)
        #expect(value.prefix(3) == [1, 0, 255])
    }

    /// An entry that already exists at the target, planted as a link, must not be written through.
    @Test func existingLinksAtTheTargetAreNotFollowed() throws {
        let scratch = try Scratch()
        try scratch.fd.writeFile("victim", bytes("canary"))
        try scratch.fd.makeDirectory("from")
        try scratch.fd.makeDirectory("to")
        try scratch.fd.writeFile("from/f", bytes("evil"))
        try scratch.fd.makeSymbolicLink(to: "../victim", at: "to/f")
        let from = try scratch.fd.open("from", [.readOnly, .directory])
        let to = try scratch.fd.open("to", [.readOnly, .directory])
        #expect(failure { try copyTree(from: from.fd, to: to.fd) }?.errno == .exists)
        #expect(try scratch.text("victim") == "canary")
    }

    @Test func depthDoesNotUseTheStack() throws {
        let scratch = try Scratch()
        try scratch.fd.makeDirectory("from")
        try scratch.fd.makeDirectory("to")
        var current = SharedFD(try scratch.fd.open("from", [.readOnly, .directory]))
        for _ in 0..<400 {
            try current.fd.makeDirectory("d", mode: 0o700)
            current = SharedFD(try current.fd.open("d", [.readOnly, .directory]))
        }
        try current.fd.writeFile("leaf", bytes("deep"))
        let from = try scratch.fd.open("from", [.readOnly, .directory])
        let to = try scratch.fd.open("to", [.readOnly, .directory])
        try copyTree(from: from.fd, to: to.fd)
        current = SharedFD(try to.fd.duplicate())
        for _ in 0..<400 { current = SharedFD(try current.fd.open("d", [.readOnly, .directory])) }
        #expect(try current.fd.readText("leaf") == "deep")
    }

    @Test func bytesAreCopiedInWholeAndSparseFilesToo() throws {
        let scratch = try Scratch()
        let pattern = (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        try scratch.fd.writeFile("big", pattern)
        let source = try scratch.fd.open("big", .readOnly)
        let target = try scratch.fd.open("copy", [.readWrite, .create], mode: 0o600)
        try copyBytes(from: source.fd, to: target.fd)
        #expect(try scratch.fd.readFile("copy") == pattern)
    }
}
