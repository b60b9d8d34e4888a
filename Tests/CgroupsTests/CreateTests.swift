import Linux
import OCI
import Testing

@testable import Cgroups

@Suite struct CreateTests {
    private func hybrid(_ tree: FakeTree, own: String = "/") throws -> CgroupHost {
        for name in ["cpu", "memory", "pids", "systemd", "unified"] { try tree.directory(name) }
        return CgroupHost(
            unified: .init(name: "", mountPoint: tree.root + "/unified", ownPath: own),
            legacy: [
                .init(name: "cpu", mountPoint: tree.root + "/cpu", ownPath: own),
                .init(name: "memory", mountPoint: tree.root + "/memory", ownPath: own),
                .init(name: "name=systemd", mountPoint: tree.root + "/systemd", ownPath: own),
                .init(name: "pids", mountPoint: tree.root + "/pids", ownPath: own),
            ])
    }

    @Test func onlyWhatIsNeededIsMade() throws {
        let tree = try FakeTree()
        let host = try hybrid(tree)
        let cgroup = try Cgroup.create(
            host: host, cgroupsPath: "/a/b/c", id: "x", resources: LinuxResources(pids: LinuxPids(limit: 3)),
            controllers: [])
        #expect(cgroup.record.lines == ["pids:\(tree.root)/pids/a/b/c", ":\(tree.root)/unified/a/b/c"])
        #expect(tree.exists("pids/a/b/c"))
        #expect(!tree.exists("memory/a"))
        #expect(cgroup.exists)
        try cgroup.remove()
        #expect(!tree.exists("pids/a/b/c"))
        #expect(tree.exists("pids/a/b"))
        #expect(!cgroup.exists)
        try cgroup.remove()  // nothing to remove is success
    }

    @Test func allAndDefaultPlaces() throws {
        let tree = try FakeTree()
        let host = try hybrid(tree)
        let all = try Cgroup.create(host: host, cgroupsPath: "", id: "x", controllers: .all)
        #expect(all.record.entries.map(\.hierarchy) == ["cpu", "memory", "name=systemd", "pids", ""])
        #expect(tree.exists("memory/berth/x"))
        let accounting = try Cgroup.create(host: host, cgroupsPath: "y", id: "x", parent: "/p/q")
        #expect(accounting.record.entries.map(\.hierarchy) == ["cpu", "memory", "pids", ""])
        #expect(tree.exists("cpu/p/q/y"))
        try all.remove()
        try accounting.remove()
    }

    @Test func aLegacyHostAlsoGetsFreezerAndNamedHierarchies() throws {
        let tree = try FakeTree()
        for name in ["cpu", "freezer", "systemd"] { try tree.directory(name) }
        let host = CgroupHost(
            unified: nil,
            legacy: [
                .init(name: "cpu", mountPoint: tree.root + "/cpu"),
                .init(name: "freezer", mountPoint: tree.root + "/freezer"),
                .init(name: "name=systemd", mountPoint: tree.root + "/systemd"),
            ])
        let cgroup = try Cgroup.create(host: host, cgroupsPath: "/x", id: "x", controllers: [])
        #expect(cgroup.record.entries.map(\.hierarchy) == ["freezer", "name=systemd"])
        let error = failure {
            _ = try Cgroup.create(
                host: host, cgroupsPath: "/y", id: "x", resources: LinuxResources(memory: LinuxMemory(limit: 1)))
        }
        #expect(error?.code == .controllerMissing)
        #expect(error?.object == "memory")
        #expect(!tree.exists("freezer/y"))
    }

    @Test func anOldCgroupIsReusedOnlyWhenEmpty() throws {
        let tree = try FakeTree()
        let host = try hybrid(tree)
        try tree.file("pids/x/cgroup.procs", "")
        let first = try Cgroup.create(host: host, cgroupsPath: "/x", id: "x")
        #expect(first.record.entries.count == 4)
        try tree.file("pids/x/cgroup.procs", "12\n13\n")
        try FD.cwd.removeDirectory(tree.root + "/memory/x")
        let error = failure { _ = try Cgroup.create(host: host, cgroupsPath: "/x", id: "x") }
        #expect(error?.code == .notEmpty)
        #expect(error?.cause.contains("2 process") == true)
        // What this attempt made is gone again, what was there before is not.
        #expect(!tree.exists("memory/x"))
        #expect(tree.exists("cpu/x"))
    }

