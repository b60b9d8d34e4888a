import JSON

/// Limits of a container's cgroup; also the document that `update` reads.
///
/// Spec: OCI runtime-spec 1.3 config-linux.md "Control groups".
public struct LinuxResources: Sendable, Hashable {
    public var devices: [LinuxDeviceCgroup]
    public var memory: LinuxMemory?
    public var cpu: LinuxCPU?
    public var pids: LinuxPids?
    public var blockIO: LinuxBlockIO?
    public var hugepageLimits: [LinuxHugepageLimit]
    public var network: LinuxNetwork?
    /// By device name.
    public var rdma: [String: LinuxRdma]
    /// Files of cgroup v2 and what to write into them.
    public var unified: [String: String]

    public init(
        devices: [LinuxDeviceCgroup] = [], memory: LinuxMemory? = nil, cpu: LinuxCPU? = nil, pids: LinuxPids? = nil,
        blockIO: LinuxBlockIO? = nil, hugepageLimits: [LinuxHugepageLimit] = [], network: LinuxNetwork? = nil,
        rdma: [String: LinuxRdma] = [:], unified: [String: String] = [:]
    ) {
        self.devices = devices
        self.memory = memory
        self.cpu = cpu
        self.pids = pids
        self.blockIO = blockIO
        self.hugepageLimits = hugepageLimits
        self.network = network
        self.rdma = rdma
        self.unified = unified
    }

    public init(json parser: inout JSONParser) throws(JSONError) {
        self.init()
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "devices": devices = try parser.array(LinuxDeviceCgroup.init(json:))
            case "memory": memory = try LinuxMemory(json: &parser)
            case "cpu": cpu = try LinuxCPU(json: &parser)
            case "pids": pids = try LinuxPids(json: &parser)
            case "blockIO": blockIO = try LinuxBlockIO(json: &parser)
            case "hugepageLimits": hugepageLimits = try parser.array(LinuxHugepageLimit.init(json:))
            case "network": network = try LinuxNetwork(json: &parser)
            case "rdma": rdma = try parser.dictionary(LinuxRdma.init(json:))
            case "unified": unified = try parser.stringDictionary()
            default: try parser.skip()
            }
        }
    }

    public func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.arrayIfNotEmpty("devices", devices) { w, value in value.write(to: &w) }
            w.ifPresent("memory", memory) { w, value in value.write(to: &w) }
            w.ifPresent("cpu", cpu) { w, value in value.write(to: &w) }
            w.ifPresent("pids", pids) { w, value in value.write(to: &w) }
            w.ifPresent("blockIO", blockIO) { w, value in value.write(to: &w) }
            w.arrayIfNotEmpty("hugepageLimits", hugepageLimits) { w, value in value.write(to: &w) }
            w.ifPresent("network", network) { w, value in value.write(to: &w) }
            w.dictionaryIfNotEmpty("rdma", rdma) { w, value in value.write(to: &w) }
            w.fieldIfNotEmpty("unified", unified)
        }
    }
}

/// One rule of the device controller.
public struct LinuxDeviceCgroup: Sendable, Hashable {
    public var allow: Bool
    /// `a`, `c` or `b`; empty is `a`.
    public var type: String
    /// Nil is all.
    public var major: Int64?
    /// Nil is all.
    public var minor: Int64?
    /// Out of `r`, `w` and `m`.
    public var access: String

    public init(
        allow: Bool = false, type: String = "", major: Int64? = nil, minor: Int64? = nil, access: String = ""
    ) {
        self.allow = allow
        self.type = type
        self.major = major
        self.minor = minor
        self.access = access
    }

    public init(json parser: inout JSONParser) throws(JSONError) {
        self.init()
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "allow": allow = try parser.bool()
            case "type": type = try parser.string()
            case "major": major = try parser.int()
            case "minor": minor = try parser.int()
            case "access": access = try parser.string()
            default: try parser.skip()
            }
        }
    }

    public func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.field("allow", allow)
            w.fieldIfNotEmpty("type", type)
            w.fieldIfPresent("major", major)
            w.fieldIfPresent("minor", minor)
            w.fieldIfNotEmpty("access", access)
        }
    }
}

/// Limits of memory in bytes; -1 is unlimited.
public struct LinuxMemory: Sendable, Hashable {
    public var limit: Int64?
    public var reservation: Int64?
    /// Memory and swap together.
    public var swap: Int64?
    public var kernel: Int64?
    public var kernelTCP: Int64?
    /// 0 to 100.
    public var swappiness: UInt64?
    public var disableOOMKiller: Bool?
    public var useHierarchy: Bool?
    /// Whether a limit below the current usage is refused.
    public var checkBeforeUpdate: Bool?

