import JSON

/// What a runtime can do, as `features` prints it; nil is unknown, empty is none.
///
/// Spec: OCI runtime-spec 1.3 features.md.
public struct Features: Sendable, Hashable {
    public var ociVersionMin: String
    public var ociVersionMax: String
    public var hooks: [String]?
    public var mountOptions: [String]?
    public var linux: LinuxFeatures?
    public var annotations: [String: String]
    /// A value that ends in a full stop is a prefix.
    public var potentiallyUnsafeConfigAnnotations: [String]?

    public init(
        ociVersionMin: String = "", ociVersionMax: String = "", hooks: [String]? = nil, mountOptions: [String]? = nil,
        linux: LinuxFeatures? = nil, annotations: [String: String] = [:],
        potentiallyUnsafeConfigAnnotations: [String]? = nil
    ) {
        self.ociVersionMin = ociVersionMin
        self.ociVersionMax = ociVersionMax
        self.hooks = hooks
        self.mountOptions = mountOptions
        self.linux = linux
        self.annotations = annotations
        self.potentiallyUnsafeConfigAnnotations = potentiallyUnsafeConfigAnnotations
    }

    public init(json parser: inout JSONParser) throws(JSONError) {
        self.init()
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "ociVersionMin": ociVersionMin = try parser.string()
            case "ociVersionMax": ociVersionMax = try parser.string()
            case "hooks": hooks = try parser.strings()
            case "mountOptions": mountOptions = try parser.strings()
            case "linux": linux = try LinuxFeatures(json: &parser)
            case "annotations": annotations = try parser.stringDictionary()
            case "potentiallyUnsafeConfigAnnotations": potentiallyUnsafeConfigAnnotations = try parser.strings()
            default: try parser.skip()
            }
        }
    }

    public func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.fieldIfNotEmpty("ociVersionMin", ociVersionMin)
            w.fieldIfNotEmpty("ociVersionMax", ociVersionMax)
            w.fieldIfPresent("hooks", hooks)
            w.fieldIfPresent("mountOptions", mountOptions)
            w.ifPresent("linux", linux) { w, value in value.write(to: &w) }
            w.fieldIfNotEmpty("annotations", annotations)
            w.fieldIfPresent("potentiallyUnsafeConfigAnnotations", potentiallyUnsafeConfigAnnotations)
        }
    }
}

/// What a runtime can do on Linux.
///
/// Spec: OCI runtime-spec 1.3 features-linux.md.
public struct LinuxFeatures: Sendable, Hashable {
    public var namespaces: [String]?
    public var capabilities: [String]?
    public var cgroup: CgroupFeatures?
    public var seccomp: SeccompFeatures?
    public var apparmor: EnabledFeature?
    public var selinux: EnabledFeature?
    public var intelRdt: IntelRdtFeatures?
    public var memoryPolicy: MemoryPolicyFeatures?
    public var mountExtensions: MountExtensionFeatures?
    public var netDevices: EnabledFeature?

    public init(
        namespaces: [String]? = nil, capabilities: [String]? = nil, cgroup: CgroupFeatures? = nil,
        seccomp: SeccompFeatures? = nil, apparmor: EnabledFeature? = nil, selinux: EnabledFeature? = nil,
        intelRdt: IntelRdtFeatures? = nil, memoryPolicy: MemoryPolicyFeatures? = nil,
        mountExtensions: MountExtensionFeatures? = nil, netDevices: EnabledFeature? = nil
    ) {
        self.namespaces = namespaces
        self.capabilities = capabilities
        self.cgroup = cgroup
        self.seccomp = seccomp
        self.apparmor = apparmor
        self.selinux = selinux
        self.intelRdt = intelRdt
        self.memoryPolicy = memoryPolicy
        self.mountExtensions = mountExtensions
        self.netDevices = netDevices
    }

    public init(json parser: inout JSONParser) throws(JSONError) {
        self.init()
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "namespaces": namespaces = try parser.strings()
            case "capabilities": capabilities = try parser.strings()
            case "cgroup": cgroup = try CgroupFeatures(json: &parser)
            case "seccomp": seccomp = try SeccompFeatures(json: &parser)
            case "apparmor": apparmor = try EnabledFeature(json: &parser)
            case "selinux": selinux = try EnabledFeature(json: &parser)
            case "intelRdt": intelRdt = try IntelRdtFeatures(json: &parser)
            case "memoryPolicy": memoryPolicy = try MemoryPolicyFeatures(json: &parser)
            case "mountExtensions": mountExtensions = try MountExtensionFeatures(json: &parser)
            case "netDevices": netDevices = try EnabledFeature(json: &parser)
            default: try parser.skip()
            }
        }
    }

    public func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.fieldIfPresent("namespaces", namespaces)
            w.fieldIfPresent("capabilities", capabilities)
            w.ifPresent("cgroup", cgroup) { w, value in value.write(to: &w) }
            w.ifPresent("seccomp", seccomp) { w, value in value.write(to: &w) }
            w.ifPresent("apparmor", apparmor) { w, value in value.write(to: &w) }
            w.ifPresent("selinux", selinux) { w, value in value.write(to: &w) }
            w.ifPresent("intelRdt", intelRdt) { w, value in value.write(to: &w) }
            w.ifPresent("memoryPolicy", memoryPolicy) { w, value in value.write(to: &w) }
            w.ifPresent("mountExtensions", mountExtensions) { w, value in value.write(to: &w) }
            w.ifPresent("netDevices", netDevices) { w, value in value.write(to: &w) }
        }
    }
}

