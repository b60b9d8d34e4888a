import CLinux
import Glibc
import Linux
import Testing

@testable import Store

@Suite struct TreeRemovalTests {
    @Test func removesWithoutFollowing() throws {
        let fixture = try Fixture()
        defer { fixture.remove() }
        let base = try FD.cwd.open(fixture.base, [.directory])
        try base.fd.makeDirectories("victim/inner")
        try base.fd.writeFile("victim/keep", [1])
        try base.fd.makeDirectories("tree/a/b")
        try base.fd.makeSymbolicLink(to: "../../victim", at: "tree/a/link")
        try base.fd.makeSymbolicLink(to: "victim", at: "direct")
        try base.fd.makeDirectory("tree/closed", mode: 0)
        try removeTree(base.fd, "tree")
        try removeTree(base.fd, "direct")
        try removeTree(base.fd, "missing")
        #expect(!base.fd.exists("tree") && !base.fd.exists("direct") && base.fd.exists("victim/keep"))
    }

    @Test func depthAndNamesOfAnAttacker() throws {
        let fixture = try Fixture()
        defer { fixture.remove() }
        let base = try FD.cwd.open(fixture.base, [.directory])
        try base.fd.makeDirectory("deep")
        var current = SharedFD(try base.fd.open("deep", [.directory]))
        for level in 0..<600 {
            // Two at each level, and names that are no UTF-8.
            let name: [CChar] = [-1, CChar(65 + level % 20), 0]
            _ = cl_mkdirat(current.raw, name, 0o755)
            try current.fd.makeDirectory("b")
            try current.fd.writeFile(".deep-\(level % 5)", [])
            current = SharedFD(owning: cl_openat(current.raw, name, 0o200000, 0))
            #expect(current.raw >= 0)
        }
        try removeTree(base.fd, "deep")
        #expect(!base.fd.exists("deep"))
    }
}
