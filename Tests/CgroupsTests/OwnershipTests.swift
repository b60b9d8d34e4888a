import Glibc
import Linux
import OCI
import Testing

@testable import Cgroups

/// Who is not root may still give a file to himself, and nothing to anybody else: which files were touched shows by
/// their change time, and by the refusal.
@Suite struct OwnershipTests {
    @Test(.enabled(if: geteuid() == 0)) func onlyListedFilesThatExist() throws {
        let tree = try FakeTree()
        let cgroup = try tree.unified(["cgroup.procs", "cgroup.threads", "memory.max", "pids.max", "memory.reclaim"])
        try tree.file("delegate", "cgroup.procs\nmemory.reclaim\nnot.there\n../pids.max\n")
        try cgroup.give(to: 4321, list: tree.root + "/delegate")
        #expect(try owner(tree, "c") == 4321)
        #expect(try owner(tree, "c/cgroup.procs") == 4321)
        #expect(try owner(tree, "c/memory.reclaim") == 4321)
        for file in ["cgroup.threads", "memory.max", "pids.max"] { #expect(try owner(tree, "c/" + file) == 0, "\(file)") }
    }

    @Test(.enabled(if: geteuid() == 0)) func withoutAListTheThreeOfTheSpec() throws {
        let tree = try FakeTree()
        let cgroup = try tree.unified(["cgroup.procs", "cgroup.threads", "cgroup.subtree_control", "memory.reclaim"])
        try cgroup.give(to: 4321, list: tree.root + "/none")
        for file in ["cgroup.procs", "cgroup.threads", "cgroup.subtree_control"] {
            #expect(try owner(tree, "c/" + file) == 4321, "\(file)")
        }
        #expect(try owner(tree, "c/memory.reclaim") == 0)
    }

    @Test(.enabled(if: geteuid() != 0)) func aRefusalIsAnError() throws {
        let tree = try FakeTree()
        let cgroup = try tree.unified(["cgroup.procs"])
        let error = failure { try cgroup.give(to: 0, list: tree.root + "/none") }
        #expect(error?.code == .permissionDenied)
    }

    @Test func theFirstVersionKeepsItsOwner() throws {
        let tree = try FakeTree()
        try tree.legacy(["pids": ["cgroup.procs"]]).give(to: 4321)
        #expect(try owner(tree, "pids/c/cgroup.procs") == geteuid())
    }

    private func owner(_ tree: FakeTree, _ path: String) throws -> UInt32 {
        let file = try FD.cwd.open(tree.root + "/" + path, .readOnly)
        return try file.fd.status().st_uid
    }
}
