import JSON

/// What is specific to Linux containers: the `linux` member.
///
/// Spec: OCI runtime-spec 1.3 config-linux.md.
public struct LinuxSpec: Sendable, Hashable {
    public var uidMappings: [LinuxIDMapping]
    public var gidMappings: [LinuxIDMapping]
    public var sysctl: [String: String]
    public var resources: LinuxResources?
    public var cgroupsPath: String
    public var namespaces: [LinuxNamespace]
    public var devices: [LinuxDevice]
    /// Network devices to move in, by their name on the host.
    public var netDevices: [String: LinuxNetDevice]
    public var seccomp: LinuxSeccomp?
    public var rootfsPropagation: String
    public var maskedPaths: [String]
    public var readonlyPaths: [String]
    public var mountLabel: String
    public var intelRdt: LinuxIntelRdt?
    public var memoryPolicy: LinuxMemoryPolicy?
    public var personality: LinuxPersonality?
    /// By clock: `monotonic`, `boottime`.
    public var timeOffsets: [String: LinuxTimeOffset]

    public init(
        uidMappings: [LinuxIDMapping] = [], gidMappings: [LinuxIDMapping] = [], sysctl: [String: String] = [:],
        resources: LinuxResources? = nil, cgroupsPath: String = "", namespaces: [LinuxNamespace] = [],
        devices: [LinuxDevice] = [], netDevices: [String: LinuxNetDevice] = [:], seccomp: LinuxSeccomp? = nil,
        rootfsPropagation: String = "", maskedPaths: [String] = [], readonlyPaths: [String] = [],
        mountLabel: String = "", intelRdt: LinuxIntelRdt? = nil, memoryPolicy: LinuxMemoryPolicy? = nil,
        personality: LinuxPersonality? = nil, timeOffsets: [String: LinuxTimeOffset] = [:]
    ) {
        self.uidMappings = uidMappings
        self.gidMappings = gidMappings
        self.sysctl = sysctl
        self.resources = resources
        self.cgroupsPath = cgroupsPath
        self.namespaces = namespaces
        self.devices = devices
        self.netDevices = netDevices
        self.seccomp = seccomp
        self.rootfsPropagation = rootfsPropagation
        self.maskedPaths = maskedPaths
        self.readonlyPaths = readonlyPaths
        self.mountLabel = mountLabel
        self.intelRdt = intelRdt
        self.memoryPolicy = memoryPolicy
        self.personality = personality
        self.timeOffsets = timeOffsets
    }

    public init(json parser: inout JSONParser) throws(JSONError) {
        self.init()
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "uidMappings": uidMappings = try parser.array(LinuxIDMapping.init(json:))
            case "gidMappings": gidMappings = try parser.array(LinuxIDMapping.init(json:))
            case "sysctl": sysctl = try parser.stringDictionary()
            case "resources": resources = try LinuxResources(json: &parser)
            case "cgroupsPath": cgroupsPath = try parser.string()
            case "namespaces": namespaces = try parser.array(LinuxNamespace.init(json:))
            case "devices": devices = try parser.array(LinuxDevice.init(json:))
            case "netDevices": netDevices = try parser.dictionary(LinuxNetDevice.init(json:))
            case "seccomp": seccomp = try LinuxSeccomp(json: &parser)
            case "rootfsPropagation": rootfsPropagation = try parser.string()
            case "maskedPaths": maskedPaths = try parser.strings()
            case "readonlyPaths": readonlyPaths = try parser.strings()
            case "mountLabel": mountLabel = try parser.string()
            case "intelRdt": intelRdt = try LinuxIntelRdt(json: &parser)
            case "memoryPolicy": memoryPolicy = try LinuxMemoryPolicy(json: &parser)
            case "personality": personality = try LinuxPersonality(json: &parser)
            case "timeOffsets": timeOffsets = try parser.dictionary(LinuxTimeOffset.init(json:))
            default: try parser.skip()
            }
        }
    }

    public func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.arrayIfNotEmpty("uidMappings", uidMappings) { w, value in value.write(to: &w) }
            w.arrayIfNotEmpty("gidMappings", gidMappings) { w, value in value.write(to: &w) }
            w.fieldIfNotEmpty("sysctl", sysctl)
            w.ifPresent("resources", resources) { w, value in value.write(to: &w) }
            w.fieldIfNotEmpty("cgroupsPath", cgroupsPath)
            w.arrayIfNotEmpty("namespaces", namespaces) { w, value in value.write(to: &w) }
            w.arrayIfNotEmpty("devices", devices) { w, value in value.write(to: &w) }
            w.dictionaryIfNotEmpty("netDevices", netDevices) { w, value in value.write(to: &w) }
            w.ifPresent("seccomp", seccomp) { w, value in value.write(to: &w) }
            w.fieldIfNotEmpty("rootfsPropagation", rootfsPropagation)
            w.fieldIfNotEmpty("maskedPaths", maskedPaths)
            w.fieldIfNotEmpty("readonlyPaths", readonlyPaths)
            w.fieldIfNotEmpty("mountLabel", mountLabel)
            w.ifPresent("intelRdt", intelRdt) { w, value in value.write(to: &w) }
            w.ifPresent("memoryPolicy", memoryPolicy) { w, value in value.write(to: &w) }
            w.ifPresent("personality", personality) { w, value in value.write(to: &w) }
            w.dictionaryIfNotEmpty("timeOffsets", timeOffsets) { w, value in value.write(to: &w) }
        }
    }
}