    @Test func v2ControllersAreEnabledTopDownAndOnlyMissingOnes() throws {
        let tree = try FakeTree()
        for path in ["", "/a"] {
            try tree.file("v2\(path)/cgroup.controllers", "cpu memory pids io\n")
            try tree.file("v2\(path)/cgroup.subtree_control", path.isEmpty ? "" : "")
        }
        try tree.file("v2/a/b/cgroup.controllers", "")
        let host = CgroupHost(unified: .init(name: "", mountPoint: tree.root + "/v2"), legacy: [])
        // The fake tree does not react: the required controller stays missing, and is named.
        let error = failure {
            _ = try Cgroup.create(
                host: host, cgroupsPath: "/a/b", id: "x", resources: LinuxResources(pids: LinuxPids(limit: 3)),
                controllers: [.memory, .hugetlb])
        }
        #expect(error?.code == .controllerMissing)
        #expect(error?.object == "pids")
        #expect(try tree.text("v2/cgroup.subtree_control") == "+memory +pids")
        #expect(try tree.text("v2/a/cgroup.subtree_control") == "+memory +pids")
    }

    @Test func v2WithEverythingEnabledWritesNothing() throws {
        let tree = try FakeTree()
        try tree.file("v2/cgroup.subtree_control", "")
        try tree.file("v2/a/cgroup.controllers", "cpu memory pids io\n")
        let host = CgroupHost(unified: .init(name: "", mountPoint: tree.root + "/v2"), legacy: [])
        let cgroup = try Cgroup.create(
            host: host, cgroupsPath: "/a", id: "x", resources: LinuxResources(memory: LinuxMemory(limit: 3)))
        #expect(cgroup.record.lines == [":\(tree.root)/v2/a"])
        #expect(try tree.text("v2/cgroup.subtree_control") == "")
    }

    @Test func rootlessGoesBesideItsOwnCgroup() throws {
        let tree = try FakeTree()
        try tree.directory("unified/user/app")
        try tree.directory("memory/user/app")
        let host = CgroupHost(
            unified: .init(name: "", mountPoint: tree.root + "/unified", ownPath: "/user/app"),
            legacy: [.init(name: "memory", mountPoint: tree.root + "/memory", ownPath: "/user/app")])
        let cgroup = try Cgroup.create(host: host, cgroupsPath: "", id: "x", rootless: true)
        #expect(
            cgroup.record.lines == ["rootless", "memory:\(tree.root)/memory/user/app/x", ":\(tree.root)/unified/user/x"])
    }

    @Test func systemdPathsAreRecognised() throws {
        let tree = try FakeTree()
        let host = try hybrid(tree)
        let error = failure { _ = try Cgroup.create(host: host, cgroupsPath: "system.slice:berth:x", id: "x") }
        let booted = FD.cwd.exists("/run/systemd/system")
        #expect(error?.code == (booted ? .unsupported : .systemdMissing))
        #expect(!tree.exists("cpu/berth"))
    }

    @Test func anEmptyCgroupDoesNothing() throws {
        let cgroup = Cgroup(record: CgroupRecord(rootless: true))
        #expect(cgroup.isEmpty)
        #expect(!cgroup.exists)
        try cgroup.apply(LinuxResources(devices: DeviceRules.standard))
        #expect(failure { try cgroup.apply(LinuxResources(pids: LinuxPids(limit: 1))) }?.code == .controllerMissing)
        let entry = try cgroup.entry()
        #expect(entry.cloneDirectory == -1)
        #expect(entry.tasks.isEmpty)
        try entry.joinSelf()
        #expect(try cgroup.processes() == [])
        #expect(try cgroup.isFrozen == false)
        #expect(try cgroup.oomKillCount() == 0)
        try cgroup.kill()
        try cgroup.thaw()
        try cgroup.remove()
    }
}
