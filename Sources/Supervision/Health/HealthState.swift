import Control

/// Docker's rules for when a container is healthy, with podman's startup probe before them.
package struct HealthState: Sendable {
    /// What follows from a result beside the record's change.
    package enum Consequence: Sendable, Hashable {
        case none
        /// It became unhealthy with this result.
        case unhealthy
        /// The startup probe has failed too often.
        case restart
        /// The startup probe has succeeded often enough: the ordinary one begins.
        case started
    }

    package var plan: HealthPlan
    package private(set) var record: HealthRecord
    /// The startup probe has not succeeded yet.
    package private(set) var isStartingUp: Bool
    private var startupSuccesses: Int64 = 0
    private var startupFailures: Int64 = 0

    /// - Parameter log: of the runs before.
    package init(_ plan: HealthPlan, log: [HealthResult] = []) {
        self.plan = plan
        record = HealthRecord(log: log)
        isStartingUp = plan.startup != nil
    }

    /// A run begins: what was found before does not count any more, and stays to be read.
    package mutating func reset() {
        record.status = .starting
        record.failingStreak = 0
        isStartingUp = plan.startup != nil
        startupSuccesses = 0
        startupFailures = 0
    }

    package var command: [String] { isStartingUp ? plan.startup?.command ?? plan.command : plan.command }
    package var timeout: Int64 { isStartingUp ? plan.startup?.timeout ?? plan.timeout : plan.timeout }

    /// Nanoseconds from now to the next probe; nil when there is none unless somebody asks.
    ///
    /// - Parameter age: nanoseconds since the start of the container.
    package func interval(age: Int64) -> Int64? {
        var result = plan.interval
        if isStartingUp {
            result = plan.startup?.interval ?? 0
        } else if age < plan.startPeriod, record.status == .starting, plan.interval > 0 {
            result = plan.startInterval
        }
        return result > 0 ? result : nil
    }

    /// - Parameter age: of the container when the probe began, in nanoseconds.
    package mutating func add(_ result: HealthResult, age: Int64) -> Consequence {
        append(result)
        if isStartingUp { return addStartup(result) }
        if result.exitCode == 0 {
            record.failingStreak = 0
            record.status = .healthy
            return .none
        }
        // Once healthy, the start period is over.
        if record.status == .starting, age < plan.startPeriod { return .none }
        record.failingStreak = record.failingStreak &+ 1
        guard record.failingStreak >= plan.retries, record.status != .unhealthy else { return .none }
        record.status = .unhealthy
        return .unhealthy
    }

    private mutating func addStartup(_ result: HealthResult) -> Consequence {
        guard let startup = plan.startup else { return .none }
        if result.exitCode == 0 {
            startupSuccesses += 1
            if startupSuccesses < max(1, startup.successes) { return .none }
            isStartingUp = false
            return .started
        }
        startupSuccesses = 0
        startupFailures += 1
        return startup.retries > 0 && startupFailures >= startup.retries ? .restart : .none
    }

    private mutating func append(_ result: HealthResult) {
        record.log.append(result)
        let count = plan.maximumLogCount > 0 ? Int(clamping: plan.maximumLogCount) : Int.max
        if record.log.count > count { record.log.removeFirst(record.log.count - count) }
        // An entry without output takes memory too.
        var size = record.log.reduce(0) { $0 + $1.output.utf8.count + 256 }
        while size > HealthRecord.limit, record.log.count > 1 { size -= record.log.removeFirst().output.utf8.count + 256 }
    }
}

/// The beginning of what a probe writes.
package struct ProbeOutput: Sendable {
    package let limit: Int
    private var bytes: [UInt8] = []
    private var isCut = false

    /// - Parameter limit: bytes that are kept.
    package init(limit: Int) { self.limit = limit }

    package mutating func append(_ more: ArraySlice<UInt8>) {
        let room = limit - bytes.count
        bytes += more.prefix(max(0, room))
        if more.count > room { isCut = true }
    }

    /// As Docker shows it: with three dots where something was left out.
    package var text: String { String(decoding: bytes, as: UTF8.self) + (isCut ? "..." : "") }
    package var isEmpty: Bool { bytes.isEmpty }
}

/// Go's text of a duration, which is in Docker's sentences: `1m30s`, `1.5s`, `250ms`.
func durationText(_ nanoseconds: Int64) -> String {
    if nanoseconds <= 0 { return "0s" }
    if nanoseconds < 1_000_000_000 {
        if nanoseconds < 1000 { return "\(nanoseconds)ns" }
        if nanoseconds < 1_000_000 { return decimal(nanoseconds, of: 1000) + "µs" }
        return decimal(nanoseconds, of: 1_000_000) + "ms"
    }
    let minutes = nanoseconds / 60_000_000_000
    var text = decimal(nanoseconds % 60_000_000_000, of: 1_000_000_000) + "s"
    if minutes > 0 { text = "\(minutes % 60)m" + text }
    if minutes >= 60 { text = "\(minutes / 60)h" + text }
    return text
}

private func decimal(_ value: Int64, of unit: Int64) -> String {
    var fraction = "\(unit + value % unit)".dropFirst()
    while fraction.last == "0" { fraction.removeLast() }
    return "\(value / unit)" + (fraction.isEmpty ? "" : "." + fraction)
}
