import JSON

/// Scheduling attributes of a process; C function: `sched_setattr(2)`.
public struct Scheduler: Sendable, Hashable {
    /// `SCHED_OTHER` and so on.
    public var policy: String
    public var nice: Int32
    public var priority: Int32
    public var flags: [String]
    /// Nanoseconds; this and the next two are for `SCHED_DEADLINE`.
    public var runtime: UInt64
    /// Nanoseconds.
    public var deadline: UInt64
    /// Nanoseconds.
    public var period: UInt64

    public init(
        policy: String = "", nice: Int32 = 0, priority: Int32 = 0, flags: [String] = [], runtime: UInt64 = 0,
        deadline: UInt64 = 0, period: UInt64 = 0
    ) {
        self.policy = policy
        self.nice = nice
        self.priority = priority
        self.flags = flags
        self.runtime = runtime
        self.deadline = deadline
        self.period = period
    }

    public init(json parser: inout JSONParser) throws(JSONError) {
        self.init()
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "policy": policy = try parser.string()
            case "nice": nice = try parser.int()
            case "priority": priority = try parser.int()
            case "flags": flags = try parser.strings()
            case "runtime": runtime = try parser.int()
            case "deadline": deadline = try parser.int()
            case "period": period = try parser.int()
            default: try parser.skip()
            }
        }
    }

    public func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.field("policy", policy)
            w.fieldIfNotZero("nice", nice)
            w.fieldIfNotZero("priority", priority)
            w.fieldIfNotEmpty("flags", flags)
            w.fieldIfNotZero("runtime", runtime)
            w.fieldIfNotZero("deadline", deadline)
            w.fieldIfNotZero("period", period)
        }
    }
}

/// The I/O priority of a process; C function: `ioprio_set(2)`.
public struct LinuxIOPriority: Sendable, Hashable {
    /// `IOPRIO_CLASS_RT`, `IOPRIO_CLASS_BE` or `IOPRIO_CLASS_IDLE`.
    public var `class`: String
    /// 0 (highest) to 7.
    public var priority: Int

    public init(class: String = "", priority: Int = 0) {
        self.class = `class`
        self.priority = priority
    }

    public init(json parser: inout JSONParser) throws(JSONError) {
        self.init()
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "class": `class` = try parser.string()
            case "priority": priority = try parser.int()
            default: try parser.skip()
            }
        }
    }

    public func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.field("class", `class`)
            w.field("priority", priority)
        }
    }
}

/// On which CPUs a process of `exec` runs, as lists like `0-3,7`.
public struct CPUAffinity: Sendable, Hashable {
    /// Before the process enters the container's cgroup.
    public var initial: String
    /// After.
    public var final: String

    public init(initial: String = "", final: String = "") {
        self.initial = initial
        self.final = final
    }

    public init(json parser: inout JSONParser) throws(JSONError) {
        self.init()
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "initial": initial = try parser.string()
            case "final": final = try parser.string()
            default: try parser.skip()
            }
        }
    }

    public func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.fieldIfNotEmpty("initial", initial)
            w.fieldIfNotEmpty("final", final)
        }
    }
}
