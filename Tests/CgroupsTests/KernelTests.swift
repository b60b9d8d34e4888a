import CLinux
import Glibc
import Linux
import OCI
import Testing

@testable import Cgroups

/// Whether this process may make cgroups at the root of the real hierarchies.
private let mayUseKernel: Bool = {
    guard geteuid() == 0, let host = try? CgroupHost.detect() else { return false }
    let probe = "/berth-probe-\(getpid())"
    for hierarchy in host.legacy + (host.unified.map { [$0] } ?? []) {
        guard (try? FD.cwd.makeDirectory(hierarchy.mountPoint + probe)) != nil else { return false }
        try? FD.cwd.removeDirectory(hierarchy.mountPoint + probe)
    }
    return true
}()

/// The real kernel, in cgroups of random names.
@Suite(.enabled(if: mayUseKernel, "needs root and writable cgroup hierarchies"), .serialized)
struct KernelTests {
    let host: CgroupHost
    let path = "/berth-test-\(getpid())-\(hexadecimal(randomBytes(4)))"

    init() throws { host = try CgroupHost.detect() }

    /// A child in the cgroup, joined as the runtime does it. It runs `body` and exits with its result.
    private func child(_ cgroup: Cgroup, _ body: () -> Int32) throws -> Int32 {
        let entry = try cgroup.entry()
        let pid = cl_clone3(0, UInt64(SIGCHLD), nil, entry.cloneDirectory)
        if pid == 0 {
            // A copy of one thread of a threaded process: nothing here may take a lock.
            // The thread's signal mask is that of a worker: give the child the usual one.
            _ = cl_signal_default_all()
            do throws(CgroupError) { try entry.joinSelf() } catch { _exit(99) }
            _exit(body())
        }
        try #require(pid > 0)
        return pid
    }

    private func sleeper(_ cgroup: Cgroup) throws -> Int32 {
        let pid = try child(cgroup) { while true { _ = cl_poll(nil, nil, nil, 0, 1000) } }
        let deadline = monotonicNanoseconds() + 5_000_000_000
        while try !inEveryHierarchy(pid, cgroup), monotonicNanoseconds() < deadline { usleep(500) }
        return pid
    }

    private func inEveryHierarchy(_ pid: Int32, _ cgroup: Cgroup) throws -> Bool {
        for entry in cgroup.record.entries {
            let procs = try FD.cwd.readText(entry.path + "/cgroup.procs")
            if !procs.split(separator: "\n").contains("\(pid)") { return false }
        }
        return true
    }

    @Test func aChildIsBornInEveryHierarchy() throws {
        let cgroup = try Cgroup.create(host: host, cgroupsPath: path, id: "x", controllers: .all)
        defer { try? cgroup.kill(); try? cgroup.remove() }
        let pid = try sleeper(cgroup)
        #expect(try inEveryHierarchy(pid, cgroup))
        #expect(try cgroup.processes() == [pid])
        // A later process finds it by the record alone.
        let again = Cgroup(record: try CgroupRecord(lines: cgroup.record.lines))
        #expect(try again.processes() == [pid])
        #expect(again.exists)
        #expect(failure { _ = try Cgroup.create(host: host, cgroupsPath: path, id: "x") }?.code == .notEmpty)
        try again.kill()
        #expect(try waitForProcess(pid)?.status == .signaled(SIGKILL))
        try cgroup.remove()
        #expect(!cgroup.exists)
    }

    @Test func pidsLimitHolds() throws {
        let resources = LinuxResources(pids: LinuxPids(limit: 2))
        let cgroup = try Cgroup.create(host: host, cgroupsPath: path, id: "x", resources: resources)
        defer { try? cgroup.kill(); try? cgroup.remove() }
        try cgroup.apply(resources)
        let pid = try child(cgroup) {
            // Itself and one more fit; the next does not.
            let first = cl_clone3(0, UInt64(SIGCHLD), nil, -1)
            if first == 0 { while true { _ = cl_poll(nil, nil, nil, 0, 1000) } }
            let second = cl_clone3(0, UInt64(SIGCHLD), nil, -1)
            if second == 0 { _exit(0) }
            return first > 0 && second == -EAGAIN ? 7 : 1
        }
        #expect(try waitForProcess(pid)?.status == .exited(7))
        #expect(try cgroup.stats().pids.limit == 2)
    }