    public init(
        limit: Int64? = nil, reservation: Int64? = nil, swap: Int64? = nil, kernel: Int64? = nil,
        kernelTCP: Int64? = nil, swappiness: UInt64? = nil, disableOOMKiller: Bool? = nil, useHierarchy: Bool? = nil,
        checkBeforeUpdate: Bool? = nil
    ) {
        self.limit = limit
        self.reservation = reservation
        self.swap = swap
        self.kernel = kernel
        self.kernelTCP = kernelTCP
        self.swappiness = swappiness
        self.disableOOMKiller = disableOOMKiller
        self.useHierarchy = useHierarchy
        self.checkBeforeUpdate = checkBeforeUpdate
    }

    public init(json parser: inout JSONParser) throws(JSONError) {
        self.init()
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "limit": limit = try parser.int()
            case "reservation": reservation = try parser.int()
            case "swap": swap = try parser.int()
            case "kernel": kernel = try parser.int()
            case "kernelTCP": kernelTCP = try parser.int()
            case "swappiness": swappiness = try parser.int()
            case "disableOOMKiller": disableOOMKiller = try parser.bool()
            case "useHierarchy": useHierarchy = try parser.bool()
            case "checkBeforeUpdate": checkBeforeUpdate = try parser.bool()
            default: try parser.skip()
            }
        }
    }

    public func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.fieldIfPresent("limit", limit)
            w.fieldIfPresent("reservation", reservation)
            w.fieldIfPresent("swap", swap)
            w.fieldIfPresent("kernel", kernel)
            w.fieldIfPresent("kernelTCP", kernelTCP)
            w.fieldIfPresent("swappiness", swappiness)
            w.fieldIfPresent("disableOOMKiller", disableOOMKiller)
            w.fieldIfPresent("useHierarchy", useHierarchy)
            w.fieldIfPresent("checkBeforeUpdate", checkBeforeUpdate)
        }
    }
}

/// Limits of CPU time, in microseconds.
public struct LinuxCPU: Sendable, Hashable {
    /// Relative weight, 2 to 262144.
    public var shares: UInt64?
    public var quota: Int64?
    public var burst: UInt64?
    public var period: UInt64?
    public var realtimeRuntime: Int64?
    public var realtimePeriod: UInt64?
    /// A list like `0-3,7`.
    public var cpus: String
    /// A list like `0-3,7`.
    public var mems: String
    /// 1 is SCHED_IDLE.
    public var idle: Int64?

    public init(
        shares: UInt64? = nil, quota: Int64? = nil, burst: UInt64? = nil, period: UInt64? = nil,
        realtimeRuntime: Int64? = nil, realtimePeriod: UInt64? = nil, cpus: String = "", mems: String = "",
        idle: Int64? = nil
    ) {
        self.shares = shares
        self.quota = quota
        self.burst = burst
        self.period = period
        self.realtimeRuntime = realtimeRuntime
        self.realtimePeriod = realtimePeriod
        self.cpus = cpus
        self.mems = mems
        self.idle = idle
    }

    public init(json parser: inout JSONParser) throws(JSONError) {
        self.init()
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "shares": shares = try parser.int()
            case "quota": quota = try parser.int()
            case "burst": burst = try parser.int()
            case "period": period = try parser.int()
            case "realtimeRuntime": realtimeRuntime = try parser.int()
            case "realtimePeriod": realtimePeriod = try parser.int()
            case "cpus": cpus = try parser.string()
            case "mems": mems = try parser.string()
            case "idle": idle = try parser.int()
            default: try parser.skip()
            }
        }
    }

    public func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.fieldIfPresent("shares", shares)
            w.fieldIfPresent("quota", quota)
            w.fieldIfPresent("burst", burst)
            w.fieldIfPresent("period", period)
            w.fieldIfPresent("realtimeRuntime", realtimeRuntime)
            w.fieldIfPresent("realtimePeriod", realtimePeriod)
            w.fieldIfNotEmpty("cpus", cpus)
            w.fieldIfNotEmpty("mems", mems)
            w.fieldIfPresent("idle", idle)
        }
    }
}

/// The limit of processes.
public struct LinuxPids: Sendable, Hashable {
    /// -1 is unlimited.
    public var limit: Int64?

    public init(limit: Int64? = nil) {
        self.limit = limit
    }

    public init(json parser: inout JSONParser) throws(JSONError) {
        self.init()
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "limit": limit = try parser.int()
            default: try parser.skip()
            }
        }
    }

    public func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.fieldIfPresent("limit", limit)
        }
    }
}

/// The limit of one size of huge pages.
public struct LinuxHugepageLimit: Sendable, Hashable {
    /// `2MB`, `1GB`.
    public var pageSize: String
    /// Bytes.
    public var limit: UInt64

    public init(pageSize: String = "", limit: UInt64 = 0) {
        self.pageSize = pageSize
        self.limit = limit
    }

    public init(json parser: inout JSONParser) throws(JSONError) {
        self.init()
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "pageSize": pageSize = try parser.string()
            case "limit": limit = try parser.int()
            default: try parser.skip()
            }
        }
    }

    public func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.field("pageSize", pageSize)
            w.field("limit", limit)
        }
    }
}
