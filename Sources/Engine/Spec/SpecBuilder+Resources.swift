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
        if !inputs.host.isRootless { result.devices = try deviceRules() }
        guard inputs.hasCgroup else { return result.devices.isEmpty ? nil : result }
        SpecBuilder.limit(&result, by: request, inputs.deviceNumbers)
        return result
    }

    /// Sets the limits that a request means; what it does not ask for is the kernel's default.
    ///
    /// - Parameter devices: of ``ResourceRequest/deviceLimits``, by path.
    static func limit(
        _ resources: inout LinuxResources, by request: ResourceRequest, _ devices: [String: DeviceNumber]
    ) {
        resources.memory = memory(request)
        resources.cpu = cpu(request)
        let pids = request.pidsLimit ?? SpecBuilder.defaultPids
        resources.pids = pids > 0 ? LinuxPids(limit: pids) : nil
        let blockIO = blockIO(weight: request.blockIOWeight, request.deviceLimits.filter { $0.value > 0 }, devices)
        resources.blockIO = blockIO == LinuxBlockIO() ? nil : blockIO
    }

    static func blockIO(weight: Int64?, _ limits: [DeviceLimit], _ devices: [String: DeviceNumber]) -> LinuxBlockIO {
        var result = LinuxBlockIO()
        if let weight, weight > 0 { result.weight = UInt16(clamping: weight) }
        for limit in limits {
            guard let number = devices[limit.path] else { continue }
            let rate = LinuxThrottleDevice(major: number.major, minor: number.minor, rate: limit.value)
            switch limit.kind {
            case .weight:
                result.weightDevice.append(
                    LinuxWeightDevice(major: number.major, minor: number.minor, weight: UInt16(clamping: limit.value)))
            case .readBytes: result.throttleReadBpsDevice.append(rate)
            case .writeBytes: result.throttleWriteBpsDevice.append(rate)
            case .readOperations: result.throttleReadIOPSDevice.append(rate)
            case .writeOperations: result.throttleWriteIOPSDevice.append(rate)
            }
        }
        return result
    }

    private static func memory(_ request: ResourceRequest) -> LinuxMemory? {
        var memory = LinuxMemory()
        if let limit = request.memory, limit > 0 { memory.limit = limit }
        if let reservation = request.memoryReservation, reservation > 0 { memory.reservation = reservation }
        memory.swap = request.memoryAndSwap
        if let swappiness = request.memorySwappiness, swappiness >= 0 { memory.swappiness = UInt64(swappiness) }
        if request.disableOOMKiller { memory.disableOOMKiller = true }
        return memory == LinuxMemory() ? nil : memory
    }

    private static func cpu(_ request: ResourceRequest) -> LinuxCPU? {
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

    private func deviceRules() throws(EngineError) -> [LinuxDeviceCgroup] {
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
        for text in definition.deviceRules {
            let rule = try DeviceRuleOption.parse(text)
            rules.append(
                LinuxDeviceCgroup(allow: true, type: rule.type, major: rule.major, minor: rule.minor, access: rule.access))
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
        try require(request.cpusetCPUs, among: HostFacts.processors, "CPUs")
        try require(request.cpusetMems, among: HostFacts.memoryNodes, "memory nodes")
    }

    /// - Parameters: lists as `0-2,7`.
    private static func require(
        _ wanted: String, among present: @autoclosure () -> String, _ what: String
    ) throws(EngineError) {
        if wanted.isEmpty { return }
        let available = present()
        let ranges = ranges(available)
        for range in self.ranges(wanted) where !ranges.contains(where: { $0.contains(range.lowerBound) && $0.contains(range.upperBound) }) {
            throw .invalid("Requested \(what) are not available - requested \(wanted), available: \(available)")
        }
    }

    private static func ranges(_ list: String) -> [ClosedRange<UInt32>] {
        list.split(separator: ",").compactMap { part in
            let ends = part.split(separator: "-").map { Numbers.unsigned($0) }
            guard let first = ends.first ?? nil, let last = ends.last ?? nil, first <= last else { return nil }
            return first...last
        }
    }
}
