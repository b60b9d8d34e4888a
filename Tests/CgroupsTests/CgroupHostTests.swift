import Testing

@testable import Cgroups

@Suite struct CgroupHostTests {
    private func host(_ mountinfo: String, _ own: String) -> CgroupHost {
        CgroupHost.parse(
            mountinfo: Array(mountinfo.utf8), own: CgroupHost.parseOwnCgroups(Array(own.utf8)))
    }

    @Test func unified() {
        let host = host(
            "31 23 0:28 / /sys/fs/cgroup rw,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate\n",
            "0::/user.slice/user-1000.slice/session-1.scope\n")
        #expect(host.mode == .unified)
        #expect(host.unified?.mountPoint == "/sys/fs/cgroup")
        #expect(host.unified?.ownPath == "/user.slice/user-1000.slice/session-1.scope")
        #expect(host.legacyControllers == [])
    }

    @Test func hybridWithControllersMountedTogether() {
        let host = host(
            """
            31 23 0:28 / /sys/fs/cgroup ro - tmpfs tmpfs ro,mode=755
            32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:1 master:2 - cgroup cgroup rw,cpu,cpuacct
            33 31 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
            40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd
            41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw

            """, "3:name=systemd:/s\n2:memory:/m\n1:cpu,cpuacct:/\n0::/u\n")
        #expect(host.mode == .hybrid)
        #expect(host.legacy.map(\.name) == ["cpu,cpuacct", "memory", "name=systemd"])
        #expect(host.legacyControllers == [.cpu, .cpuacct, .memory, .named])
        #expect(host.legacy[1].ownPath == "/m")
        #expect(host.unified?.ownPath == "/u")
    }

    @Test func aMountThatShowsOnlyAPart() {
        let host = host(
            "33 31 0:30 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n", "2:memory:/docker/abc/x\n")
        #expect(host.mode == .legacy)
        #expect(host.legacy.first?.ownPath == "/x")
        let root = self.host(
            "33 31 0:30 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n", "2:memory:/docker/abc\n")
        #expect(root.legacy.first?.ownPath == "/")
    }

    @Test func hostileText() {
        #expect(host("", "").legacy.isEmpty)
        #expect(host("1 2 3\n- - - - - - - - -\n\n   \n1 2 3 4 5 6 - cgroup2\n", "::\nx\n0:\n").unified == nil)
        let odd = host("1 2 0:1 / /my\\040cgroup\\0 rw - cgroup2 none rw\n", "0::/../../x\n")
        #expect(odd.unified?.mountPoint == "/my cgroup\\0")
        #expect(odd.unified?.ownPath == "/")
    }

    @Test func controllerNames() {
        #expect(Controllers(legacyList: "net_cls,net_prio") == [.netCls, .netPrio])
        #expect(Controllers(legacyList: "blkio") == .io)
        #expect(Controllers(unifiedList: Array("cpuset cpu io memory pids new\n".utf8)) == [.cpuset, .cpu, .io, .memory, .pids])
        #expect(Controllers([.io, .memory]).listed == "memory, io")
        #expect(Controllers([.io, .memory, .devices]).unifiedNames == ["memory", "io"])
    }

    @Test func thisHostIsUnderstood() throws {
        let host = try CgroupHost.detect()
        #expect(host.unified != nil || !host.legacy.isEmpty)
    }
}
