import OCI

/// What `update` changes of a container, but for its networks. Nil, empty and 0 leave a thing as it is, as in Docker.
public struct ContainerChange: Sendable, Hashable {
    public var resources = ResourceRequest()
    public var restart: RestartRequest?
    /// `NAME=value`, for the next start.
    public var environment: [String] = []
    /// Names of variables that the next start is to be without.
    public var unsetEnvironment: [String] = []
    public var health = HealthChange()

    public init() {}

    public var isEmpty: Bool { self == ContainerChange() }

    /// The definition with the change in it.
    ///
    /// - Parameter shell: the image's, for a health check that is a shell's line.
    /// - Throws: `.invalid` and `.conflict` in Docker's words.
    func applied(to old: ContainerDefinition, shell: () -> [String] = { [] }) throws(EngineError) -> ContainerDefinition {
        var definition = old
        definition.resources = try merged(into: old.resources)
        if let restart {
            if old.autoRemove, restart.name != .no {
                throw EngineError(
                    .conflict, sentence: "Restart policy cannot be updated because AutoRemove is enabled for the container")
            }
            definition.restart = restart
        }
        if health != HealthChange() { definition.health = try health.applied(to: old.health, shell: shell) }
        definition.environment.removeAll { entry in unsetEnvironment.contains { entry.hasPrefix($0 + "=") } }
        definition.environment = EnvironmentOption.merge(definition.environment, environment)
        return definition
    }

    // MARK: Limits

    private func merged(into old: ResourceRequest) throws(EngineError) -> ResourceRequest {
        try refuseConflicts(with: old)
        var result = old
        func take(_ value: Int64?, _ path: WritableKeyPath<ResourceRequest, Int64?>) {
            if let value, value != 0 { result[keyPath: path] = value }
        }
        take(resources.blockIOWeight, \.blockIOWeight)
        take(resources.cpuShares, \.cpuShares)
        take(resources.nanoCPUs, \.nanoCPUs)
        take(resources.cpuPeriod, \.cpuPeriod)
        take(resources.cpuQuota, \.cpuQuota)
        take(resources.cpuRealtimePeriod, \.cpuRealtimePeriod)
        take(resources.cpuRealtimeRuntime, \.cpuRealtimeRuntime)
        if !resources.cpusetCPUs.isEmpty { result.cpusetCPUs = resources.cpusetCPUs }
        if !resources.cpusetMems.isEmpty { result.cpusetMems = resources.cpusetMems }
        if let memory = resources.memory, memory != 0 {
            // What the limit of memory alone meant until now stays what it was.
            result.memorySwap = old.memoryAndSwap
            if let limit = old.memoryAndSwap, limit > 0, memory > limit, (resources.memorySwap ?? 0) == 0 {
                throw EngineError(
                    .conflict,
                    sentence: "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time")
            }
            result.memory = memory
        }
        take(resources.memorySwap, \.memorySwap)
        take(resources.memoryReservation, \.memoryReservation)
        // 0 is a value of its own here: no limit.
        if let limit = resources.pidsLimit { result.pidsLimit = limit }
        for limit in resources.deviceLimits {
            result.deviceLimits.removeAll { $0.kind == limit.kind && $0.path == limit.path }
            if limit.value > 0 { result.deviceLimits.append(limit) }
        }
        try ResourceRules.check(result)
        return result
    }

    /// `--cpus` is a quota in a period of its own: who has one kind cannot be given the other.
    private func refuseConflicts(with old: ResourceRequest) throws(EngineError) {
        func refuse(_ new: Int64?, _ name: String, _ present: Int64?, _ other: String) throws(EngineError) {
            guard (new ?? 0) > 0, (present ?? 0) > 0 else { return }
            throw EngineError(
                .conflict, sentence: "Conflicting options: \(name) cannot be updated as \(other) has already been set")
        }
        try refuse(resources.nanoCPUs, "Nano CPUs", old.cpuPeriod, "CPU Period")
        try refuse(resources.nanoCPUs, "Nano CPUs", old.cpuQuota, "CPU Quota")
        try refuse(resources.cpuPeriod, "CPU Period", old.nanoCPUs, "NanoCPUs")
        try refuse(resources.cpuQuota, "CPU Quota", old.nanoCPUs, "NanoCPUs")
    }
}

