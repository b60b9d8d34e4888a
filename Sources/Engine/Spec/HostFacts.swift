import CLinux
import Glibc
import Linux
import OCI

/// What the host lets this process do: read once per command, and only what a spec needs.
public struct HostFacts: Sendable {
    public var uid: UInt32
    public var gid: UInt32
    /// Permitted capabilities of this process.
    public var capabilities: CapabilitySet
    /// Hard limit of open files.
    public var maximumOpenFiles: UInt64
    public var hasTimeNamespace: Bool
    /// How many CPUs `/sys` has a thermal_throttle directory for; 0 on most virtual machines.
    public var throttledCPUs: Int
    public var hasCgroupV2: Bool
    /// The host has its own message queues at /dev/mqueue, to be bound where none can be mounted.
    public var showsMessageQueues = true

    /// Not root, or the second self of a user inside their namespace.
    public var isRootless: Bool

    public init(
        uid: UInt32, gid: UInt32, capabilities: CapabilitySet, maximumOpenFiles: UInt64, hasTimeNamespace: Bool,
        throttledCPUs: Int = 0, hasCgroupV2: Bool = true
    ) {
        self.uid = uid
        isRootless = uid != 0
        self.gid = gid
        self.capabilities = capabilities
        self.maximumOpenFiles = maximumOpenFiles
        self.hasTimeNamespace = hasTimeNamespace
        self.throttledCPUs = throttledCPUs
        self.hasCgroupV2 = hasCgroupV2
    }

    public static func read() -> HostFacts {
        var effective: UInt64 = 0
        var permitted: UInt64 = 0
        var inheritable: UInt64 = 0
        _ = cl_capget(&effective, &permitted, &inheritable)
        var facts = HostFacts(
            uid: geteuid(), gid: getegid(), capabilities: CapabilitySet(mask: permitted),
            maximumOpenFiles: hardLimit(of: 7 /* RLIMIT_NOFILE */),
            hasTimeNamespace: FD.cwd.exists("/proc/self/ns/time_for_children"), throttledCPUs: countThrottledCPUs(),
            hasCgroupV2: FD.cwd.exists("/sys/fs/cgroup/cgroup.controllers"))
        if Engine.isHelper { facts.isRootless = true }
        // Asked only where it matters: see SpecBuilder.messageQueue().
        facts.showsMessageQueues = FD.cwd.exists("/dev/mqueue")
        return facts
    }

    static func hardLimit(of resource: Int32) -> UInt64 {
        var values: [UInt64] = [0, 0]
        return cl_prlimit(0, resource, nil, &values) == 0 ? values[1] : .max
    }

    private static func countThrottledCPUs() -> Int {
        var count = 0
        while count < 4096, FD.cwd.exists("/sys/devices/system/cpu/cpu\(count)/thermal_throttle") { count += 1 }
        return count
    }

    /// CPUs this process may run on, for `--cpus`.
    static var onlineCPUs: Int { max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))) }

    /// All processors as a cpuset lists them.
    static var processors: String { list("/sys/devices/system/cpu/online", "0-\(onlineCPUs - 1)") }
    /// All memory nodes as a cpuset lists them.
    static var memoryNodes: String { list("/sys/devices/system/node/online", "0") }

    private static func list(_ path: String, _ fallback: String) -> String {
        let text = (try? FD.cwd.readText(path, limit: 4096)).map { $0.filter { !$0.isNewline } } ?? ""
        return text.isEmpty ? fallback : text
    }
}