/// One namespace to create, or to join when it has a path.
public struct LinuxNamespace: Sendable, Hashable {
    /// `pid`, `network`, `mount`, `ipc`, `uts`, `user`, `cgroup` or `time`.
    public var type: String
    public var path: String

    public init(type: String = "", path: String = "") {
        self.type = type
        self.path = path
    }

    public init(json parser: inout JSONParser) throws(JSONError) {
        self.init()
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "type": type = try parser.string()
            case "path": path = try parser.string()
            default: try parser.skip()
            }
        }
    }

    public func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.field("type", type)
            w.fieldIfNotEmpty("path", path)
        }
    }
}

/// One device node to create; C function: `mknod(2)`.
public struct LinuxDevice: Sendable, Hashable {
    public var path: String
    /// `c`, `u`, `b` or `p`.
    public var type: String
    public var major: Int64
    public var minor: Int64
    /// Permission bits.
    public var fileMode: UInt32?
    public var uid: UInt32?
    public var gid: UInt32?

    public init(
        path: String = "", type: String = "", major: Int64 = 0, minor: Int64 = 0, fileMode: UInt32? = nil,
        uid: UInt32? = nil, gid: UInt32? = nil
    ) {
        self.path = path
        self.type = type
        self.major = major
        self.minor = minor
        self.fileMode = fileMode
        self.uid = uid
        self.gid = gid
    }

    public init(json parser: inout JSONParser) throws(JSONError) {
        self.init()
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "path": path = try parser.string()
            case "type": type = try parser.string()
            case "major": major = try parser.int()
            case "minor": minor = try parser.int()
            case "fileMode": fileMode = try parser.int()
            case "uid": uid = try parser.int()
            case "gid": gid = try parser.int()
            default: try parser.skip()
            }
        }
    }

    public func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.field("path", path)
            w.field("type", type)
            w.field("major", major)
            w.field("minor", minor)
            w.fieldIfPresent("fileMode", fileMode)
            w.fieldIfPresent("uid", uid)
            w.fieldIfPresent("gid", gid)
        }
    }
}

/// One network device to move into the container.
public struct LinuxNetDevice: Sendable, Hashable {
    /// Its name there; empty keeps the name.
    public var name: String

    public init(name: String = "") {
        self.name = name
    }

    public init(json parser: inout JSONParser) throws(JSONError) {
        self.init()
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "name": name = try parser.string()
            default: try parser.skip()
            }
        }
    }

    public func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.fieldIfNotEmpty("name", name)
        }
    }
}

/// The offset of a clock in a time namespace; see time_namespaces(7).
public struct LinuxTimeOffset: Sendable, Hashable {
    public var secs: Int64
    public var nanosecs: UInt32

    public init(secs: Int64 = 0, nanosecs: UInt32 = 0) {
        self.secs = secs
        self.nanosecs = nanosecs
    }

    public init(json parser: inout JSONParser) throws(JSONError) {
        self.init()
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "secs": secs = try parser.int()
            case "nanosecs": nanosecs = try parser.int()
            default: try parser.skip()
            }
        }
    }

    public func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.fieldIfNotZero("secs", secs)
            w.fieldIfNotZero("nanosecs", nanosecs)
        }
    }
}
