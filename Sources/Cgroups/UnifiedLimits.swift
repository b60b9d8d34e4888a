import Linux
import OCI

/// Limits of cgroup v2. Kernel: admin-guide/cgroup-v2.rst.
enum UnifiedLimits {
    /// `memory.max`, `memory.swap.max`, `memory.low`. What v2 has no file for is an error, not silence
    /// (config-linux.md "Unified").
    static func memory(_ memory: LinuxMemory, _ directory: CgroupDirectory) throws(CgroupError) {
        if memory.swappiness != nil {
            throw CgroupError(.unsupported, "limit", "memory swappiness", "cgroup v2 has no such setting")
        }
        if memory.disableOOMKiller == true {
            throw CgroupError(.unsupported, "disable", "OOM killer", "cgroup v2 has no such setting")
        }
        if memory.checkBeforeUpdate == true, let usage = try? directory.number("memory.current") {
            try MemoryCheck.run(memory, usage: usage)
        }
        let swap = try ResourceConversion.swapMaximum(memory: memory.limit ?? 0, memoryAndSwap: memory.swap ?? 0)
        if let swap {
            let errno = directory.attempt("memory.swap.max", swap)
            // Without swap accounting "no swap" and "no limit" are both true already.
            let harmless = errno == .noEntry && (swap == "max" || swap == "0")
            if errno.rawValue != 0, !harmless { throw directory.failure(errno, "memory.swap.max", swap) }
        }
        if let value = ResourceConversion.limit(memory.limit) { try directory.write("memory.max", value) }
        if let value = ResourceConversion.limit(memory.reservation) { try directory.write("memory.low", value) }
    }

    static func cpu(_ cpu: LinuxCPU, _ directory: CgroupDirectory, realtime: Bool) throws(CgroupError) {
        if realtime {
            throw CgroupError(
                .unsupported, "limit", "real-time CPU bandwidth", "cgroup v2 has no files for it")
        }
        if let idle = cpu.idle { try directory.write("cpu.idle", "\(idle)") }
        // An idle group has a fixed weight and refuses another one.
        if let shares = cpu.shares, shares != 0, cpu.idle != 1 {
            try directory.write("cpu.weight", "\(ResourceConversion.weight(shares: shares))")
        }
        let quota = cpu.quota ?? 0
        let changesQuota = quota != 0 || (cpu.period ?? 0) != 0
        // A burst above the quota is refused: when the new quota makes room for it, it is written after the quota.
        var burstLater = false
        if let burst = cpu.burst {
            let errno = directory.attempt("cpu.max.burst", "\(burst)")
            burstLater = errno == .invalid && changesQuota
            if errno.rawValue != 0, !burstLater { throw directory.failure(errno, "cpu.max.burst", "\(burst)") }
        }
        if changesQuota {
            let period = cpu.period.flatMap { $0 == 0 ? nil : $0 } ?? 100_000
            try directory.write("cpu.max", "\(quota > 0 ? "\(quota)" : "max") \(period)")
        }
        if burstLater, let burst = cpu.burst { try directory.write("cpu.max.burst", "\(burst)") }
    }

    static func io(_ io: LinuxBlockIO, _ directory: CgroupDirectory) throws(CgroupError) {
        let devices = io.weightDevice.filter { ($0.weight ?? 0) != 0 }
        if (io.weight ?? 0) != 0 || !devices.isEmpty { try ioWeights(io.weight ?? 0, devices, directory) }
        func lines(_ key: String, _ list: [LinuxThrottleDevice]) -> [String] {
            list.map { "\($0.major):\($0.minor) \(key)=\($0.rate == 0 ? "max" : "\($0.rate)")" }
        }
        try directory.writeEach(
            "io.max",
            lines("rbps", io.throttleReadBpsDevice) + lines("wbps", io.throttleWriteBpsDevice)
                + lines("riops", io.throttleReadIOPSDevice) + lines("wiops", io.throttleWriteIOPSDevice))
    }

    /// BFQ has v1's range and comes first; `io.weight` of the cost model needs the conversion.
    private static func ioWeights(
        _ weight: UInt16, _ devices: [LinuxWeightDevice], _ directory: CgroupDirectory
    ) throws(CgroupError) {
        let bfq = try directory.readIfPresent("io.bfq.weight")
        if weight != 0 {
            if bfq != nil {
                try directory.write("io.bfq.weight", "\(weight)")
            } else {
                try directory.write("io.weight", "\(ResourceConversion.ioWeight(blkio: weight))")
            }
        }
        if devices.isEmpty { return }
        guard let bfq else {
            try directory.writeEach(
                "io.weight",
                devices.map { "\($0.major):\($0.minor) \(ResourceConversion.ioWeight(blkio: $0.weight ?? 0))" })
            return
        }
        // Before 5.4 BFQ knew one weight for all devices, and its file then shows a bare number.
        if KeyedText(bfq).single != nil { return }
        try directory.writeEach("io.bfq.weight", devices.map { "\($0.major):\($0.minor) \($0.weight ?? 0)" })
    }
}

/// `memory.checkBeforeUpdate`: a limit below what is in use would only call the OOM killer.
enum MemoryCheck {
    static func run(_ memory: LinuxMemory, usage: UInt64) throws(CgroupError) {
        for (name, limit) in [("memory and swap limit", memory.swap), ("memory limit", memory.limit)] {
            if let limit, limit > 0, UInt64(limit) <= usage {
                throw CgroupError(.invalid, "set", "\(name) to \(limit)", "\(usage) bytes are in use")
            }
        }
    }
}
