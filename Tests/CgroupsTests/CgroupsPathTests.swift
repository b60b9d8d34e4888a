import Testing

@testable import Cgroups

@Suite struct CgroupsPathTests {
    @Test func formsAreToldApart() throws {
        #expect(try CgroupsPath.parse("/a//b/./c/", id: "x") == .absolute(["a", "b", "c"]))
        #expect(try CgroupsPath.parse("a/b", id: "x") == .relative(["a", "b"]))
        #expect(try CgroupsPath.parse("", id: "x") == .relative(["x"]))
        #expect(
            try CgroupsPath.parse("system.slice:docker:1234", id: "x")
                == .systemd(slice: "system.slice", prefix: "docker", name: "1234"))
        #expect(try CgroupsPath.parse(":berth:abc", id: "x") == .systemd(slice: "", prefix: "berth", name: "abc"))
        // Colons are allowed in the names of ordinary cgroups.
        #expect(try CgroupsPath.parse("/a:b:c", id: "x") == .absolute(["a:b:c"]))
        #expect(try CgroupsPath.parse("a:b", id: "x") == .relative(["a:b"]))
    }

    @Test(arguments: ["/", "//", ".", "/../etc", "a/../../b", "a\nb", "a\0b", "x:y:", "a/b:c:d"])
    func hostilePathsAreRefused(path: String) {
        #expect(failure { _ = try CgroupsPath.parse(path, id: "x") }?.code == .invalid)
    }

    @Test func anIdIsOneComponent() {
        #expect(failure { _ = try CgroupsPath.parse("", id: "") }?.code == .invalid)
        #expect(failure { _ = try CgroupsPath.parse("", id: "../x") }?.code == .invalid)
        #expect(failure { _ = try CgroupsPath.parse("", id: "..") }?.code == .invalid)
    }

    @Test func recordSurvivesAsLines() throws {
        let record = CgroupRecord(
            entries: [
                .init(hierarchy: "", path: "/sys/fs/cgroup/unified/a:b"),
                .init(hierarchy: "cpu,cpuacct", path: "/sys/fs/cgroup/cpu,cpuacct/a:b"),
                .init(hierarchy: "name=systemd", path: "/sys/fs/cgroup/systemd/a:b"),
            ], rootless: true)
        #expect(record.lines.first == "rootless")
        #expect(record.lines[1] == ":/sys/fs/cgroup/unified/a:b")
        #expect(try CgroupRecord(lines: record.lines) == record)
        #expect(try CgroupRecord(lines: []) == CgroupRecord())
        #expect(failure { _ = try CgroupRecord(lines: ["memory"]) }?.code == .invalid)
        #expect(failure { _ = try CgroupRecord(lines: ["memory:relative"]) }?.code == .invalid)
    }

    @Test func execFindsTheProcessesOwnCgroup() {
        #expect(Cgroup.tail(of: "/berth/x/init", behind: "/sys/fs/cgroup/berth/x") == "/init")
        #expect(Cgroup.tail(of: "/berth/x", behind: "/sys/fs/cgroup/berth/x") == "")
        #expect(Cgroup.tail(of: "/other/y", behind: "/sys/fs/cgroup/berth/x") == nil)
        #expect(Cgroup.tail(of: "/", behind: "/sys/fs/cgroup/berth/x") == nil)
    }
}
