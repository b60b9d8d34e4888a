import Control

/// What was asked for when a container was made. It never changes but by `rename` and `update`, and holds nothing that
/// was observed: status is derived when somebody asks.
///
/// Kept as JSON in the database (`ContainerDefinition+JSON.swift`); fields that are missing there have the values of
/// ``init(id:name:)``, so that older stores stay readable.
public struct ContainerDefinition: Sendable, Hashable {
    /// 64 hexadecimal digits.
    public var id: String
    public var name: String
    /// Nanoseconds since 1970.
    public var createdAt: Int64 = 0
    /// The reference as it was typed, and the digest of the image's configuration.
    public var image = ""
    public var imageID = ""
    public var platform = ""

    // The process.
    public var entrypoint: [String] = []
    public var command: [String] = []
    public var environment: [String] = []
    public var workingDirectory = ""
    /// As typed or as the image says; the resolved ids are in the runtime spec.
    public var user = ""
    public var groupAdd: [String] = []
    public var terminal = false
    public var openStdin = false
    public var stdinOnce = false
    public var attachStdin = false
    public var attachStdout = false
    public var attachStderr = false
    public var `init` = false
    public var stopSignal: Int32 = 15
    /// Seconds; -1 waits for ever.
    public var stopTimeout: Int64 = 10
    public var detachKeys = ""

    // Identity.
    public var hostname = ""
    public var domainname = ""
    public var labels: [String: String] = [:]
    public var annotations: [String: String] = [:]

    // Names and ports.
    public var ports: [PortBinding] = []
    public var publishesAll = false
    /// The image's and those of `--expose`.
    public var exposed: [ExposedPorts] = []
    public var dns: [String] = []
    public var dnsSearch: [String] = []
    public var dnsOptions: [String] = []
    /// `name:address`.
    public var extraHosts: [String] = []
    /// As Docker's containers it has no names in the default network.
    public var isDockerCompatible = false
    /// By each of its network devices.
    public var networkRate = NetworkRate()

    // Files.
    public var mounts: [MountDefinition] = []
    /// As given, for show: what came of it is in `mounts`.
    public var volumesFrom: [String] = []
    public var volumeDriver = ""
    public var readOnlyRoot = false
    /// Bytes of /dev/shm.
    public var shmSize: Int64 = 64 << 20
    public var devices: [DeviceRequest] = []
    /// CDI devices and GPUs, by what was asked for; each start finds what that is then.
    public var driverDevices: [DriverDeviceRequest] = []
    /// Further devices that may be used where a node for them is there, as `c 42:* rwm`.
    public var deviceRules: [String] = []

    // Namespaces.
    public var network = NamespaceMode.none
    /// With a network namespace of its own that is connected: the first network as it was asked for. The connections
    /// themselves are rows of the database.
    public var networkName = ""
    public var pid = NamespaceMode.private
    public var ipc = NamespaceMode.private
    public var uts = NamespaceMode.private
    public var cgroup = NamespaceMode.private
    public var userNamespace = UserNamespaceMode.default
    /// Which range of ids `auto` has.
    public var userNamespaceSlot: Int64?

    // Security.
    public var privileged = false
    public var capAdd: [String] = []
    public var capDrop: [String] = []
    public var security = SecurityOptions()
    public var sysctls: [String: String] = [:]

    // Limits.
    public var resources = ResourceRequest()
    public var ulimits: [Ulimit] = []
    public var oomScoreAdjustment: Int?
    public var cgroupParent = ""

    // Life.
    public var autoRemove = false
    /// Of a step of a build: where overlay keeps what it writes, and overlay's own directory. Empty for containers.
    var stepUpper = ""
    var stepWork = ""
    /// It is killed when the command that started it ends before it.
    public var endsWithCommand = false
    public var restart = RestartRequest()
    public var log = LogRequest()
    /// Nil: neither the flags nor the image say anything of it.
    public var health: HealthRequest?
    /// Name or path of an external OCI runtime; empty: ours.
    public var runtime = ""

    public init(id: String, name: String) {
        self.id = id
        self.name = name
    }

    /// Entrypoint and command as one argument vector.
    public var arguments: [String] { entrypoint + command }

    /// Docker's `NetworkMode`.
    public var networkMode: String { network == .private ? networkName : network.text }
    /// Whether it has, or may get, connections to networks.
    var isConnectable: Bool { network == .private }

    /// What the database gets: a step is not started again, and what it is given in variables may be secret.
    var kept: ContainerDefinition {
        if !isStep { return self }
        var copy = self
        copy.environment = []
        return copy
    }

    /// A step of a build, which no list shows.
    public var isStep: Bool { !stepUpper.isEmpty }

    /// The first 12 digits, as tables show it.
    public var shortID: String { String(id.prefix(12)) }
}

/// Limits of memory, CPU, processes and block I/O (`--memory`, `--cpus` …). Nil or empty: not asked for.
public struct ResourceRequest: Sendable, Hashable {
    /// Bytes.
    public var memory: Int64?
    public var memoryReservation: Int64?
    /// Memory plus swap; -1: unlimited swap.
    public var memorySwap: Int64?
    public var memorySwappiness: Int64?
    /// Billionths of a CPU.
    public var nanoCPUs: Int64?
    public var cpuShares: Int64?
    /// Microseconds.
    public var cpuPeriod: Int64?
    public var cpuQuota: Int64?
    public var cpuRealtimePeriod: Int64?
    public var cpuRealtimeRuntime: Int64?
    public var cpusetCPUs = ""
    public var cpusetMems = ""
    /// 10 to 1000.
    public var blockIOWeight: Int64?
    /// Of single block devices; one of a kind for each.
    public var deviceLimits: [DeviceLimit] = []
    /// 0 or less: unlimited. Nil: the default of 2048.
    public var pidsLimit: Int64?
    public var disableOOMKiller = false

    public init() {}

    /// Whether somebody asked for anything that only a cgroup can give.
    public var isEmpty: Bool { self == ResourceRequest() }
}
