import CLinux
import Glibc
import Linux
import Testing

@testable import Control

@Suite struct RemovalTests {
    @Test func linksAreNotFollowed() throws {
        let scratch = try Scratch()
        let base = scratch.path
        try FD.cwd.makeDirectories(base + "/outside/deep")
        try FD.cwd.writeFile(base + "/outside/deep/canary", [1])
        try FD.cwd.makeDirectories(base + "/tree/a/b")
        try FD.cwd.makeSymbolicLink(to: "../../outside", at: base + "/tree/a/link")
        try FD.cwd.makeSymbolicLink(to: base + "/outside", at: base + "/tree/absolute")
        try FD.cwd.writeFile(base + "/tree/a/b/file", [])
        try removeTree(scratch.fd, "tree")
        #expect(!FD.cwd.exists(base + "/tree"))
        #expect(FD.cwd.exists(base + "/outside/deep/canary"))
        try removeTree(scratch.fd, "tree")
    }

    @Test func deepTreesNeedFewDescriptors() throws {
        let scratch = try Scratch()
        var current = SharedFD(try FD.cwd.open(scratch.path, [.readOnly, .directory]))
        try current.fd.makeDirectory("deep")
        current = SharedFD(try current.fd.open("deep", [.readOnly, .directory]))
        for level in 0..<600 {
            if level % 50 == 0 { try current.fd.writeFile("file", [1]) }
            try current.fd.makeDirectory("d")
            current = SharedFD(try current.fd.open("d", [.readOnly, .directory]))
        }
        try removeTree(scratch.fd, "deep")
        #expect(try directoryEntries(scratch.fd).isEmpty)
    }

    @Test func closedDirectoriesAreOpened() throws {
        let scratch = try Scratch()
        try FD.cwd.makeDirectories(scratch.path + "/t/closed/inner")
        try FD.cwd.writeFile(scratch.path + "/t/closed/inner/f", [])
        #expect(cl_fchmodat(AT_FDCWD, scratch.path + "/t/closed/inner", 0, 0) == 0)
        #expect(cl_fchmodat(AT_FDCWD, scratch.path + "/t/closed", 0o500, 0) == 0)
        try removeTree(scratch.fd, "t")
        #expect(!FD.cwd.exists(scratch.path + "/t"))
    }
}
