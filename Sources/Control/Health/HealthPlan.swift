import JSON

/// How a supervisor finds out whether its container works. Everything is settled: defaults and the image's part are in.
public struct HealthPlan: Sendable, Hashable {
    /// What is done, once, when the container becomes unhealthy (podman's `--health-on-failure`).
    public enum Action: String, Sendable, Hashable, CaseIterable {
        case none, kill, restart, stop
    }

    /// The probe that has to succeed before the ordinary one begins (podman's startup probe).
    public struct Startup: Sendable, Hashable {
        public var command: [String]
        /// Nanoseconds from the end of one to the beginning of the next; 0: only when somebody asks.
        public var interval: Int64
        /// Nanoseconds.
        public var timeout: Int64
        /// Failures after which the container is started anew; 0: never.
        public var retries: Int64
        /// Successes in a row that it takes; 0 is 1.
        public var successes: Int64

        public init(command: [String], interval: Int64, timeout: Int64, retries: Int64 = 0, successes: Int64 = 0) {
            self.command = command
            self.interval = interval
            self.timeout = timeout
            self.retries = retries
            self.successes = successes
        }
    }

    /// Program and arguments; never empty.
    public var command: [String]
    /// Nanoseconds from the end of one probe to the beginning of the next; 0: only when somebody asks.
    public var interval: Int64
    /// Nanoseconds that a probe may take.
    public var timeout: Int64
    /// Nanoseconds after the start in which failures do not count.
    public var startPeriod: Int64
    /// In place of ``interval`` while the container has not been healthy in that period.
    public var startInterval: Int64
    /// Failures in a row that make it unhealthy.
    public var retries: Int64
    public var onFailure = Action.none
    public var startup: Startup?
    /// How many results are kept; 0: as many as fit into ``HealthRecord/limit`` bytes of output.
    public var maximumLogCount: Int64 = 5
    /// How many bytes of a probe's output are kept; 0: as ``maximumLogCount``.
    public var maximumLogSize: Int64 = 4096

    public init(
        command: [String], interval: Int64 = 30_000_000_000, timeout: Int64 = 30_000_000_000, startPeriod: Int64 = 0,
        startInterval: Int64 = 5_000_000_000, retries: Int64 = 3
    ) {
        self.command = command
        self.interval = interval
        self.timeout = timeout
        self.startPeriod = startPeriod
        self.startInterval = startInterval
        self.retries = retries
    }

    func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.field("command", command)
            w.field("interval", interval)
            w.field("timeout", timeout)
            w.fieldIfNotZero("startPeriod", startPeriod)
            w.field("startInterval", startInterval)
            w.field("retries", retries)
            if onFailure != .none { w.field("onFailure", onFailure.rawValue) }
            w.ifPresent("startup", startup) { w, startup in
                w.object { w in
                    w.field("command", startup.command)
                    w.field("interval", startup.interval)
                    w.field("timeout", startup.timeout)
                    w.fieldIfNotZero("retries", startup.retries)
                    w.fieldIfNotZero("successes", startup.successes)
                }
            }
            w.field("maximumLogCount", maximumLogCount)
            w.field("maximumLogSize", maximumLogSize)
        }
    }

    init(json parser: inout JSONParser) throws(JSONError) {
        self.init(command: [])
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "command": command = try parser.strings()
            case "interval": interval = try parser.int()
            case "timeout": timeout = try parser.int()
            case "startPeriod": startPeriod = try parser.int()
            case "startInterval": startInterval = try parser.int()
            case "retries": retries = try parser.int()
            case "onFailure": onFailure = Action(rawValue: try parser.string()) ?? .none
            case "startup": startup = try Startup(json: &parser)
            case "maximumLogCount": maximumLogCount = try parser.int()
            case "maximumLogSize": maximumLogSize = try parser.int()
            default: try parser.skip()
            }
        }
    }
}

extension HealthPlan.Startup {
    fileprivate init(json parser: inout JSONParser) throws(JSONError) {
        self.init(command: [], interval: 0, timeout: 0)
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "command": command = try parser.strings()
            case "interval": interval = try parser.int()
            case "timeout": timeout = try parser.int()
            case "retries": retries = try parser.int()
            case "successes": successes = try parser.int()
            default: try parser.skip()
            }
        }
    }
}
