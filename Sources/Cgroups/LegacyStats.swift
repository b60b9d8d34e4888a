import Glibc
import Linux

/// Statistics of cgroup v1. Kernel: admin-guide/cgroup-v1/.
enum LegacyStats {
    static func cpuUsage(_ directory: CgroupDirectory, _ cpu: inout CgroupStats.CPU) throws(CgroupError) {
        cpu.total = try directory.number("cpuacct.usage") ?? cpu.total
        let ticks = UInt64(max(sysconf(Int32(_SC_CLK_TCK)), 1))
        let stat = KeyedText(try directory.readIfPresent("cpuacct.stat") ?? [])
        if let user = stat.value("user"), let system = stat.value("system") {
            cpu.user = user &* (1_000_000_000 / ticks)
            cpu.kernel = system &* (1_000_000_000 / ticks)
        }
        KeyedText(try directory.readIfPresent("cpuacct.usage_percpu") ?? []).forEachLine { fields in
            cpu.perCPU = fields.compactMap { number($0) }
        }
        // A head line, then: cpu user system
        KeyedText(try directory.readIfPresent("cpuacct.usage_all") ?? []).forEachLine { fields in
            guard fields.count >= 3, let user = number(fields[1]), let kernel = number(fields[2]) else { return }
            cpu.perCPUUser.append(user)
            cpu.perCPUKernel.append(kernel)
        }
    }

    static func throttling(_ directory: CgroupDirectory, _ cpu: inout CgroupStats.CPU) throws(CgroupError) {
        let stat = KeyedText(try directory.readIfPresent("cpu.stat") ?? [])
        cpu.periods = stat.value("nr_periods") ?? 0
        cpu.throttledPeriods = stat.value("nr_throttled") ?? 0
        cpu.throttledTime = stat.value("throttled_time") ?? 0
    }

    static func memory(_ directory: CgroupDirectory, _ memory: inout CgroupStats.Memory) throws(CgroupError) {
        memory.raw = UnifiedStats.statLines(try directory.readIfPresent("memory.stat") ?? [])
        memory.cache = memory["cache"] ?? 0
        memory.usage = try usage(directory, "memory")
        memory.memoryAndSwap = try usage(directory, "memory.memsw")
        memory.kernel = try usage(directory, "memory.kmem")
        memory.kernelTCP = try usage(directory, "memory.kmem.tcp")
    }

    private static func usage(_ directory: CgroupDirectory, _ prefix: String) throws(CgroupError) -> CgroupStats.Usage {
        var usage = CgroupStats.Usage()
        guard let current = try directory.number(prefix + ".usage_in_bytes") else { return usage }
        usage.usage = current
        usage.peak = try directory.number(prefix + ".max_usage_in_bytes") ?? 0
        usage.failures = try directory.number(prefix + ".failcnt") ?? 0
        usage.limit = try directory.number(prefix + ".limit_in_bytes") ?? 0
        return usage
    }

    static func blockIO(_ directory: CgroupDirectory, _ io: inout CgroupStats.BlockIO) throws(CgroupError) {
        // Most detailed first: BFQ with debugging, BFQ, CFQ (before 5.0), then the throttling layer, which always is.
        for prefix in ["blkio.bfq.", "blkio.", "blkio.throttle."] {
            guard let serviced = try entries(directory, prefix + "io_serviced_recursive"), !serviced.isEmpty else { continue }
            io.serviced = serviced
            io.serviceBytes = try entries(directory, prefix + "io_service_bytes_recursive") ?? []
            io.queued = try entries(directory, prefix + "io_queued_recursive") ?? []
            io.serviceTime = try entries(directory, prefix + "io_service_time_recursive") ?? []
            io.waitTime = try entries(directory, prefix + "io_wait_time_recursive") ?? []
            io.merged = try entries(directory, prefix + "io_merged_recursive") ?? []
            io.time = try entries(directory, prefix + "time_recursive") ?? []
            io.sectors = try entries(directory, prefix + "sectors_recursive") ?? []
            return
        }
        io.serviced = try entries(directory, "blkio.throttle.io_serviced") ?? []
        io.serviceBytes = try entries(directory, "blkio.throttle.io_service_bytes") ?? []
    }

    /// Lines `8:0 Read 4096` or `8:0 4096`; the `Total` line of all devices is left out.
    private static func entries(
        _ directory: CgroupDirectory, _ file: String
    ) throws(CgroupError) -> [CgroupStats.BlockIO.Entry]? {
        guard let bytes = try directory.readIfPresent(file) else { return nil }
        var entries: [CgroupStats.BlockIO.Entry] = []
        KeyedText(bytes).forEachLine { fields in
            let device = fields[0].split(separator: UInt8(ascii: ":"))
            guard fields.count == 2 || fields.count == 3, device.count == 2, let major = number(device[0]),
                let minor = number(device[1]), let value = number(fields[fields.count - 1])
            else { return }
            let operation = fields.count == 3 ? text(fields[1]) : ""
            entries.append(.init(major: major, minor: minor, operation: operation, value: value))
        }
        return entries
    }
}
