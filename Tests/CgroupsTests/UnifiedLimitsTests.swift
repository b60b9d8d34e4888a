import OCI
import Testing

@testable import Cgroups

@Suite struct UnifiedLimitsTests {
    @Test func everyGeneralLimit() throws {
        let tree = try FakeTree()
        let cgroup = try tree.unified([
            "pids.max", "memory.max", "memory.swap.max", "memory.low", "cpu.weight", "cpu.max", "cpu.max.burst",
            "cpuset.cpus", "cpuset.mems", "hugetlb.2MB.max", "hugetlb.2MB.rsvd.max", "rdma.max", "memory.high",
        ])
        let log = try writes(
            cgroup,
            LinuxResources(
                memory: LinuxMemory(limit: 1000, reservation: 500, swap: 1500, kernel: 9, disableOOMKiller: false),
                cpu: LinuxCPU(shares: 1024, quota: 50000, burst: 2000, period: 200_000, cpus: "0-1", mems: "0"),
                pids: LinuxPids(limit: 32),
                hugepageLimits: [LinuxHugepageLimit(pageSize: "2MB", limit: 4096)],
                rdma: ["mlx5_1": LinuxRdma(hcaHandles: 3, hcaObjects: 100), "a": LinuxRdma(hcaObjects: 1)],
                unified: ["memory.high": "900"]))
        #expect(
            log == [
                "pids.max=32", "memory.swap.max=500", "memory.max=1000", "memory.low=500", "cpu.weight=100",
                "cpu.max.burst=2000", "cpu.max=50000 200000", "cpuset.cpus=0-1", "cpuset.mems=0", "hugetlb.2MB.max=4096",
                "hugetlb.2MB.rsvd.max=4096", "rdma.max=a hca_object=1", "rdma.max=mlx5_1 hca_handle=3 hca_object=100",
                "memory.high=900",
            ])
        #expect(try tree.text("c/memory.max") == "1000")
        #expect(try tree.text("c/cpu.max") == "50000 200000")
    }

    @Test func whatOnlyTheFirstVersionHasIsRefused() throws {
        let tree = try FakeTree()
        let cgroup = try tree.unified(["memory.max"])
        let swappiness = failure { try cgroup.apply(LinuxResources(memory: LinuxMemory(limit: 5, swappiness: 10))) }
        #expect(swappiness?.description == "limit memory swappiness: cgroup v2 has no such setting")
        let killer = failure { try cgroup.apply(LinuxResources(memory: LinuxMemory(limit: 5, disableOOMKiller: true))) }
        #expect(killer?.description == "disable OOM killer: cgroup v2 has no such setting")
        #expect(try tree.text("c/memory.max") == "")
    }

    @Test func unlimitedAndUnset() throws {
        let tree = try FakeTree()
        let cgroup = try tree.unified(["pids.max", "memory.max", "memory.swap.max", "cpu.max"])
        #expect(try writes(cgroup, LinuxResources()) == [])
        #expect(
            try writes(cgroup, LinuxResources(memory: LinuxMemory(limit: 0, swap: 0), cpu: LinuxCPU(shares: 0, quota: 0)))
                == [])
        #expect(
            try writes(
                cgroup,
                LinuxResources(
                    memory: LinuxMemory(limit: -1), cpu: LinuxCPU(quota: -1), pids: LinuxPids(limit: -1)))
                == ["pids.max=max", "memory.swap.max=max", "memory.max=max", "cpu.max=max 100000"])
        #expect(try writes(cgroup, LinuxResources(cpu: LinuxCPU(period: 5000))) == ["cpu.max=max 5000"])
    }

    @Test func missingSwapAccountingIsFineWhenNothingIsLost() throws {
        let tree = try FakeTree()
        let cgroup = try tree.unified(["memory.max"])
        #expect(try writes(cgroup, LinuxResources(memory: LinuxMemory(limit: 5, swap: 5))) == ["memory.max=5"])
        #expect(try writes(cgroup, LinuxResources(memory: LinuxMemory(limit: 5, swap: -1))) == ["memory.max=5"])
        let error = failure { _ = try writes(cgroup, LinuxResources(memory: LinuxMemory(limit: 5, swap: 7))) }
        #expect(error?.description == "write \"2\" to memory.swap.max: no such file or directory")
    }

    @Test func idleGroupsHaveNoWeight() throws {
        let tree = try FakeTree()
        let cgroup = try tree.unified(["cpu.idle", "cpu.weight"])
        #expect(try writes(cgroup, LinuxResources(cpu: LinuxCPU(shares: 512, idle: 1))) == ["cpu.idle=1"])
        #expect(
            try writes(cgroup, LinuxResources(cpu: LinuxCPU(shares: 512, idle: 0))) == ["cpu.idle=0", "cpu.weight=59"])
    }

    @Test func blockIO() throws {
        let io = LinuxBlockIO(
            weight: 100, weightDevice: [LinuxWeightDevice(major: 8, minor: 0, weight: 500)],
            throttleReadBpsDevice: [LinuxThrottleDevice(major: 8, minor: 0, rate: 1000)],
            throttleWriteBpsDevice: [LinuxThrottleDevice(major: 8, minor: 0, rate: 2000)],
            throttleReadIOPSDevice: [LinuxThrottleDevice(major: 8, minor: 16, rate: 30)],
            throttleWriteIOPSDevice: [LinuxThrottleDevice(major: 8, minor: 16, rate: 0)])
        let limits = ["io.max=8:0 rbps=1000", "io.max=8:0 wbps=2000", "io.max=8:16 riops=30", "io.max=8:16 wiops=max"]
        let plain = try FakeTree()
        #expect(
            try writes(plain.unified(["io.weight", "io.max"]), LinuxResources(blockIO: io))
                == ["io.weight=910", "io.weight=8:0 4950"] + limits)
        let bfq = try FakeTree()
        let cgroup = try bfq.unified(["io.max"])
        try bfq.file("c/io.bfq.weight", "default 100\n")
        #expect(
            try writes(cgroup, LinuxResources(blockIO: io)) == ["io.bfq.weight=100", "io.bfq.weight=8:0 500"] + limits)
        try bfq.file("c/io.bfq.weight", "100\n")
        #expect(try writes(cgroup, LinuxResources(blockIO: io)) == ["io.bfq.weight=100"] + limits)
    }

    @Test func whatV2DoesNotHaveIsNamed() throws {
        let tree = try FakeTree()
        let cgroup = try tree.unified(["cpu.max"], controllers: "cpu pids")
        let memory = failure { try cgroup.apply(LinuxResources(memory: LinuxMemory(limit: 5))) }
        #expect(memory?.code == .controllerMissing)
        #expect(memory?.object == "memory")
        #expect(
            failure { try cgroup.apply(LinuxResources(cpu: LinuxCPU(realtimeRuntime: 5))) }?.code == .unsupported)
        let network = failure { try cgroup.apply(LinuxResources(network: LinuxNetwork(classID: 5))) }
        #expect(network?.code == .controllerMissing)
        #expect(network?.object == "net_cls")
    }

    @Test func unifiedIsWrittenLineByLineAndNowhereElse() throws {
        let tree = try FakeTree()
        let cgroup = try tree.unified(["io.max", "memory.oom.group"])
        #expect(
            try writes(cgroup, LinuxResources(unified: ["io.max": "8:0 rbps=1\n8:16 rbps=2\n", "memory.oom.group": "1"]))
                == ["io.max=8:0 rbps=1", "io.max=8:16 rbps=2", "memory.oom.group=1"])
        for name in ["../memory.max", "memory", ".max", "a/b.c", "memory.\0max"] {
            #expect(failure { try cgroup.apply(LinuxResources(unified: [name: "1"])) }?.code == .invalid, "\(name)")
        }
        let absent = failure { try cgroup.apply(LinuxResources(unified: ["memory.nosuch": "1"])) }
        #expect(absent?.code == .controllerMissing)
        #expect(absent?.object == "memory.nosuch")
    }

    @Test func impossibleValuesAreRefusedBeforeAnythingIsWritten() throws {
        let tree = try FakeTree()
        let cgroup = try tree.unified(["pids.max", "memory.max", "memory.swap.max"])
        let bad: [LinuxResources] = [
            LinuxResources(memory: LinuxMemory(limit: -2), pids: LinuxPids(limit: 1)),
            LinuxResources(memory: LinuxMemory(limit: 10, swap: 5), pids: LinuxPids(limit: 1)),
            LinuxResources(memory: LinuxMemory(swappiness: 101), pids: LinuxPids(limit: 1)),
            LinuxResources(cpu: LinuxCPU(idle: 2), pids: LinuxPids(limit: 1)),
            LinuxResources(pids: LinuxPids(limit: .min)),
            LinuxResources(
                pids: LinuxPids(limit: 1), hugepageLimits: [LinuxHugepageLimit(pageSize: "../x", limit: 1)]),
            LinuxResources(pids: LinuxPids(limit: 1), rdma: ["a b": LinuxRdma(hcaHandles: 1)]),
            LinuxResources(devices: [LinuxDeviceCgroup(allow: true, type: "x", access: "r")], pids: LinuxPids(limit: 1)),
        ]
        for resources in bad { #expect(failure { try cgroup.apply(resources) }?.code == .invalid) }
        #expect(try tree.text("c/pids.max") == "")
    }

    @Test func checkBeforeUpdate() throws {
        let tree = try FakeTree()
        let cgroup = try tree.unified(["memory.max"])
        try tree.file("c/memory.current", "5000\n")
        let error = failure {
            try cgroup.apply(LinuxResources(memory: LinuxMemory(limit: 5000, checkBeforeUpdate: true)))
        }
        #expect(error?.description == "set memory limit to 5000: 5000 bytes are in use")
        #expect(try writes(cgroup, LinuxResources(memory: LinuxMemory(limit: 5001, checkBeforeUpdate: true))) == ["memory.max=5001"])
    }
}
