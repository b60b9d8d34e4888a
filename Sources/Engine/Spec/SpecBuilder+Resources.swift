import OCI

extension SpecBuilder {
    /// How many processes a container may have when nobody says otherwise (CIS 5.29; Podman's value).
    static let defaultPids: Int64 = 2048

    func deviceNodes() -> [LinuxDevice] {
        bindsDevices ? [] : inputs.devices.map(\.device)
    }

    func resources() throws(EngineError) -> LinuxResources? {
        let request = definition.resources
        try ResourceRules.check(request)
        var result = LinuxResources()
        // Users may not write device rules, and in their namespace there are no device nodes to make.
        if !inputs.host.isRootless { result.devices = deviceRules() }
        guard inputs.hasCgroup else { return result.devices.isEmpty ? nil : result }
        result.memory = memory(request)
        result.cpu = cpu(request)
        let pids = request.pidsLimit ?? SpecBuilder.defaultPids
        if pids > 0 { result.pids = LinuxPids(limit: pids) }
        if let weight = request.blockIOWeight, weight > 0 {
            var blockIO = LinuxBlockIO()
            blockIO.weight = UInt16(clamping: weight)
            result.blockIO = blockIO
        }
        return result
    }

    private func memory(_ request: ResourceRequest) -> LinuxMemory? {
        var memory = LinuxMemory()
        if let limit = request.memory, limit > 0 { memory.limit = limit }
        if let reservation = request.memoryReservation, reservation > 0 { memory.reservation = reservation }
        memory.swap = swap(request)
        if let swappiness = request.memorySwappiness, swappiness >= 0 { memory.swappiness = UInt64(swappiness) }
        if request.disableOOMKiller { memory.disableOOMKiller = true }
        return memory == LinuxMemory() ? nil : memory
    }

    /// Docker's rule: with a memory limit and nothing said about swap, as much swap again.
    private func swap(_ request: ResourceRequest) -> Int64? {
        if let swap = request.memorySwap, swap != 0 { return swap }
        guard let memory = request.memory, memory > 0 else { return nil }
        let (double, overflow) = memory.multipliedReportingOverflow(by: 2)
        return overflow ? -1 : double
    }

    private func cpu(_ request: ResourceRequest) -> LinuxCPU? {
        var cpu = LinuxCPU()
        if let shares = request.cpuShares, shares > 0 { cpu.shares = UInt64(shares) }
        if let period = request.cpuPeriod, period > 0 { cpu.period = UInt64(period) }
        if let quota = request.cpuQuota, quota != 0 { cpu.quota = quota }
        if let nano = request.nanoCPUs, nano > 0 {
            // --cpus 1.5 is 150 ms in every 100 ms.
            cpu.period = 100_000
            cpu.quota = Int64(clamping: nano / 10_000)
        }
        if let period = request.cpuRealtimePeriod, period > 0 { cpu.realtimePeriod = UInt64(period) }
        if let runtime = request.cpuRealtimeRuntime, runtime != 0 { cpu.realtimeRuntime = runtime }
        cpu.cpus = request.cpusetCPUs
        cpu.mems = request.cpusetMems
        return cpu == LinuxCPU() ? nil : cpu
    }

    private func deviceRules() -> [LinuxDeviceCgroup] {
        if definition.privileged { return [LinuxDeviceCgroup(allow: true, access: "rwm")] }
        var rules = [LinuxDeviceCgroup(allow: false, access: "rwm")]
        let allowed: [(Int64, Int64?)] = [
            (1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 1), (5, 2), (136, nil),
        ]
        for (major, minor) in allowed {
            rules.append(LinuxDeviceCgroup(allow: true, type: "c", major: major, minor: minor, access: "rwm"))
        }
        for device in inputs.devices {
            rules.append(
                LinuxDeviceCgroup(
                    allow: true, type: device.device.type, major: device.device.major, minor: device.device.minor,
                    access: device.permissions))
        }
        return rules
    }
}

/// What limits may not say, in Docker's words.
enum ResourceRules {
    static func check(_ request: ResourceRequest) throws(EngineError) {
        if let memory = request.memory, memory != 0, memory < 6 << 20 {
            throw .invalid("Minimum memory limit allowed is 6MB")
        }
        if let swap = request.memorySwap, swap > 0 {
            guard let memory = request.memory, memory > 0 else {
                throw .invalid("You should always set the Memory limit when using Memoryswap limit, see usage")
            }
            if swap < memory {
                throw .invalid("Minimum memoryswap limit should be larger than memory limit, see usage")
            }
        }
        if let swappiness = request.memorySwappiness, swappiness != -1, !(0...100).contains(swappiness) {
            throw .invalid("Invalid value: \(swappiness), valid memory swappiness range is 0-100")
        }
        if let reservation = request.memoryReservation, reservation != 0 {
            if reservation < 6 << 20 { throw .invalid("Minimum memory reservation allowed is 6MB") }
            if let memory = request.memory, memory > 0, memory < reservation {
                throw .invalid("Minimum memory limit can not be less than memory reservation limit, see usage")
            }
        }
        if request.disableOOMKiller, (request.memory ?? 0) <= 0 {
            throw .invalid("--oom-kill-disable needs a memory limit: without one the host may run out of memory")
        }
        try checkCPU(request)
        if let weight = request.blockIOWeight, weight != 0, !(10...1000).contains(weight) {
            throw .invalid("Range of blkio weight is from 10 to 1000")
        }
    }

    private static func checkCPU(_ request: ResourceRequest) throws(EngineError) {
        if let nano = request.nanoCPUs, nano != 0 {
            let cpus = HostFacts.onlineCPUs
            if nano < 0 || nano > Int64(cpus) * 1_000_000_000 {
                throw .invalid("Range of CPUs is from 0.01 to \(cpus).00, as there are only \(cpus) CPUs available")
            }
            if (request.cpuQuota ?? 0) != 0 {
                throw .invalid("Conflicting options: Nano CPUs and CPU Quota cannot both be set.")
            }
            if (request.cpuPeriod ?? 0) != 0 {
                throw .invalid("Conflicting options: Nano CPUs and CPU Period cannot both be set.")
            }
        }
        if let period = request.cpuPeriod, period != 0, !(1000...1_000_000).contains(period) {
            throw .invalid("CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)")
        }
        if let quota = request.cpuQuota, quota > 0, quota < 1000 {
            throw .invalid("CPU cfs quota can not be less than 1ms (i.e. 1000)")
        }
        for (text, what) in [(request.cpusetCPUs, "cpus"), (request.cpusetMems, "mems")] where !text.isEmpty {
            let isList = text.split(separator: ",", omittingEmptySubsequences: false).allSatisfy { part in
                let ends = part.split(separator: "-", omittingEmptySubsequences: false)
                return (1...2).contains(ends.count) && ends.allSatisfy { Numbers.unsigned($0) != nil }
            }
            if !isList { throw .invalid("Invalid value \(text) for cpuset \(what)") }
        }
    }
}
