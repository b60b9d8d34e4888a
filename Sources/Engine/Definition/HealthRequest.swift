import Control
import JSON
import OCI

/// How somebody finds out whether the container works: the flags, and after ``complete(_:)`` the image's part too.
public struct HealthRequest: Sendable, Hashable {
    /// Docker's `Healthcheck`; nil: nobody said anything.
    public var check: Healthcheck?
    /// The image's `SHELL`, for `CMD-SHELL`; empty: `/bin/sh -c`.
    public var shell: [String] = []
    /// Only `healthcheck run` probes (podman's `--health-interval disable`).
    public var isManual = false
    public var onFailure = HealthPlan.Action.none
    public var startup: Startup?
    /// Nil: Docker's 5.
    public var maximumLogCount: Int64?
    /// Bytes; nil: Docker's 4096.
    public var maximumLogSize: Int64?

    /// Podman's startup probe.
    public struct Startup: Sendable, Hashable {
        /// As of ``Healthcheck``.
        public var test: [String]
        /// Nanoseconds; 0: only when somebody asks.
        public var interval: Int64 = 30_000_000_000
        public var timeout: Int64 = 30_000_000_000
        public var retries: Int64 = 0
        public var successes: Int64 = 0

        public init(test: [String]) { self.test = test }
    }

    public init() {}

    /// Times are nanoseconds; Docker's smallest is a millisecond.
    static let shortest: Int64 = 1_000_000
    /// Centuries: sums with it do not overflow.
    private static let longest: Int64 = 1 << 61

    /// Joins the flags with the image's, as Docker does: what was not given is inherited.
    ///
    /// - Throws: `.invalid` with Docker's sentences, also for what an image asks for.
    func completed(_ image: ContainerConfig) throws(EngineError) -> HealthRequest {
        var result = self
        if let inherited = image.healthcheck {
            var check = check ?? Healthcheck()
            if check.test.isEmpty { check.test = inherited.test }
            if check.interval == 0 { check.interval = inherited.interval }
            if check.timeout == 0 { check.timeout = inherited.timeout }
            if check.startPeriod == 0 { check.startPeriod = inherited.startPeriod }
            if check.startInterval == 0 { check.startInterval = inherited.startInterval }
            if check.retries == 0 { check.retries = inherited.retries }
            result.check = check
        }
        result.shell = result.check?.test.first == "CMD-SHELL" || startup != nil ? image.shell : []
        try result.validate()
        return result
    }

    func validate() throws(EngineError) {
        if let check, check.test != ["NONE"] {
            let times = [
                ("Interval", check.interval), ("Timeout", check.timeout), ("StartPeriod", check.startPeriod),
                ("StartInterval", check.startInterval),
            ]
            for (name, value) in times where value != 0 && value < Self.shortest {
                throw .invalid("\(name) in Healthcheck cannot be less than 1ms")
            }
            if check.retries < 0 { throw .invalid("Retries in Healthcheck cannot be negative") }
        }
        for text in (check?.test ?? []) + (startup?.test ?? []) where text.utf8.contains(0) {
            throw .invalid("an argument of the health check holds a NUL byte")
        }
        if hasProbe { return }
        if onFailure != .none { throw .invalid("cannot set on-failure action to \(onFailure.rawValue) without a health check") }
        if startup != nil { throw .invalid("cannot set a startup healthcheck when there is no regular healthcheck") }
    }

    /// Whether anybody looks.
    public var hasProbe: Bool { check.map { Self.isCommand($0.test) } ?? false }

    private static func isCommand(_ test: [String]) -> Bool { test.count > 1 && (test[0] == "CMD" || test[0] == "CMD-SHELL") }

    private func command(_ test: [String]) -> [String] {
        let words = Array(test.dropFirst())
        if test.first == "CMD" { return words }
        return (shell.isEmpty ? ["/bin/sh", "-c"] : shell) + words
    }

    /// What the supervisor does; nil: nothing.
    func plan() -> HealthPlan? {
        guard let check, hasProbe else { return nil }
        var plan = HealthPlan(command: command(check.test))
        func time(_ value: Int64, default other: Int64) -> Int64 { value == 0 ? other : min(value, Self.longest) }
        plan.interval = isManual ? 0 : time(check.interval, default: plan.interval)
        plan.timeout = time(check.timeout, default: plan.timeout)
        plan.startPeriod = min(check.startPeriod, Self.longest)
        plan.startInterval = time(check.startInterval, default: plan.startInterval)
        if check.retries > 0 { plan.retries = Int64(check.retries) }
        plan.onFailure = onFailure
        if let startup {
            plan.startup = HealthPlan.Startup(
                command: command(startup.test), interval: min(startup.interval, Self.longest), timeout: min(startup.timeout, Self.longest),
                retries: startup.retries, successes: startup.successes)
        }
        if let maximumLogCount { plan.maximumLogCount = maximumLogCount }
        if let maximumLogSize { plan.maximumLogSize = maximumLogSize }
        return plan
    }
}

extension HealthRequest {
    func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.ifPresent("check", check) { w, check in check.write(to: &w) }
            w.fieldIfNotEmpty("shell", shell)
            w.fieldIfTrue("manual", isManual)
            if onFailure != .none { w.field("onFailure", onFailure.rawValue) }
            w.ifPresent("startup", startup) { w, startup in startup.write(to: &w) }
            w.fieldIfPresent("maximumLogCount", maximumLogCount)
            w.fieldIfPresent("maximumLogSize", maximumLogSize)
        }
    }

    init(json parser: inout JSONParser) throws(JSONError) {
        self.init()
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "check": check = try Healthcheck(json: &parser)
            case "shell": shell = try parser.strings()
            case "manual": isManual = try parser.bool()
            case "onFailure": onFailure = HealthPlan.Action(rawValue: try parser.string()) ?? .none
            case "startup": startup = try Startup(json: &parser)
            case "maximumLogCount": maximumLogCount = try parser.int()
            case "maximumLogSize": maximumLogSize = try parser.int()
            default: try parser.skip()
            }
        }
    }
}

extension HealthRequest.Startup {
    /// Podman's layout, which `inspect` shows.
    func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.field("Test", test)
            w.fieldIfNotZero("Interval", interval)
            w.fieldIfNotZero("Timeout", timeout)
            w.fieldIfNotZero("Retries", retries)
            w.fieldIfNotZero("Successes", successes)
        }
    }

    fileprivate init(json parser: inout JSONParser) throws(JSONError) {
        self.init(test: [])
        interval = 0
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "Test": test = try parser.strings()
            case "Interval": interval = try parser.int()
            case "Timeout": timeout = try parser.int()
            case "Retries": retries = try parser.int()
            case "Successes": successes = try parser.int()
            default: try parser.skip()
            }
        }
    }
}
