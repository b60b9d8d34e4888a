import Linux
import Testing

@testable import Cgroups

@Suite struct StatsTests {
    @Test func unified() throws {
        let tree = try FakeTree()
        let cgroup = try tree.unified([])
        for (file, content) in [
            ("cpu.stat", "usage_usec 10\nuser_usec 6\nsystem_usec 4\nnr_periods 3\nnr_throttled 2\nthrottled_usec 1\n"),
            ("memory.current", "4096\n"), ("memory.max", "max\n"), ("memory.peak", "8192\n"),
            ("memory.swap.current", "100\n"), ("memory.swap.max", "0\n"),
            ("memory.stat", "anon 1\nfile 2\nkernel 3\n"), ("memory.events", "low 0\nmax 7\noom 1\noom_kill 2\n"),
            ("io.stat", "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\nbad line\n259:1 \n"),
            ("pids.current", "5\n"), ("pids.max", "max\n"),
            ("cpu.pressure", "some avg10=1.25 avg60=0.50 avg300=0.00 total=42\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=1\n"),
        ] {
            try tree.file("c/" + file, content)
        }
        let stats = try cgroup.stats()
        #expect(stats.cpu.total == 10000)
        #expect(stats.cpu.user == 6000)
        #expect(stats.cpu.throttledTime == 1000)
        #expect(stats.memory.usage == .init(usage: 4096, peak: 8192, limit: .max, failures: 7))
        #expect(stats.memory.memoryAndSwap.usage == 4196)
        #expect(stats.memory.memoryAndSwap.limit == .max)
        #expect(stats.memory.cache == 2)
        #expect(stats.memory["kernel"] == 3)
        #expect(stats.pids == .init(current: 5, limit: 0))
        #expect(stats.blockIO.serviceBytes.map(\.value) == [1, 2])
        #expect(stats.blockIO.serviced.map(\.operation) == ["Read", "Write"])
        #expect(stats.cpu.pressure?.some.average10 == 1.25)
        #expect(stats.cpu.pressure?.full.total == 1)
        #expect(stats.memory.pressure == nil)
        #expect(try cgroup.oomKillCount() == 2)
    }

    @Test func legacy() throws {
        let tree = try FakeTree()
        let cgroup = try tree.legacy(["cpu,cpuacct": [], "memory": [], "pids": [], "blkio": []])
        for (file, content) in [
            ("cpu,cpuacct/c/cpuacct.usage", "123456\n"), ("cpu,cpuacct/c/cpuacct.stat", "user 2\nsystem 1\n"),
            ("cpu,cpuacct/c/cpuacct.usage_percpu", "100 200 \n"),
            ("cpu,cpuacct/c/cpuacct.usage_all", "cpu user system\n0 10 20\n1 30 40\n"),
            ("cpu,cpuacct/c/cpu.stat", "nr_periods 9\nnr_throttled 8\nthrottled_time 7\n"),
            ("memory/c/memory.stat", "cache 11\nrss 12\n"), ("memory/c/memory.usage_in_bytes", "1\n"),
            ("memory/c/memory.max_usage_in_bytes", "2\n"), ("memory/c/memory.failcnt", "3\n"),
            ("memory/c/memory.limit_in_bytes", "4\n"), ("memory/c/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 6\n"),
            ("pids/c/pids.current", "2\n"), ("pids/c/pids.max", "10\n"),
            ("blkio/c/blkio.throttle.io_serviced_recursive", "8:0 Read 5\n8:0 Total 5\nTotal 5\n"),
            ("blkio/c/blkio.throttle.io_service_bytes_recursive", "8:0 Read 4096\nnonsense\n"),
        ] {
            try tree.file(file, content)
        }
        let stats = try cgroup.stats()
        #expect(stats.cpu.total == 123456)
        #expect(stats.cpu.user == 20_000_000)
        #expect(stats.cpu.perCPU == [100, 200])
        #expect(stats.cpu.perCPUKernel == [20, 40])
        #expect(stats.cpu.throttledPeriods == 8)
        #expect(stats.memory.usage == .init(usage: 1, peak: 2, limit: 4, failures: 3))
        #expect(stats.memory.memoryAndSwap == .init())
        #expect(stats.memory.cache == 11)
        #expect(stats.pids == .init(current: 2, limit: 10))
        #expect(stats.blockIO.serviced.map(\.operation) == ["Read", "Total"])
        #expect(stats.blockIO.serviceBytes == [.init(major: 8, minor: 0, operation: "Read", value: 4096)])
        #expect(try cgroup.oomKillCount() == 6)
    }

    @Test func hostileTextDoesNotTrap() throws {
        let tree = try FakeTree()
        let cgroup = try tree.unified([])
        for file in ["cpu.stat", "memory.current", "memory.stat", "io.stat", "pids.current", "cpu.pressure", "memory.events"] {
            try tree.file("c/" + file, "usage_usec 99999999999999999999999\n= = =\n8: rbytes=\n:\nsome avg10=.\n\u{0}\u{1}")
        }
        _ = try cgroup.stats()
        try tree.file("c/cgroup.procs", "1\n0\n-5\nabc\n99999999999\n7\n")
        #expect(try cgroup.processes() == [1, 7])
    }

    @Test func nestedProcessesAreFoundAndNestedCgroupsRemoved() throws {
        let tree = try FakeTree()
        let cgroup = try tree.unified([])
        try tree.file("c/cgroup.procs", "1\n")
        try tree.file("c/a/cgroup.procs", "2\n")
        try tree.file("c/a/b/cgroup.procs", "3\n4\n")
        #expect(try cgroup.processes(recursive: false) == [1])
        #expect(try cgroup.processes().sorted() == [1, 2, 3, 4])

        try tree.directory("d")
        let deep = Cgroup(record: CgroupRecord(entries: [.init(hierarchy: "", path: tree.root + "/d")]))
        // Deeper than a path can say: every name is reached from its parent.
        var current = SharedFD(try FD.cwd.open(tree.root + "/d", .directory))
        let name = String(repeating: "n", count: 200)
        for _ in 0..<30 {
            try current.fd.makeDirectory(name)
            try current.fd.makeDirectory("leaf")
            current = SharedFD(try current.fd.open(name, .directory))
        }
        try deep.remove(timeoutMilliseconds: 100)
        #expect(!tree.exists("d"))
    }

    @Test func whatCannotBeRemovedIsReportedInTime() throws {
        let tree = try FakeTree()
        let cgroup = try tree.legacy(["cpu": [], "memory": ["file"]])
        let start = monotonicNanoseconds()
        let error = failure { try cgroup.remove(timeoutMilliseconds: 30) }
        #expect(error?.object.contains("/memory/c") == true)
        #expect(!tree.exists("cpu/c"))
        #expect(monotonicNanoseconds() - start < 2_000_000_000)
    }

    @Test func goneIsEmptyNotAnError() throws {
        let cgroup = Cgroup(record: CgroupRecord(entries: [.init(hierarchy: "", path: "/tmp/berth-no-such-cgroup")]))
        #expect(try cgroup.processes() == [])
        #expect(try cgroup.isFrozen == false)
        #expect(try cgroup.oomKillCount() == 0)
        try cgroup.kill()
        try cgroup.remove()
        #expect(failure { _ = try cgroup.stats() }?.code == .notFound)
        #expect(failure { _ = try cgroup.entry() }?.code == .notFound)
    }
}
