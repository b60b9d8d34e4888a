import Linux
import OCI

/// Limits of cgroup v1. Kernel: admin-guide/cgroup-v1/.
enum LegacyLimits {
    private static let limitFile = "memory.limit_in_bytes"
    private static let swapFile = "memory.memsw.limit_in_bytes"

    static func memory(_ memory: LinuxMemory, _ directory: CgroupDirectory) throws(CgroupError) {
        if memory.checkBeforeUpdate == true, let usage = try? directory.number("memory.usage_in_bytes") {
            try MemoryCheck.run(memory, usage: usage)
        }
        try memoryAndSwap(memory.limit ?? 0, memory.swap ?? 0, directory)
        // Kernel memory limits are gone since 5.4 and ignored, as runc does.
        if let soft = memory.reservation, soft != 0 { try directory.write("memory.soft_limit_in_bytes", "\(soft)") }
        if memory.disableOOMKiller == true { try directory.write("memory.oom_control", "1") }
        // Docker's -1 ("not set") arrives as the largest number.
        if let swappiness = memory.swappiness, swappiness <= 100 {
            try directory.write("memory.swappiness", "\(swappiness)")
        }
    }

    /// The kernel demands limit ≤ memsw at every moment, so the order of the two writes depends on the old values.
    private static func memoryAndSwap(
        _ limit: Int64, _ swap: Int64, _ directory: CgroupDirectory
    ) throws(CgroupError) {
        if limit == -1, swap == 0 {
            // Unlimited memory means unlimited swap too, where swap is accounted at all. The sum must go up first.
            let errno = directory.attempt(swapFile, "-1")
            if errno.rawValue != 0, errno != .noEntry, errno != .notSupported {
                throw directory.failure(errno, swapFile, "-1")
            }
            return try setLimit(limit, directory)
        }
        if limit != 0, swap != 0 {
            let current = try directory.number(limitFile) ?? .max
            if swap == -1 || current < UInt64(max(swap, 0)) {
                try directory.write(swapFile, "\(swap)")
                return try setLimit(limit, directory)
            }
        }
        try setLimit(limit, directory)
        if swap != 0 { try directory.write(swapFile, "\(swap)") }
    }

    private static func setLimit(_ limit: Int64, _ directory: CgroupDirectory) throws(CgroupError) {
        if limit == 0 { return }
        let errno = directory.attempt(limitFile, "\(limit)")
        if errno.rawValue == 0 { return }
        guard errno == .busy, let usage = try directory.number("memory.usage_in_bytes") else {
            throw directory.failure(errno, limitFile, "\(limit)")
        }
        throw CgroupError(
            .busy, "write \"\(limit)\" to", limitFile, "\(errno.description): \(usage) bytes are in use", errno: errno)
    }

    static func cpu(_ cpu: LinuxCPU, _ directory: CgroupDirectory) throws(CgroupError) {
        if let shares = cpu.shares, shares != 0 {
            // The kernel would clamp silently.
            if shares < 2 || shares > 262_144 {
                throw CgroupError(.invalid, "set", "CPU shares to \(shares)", "the range is 2 to 262144")
            }
            try directory.write("cpu.shares", "\(shares)")
        }
        try bandwidth(cpu, directory)
        if let idle = cpu.idle { try directory.write("cpu.idle", "\(idle)") }
        try realtime(cpu, directory)
    }

    private static func bandwidth(_ cpu: LinuxCPU, _ directory: CgroupDirectory) throws(CgroupError) {
        let quota = cpu.quota ?? 0
        // Period and burst are checked against the old quota. When that refuses them and a new quota comes, they are
        // written again after it.
        var later: [(file: String, value: String)] = []
        if let period = cpu.period, period != 0 {
            let errno = directory.attempt("cpu.cfs_period_us", "\(period)")
            if errno == .invalid, quota != 0 {
                later.append(("cpu.cfs_period_us", "\(period)"))
            } else if errno.rawValue != 0 {
                throw directory.failure(errno, "cpu.cfs_period_us", "\(period)")
            }
        }
        if let burst = cpu.burst {
            let errno = directory.attempt("cpu.cfs_burst_us", "\(burst)")
            if errno == .invalid, quota != 0 {
                later.append(("cpu.cfs_burst_us", "\(burst)"))
            } else if errno.rawValue != 0, errno != .noEntry {  // before 5.14 there is no burst
                throw directory.failure(errno, "cpu.cfs_burst_us", "\(burst)")
            }
        }
        if quota != 0 { try directory.write("cpu.cfs_quota_us", "\(quota)") }
        for (file, value) in later { try directory.write(file, value) }
    }

    private static func realtime(_ cpu: LinuxCPU, _ directory: CgroupDirectory) throws(CgroupError) {
        let runtime = cpu.realtimeRuntime ?? 0
        var periodLater = false
        if let period = cpu.realtimePeriod, period != 0 {
            let errno = directory.attempt("cpu.rt_period_us", "\(period)")
            periodLater = errno == .invalid && runtime != 0
            if errno.rawValue != 0, !periodLater { throw directory.failure(errno, "cpu.rt_period_us", "\(period)") }
        }
        if runtime != 0 { try directory.write("cpu.rt_runtime_us", "\(runtime)") }
        if periodLater, let period = cpu.realtimePeriod { try directory.write("cpu.rt_period_us", "\(period)") }
    }

    static func io(_ io: LinuxBlockIO, _ directory: CgroupDirectory) throws(CgroupError) {
        if let weight = io.weight, weight != 0 {
            try eitherName("blkio.weight", "blkio.bfq.weight", "\(weight)", directory)
        }
        if let weight = io.leafWeight, weight != 0 { try directory.write("blkio.leaf_weight", "\(weight)") }
        for device in io.weightDevice {
            let name = "\(device.major):\(device.minor)"
            if let weight = device.weight, weight != 0 {
                try eitherName("blkio.weight_device", "blkio.bfq.weight_device", "\(name) \(weight)", directory)
            }
            if let weight = device.leafWeight, weight != 0 {
                try directory.write("blkio.leaf_weight_device", "\(name) \(weight)")
            }
        }
        for (file, list) in [
            ("read_bps", io.throttleReadBpsDevice), ("write_bps", io.throttleWriteBpsDevice),
            ("read_iops", io.throttleReadIOPSDevice), ("write_iops", io.throttleWriteIOPSDevice),
        ] {
            try directory.writeEach(
                "blkio.throttle.\(file)_device", list.map { "\($0.major):\($0.minor) \($0.rate)" })
        }
    }

    /// CFQ's file went away with CFQ in 5.0; BFQ's is there only when BFQ is built in.
    private static func eitherName(
        _ first: String, _ second: String, _ value: String, _ directory: CgroupDirectory
    ) throws(CgroupError) {
        var errno = directory.attempt(first, value)
        if errno == .noEntry { errno = directory.attempt(second, value) }
        if errno == .noEntry {
            throw CgroupError(
                .unsupported, "write \"\(value)\" to", first, "this kernel has no I/O scheduler with weights", errno: errno)
        }
        if errno.rawValue != 0 { throw directory.failure(errno, second, value) }
    }
}
