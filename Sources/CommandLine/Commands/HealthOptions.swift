import Engine
import Flags
import OCI

/// `--health-*` and `--no-healthcheck` of `run`, `create` and `update`.
struct HealthOptions {
    let arguments: ParsedArguments

    /// - Returns: nil when nothing of it was given.
    func request() throws(EngineError) -> HealthRequest? {
        let isGiven = HealthOptions.names.contains { arguments.isSet($0) }
        if arguments.bool("no-healthcheck") {
            if isGiven { throw EngineError(.invalid, sentence: "--no-healthcheck conflicts with --health-* options") }
            var request = HealthRequest()
            request.check = Healthcheck(test: ["NONE"])
            return request
        }
        if !isGiven { return nil }
        var request = HealthRequest()
        request.check = try check(&request.isManual)
        request.onFailure = try HealthOption.action(arguments.string("health-on-failure"))
        request.startup = try startup()
        if arguments.isSet("health-max-log-count") { request.maximumLogCount = arguments.int64("health-max-log-count") }
        if arguments.isSet("health-max-log-size") { request.maximumLogSize = arguments.int64("health-max-log-size") }
        return request
    }

    /// For `update`: what is not given stays.
    func change() throws(EngineError) -> HealthChange {
        var change = HealthChange()
        if arguments.bool("no-healthcheck") {
            if HealthOptions.names.contains(where: { arguments.isSet($0) }) {
                throw EngineError(.invalid, sentence: "--no-healthcheck conflicts with --health-* options")
            }
            change.isOff = true
            return change
        }
        func given<T>(_ flag: String, _ body: (String) throws(EngineError) -> T) throws(EngineError) -> T? {
            arguments.isSet("health-" + flag) ? try body("health-" + flag) : nil
        }
        let command = { (flag: String) throws(EngineError) in try HealthOption.test(arguments.string(flag)) }
        let number = { (flag: String) throws(EngineError) in try time(flag, arguments.int64(flag)) }
        // 0 stands for Docker's default there, and for no interval in what is kept.
        let interval = { (flag: String) throws(EngineError) -> Int64 in
            let text = arguments.string(flag)
            return text == "disable" ? 0 : try atLeastShortest(flag, DurationText.nanoseconds(text))
        }
        change.test = try given("cmd", command)
        if change.test?.last == "" {
            throw EngineError(.invalid, sentence: "--health-cmd is empty: give --no-healthcheck to end the checks")
        }
        change.interval = try given("interval", interval)
        change.timeout = try given("timeout", number)
        change.retries = try given("retries", number)
        change.startPeriod = try given("start-period", number)
        change.startInterval = try given("start-interval", number)
        change.onFailure = try given("on-failure") { (flag) throws(EngineError) in try HealthOption.action(arguments.string(flag)) }
        change.startupTest = try given("startup-cmd") { (flag) throws(EngineError) in
            arguments.string(flag).isEmpty ? ["NONE"] : try command(flag)
        }
        change.startupInterval = try given("startup-interval", interval)
        change.startupTimeout = try given("startup-timeout") { (flag) throws(EngineError) in
            try atLeastShortest(flag, arguments.int64(flag))
        }
        change.startupRetries = try given("startup-retries", number)
        change.startupSuccesses = try given("startup-success", number)
        change.maximumLogCount = try given("max-log-count", number)
        change.maximumLogSize = try given("max-log-size", number)
        return change
    }

    static let names = [
        "health-cmd", "health-interval", "health-timeout", "health-retries", "health-start-period", "health-start-interval",
        "health-on-failure", "health-startup-cmd", "health-startup-interval", "health-startup-timeout", "health-startup-retries",
        "health-startup-success", "health-max-log-count", "health-max-log-size",
    ]

    private func check(_ isManual: inout Bool) throws(EngineError) -> Healthcheck? {
        var check = Healthcheck()
        let command = arguments.string("health-cmd")
        if !command.isEmpty { check.test = try HealthOption.test(command) }
        let interval = arguments.string("health-interval")
        isManual = interval == "disable"
        if !interval.isEmpty, !isManual { check.interval = try time("health-interval", DurationText.nanoseconds(interval)) }
        check.timeout = try time("health-timeout", arguments.int64("health-timeout"))
        check.startPeriod = try time("health-start-period", arguments.int64("health-start-period"))
        check.startInterval = try time("health-start-interval", arguments.int64("health-start-interval"))
        check.retries = Int(try time("health-retries", arguments.int64("health-retries")))
        return check == Healthcheck() ? nil : check
    }

    /// Docker's sentence for less than nothing.
    private func time(_ flag: String, _ value: Int64?) throws(EngineError) -> Int64 {
        let value = value ?? 0
        if value < 0 { throw EngineError(.invalid, sentence: "--\(flag) cannot be negative") }
        return value
    }

    private func startup() throws(EngineError) -> HealthRequest.Startup? {
        let command = arguments.string("health-startup-cmd")
        if command.isEmpty {
            let alone = ["interval", "timeout", "retries", "success"].first { arguments.isSet("health-startup-\($0)") }
            if let alone { throw EngineError(.invalid, sentence: "--health-startup-\(alone) needs --health-startup-cmd") }
            return nil
        }
        let test = try HealthOption.test(command)
        if test == ["NONE"] { return nil }
        var startup = HealthRequest.Startup(test: test)
        let interval = arguments.string("health-startup-interval")
        startup.interval = interval == "disable" ? 0 : try atLeastShortest("health-startup-interval", DurationText.nanoseconds(interval))
        startup.timeout = try atLeastShortest("health-startup-timeout", arguments.int64("health-startup-timeout"))
        startup.retries = arguments.int64("health-startup-retries") ?? 0
        startup.successes = arguments.int64("health-startup-success") ?? 0
        return startup
    }

    private func atLeastShortest(_ flag: String, _ value: Int64?) throws(EngineError) -> Int64 {
        guard let value, value >= 1_000_000 else { throw EngineError(.invalid, sentence: "--\(flag) cannot be less than 1ms") }
        return value
    }
}
