import Control
import OCI

/// What `update` changes of a container's health check; nil leaves a thing as it is.
public struct HealthChange: Sendable, Hashable {
    /// No check any more: nothing else may be given with it.
    public var isOff = false
    /// As of ``Healthcheck``; `["NONE"]` is no check either.
    public var test: [String]?
    /// Nanoseconds; 0: only when somebody asks.
    public var interval: Int64?
    public var timeout: Int64?
    public var retries: Int64?
    public var startPeriod: Int64?
    public var startInterval: Int64?
    public var onFailure: HealthPlan.Action?
    /// `["NONE"]`: no startup check any more.
    public var startupTest: [String]?
    public var startupInterval: Int64?
    public var startupTimeout: Int64?
    public var startupRetries: Int64?
    public var startupSuccesses: Int64?
    public var maximumLogCount: Int64?
    public var maximumLogSize: Int64?

    public init() {}

    /// The request with the change in it.
    ///
    /// - Parameters:
    ///   - old: of the container's definition, the image's part joined; nil: it has none.
    ///   - shell: of the image, for lines that a shell has to read; asked for only then.
    /// - Throws: `.invalid` in podman's words, where there is no check to be changed.
    func applied(to old: HealthRequest?, shell: () -> [String]) throws(EngineError) -> HealthRequest {
        var result = old ?? HealthRequest()
        if isOff || test == ["NONE"] {
            result = HealthRequest()
            result.check = Healthcheck(test: ["NONE"])
            return result
        }
        var check = result.check ?? Healthcheck()
        if let test { check.test = test }
        if let interval {
            result.isManual = interval == 0
            check.interval = interval
        }
        if let timeout { check.timeout = timeout }
        if let retries { check.retries = Int(clamping: retries) }
        if let startPeriod { check.startPeriod = startPeriod }
        if let startInterval { check.startInterval = startInterval }
        result.check = check
        if let onFailure { result.onFailure = onFailure }
        result.startup = try startup(result.startup)
        if let maximumLogCount { result.maximumLogCount = maximumLogCount }
        if let maximumLogSize { result.maximumLogSize = maximumLogSize }
        guard result.hasProbe else {
            throw .invalid("cannot change the health check of a container that has none: give --health-cmd with it")
        }
        if result.shell.isEmpty, check.test.first == "CMD-SHELL" || result.startup?.test.first == "CMD-SHELL" { result.shell = shell() }
        try result.validate()
        return result
    }

    private func startup(_ old: HealthRequest.Startup?) throws(EngineError) -> HealthRequest.Startup? {
        if startupTest == ["NONE"] { return nil }
        var result = old
        if let startupTest {
            result = result ?? HealthRequest.Startup(test: startupTest)
            result?.test = startupTest
        }
        let given: [(name: String, value: Int64?)] = [
            ("interval", startupInterval), ("timeout", startupTimeout), ("retries", startupRetries), ("success", startupSuccesses),
        ]
        if result == nil, let alone = given.first(where: { $0.value != nil }) {
            throw .invalid("--health-startup-\(alone.name) needs --health-startup-cmd")
        }
        if let startupInterval { result?.interval = startupInterval }
        if let startupTimeout { result?.timeout = startupTimeout }
        if let startupRetries { result?.retries = startupRetries }
        if let startupSuccesses { result?.successes = startupSuccesses }
        return result
    }
}
