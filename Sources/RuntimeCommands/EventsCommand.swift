import CLinux
import Cgroups
import Flags
import Glibc
import JSON
import Linux
import OCI
import Runtime

/// `berth-runtime events`: statistics as JSON lines, in the shape of runc's.
enum EventsCommand {
    static var command: Command {
        Command(
            "events", operands: "CONTAINER", summary: "Print statistics and out-of-memory events as JSON lines", arity: .exactly(1),
            flags: {
                [
                    .bool("stats", nil, "Print the statistics once and end"),
                    .value("interval", nil, .duration, "Time between statistics", default: "5s"),
                ]
            },
            run: { arguments in
                CommandContext.run(arguments) { (context) throws(RuntimeError) in
                    try watch(context)
                    return 0
                }
            })
    }

    private static func watch(_ context: CommandContext) throws(RuntimeError) {
        let directory = try context.directory()
        let record = try directory.read()
        guard record.isAlive else {
            throw RuntimeError(.wrongState, "watch container", record.id, cause: "it is not running")
        }
        let cgroup = Cgroup(record: record.cgroup)
        if context.arguments.bool("stats") {
            try printStatistics(cgroup, record.id)
            return
        }
        let interval = (context.arguments.int64("interval") ?? 5_000_000_000) / 1_000_000
        guard interval > 0 else { throw RuntimeError(.invalid, "--interval", cause: "it must be longer than zero") }
        do throws(SystemError) {
            try loop(cgroup, record, Int32(clamping: interval))
        } catch {
            throw RuntimeError(.system, "watch container", record.id, cause: error.description)
        }
    }

    private static func loop(_ cgroup: Cgroup, _ record: ContainerRecord, _ interval: Int32) throws(SystemError) {
        let pidfd = try openProcess(record.pid)
        let pressure = outOfMemoryDescriptor(cgroup)
        var killed = (try? cgroup.oomKillCount()) ?? 0
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            var fds = [pidfd.raw, pressure?.raw ?? -1]
            var events: [Int16] = [1, 1]
            var ready: [Int16] = [0, 0]
            let count = cl_poll(&fds, &events, &ready, 2, interval)
            if ready[1] != 0, let pressure {
                _ = cl_read(pressure.raw, &buffer, buffer.count)
                let now = (try? cgroup.oomKillCount()) ?? killed
                if now > killed { output(line("oom", record.id) { $0.nullField("data") }) }
                killed = now
            }
            if ready[0] != 0 { return }
            if count == 0 { try? printStatistics(cgroup, record.id) }
        }
    }

    /// Nil where the kernel cannot tell; the statistics are printed all the same.
    private static func outOfMemoryDescriptor(_ cgroup: Cgroup) -> SharedFD? {
        guard let descriptor = try? cgroup.oomEventDescriptor() else { return nil }
        return SharedFD(descriptor)
    }

    private static func line(_ type: String, _ id: String, _ body: (inout JSONWriter) -> Void) -> [UInt8] {
        var writer = JSONWriter()
        writer.object { w in
            w.field("type", type)
            w.field("id", id)
            body(&w)
        }
        return writer.bytes + [10]
    }

    private static func printStatistics(_ cgroup: Cgroup, _ id: String) throws(RuntimeError) {
        let stats: CgroupStats
        do throws(CgroupError) { stats = try cgroup.stats() } catch {
            throw RuntimeError(.system, "read statistics", id, cause: error.description)
        }
        output(line("stats", id) { w in w.object("data") { $0.statistics(stats) } })
    }
}

extension JSONWriter {
    /// The member `data` of runc's `events --stats`.
    fileprivate mutating func statistics(_ stats: CgroupStats) {
        object("cpu") { w in
            w.object("usage") { w in
                w.field("total", stats.cpu.total)
                if !stats.cpu.perCPU.isEmpty { w.array("percpu", stats.cpu.perCPU) { $0.value($1) } }
                w.field("kernel", stats.cpu.kernel)
                w.field("user", stats.cpu.user)
            }
            w.object("throttling") { w in
                w.field("periods", stats.cpu.periods)
                w.field("throttledPeriods", stats.cpu.throttledPeriods)
                w.field("throttledTime", stats.cpu.throttledTime)
            }
        }
        object("memory") { w in
            w.field("cache", stats.memory.cache)
            w.usage("usage", stats.memory.usage)
            w.usage("swap", stats.memory.memoryAndSwap)
            w.usage("kernel", stats.memory.kernel)
            w.usage("kernelTCP", stats.memory.kernelTCP)
            w.object("raw") { w in
                for (key, value) in stats.memory.raw {
                    w.key(key)
                    w.value(value)
                }
            }
        }
        object("pids") { w in
            w.field("current", stats.pids.current)
            w.field("limit", stats.pids.limit)
        }
        object("blkio") { w in
            w.entries("ioServiceBytesRecursive", stats.blockIO.serviceBytes)
            w.entries("ioServicedRecursive", stats.blockIO.serviced)
            w.entries("ioQueueRecursive", stats.blockIO.queued)
            w.entries("ioServiceTimeRecursive", stats.blockIO.serviceTime)
            w.entries("ioWaitTimeRecursive", stats.blockIO.waitTime)
            w.entries("ioMergedRecursive", stats.blockIO.merged)
            w.entries("ioTimeRecursive", stats.blockIO.time)
            w.entries("sectorsRecursive", stats.blockIO.sectors)
        }
        object("hugetlb") { w in
            for (size, usage) in stats.hugetlb {
                w.key(size)
                w.object { w in
                    w.field("usage", usage.usage)
                    w.field("max", usage.peak)
                    w.field("failcnt", usage.failures)
                }
            }
        }
        object("intel_rdt") { _ in }
        nullField("network_interfaces")
    }

    fileprivate mutating func usage(_ name: StaticString, _ usage: CgroupStats.Usage) {
        object(name) { w in
            w.field("limit", usage.limit)
            w.field("usage", usage.usage)
            w.field("max", usage.peak)
            w.field("failcnt", usage.failures)
        }
    }

    fileprivate mutating func entries(_ name: StaticString, _ entries: [CgroupStats.BlockIO.Entry]) {
        arrayIfNotEmpty(name, entries) { w, entry in
            w.object { w in
                w.field("major", entry.major)
                w.field("minor", entry.minor)
                w.field("op", entry.operation)
                w.field("value", entry.value)
            }
        }
    }
}