    @Test func deviceRulesHold() throws {
        let resources = LinuxResources(devices: [LinuxDeviceCgroup(allow: false, type: "a", access: "rwm")] + DeviceRules.standard)
        let cgroup = try Cgroup.create(host: host, cgroupsPath: path, id: "x", resources: resources, controllers: [])
        defer { try? cgroup.kill(); try? cgroup.remove() }
        try cgroup.apply(resources)
        try expectDevices(cgroup, null: true, kmsg: false)
        // An update of a running container: allow /dev/kmsg (1:11) as well, then take null (1:3) away.
        try cgroup.update(
            LinuxResources(
                devices: DeviceRules.standard + [
                    LinuxDeviceCgroup(allow: true, type: "c", major: 1, minor: 11, access: "r")
                ]))
        try expectDevices(cgroup, null: true, kmsg: true)
        try cgroup.update(
            LinuxResources(devices: [LinuxDeviceCgroup(allow: true, type: "c", major: 1, minor: 11, access: "r")]))
        try expectDevices(cgroup, null: false, kmsg: true)
        try cgroup.update(LinuxResources(devices: [LinuxDeviceCgroup(allow: true, type: "a", access: "rwm")]))
        try expectDevices(cgroup, null: true, kmsg: true)
    }

    private func expectDevices(_ cgroup: Cgroup, null: Bool, kmsg: Bool, line: Int = #line) throws {
        let pid = try child(cgroup) {
            let null = cl_openat(AT_FDCWD, "/dev/null", O_RDWR, 0) != -EPERM
            let kmsg = cl_openat(AT_FDCWD, "/dev/kmsg", O_RDONLY, 0) != -EPERM
            return (null ? 1 : 0) + (kmsg ? 2 : 0)
        }
        #expect(try waitForProcess(pid)?.status == .exited((null ? 1 : 0) + (kmsg ? 2 : 0)), "line \(line)")
    }

    /// The BPF program on the v2 tree, also on hosts that would use v1's controller.
    @Test func deviceProgramsAreLoadedAndReplaced() throws {
        guard let unified = host.unified else { return }
        let cgroup = try Cgroup.create(
            host: CgroupHost(unified: unified, legacy: []), cgroupsPath: path, id: "x", controllers: [])
        defer { try? cgroup.kill(); try? cgroup.remove() }
        try cgroup.applyDevices(DeviceRules(DeviceRules.standard))
        try expectDevices(cgroup, null: true, kmsg: false)
        try cgroup.applyDevices(DeviceRules([LinuxDeviceCgroup(allow: true, type: "c", major: 1, minor: 11, access: "r")]))
        try expectDevices(cgroup, null: false, kmsg: true)
        try cgroup.applyDevices(
            DeviceRules([
                LinuxDeviceCgroup(allow: true, type: "a", access: "rwm"),
                LinuxDeviceCgroup(allow: false, type: "c", major: 1, minor: 3, access: "w"),
            ]))
        try expectDevices(cgroup, null: false, kmsg: true)
        try cgroup.applyDevices(DeviceRules([LinuxDeviceCgroup(allow: true, type: "a", access: "rwm")]))
        try expectDevices(cgroup, null: true, kmsg: true)
    }

    @Test func freezeStopsAndThawContinues() throws {
        let cgroup = try Cgroup.create(host: host, cgroupsPath: path, id: "x")
        defer { try? cgroup.kill(); try? cgroup.remove() }
        let counter = mmap(nil, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)
        let cell = try #require(counter?.assumingMemoryBound(to: Int.self))
        let pid = try child(cgroup) { while true { cell.pointee &+= 1; usleep(200) } }
        while cell.pointee == 0 { usleep(200) }
        try cgroup.freeze()
        #expect(try cgroup.isFrozen)
        let frozen = cell.pointee
        usleep(20_000)
        #expect(cell.pointee == frozen)
        try cgroup.thaw()
        #expect(try !cgroup.isFrozen)
        usleep(20_000)
        #expect(cell.pointee > frozen)
        // A paused container can be killed.
        try cgroup.freeze()
        try cgroup.kill()
        #expect(try waitForProcess(pid)?.status == .signaled(SIGKILL))
        munmap(counter, 4096)
    }