/// Which cgroup drivers are there, whatever the host uses.
public struct CgroupFeatures: Sendable, Hashable {
    public var v1: Bool?
    public var v2: Bool?
    public var systemd: Bool?
    public var systemdUser: Bool?
    public var rdma: Bool?

    public init(v1: Bool? = nil, v2: Bool? = nil, systemd: Bool? = nil, systemdUser: Bool? = nil, rdma: Bool? = nil) {
        self.v1 = v1
        self.v2 = v2
        self.systemd = systemd
        self.systemdUser = systemdUser
        self.rdma = rdma
    }

    public init(json parser: inout JSONParser) throws(JSONError) {
        self.init()
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "v1": v1 = try parser.bool()
            case "v2": v2 = try parser.bool()
            case "systemd": systemd = try parser.bool()
            case "systemdUser": systemdUser = try parser.bool()
            case "rdma": rdma = try parser.bool()
            default: try parser.skip()
            }
        }
    }

    public func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.fieldIfPresent("v1", v1)
            w.fieldIfPresent("v2", v2)
            w.fieldIfPresent("systemd", systemd)
            w.fieldIfPresent("systemdUser", systemdUser)
            w.fieldIfPresent("rdma", rdma)
        }
    }
}

/// What seccomp support there is.
public struct SeccompFeatures: Sendable, Hashable {
    public var enabled: Bool?
    public var actions: [String]?
    public var operators: [String]?
    public var archs: [String]?
    public var knownFlags: [String]?
    /// Those of `knownFlags` that the kernel has.
    public var supportedFlags: [String]?

    public init(
        enabled: Bool? = nil, actions: [String]? = nil, operators: [String]? = nil, archs: [String]? = nil,
        knownFlags: [String]? = nil, supportedFlags: [String]? = nil
    ) {
        self.enabled = enabled
        self.actions = actions
        self.operators = operators
        self.archs = archs
        self.knownFlags = knownFlags
        self.supportedFlags = supportedFlags
    }

    public init(json parser: inout JSONParser) throws(JSONError) {
        self.init()
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "enabled": enabled = try parser.bool()
            case "actions": actions = try parser.strings()
            case "operators": operators = try parser.strings()
            case "archs": archs = try parser.strings()
            case "knownFlags": knownFlags = try parser.strings()
            case "supportedFlags": supportedFlags = try parser.strings()
            default: try parser.skip()
            }
        }
    }

    public func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.fieldIfPresent("enabled", enabled)
            w.fieldIfPresent("actions", actions)
            w.fieldIfPresent("operators", operators)
            w.fieldIfPresent("archs", archs)
            w.fieldIfPresent("knownFlags", knownFlags)
            w.fieldIfPresent("supportedFlags", supportedFlags)
        }
    }
}

/// What resctrl support there is.
public struct IntelRdtFeatures: Sendable, Hashable {
    public var enabled: Bool?
    public var schemata: Bool?
    public var monitoring: Bool?

    public init(enabled: Bool? = nil, schemata: Bool? = nil, monitoring: Bool? = nil) {
        self.enabled = enabled
        self.schemata = schemata
        self.monitoring = monitoring
    }

    public init(json parser: inout JSONParser) throws(JSONError) {
        self.init()
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "enabled": enabled = try parser.bool()
            case "schemata": schemata = try parser.bool()
            case "monitoring": monitoring = try parser.bool()
            default: try parser.skip()
            }
        }
    }

    public func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.fieldIfPresent("enabled", enabled)
            w.fieldIfPresent("schemata", schemata)
            w.fieldIfPresent("monitoring", monitoring)
        }
    }
}

/// Which NUMA policies there are.
public struct MemoryPolicyFeatures: Sendable, Hashable {
    public var modes: [String]?
    public var flags: [String]?

    public init(modes: [String]? = nil, flags: [String]? = nil) {
        self.modes = modes
        self.flags = flags
    }

    public init(json parser: inout JSONParser) throws(JSONError) {
        self.init()
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "modes": modes = try parser.strings()
            case "flags": flags = try parser.strings()
            default: try parser.skip()
            }
        }
    }

    public func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.fieldIfPresent("modes", modes)
            w.fieldIfPresent("flags", flags)
        }
    }
}

/// Which extensions of mounts there are.
public struct MountExtensionFeatures: Sendable, Hashable {
    public var idmap: EnabledFeature?

    public init(idmap: EnabledFeature? = nil) {
        self.idmap = idmap
    }

    public init(json parser: inout JSONParser) throws(JSONError) {
        self.init()
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "idmap": idmap = try EnabledFeature(json: &parser)
            default: try parser.skip()
            }
        }
    }

    public func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.ifPresent("idmap", idmap) { w, value in value.write(to: &w) }
        }
    }
}

/// A feature that is there or not.
public struct EnabledFeature: Sendable, Hashable {
    public var enabled: Bool?

    public init(enabled: Bool? = nil) {
        self.enabled = enabled
    }

    public init(json parser: inout JSONParser) throws(JSONError) {
        self.init()
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "enabled": enabled = try parser.bool()
            default: try parser.skip()
            }
        }
    }

    public func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.fieldIfPresent("enabled", enabled)
        }
    }
}