extension ResourceRequest {
    /// Docker's rule: with a memory limit and nothing said about swap, as much swap again. -1: unlimited; nil: nothing is limited.
    var memoryAndSwap: Int64? {
        if let memorySwap, memorySwap != 0 { return memorySwap }
        guard let memory, memory > 0 else { return nil }
        let (double, overflow) = memory.multipliedReportingOverflow(by: 2)
        return overflow ? -1 : double
    }

    /// The limits as a container is to have them that has the old ones: all of a kind where one of the kind differs, because the kernel
    /// takes some only in pairs.
    ///
    /// - Parameter devices: of block devices that are limited now or were, by path.
    func change(
        from old: ResourceRequest, defaultPids: Int64, _ devices: [String: DeviceNumber] = [:]
    ) -> LinuxResources {
        var result = LinuxResources()
        if memory != old.memory || memoryAndSwap != old.memoryAndSwap || memoryReservation != old.memoryReservation {
            var limits = LinuxMemory()
            limits.limit = memory ?? -1
            limits.swap = memoryAndSwap ?? -1
            limits.reservation = memoryReservation ?? (old.memoryReservation == nil ? nil : -1)
            result.memory = limits
        }
        result.cpu = changedProcessors(from: old)
        if pidsLimit != old.pidsLimit {
            let limit = pidsLimit ?? defaultPids
            result.pids = LinuxPids(limit: limit > 0 ? limit : -1)
        }
        // 500 is the kernel's own; a rate of 0 is none.
        let gone = old.deviceLimits.filter { limit in !deviceLimits.contains { $0.kind == limit.kind && $0.path == limit.path } }
        let changed = deviceLimits.filter { !old.deviceLimits.contains($0) }
        let blockIO = SpecBuilder.blockIO(
            weight: blockIOWeight == old.blockIOWeight ? nil : blockIOWeight ?? 500,
            changed + gone.map { DeviceLimit($0.kind, path: $0.path, value: $0.kind == .weight ? 500 : 0) }, devices)
        if blockIO != LinuxBlockIO() { result.blockIO = blockIO }
        return result
    }

    private func changedProcessors(from old: ResourceRequest) -> LinuxCPU? {
        var cpu = LinuxCPU()
        if cpuShares != old.cpuShares { cpu.shares = UInt64(max(0, cpuShares ?? 1024)) }
        if bandwidth != old.bandwidth { (cpu.quota, cpu.period) = bandwidth }
        if cpuRealtimePeriod != old.cpuRealtimePeriod { cpu.realtimePeriod = UInt64(max(0, cpuRealtimePeriod ?? 1_000_000)) }
        if cpuRealtimeRuntime != old.cpuRealtimeRuntime { cpu.realtimeRuntime = cpuRealtimeRuntime ?? 0 }
        if cpusetCPUs != old.cpusetCPUs { cpu.cpus = cpusetCPUs.isEmpty ? HostFacts.processors : cpusetCPUs }
        if cpusetMems != old.cpusetMems { cpu.mems = cpusetMems.isEmpty ? HostFacts.memoryNodes : cpusetMems }
        return cpu == LinuxCPU() ? nil : cpu
    }

    /// Microseconds; -1 for no quota.
    private var bandwidth: (quota: Int64, period: UInt64) {
        // --cpus 1.5 is 150 ms in every 100 ms.
        if let nanoCPUs, nanoCPUs > 0 { return (nanoCPUs / 10_000, 100_000) }
        let period = cpuPeriod.map { $0 > 0 ? UInt64($0) : 100_000 } ?? 100_000
        return ((cpuQuota ?? 0) > 0 ? cpuQuota ?? -1 : -1, period)
    }
}