    @Test func v1AloneFreezesAndKills() throws {
        if !host.legacyControllers.contains(.freezer) { return }
        let cgroup = try Cgroup.create(
            host: CgroupHost(unified: nil, legacy: host.legacy), cgroupsPath: path, id: "x", controllers: .pids)
        defer { try? cgroup.kill(); try? cgroup.remove() }
        let first = try sleeper(cgroup)
        let second = try sleeper(cgroup)
        try cgroup.freeze()
        #expect(try cgroup.isFrozen)
        try cgroup.signalAll(SIGTERM)
        #expect(try cgroup.isFrozen)
        try cgroup.thaw()
        #expect(try waitForProcess(first)?.status == .signaled(SIGTERM))
        #expect(try waitForProcess(second)?.status == .signaled(SIGTERM))
        let third = try sleeper(cgroup)
        try cgroup.kill()
        #expect(try waitForProcess(third)?.status == .signaled(SIGKILL))
        try cgroup.remove()
        #expect(!cgroup.exists)
    }

    @Test func memoryLimitKillsAndIsCounted() throws {
        let resources = LinuxResources(memory: LinuxMemory(limit: 8 << 20, swap: 8 << 20))
        guard
            host.legacyControllers.contains(.memory)
                || (try? Cgroup.create(
                    host: host, cgroupsPath: path, id: "x", resources: resources)) != nil
        else { return }
        let cgroup = try Cgroup.create(host: host, cgroupsPath: path, id: "x", resources: resources)
        defer { try? cgroup.kill(); try? cgroup.remove() }
        try cgroup.apply(resources)
        let event = try cgroup.oomEventDescriptor()
        #expect(try cgroup.oomKillCount() == 0)
        let pid = try child(cgroup) {
            guard let block = mmap(nil, 64 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) else { return 1 }
            memset(block, 1, 64 << 20)
            return 0
        }
        #expect(try waitForProcess(pid)?.status == .signaled(SIGKILL))
        #expect(try cgroup.oomKillCount() == 1)
        if let event {
            var descriptor = event.raw
            var wanted = Int16(POLLIN)
            var got: Int16 = 0
            #expect(cl_poll(&descriptor, &wanted, &got, 1, 1000) == 1)
        } else {
            Issue.record("no event descriptor")
        }
        let stats = try cgroup.stats()
        #expect(stats.memory.usage.limit == 8 << 20)
        // Both directions of an update, which the kernel checks pairwise.
        for (limit, swap) in [(32, 64), (16, 16), (128, 256), (4, 8)] as [(Int64, Int64)] {
            try cgroup.update(LinuxResources(memory: LinuxMemory(limit: limit << 20, swap: swap << 20)))
            #expect(try cgroup.stats().memory.usage.limit == UInt64(limit) << 20)
        }
        try cgroup.update(LinuxResources(memory: LinuxMemory(limit: -1)))
    }

