import JSON
import Linux

/// Docker's words for how a container is.
public enum HealthStatus: UInt8, Sendable, Hashable {
    /// It has no probe.
    case none
    /// No probe has succeeded yet, and not too many have failed.
    case starting
    case healthy, unhealthy

    public var text: String {
        switch self {
        case .none: "none"
        case .starting: "starting"
        case .healthy: "healthy"
        case .unhealthy: "unhealthy"
        }
    }

    public init?(text: String) {
        for status in [HealthStatus.none, .starting, .healthy, .unhealthy] where status.text == text {
            self = status
            return
        }
        return nil
    }
}

/// What one probe found.
public struct HealthResult: Sendable, Hashable {
    /// Of a probe that could not be started or took too long.
    public static let noExitCode = -1

    /// Nanoseconds since 1970.
    public var start: Int64
    public var end: Int64
    /// 0 is healthy.
    public var exitCode: Int
    public var output: String

    public init(start: Int64, end: Int64, exitCode: Int, output: String) {
        self.start = start
        self.end = end
        self.exitCode = exitCode
        self.output = output
    }
}

/// What `inspect` shows of a container's health. The supervisor replaces it by rename after each probe, in the container's directory of the
/// run; at the end of the run it moves to the container's directory.
public struct HealthRecord: Sendable, Hashable {
    /// Bytes of output that are kept, whatever was asked for.
    public static let limit = 1 << 20

    public var status: HealthStatus
    public var failingStreak: Int64
    /// Oldest first.
    public var log: [HealthResult]

    public init(status: HealthStatus = .starting, failingStreak: Int64 = 0, log: [HealthResult] = []) {
        self.status = status
        self.failingStreak = failingStreak
        self.log = log
    }

    /// In Docker's layout.
    public func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.field("Status", status.text)
            w.field("FailingStreak", failingStreak)
            w.array("Log", log) { w, result in
                w.object { w in
                    w.field("Start", rfc3339(result.start))
                    w.field("End", rfc3339(result.end))
                    w.field("ExitCode", result.exitCode)
                    w.field("Output", result.output)
                }
            }
        }
    }

    /// - Parameter path: of the file, from `directory`.
    /// - Returns: nil when there is none, or none that can be read: it tells, and nothing depends on it.
    public static func load(_ directory: FD, _ path: String) -> HealthRecord? {
        guard let bytes = try? directory.readFile(path, limit: 8 << 20) else { return nil }
        do throws(JSONError) {
            return try JSONParser.parse(bytes, limits: JSONLimits(depth: 8, size: 8 << 20)) {
                (parser: inout JSONParser) throws(JSONError) -> HealthRecord in try HealthRecord(json: &parser)
            }
        } catch {
            return nil
        }
    }

    /// Replaces the file; not durable.
    public func save(_ directory: FD, _ path: String) throws(SystemError) {
        try directory.replaceFile(path, with: JSONWriter.document { write(to: &$0) }, durable: false)
    }

    init(json parser: inout JSONParser) throws(JSONError) {
        self.init()
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "Status": status = HealthStatus(text: try parser.string()) ?? .unhealthy
            case "FailingStreak": failingStreak = try parser.int()
            case "Log":
                log = try parser.array { (parser: inout JSONParser) throws(JSONError) in try HealthResult(json: &parser) }
            default: try parser.skip()
            }
        }
    }
}

extension HealthResult {
    fileprivate init(json parser: inout JSONParser) throws(JSONError) {
        self.init(start: 0, end: 0, exitCode: HealthResult.noExitCode, output: "")
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "Start": start = TimeText.parse(string: try parser.string()) ?? 0
            case "End": end = TimeText.parse(string: try parser.string()) ?? 0
            case "ExitCode": exitCode = try parser.int()
            case "Output": output = try parser.string()
            default: try parser.skip()
            }
        }
    }
}
