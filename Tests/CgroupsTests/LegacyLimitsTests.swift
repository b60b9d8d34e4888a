import OCI
import Testing

@testable import Cgroups

@Suite struct LegacyLimitsTests {
    @Test func everyGeneralLimit() throws {
        let tree = try FakeTree()
        let cgroup = try tree.legacy([
            "pids": ["pids.max"],
            "memory": [
                "memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.soft_limit_in_bytes",
                "memory.oom_control", "memory.swappiness",
            ],
            "cpu,cpuacct": [
                "cpu.shares", "cpu.cfs_period_us", "cpu.cfs_quota_us", "cpu.cfs_burst_us", "cpu.idle",
                "cpu.rt_period_us", "cpu.rt_runtime_us",
            ],
            "cpuset": ["cpuset.cpus", "cpuset.mems"],
            "blkio": ["blkio.bfq.weight", "blkio.bfq.weight_device", "blkio.throttle.read_bps_device"],
            "hugetlb": ["hugetlb.1GB.limit_in_bytes"],
            "net_cls,net_prio": ["net_cls.classid", "net_prio.ifpriomap"],
        ])
        try tree.file("memory/c/memory.limit_in_bytes", "9223372036854771712\n")
        let log = try writes(
            cgroup,
            LinuxResources(
                memory: LinuxMemory(limit: 1000, reservation: 500, swap: 1500, swappiness: 10, disableOOMKiller: true),
                cpu: LinuxCPU(
                    shares: 512, quota: 50000, burst: 10, period: 100_000, realtimeRuntime: 950, realtimePeriod: 1000,
                    cpus: "0", mems: "0", idle: 0),
                pids: LinuxPids(limit: 0),
                blockIO: LinuxBlockIO(
                    weight: 300, weightDevice: [LinuxWeightDevice(major: 8, minor: 0, weight: 20)],
                    throttleReadBpsDevice: [LinuxThrottleDevice(major: 8, minor: 0, rate: 1024)]),
                hugepageLimits: [LinuxHugepageLimit(pageSize: "1GB", limit: 7)],
                network: LinuxNetwork(classID: 0x10_0001, priorities: [LinuxInterfacePriority(name: "eth0", priority: 5)])))
        #expect(
            log == [
                "pids.max=1", "memory.limit_in_bytes=1000", "memory.memsw.limit_in_bytes=1500",
                "memory.soft_limit_in_bytes=500", "memory.oom_control=1", "memory.swappiness=10",
                "blkio.bfq.weight=300", "blkio.bfq.weight_device=8:0 20", "blkio.throttle.read_bps_device=8:0 1024",
                "cpu.shares=512", "cpu.cfs_period_us=100000", "cpu.cfs_burst_us=10", "cpu.cfs_quota_us=50000",
                "cpu.idle=0", "cpu.rt_period_us=1000", "cpu.rt_runtime_us=950", "cpuset.cpus=0", "cpuset.mems=0",
                "hugetlb.1GB.limit_in_bytes=7", "net_cls.classid=1048577", "net_prio.ifpriomap=eth0 5",
            ])
    }

    @Test func theSumIsRaisedFirstAndLoweredLast() throws {
        let tree = try FakeTree()
        let cgroup = try tree.legacy(["memory": ["memory.memsw.limit_in_bytes"]])
        try tree.file("memory/c/memory.limit_in_bytes", "1000")
        let resources = LinuxResources(memory: LinuxMemory(limit: 2000, swap: 3000))
        #expect(try writes(cgroup, resources) == ["memory.memsw.limit_in_bytes=3000", "memory.limit_in_bytes=2000"])
        let lower = LinuxResources(memory: LinuxMemory(limit: 100, swap: 200))
        try tree.file("memory/c/memory.limit_in_bytes", "2000")
        #expect(try writes(cgroup, lower) == ["memory.limit_in_bytes=100", "memory.memsw.limit_in_bytes=200"])
        #expect(
            try writes(cgroup, LinuxResources(memory: LinuxMemory(limit: -1)))
                == ["memory.memsw.limit_in_bytes=-1", "memory.limit_in_bytes=-1"])
        #expect(
            try writes(cgroup, LinuxResources(memory: LinuxMemory(limit: 5000, swap: -1)))
                == ["memory.memsw.limit_in_bytes=-1", "memory.limit_in_bytes=5000"])
    }

    @Test func unlimitedMemoryWithoutSwapAccounting() throws {
        let tree = try FakeTree()
        let cgroup = try tree.legacy(["memory": ["memory.limit_in_bytes"]])
        #expect(try writes(cgroup, LinuxResources(memory: LinuxMemory(limit: -1))) == ["memory.limit_in_bytes=-1"])
    }

    @Test func cfqAndMissingWeights() throws {
        let tree = try FakeTree()
        let cgroup = try tree.legacy(["blkio": ["blkio.weight", "blkio.leaf_weight"]])
        #expect(
            try writes(cgroup, LinuxResources(blockIO: LinuxBlockIO(weight: 10, leafWeight: 20)))
                == ["blkio.weight=10", "blkio.leaf_weight=20"])
        let other = try FakeTree()
        let bare = try other.legacy(["blkio": []])
        #expect(
            failure { try bare.apply(LinuxResources(blockIO: LinuxBlockIO(weight: 10))) }?.code == .unsupported)
    }

    @Test func sharesOutOfRange() throws {
        let tree = try FakeTree()
        let cgroup = try tree.legacy(["cpu": ["cpu.shares"]])
        #expect(failure { try cgroup.apply(LinuxResources(cpu: LinuxCPU(shares: 1))) }?.code == .invalid)
        #expect(failure { try cgroup.apply(LinuxResources(cpu: LinuxCPU(shares: 262_145))) }?.code == .invalid)
    }

    @Test func missingHierarchiesAndUnifiedAreNamed() throws {
        let tree = try FakeTree()
        let cgroup = try tree.legacy(["cpu": ["cpu.shares"]])
        let pids = failure { try cgroup.apply(LinuxResources(pids: LinuxPids(limit: 5))) }
        #expect(pids?.code == .controllerMissing)
        #expect(pids?.object == "pids")
        #expect(failure { try cgroup.apply(LinuxResources(unified: ["cpu.idle": "1"])) }?.code == .unsupported)
    }

    @Test func hybridTakesEachControllerFromWhereItIs() throws {
        let tree = try FakeTree()
        try tree.files("memory/c", ["memory.limit_in_bytes"])
        try tree.files("unified/c", ["hugetlb.2MB.max", "hugetlb.2MB.rsvd.max"])
        try tree.file("unified/c/cgroup.controllers", "hugetlb\n")
        let cgroup = Cgroup(
            record: CgroupRecord(entries: [
                .init(hierarchy: "memory", path: tree.root + "/memory/c"),
                .init(hierarchy: "", path: tree.root + "/unified/c"),
            ]))
        let log = try writes(
            cgroup,
            LinuxResources(
                memory: LinuxMemory(limit: 77), hugepageLimits: [LinuxHugepageLimit(pageSize: "2MB", limit: 8)]))
        #expect(log == ["memory.limit_in_bytes=77", "hugetlb.2MB.max=8", "hugetlb.2MB.rsvd.max=8"])
    }

    @Test func deviceRulesOfAFreshCgroup() throws {
        let tree = try FakeTree()
        let cgroup = try tree.legacy(["devices": ["devices.allow", "devices.deny"]])
        let resources = LinuxResources(
            devices: [
                LinuxDeviceCgroup(allow: false, type: "", access: "rwm"),
                LinuxDeviceCgroup(allow: true, type: "c", major: 10, minor: 229, access: "rw"),
            ] + DeviceRules.standard)
        let log = try writes(cgroup, resources)
        #expect(
            log == [
                "devices.deny=a", "devices.allow=b *:* m", "devices.allow=c *:* m", "devices.allow=c 1:3 rwm",
                "devices.allow=c 1:5 rwm", "devices.allow=c 1:7 rwm", "devices.allow=c 1:8 rwm",
                "devices.allow=c 1:9 rwm", "devices.allow=c 5:0 rwm", "devices.allow=c 5:1 rwm",
                "devices.allow=c 5:2 rwm", "devices.allow=c 10:229 rw", "devices.allow=c 136:* rwm",
            ])
    }

    @Test func deviceRulesOfARunningContainerChangeOnlyWhatDiffers() throws {
        let tree = try FakeTree()
        let cgroup = try tree.legacy(["devices": ["devices.allow", "devices.deny"]])
        try tree.file("devices/c/devices.list", "b *:* m\nc *:* m\nc 1:3 rwm\nc 10:200 rwm\nc 10:229 r\n")
        let resources = LinuxResources(devices: [
            LinuxDeviceCgroup(allow: true, type: "b", access: "m"), LinuxDeviceCgroup(allow: true, type: "c", access: "m"),
            LinuxDeviceCgroup(allow: true, type: "c", major: 1, minor: 3, access: "rwm"),
            LinuxDeviceCgroup(allow: true, type: "c", major: 10, minor: 229, access: "rw"),
        ])
        #expect(
            try writes(cgroup, resources) == ["devices.deny=c 10:200 rwm", "devices.allow=c 10:229 w"])
    }
}
