import JSON

/// The program a container runs.
///
/// Spec: OCI runtime-spec 1.3 config.md "Process".
public struct Process: Sendable, Hashable {
    public var terminal: Bool
    public var consoleSize: Box?
    public var user: User
    public var args: [String]
    /// `KEY=value` entries.
    public var env: [String]
    /// Absolute, inside the container.
    public var cwd: String
    public var capabilities: LinuxCapabilities?
    public var rlimits: [POSIXRlimit]
    public var noNewPrivileges: Bool
    public var apparmorProfile: String
    public var oomScoreAdj: Int?
    public var scheduler: Scheduler?
    public var selinuxLabel: String
    public var ioPriority: LinuxIOPriority?
    public var execCPUAffinity: CPUAffinity?

    public init(
        terminal: Bool = false, consoleSize: Box? = nil, user: User = User(), args: [String] = [], env: [String] = [],
        cwd: String = "", capabilities: LinuxCapabilities? = nil, rlimits: [POSIXRlimit] = [],
        noNewPrivileges: Bool = false, apparmorProfile: String = "", oomScoreAdj: Int? = nil,
        scheduler: Scheduler? = nil, selinuxLabel: String = "", ioPriority: LinuxIOPriority? = nil,
        execCPUAffinity: CPUAffinity? = nil
    ) {
        self.terminal = terminal
        self.consoleSize = consoleSize
        self.user = user
        self.args = args
        self.env = env
        self.cwd = cwd
        self.capabilities = capabilities
        self.rlimits = rlimits
        self.noNewPrivileges = noNewPrivileges
        self.apparmorProfile = apparmorProfile
        self.oomScoreAdj = oomScoreAdj
        self.scheduler = scheduler
        self.selinuxLabel = selinuxLabel
        self.ioPriority = ioPriority
        self.execCPUAffinity = execCPUAffinity
    }

    public init(json parser: inout JSONParser) throws(JSONError) {
        self.init()
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "terminal": terminal = try parser.bool()
            case "consoleSize": consoleSize = try Box(json: &parser)
            case "user": user = try User(json: &parser)
            case "args": args = try parser.strings()
            case "env": env = try parser.strings()
            case "cwd": cwd = try parser.string()
            case "capabilities": capabilities = try LinuxCapabilities(json: &parser)
            case "rlimits": rlimits = try parser.array(POSIXRlimit.init(json:))
            case "noNewPrivileges": noNewPrivileges = try parser.bool()
            case "apparmorProfile": apparmorProfile = try parser.string()
            case "oomScoreAdj": oomScoreAdj = try parser.int()
            case "scheduler": scheduler = try Scheduler(json: &parser)
            case "selinuxLabel": selinuxLabel = try parser.string()
            case "ioPriority": ioPriority = try LinuxIOPriority(json: &parser)
            case "execCPUAffinity": execCPUAffinity = try CPUAffinity(json: &parser)
            default: try parser.skip()
            }
        }
    }

    public func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.fieldIfTrue("terminal", terminal)
            w.ifPresent("consoleSize", consoleSize) { w, value in value.write(to: &w) }
            w.key("user")
            user.write(to: &w)
            w.fieldIfNotEmpty("args", args)
            w.fieldIfNotEmpty("env", env)
            w.field("cwd", cwd)
            w.ifPresent("capabilities", capabilities) { w, value in value.write(to: &w) }
            w.arrayIfNotEmpty("rlimits", rlimits) { w, value in value.write(to: &w) }
            w.fieldIfTrue("noNewPrivileges", noNewPrivileges)
            w.fieldIfNotEmpty("apparmorProfile", apparmorProfile)
            w.fieldIfPresent("oomScoreAdj", oomScoreAdj)
            w.ifPresent("scheduler", scheduler) { w, value in value.write(to: &w) }
            w.fieldIfNotEmpty("selinuxLabel", selinuxLabel)
            w.ifPresent("ioPriority", ioPriority) { w, value in value.write(to: &w) }
            w.ifPresent("execCPUAffinity", execCPUAffinity) { w, value in value.write(to: &w) }
        }
    }
}

