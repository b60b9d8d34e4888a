import JSON

/// A seccomp filter by system call names.
///
/// Spec: OCI runtime-spec 1.3 config-linux.md "Seccomp".
public struct LinuxSeccomp: Sendable, Hashable {
    /// `SCMP_ACT_ERRNO` and so on.
    public var defaultAction: String
    public var defaultErrnoRet: UInt32?
    /// `SCMP_ARCH_X86_64` and so on.
    public var architectures: [String]
    public var flags: [String]
    /// Socket that gets the notification descriptor of `SCMP_ACT_NOTIFY`.
    public var listenerPath: String
    public var listenerMetadata: String
    public var syscalls: [LinuxSyscall]

    public init(
        defaultAction: String = "", defaultErrnoRet: UInt32? = nil, architectures: [String] = [],
        flags: [String] = [], listenerPath: String = "", listenerMetadata: String = "", syscalls: [LinuxSyscall] = []
    ) {
        self.defaultAction = defaultAction
        self.defaultErrnoRet = defaultErrnoRet
        self.architectures = architectures
        self.flags = flags
        self.listenerPath = listenerPath
        self.listenerMetadata = listenerMetadata
        self.syscalls = syscalls
    }

    public init(json parser: inout JSONParser) throws(JSONError) {
        self.init()
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "defaultAction": defaultAction = try parser.string()
            case "defaultErrnoRet": defaultErrnoRet = try parser.int()
            case "architectures": architectures = try parser.strings()
            case "flags": flags = try parser.strings()
            case "listenerPath": listenerPath = try parser.string()
            case "listenerMetadata": listenerMetadata = try parser.string()
            case "syscalls": syscalls = try parser.array(LinuxSyscall.init(json:))
            default: try parser.skip()
            }
        }
    }

    public func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.field("defaultAction", defaultAction)
            w.fieldIfPresent("defaultErrnoRet", defaultErrnoRet)
            w.fieldIfNotEmpty("architectures", architectures)
            w.fieldIfNotEmpty("flags", flags)
            w.fieldIfNotEmpty("listenerPath", listenerPath)
            w.fieldIfNotEmpty("listenerMetadata", listenerMetadata)
            w.arrayIfNotEmpty("syscalls", syscalls) { w, value in value.write(to: &w) }
        }
    }
}

/// One rule of a seccomp filter.
public struct LinuxSyscall: Sendable, Hashable {
    public var names: [String]
    public var action: String
    public var errnoRet: UInt32?
    /// All must match.
    public var args: [LinuxSeccompArg]

    public init(names: [String] = [], action: String = "", errnoRet: UInt32? = nil, args: [LinuxSeccompArg] = []) {
        self.names = names
        self.action = action
        self.errnoRet = errnoRet
        self.args = args
    }

    public init(json parser: inout JSONParser) throws(JSONError) {
        self.init()
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "names": names = try parser.strings()
            case "action": action = try parser.string()
            case "errnoRet": errnoRet = try parser.int()
            case "args": args = try parser.array(LinuxSeccompArg.init(json:))
            default: try parser.skip()
            }
        }
    }

    public func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.field("names", names)
            w.field("action", action)
            w.fieldIfPresent("errnoRet", errnoRet)
            w.arrayIfNotEmpty("args", args) { w, value in value.write(to: &w) }
        }
    }
}

/// One comparison with an argument of a system call.
public struct LinuxSeccompArg: Sendable, Hashable {
    /// 0 to 5.
    public var index: UInt32
    public var value: UInt64
    /// The value to compare with after masking with `value`.
    public var valueTwo: UInt64
    /// `SCMP_CMP_EQ` and so on.
    public var op: String

    public init(index: UInt32 = 0, value: UInt64 = 0, valueTwo: UInt64 = 0, op: String = "") {
        self.index = index
        self.value = value
        self.valueTwo = valueTwo
        self.op = op
    }

    public init(json parser: inout JSONParser) throws(JSONError) {
        self.init()
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "index": index = try parser.int()
            case "value": value = try parser.int()
            case "valueTwo": valueTwo = try parser.int()
            case "op": op = try parser.string()
            default: try parser.skip()
            }
        }
    }

    public func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.field("index", index)
            w.field("value", value)
            w.fieldIfNotZero("valueTwo", valueTwo)
            w.field("op", op)
        }
    }
}