    @Test func cpuLimitsAndTheirOrder() throws {
        let resources = LinuxResources(cpu: LinuxCPU(shares: 512, quota: 2000, period: 20000))
        guard let cgroup = try? Cgroup.create(host: host, cgroupsPath: path, id: "x", resources: resources) else { return }
        defer { try? cgroup.kill(); try? cgroup.remove() }
        try cgroup.apply(resources)
        let pid = try child(cgroup) {
            // CPU time, not wall time: on a busy machine a short while brings no process to a tenth of a processor.
            var used = timespec()
            while used.tv_sec == 0, used.tv_nsec < 20_000_000 { clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used) }
            return 0
        }
        #expect(try waitForProcess(pid)?.status == .exited(0))
        let stats = try cgroup.stats()
        #expect(stats.cpu.total >= 20_000_000)
        #expect(stats.cpu.throttledPeriods > 0)
        try cgroup.update(LinuxResources(cpu: LinuxCPU(quota: 50000, burst: 20000, period: 100_000)))
        try cgroup.update(LinuxResources(cpu: LinuxCPU(quota: 2000, burst: 1000, period: 5000)))
        try cgroup.update(LinuxResources(cpu: LinuxCPU(quota: -1)))
    }

    @Test func nestedCgroupsAreListedKilledAndRemoved() throws {
        let cgroup = try Cgroup.create(host: host, cgroupsPath: path, id: "x", controllers: .all)
        defer { try? cgroup.kill(); try? cgroup.remove() }
        let pid = try sleeper(cgroup)
        for entry in cgroup.record.entries {
            try FD.cwd.makeDirectories(entry.path + "/a/b/c")
            try FD.cwd.makeDirectory(entry.path + "/a/d")
        }
        if let unified = cgroup.record.entries.first(where: \.isUnified) {
            let inner = try FD.cwd.open(unified.path + "/a/b/cgroup.procs", .writeOnly)
            try inner.fd.writeOnce("\(pid)", to: "cgroup.procs")
            #expect(try cgroup.processes(recursive: false) == [])
            // exec goes where the container's process is now.
            let entry = try cgroup.entry(ofProcess: pid)
            let other = cl_clone3(0, UInt64(SIGCHLD), nil, entry.cloneDirectory)
            if other == 0 { while true { _ = cl_poll(nil, nil, nil, 0, 1000) } }
            #expect(try cgroup.processes().sorted() == [pid, other].sorted())
            #expect(try FD.cwd.readText(unified.path + "/a/b/cgroup.procs").contains("\(other)\n"))
            try cgroup.kill()
            _ = try waitForProcess(other)
        }
        // What was killed may be leaving still: looked at once.
        let left = try cgroup.processes()
        #expect(left.isEmpty || left == [pid])
        try cgroup.kill()
        _ = try waitForProcess(pid)
        try cgroup.remove()
        #expect(!cgroup.exists)
    }

    @Test func removalWaitsForDyingProcesses() throws {
        let cgroup = try Cgroup.create(host: host, cgroupsPath: path, id: "x")
        var pids: [Int32] = []
        for _ in 0..<5 { pids.append(try sleeper(cgroup)) }
        #expect(failure { try cgroup.remove(timeoutMilliseconds: 20) }?.code == .busy)
        try cgroup.kill()
        // Zombies keep v1 cgroups busy until they are reaped or have left their tasks.
        try cgroup.remove()
        for pid in pids { _ = try waitForProcess(pid) }
        #expect(!cgroup.exists)
    }

    @Test func anUpdateAddsTheHierarchyItNeeds() throws {
        guard host.legacyControllers.contains(.cpuset) else { return }
        let cgroup = try Cgroup.create(host: host, cgroupsPath: path, id: "x", controllers: .pids)
        defer { try? cgroup.kill(); try? cgroup.remove() }
        let pid = try sleeper(cgroup)
        let before = cgroup.record.entries.count
        try cgroup.update(LinuxResources(cpu: LinuxCPU(cpus: "0")))
        #expect(cgroup.record.entries.count == before + 1)
        #expect(try inEveryHierarchy(pid, cgroup))
        let entry = try #require(cgroup.record.entries.last)
        #expect(try FD.cwd.readText(entry.path + "/cpuset.cpus") == "0\n")
    }

    @Test func refusalsNameFileAndValue() throws {
        let resources = LinuxResources(cpu: LinuxCPU(cpus: "4000"))
        guard let cgroup = try? Cgroup.create(host: host, cgroupsPath: path, id: "x", resources: resources) else { return }
        defer { try? cgroup.remove() }
        let error = failure { try cgroup.apply(resources) }
        #expect(error?.description.hasPrefix("write \"4000\" to cpuset.cpus: ") == true)
    }
}
