import Engine
import Flags

/// `berth update`
struct UpdateCommand {
    let session: Session
    private var arguments: ParsedArguments { session.arguments }
    init(_ session: Session) { self.session = session }

    func run() throws(CommandError) -> Int32 {
        if arguments.occurrences.allSatisfy({ ["root", "runroot", "cdi-spec-dir", "latest"].contains($0.name) }) {
            throw CommandError("nothing to change: you must provide one or more flags when using this command")
        }
        let added = try engine { () throws(EngineError) in
            var result: [PortBinding] = []
            for text in arguments.strings("publish-add") { result.append(try PortBinding(option: text)) }
            return result
        }
        let removed = arguments.strings("publish-rm")
        let rate = try engine { () throws(EngineError) in
            arguments.isSet("network-rate") ? try NetworkRateOption(arguments.string("network-rate")) : nil
        }
        let change = try engine { () throws(EngineError) in try self.change() }
        return session.forEach(try session.containers()) { (name) throws(EngineError) in
            if change.isEmpty { _ = try session.engine.definition(of: name) } else { try session.engine.update(name, change) }
            if !added.isEmpty || !removed.isEmpty { try session.engine.changePorts(name, adding: added, removing: removed) }
            if let rate { try session.engine.changeRate(name, rate) }
            return name
        }
    }

    private func change() throws(EngineError) -> ContainerChange {
        var change = ContainerChange()
        change.resources = try ResourceRequest(arguments)
        if arguments.isSet("restart") { change.restart = try RestartRequest(option: arguments.string("restart")) }
        for text in arguments.strings("env") {
            if let entry = try EnvironmentOption.parse(text) { change.environment.append(entry) }
        }
        change.unsetEnvironment = arguments.strings("unsetenv")
        change.health = try HealthOptions(arguments: arguments).change()
        return change
    }
}

extension ResourceRequest {
    /// From the flags that `create`, `run` and `update` have.
    init(_ arguments: ParsedArguments) throws(EngineError) {
        self.init()
        func given(_ name: String) -> Int64? { arguments.isSet(name) ? arguments.int64(name) : nil }
        memory = given("memory")
        memoryReservation = given("memory-reservation")
        memorySwap = given("memory-swap")
        pidsLimit = given("pids-limit")
        blockIOWeight = given("blkio-weight")
        nanoCPUs = given("cpus")
        cpuShares = given("cpu-shares")
        cpuPeriod = given("cpu-period")
        cpuQuota = given("cpu-quota")
        cpuRealtimePeriod = given("cpu-rt-period")
        cpuRealtimeRuntime = given("cpu-rt-runtime")
        cpusetCPUs = arguments.string("cpuset-cpus")
        cpusetMems = arguments.string("cpuset-mems")
        for kind in DeviceLimit.Kind.allCases {
            for text in arguments.strings(kind.flag) { deviceLimits.append(try DeviceLimit(kind, option: text)) }
        }
    }
}

extension DeviceLimit.Kind {
    fileprivate var flag: String {
        switch self {
        case .weight: "blkio-weight-device"
        case .readBytes: "device-read-bps"
        case .writeBytes: "device-write-bps"
        case .readOperations: "device-read-iops"
        case .writeOperations: "device-write-iops"
        }
    }
}
