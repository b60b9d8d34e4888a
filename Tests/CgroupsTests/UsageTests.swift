import Linux
import OCI
import Testing

@testable import Cgroups

@Suite struct UsageTests {
    @Test func unified() throws {
        let tree = try FakeTree()
        let cgroup = try tree.unified([])
        for (file, content) in [
            ("cpu.stat", "usage_usec 10\nuser_usec 6\n"), ("memory.current", "4096\n"), ("memory.max", "max\n"),
            ("memory.stat", "anon 1\nfile 2000\ninactive_file 96\nactive_file 4\n"),
            ("io.stat", "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=9 dios=0\nbad line\n259:1 \n8:16 rbytes=10 wbytes=20\n"),
            ("pids.current", "5\n"),
        ] {
            try tree.file("c/" + file, content)
        }
        let usage = try cgroup.usage()
        #expect(usage.cpu == 10000)
        #expect(usage.memory == 4000)
        #expect(usage.memoryLimit == .max)
        #expect(usage.read == 11)
        #expect(usage.written == 22)
        #expect(usage.tasks == 5)
    }

    @Test func legacy() throws {
        let tree = try FakeTree()
        let cgroup = try tree.legacy(["cpu,cpuacct": [], "memory": [], "pids": [], "blkio": []])
        for (file, content) in [
            ("cpu,cpuacct/c/cpuacct.usage", "123456\n"), ("memory/c/memory.usage_in_bytes", "1000\n"),
            ("memory/c/memory.limit_in_bytes", "9223372036854771712\n"), ("pids/c/pids.current", "2\n"),
            ("memory/c/memory.stat", "inactive_file 1\ntotal_inactive_file 300\n"),
            (
                "blkio/c/blkio.throttle.io_service_bytes_recursive",
                "8:0 Read 4096\n8:0 Write 8192\n8:0 Total 12288\nTotal 12288\nnonsense\n8:16 Read 1\n8:16 Read 99999999999999999999\n"
            ),
        ] {
            try tree.file(file, content)
        }
        let usage = try cgroup.usage()
        #expect(usage.cpu == 123456)
        #expect(usage.memory == 700)
        #expect(usage.memoryLimit == 9_223_372_036_854_771_712)
        #expect(usage.read == 4097)
        #expect(usage.written == 8192)
        #expect(usage.tasks == 2)
    }

    /// Controllers that are not there tell nothing, and nothing else suffers.
    @Test func onlyTheCoreOfUnified() throws {
        let tree = try FakeTree()
        let cgroup = try tree.unified([])
        try tree.file("c/cpu.stat", "usage_usec 10\n")
        let usage = try cgroup.usage()
        #expect(usage.cpu == 10000)
        #expect(usage.memory == nil && usage.memoryLimit == nil && usage.read == nil && usage.tasks == nil)
    }

    /// More inactive cache than memory in use: the two were read one after the other.
    @Test func memoryIsNeverNegative() throws {
        let tree = try FakeTree()
        let cgroup = try tree.unified([])
        try tree.file("c/memory.current", "10\n")
        try tree.file("c/memory.stat", "inactive_file 11\n")
        #expect(try cgroup.usage().memory == 10)
    }

    @Test func aCgroupThatIsGone() throws {
        let cgroup = Cgroup(record: CgroupRecord(entries: [.init(hierarchy: "", path: "/nonexistent/c")]))
        #expect(throws: CgroupError.self) { try cgroup.usage() }
    }

    @Test func whereAProcessSaysItIs() {
        let id = String(repeating: "ab", count: 32)
        let host = CgroupHost(
            unified: .init(name: "", mountPoint: "/u"),
            legacy: [.init(name: "cpu,cpuacct", mountPoint: "/l/cpu"), .init(name: "memory", mountPoint: "/l/memory")])
        let text =
            "4:memory:/berth/\(id)/inner/deep\n3:cpu,cpuacct:/berth/\(id)\n2:freezer:/berth/\(id)\n1:name=systemd:/x\n0::/s.slice/berth-\(id).scope\n"
        let record = CgroupRecord(processCgroups: Array(text.utf8), ofContainer: id, on: host)
        #expect(
            record.lines == ["memory:/l/memory/berth/\(id)", "cpu,cpuacct:/l/cpu/berth/\(id)", ":/u/s.slice/berth-\(id).scope"])
        #expect(CgroupRecord(processCgroups: Array("0::/user.slice\n".utf8), ofContainer: id, on: host).entries.isEmpty)
    }

    // MARK: A change that is refused half-way

    @Test func aRefusedChangeIsTakenBack() throws {
        let tree = try FakeTree()
        let cgroup = try tree.unified([])
        for (file, content) in [("pids.max", "max\n"), ("memory.max", "1000\n"), ("memory.swap.max", "500\n")] {
            try tree.file("c/" + file, content)
        }
        // cpu.max is not there: the last of the writes fails.
        let change = LinuxResources(
            memory: LinuxMemory(limit: 2000, swap: 3000), cpu: LinuxCPU(quota: 50000), pids: LinuxPids(limit: 7))
        var written: [String] = []
        cgroup.onWrite = { file, value in written.append("\(file)=\(value)") }
        #expect(throws: CgroupError.self) { try cgroup.update(change) }
        #expect(
            written == [
                "pids.max=7", "memory.swap.max=1000", "memory.max=2000", "memory.max=1000", "memory.swap.max=500", "pids.max=max",
            ])
        // The same with the file there is carried out, and nothing is taken back.
        try tree.file("c/cpu.max", "max 100000\n")
        written = []
        try cgroup.update(change)
        #expect(written == ["pids.max=7", "memory.swap.max=1000", "memory.max=2000", "cpu.max=50000 100000"])
    }

    @Test(arguments: [
        ("7", "max\n", "pids.max", "max"), ("0", "\n", "cpuset.cpus", "\n"),
        ("8:0 100", "8:0 50\n", "blkio.throttle.read_bps_device", "8:0 50"),
        ("8:0 100", "8:16 50\n", "blkio.throttle.read_bps_device", "8:0 0"), ("8:0 rbps=1 wiops=2", "", "io.max", "8:0 rbps=max wiops=max"),
        ("8:0 rbps=1", "8:0 rbps=5 wbps=max riops=max wiops=max\n", "io.max", "8:0 rbps=5 wbps=max riops=max wiops=max"),
        ("8:0 300", "default 100\n", "io.weight", "8:0 default"), ("50000 100000", "max 100000\n", "cpu.max", "max 100000"),
    ]) func whatTakesAWriteBack(value: String, content: String, file: String, before: String) {
        #expect(CgroupJournal.before(value, Array(content.utf8), file) == before)
    }
}
