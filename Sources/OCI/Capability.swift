/// One Linux capability, by its bit number.
///
/// Facts: `linux/capability.h`; capabilities(7).
public struct Capability: RawRepresentable, Sendable, Hashable, CustomStringConvertible {
    /// Bit number in a capability set, 0 (`CAP_CHOWN`) to 63.
    public let rawValue: UInt8

    /// The capability of a bit; nil above 63. Bits above `last` are kept: a newer kernel may name them.
    public init?(rawValue: UInt8) {
        guard rawValue < 64 else { return nil }
        self.rawValue = rawValue
    }

    private init(bit: UInt8) { rawValue = bit }

    /// Parses a name, with or without `CAP_`, in any case: `NET_ADMIN`, `cap_net_admin`.
    ///
    /// Nil for a name this list does not know; `ALL` is no capability but a set (`CapabilitySet.all`).
    public init?(name: some StringProtocol) {
        var wanted = name.uppercased()
        if !wanted.hasPrefix("CAP_") { wanted = "CAP_" + wanted }
        guard let bit = Self.names.firstIndex(of: wanted) else { return nil }
        rawValue = UInt8(bit)
    }

    /// The full upper-case name, `CAP_CHOWN`; `CAP_41` where this list has none.
    public var description: String {
        Int(rawValue) < Self.names.count ? Self.names[Int(rawValue)] : "CAP_" + rawValue.description
    }

    /// The highest capability with a name here (Linux 5.9).
    public static let last = checkpointRestore

    /// Names in bit order.
    public static let names: [String] = [
        "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID",
        "CAP_SETUID", "CAP_SETPCAP", "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST",
        "CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_IPC_LOCK", "CAP_IPC_OWNER", "CAP_SYS_MODULE", "CAP_SYS_RAWIO",
        "CAP_SYS_CHROOT", "CAP_SYS_PTRACE", "CAP_SYS_PACCT", "CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE",
        "CAP_SYS_RESOURCE", "CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG", "CAP_MKNOD", "CAP_LEASE", "CAP_AUDIT_WRITE",
        "CAP_AUDIT_CONTROL", "CAP_SETFCAP", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG", "CAP_WAKE_ALARM",
        "CAP_BLOCK_SUSPEND", "CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF", "CAP_CHECKPOINT_RESTORE",
    ]

    public static let chown = Capability(bit: 0)
    public static let dacOverride = Capability(bit: 1)
    public static let dacReadSearch = Capability(bit: 2)
    public static let fowner = Capability(bit: 3)
    public static let fsetid = Capability(bit: 4)
    public static let kill = Capability(bit: 5)
    public static let setgid = Capability(bit: 6)
    public static let setuid = Capability(bit: 7)
    public static let setpcap = Capability(bit: 8)
    public static let linuxImmutable = Capability(bit: 9)
    public static let netBindService = Capability(bit: 10)
    public static let netBroadcast = Capability(bit: 11)
    public static let netAdmin = Capability(bit: 12)
    public static let netRaw = Capability(bit: 13)
    public static let ipcLock = Capability(bit: 14)
    public static let ipcOwner = Capability(bit: 15)
    public static let sysModule = Capability(bit: 16)
    public static let sysRawio = Capability(bit: 17)
    public static let sysChroot = Capability(bit: 18)
    public static let sysPtrace = Capability(bit: 19)
    public static let sysPacct = Capability(bit: 20)
    public static let sysAdmin = Capability(bit: 21)
    public static let sysBoot = Capability(bit: 22)
    public static let sysNice = Capability(bit: 23)
    public static let sysResource = Capability(bit: 24)
    public static let sysTime = Capability(bit: 25)
    public static let sysTtyConfig = Capability(bit: 26)
    public static let mknod = Capability(bit: 27)
    public static let lease = Capability(bit: 28)
    public static let auditWrite = Capability(bit: 29)
    public static let auditControl = Capability(bit: 30)
    public static let setfcap = Capability(bit: 31)
    public static let macOverride = Capability(bit: 32)
    public static let macAdmin = Capability(bit: 33)
    public static let syslog = Capability(bit: 34)
    public static let wakeAlarm = Capability(bit: 35)
    public static let blockSuspend = Capability(bit: 36)
    public static let auditRead = Capability(bit: 37)
    public static let perfmon = Capability(bit: 38)
    public static let bpf = Capability(bit: 39)
    public static let checkpointRestore = Capability(bit: 40)
}