/// The size of a console in characters.
public struct Box: Sendable, Hashable {
    public var height: UInt
    public var width: UInt

    public init(height: UInt = 0, width: UInt = 0) {
        self.height = height
        self.width = width
    }

    public init(json parser: inout JSONParser) throws(JSONError) {
        self.init()
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "height": height = try parser.int()
            case "width": width = try parser.int()
            default: try parser.skip()
            }
        }
    }

    public func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.field("height", height)
            w.field("width", width)
        }
    }
}

/// Who a process runs as, in ids of the container.
public struct User: Sendable, Hashable {
    public var uid: UInt32
    public var gid: UInt32
    public var umask: UInt32?
    public var additionalGids: [UInt32]
    /// Windows only; carried, never looked up.
    public var username: String

    public init(
        uid: UInt32 = 0, gid: UInt32 = 0, umask: UInt32? = nil, additionalGids: [UInt32] = [], username: String = ""
    ) {
        self.uid = uid
        self.gid = gid
        self.umask = umask
        self.additionalGids = additionalGids
        self.username = username
    }

    public init(json parser: inout JSONParser) throws(JSONError) {
        self.init()
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "uid": uid = try parser.int()
            case "gid": gid = try parser.int()
            case "umask": umask = try parser.int()
            case "additionalGids":
                additionalGids = try parser.array { (p: inout JSONParser) throws(JSONError) in try p.int(UInt32.self) }
            case "username": username = try parser.string()
            default: try parser.skip()
            }
        }
    }

    public func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.field("uid", uid)
            w.field("gid", gid)
            w.fieldIfPresent("umask", umask)
            w.arrayIfNotEmpty("additionalGids", additionalGids) { w, value in w.value(value) }
            w.fieldIfNotEmpty("username", username)
        }
    }
}

/// The five capability sets, as names with their `CAP_` prefix.
///
/// Spec: capabilities(7).
public struct LinuxCapabilities: Sendable, Hashable {
    public var bounding: [String]
    public var effective: [String]
    public var inheritable: [String]
    public var permitted: [String]
    public var ambient: [String]

    public init(
        bounding: [String] = [], effective: [String] = [], inheritable: [String] = [], permitted: [String] = [],
        ambient: [String] = []
    ) {
        self.bounding = bounding
        self.effective = effective
        self.inheritable = inheritable
        self.permitted = permitted
        self.ambient = ambient
    }

    public init(json parser: inout JSONParser) throws(JSONError) {
        self.init()
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "bounding": bounding = try parser.strings()
            case "effective": effective = try parser.strings()
            case "inheritable": inheritable = try parser.strings()
            case "permitted": permitted = try parser.strings()
            case "ambient": ambient = try parser.strings()
            default: try parser.skip()
            }
        }
    }

    public func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.fieldIfNotEmpty("bounding", bounding)
            w.fieldIfNotEmpty("effective", effective)
            w.fieldIfNotEmpty("inheritable", inheritable)
            w.fieldIfNotEmpty("permitted", permitted)
            w.fieldIfNotEmpty("ambient", ambient)
        }
    }
}

/// One resource limit; C function: `setrlimit(2)`.
public struct POSIXRlimit: Sendable, Hashable {
    /// `RLIMIT_NOFILE` and so on.
    public var type: String
    public var hard: UInt64
    public var soft: UInt64

    public init(type: String = "", hard: UInt64 = 0, soft: UInt64 = 0) {
        self.type = type
        self.hard = hard
        self.soft = soft
    }

    public init(json parser: inout JSONParser) throws(JSONError) {
        self.init()
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "type": type = try parser.string()
            case "hard": hard = try parser.int()
            case "soft": soft = try parser.int()
            default: try parser.skip()
            }
        }
    }

    public func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.field("type", type)
            w.field("hard", hard)
            w.field("soft", soft)
        }
    }
}
