/// What a client asks of a supervisor. Each is answered by `.done` or `.refused`.
public enum ControlRequest: Sendable, Hashable {
    /// The container's files are written: make it. The first message of who launched the supervisor, with sequence 0;
    /// answered by `.created` or `.failed`.
    case create
    /// Run the container that was created. Only from who launched the supervisor, unless that said `.keep`.
    case start
    /// Connect streams; the message carries one descriptor per stream, in this order.
    case attach(AttachStreams)
    /// Set the size of the terminal.
    case resize(rows: UInt16, columns: UInt16)
    /// Signal, wait, then SIGKILL to the whole cgroup. Suppresses the restart policy.
    ///
    /// - signal: 0 is the configured one. timeout: milliseconds; negative waits for ever, ``configuredTimeout`` is the
    ///   configured one.
    case stop(signal: Int32, timeout: Int64)
    /// As `.stop` with the configured signal, because the machine goes down: what starts after the next boot stays as it is.
    case shutDown(timeout: Int64)
    /// Signal the first process. SIGKILL and the stop signal suppress the restart policy.
    case kill(signal: Int32)
    case setRestartPolicy(RestartPolicy)
    /// Freeze the cgroup.
    case pause
    case resume
    /// Answered by `.phase`, then `.done`.
    case query
    /// Read supervise.json again (after `update` or `rename`).
    case reload
    /// If the container has ended and only slow clients hold the supervisor, drop them and go.
    case yield
    /// Close and reopen the log file (somebody else has moved it).
    case reopenLog
    /// Run a further process in the background; the message carries one descriptor, a file with the process as JSON
    /// (config.json, member `process`). Answered by `.done` when its program runs, by `.failed` when it cannot. Its
    /// standard streams are /dev/null.
    ///
    /// - id: 64 hexadecimal digits, or empty from commands before there were ids. terminal: as in the document; its output goes nowhere.
    case exec(id: String, terminal: Bool)
    /// Keep the cgroup frozen until `resume` of this connection, or its end: whoever asked may be killed. Several may; a pause
    /// stays when they go.
    case freeze
    /// Answered by `.health`, and again by each change of it.
    case watchHealth
    /// Look now whether the container works. Answered by `.probed` when the probe has ended.
    case probe
    /// The container stays created when who launched the supervisor goes, and anybody may start it. Only from who launched it.
    case keep
    /// Write the container's processes down. Answered when the images are whole: by `.done`, or by `.failed` and the container runs on.
    /// Who has gone before does not want it any more.
    case checkpoint(CheckpointOrder)

    /// A `timeout` of `.stop` that means the configuration's.
    public static let configuredTimeout = Int64.min

    var kind: UInt16 {
        switch self {
        case .start: 1
        case .attach: 2
        case .resize: 3
        case .stop: 4
        case .kill: 5
        case .setRestartPolicy: 6
        case .pause: 7
        case .resume: 8
        case .query: 9
        case .reload: 10
        case .yield: 11
        case .reopenLog: 12
        case .create: 13
        case .exec: 14
        case .shutDown: 15
        case .freeze: 16
        case .watchHealth: 17
        case .probe: 18
        case .keep: 19
        case .checkpoint: 20
        }
    }

    public func frame(sequence: UInt32) -> ControlFrame {
        var writer = WireWriter()
        switch self {
        case .create, .start, .pause, .resume, .query, .reload, .yield, .reopenLog, .freeze, .watchHealth, .probe, .keep: break
        case .exec(let id, let terminal):
            writer.string(id)
            writer.boolean(terminal)
        case .checkpoint(let order): order.write(to: &writer)
        case .attach(let streams): writer.integer(streams.rawValue)
        case .resize(let rows, let columns):
            writer.integer(rows)
            writer.integer(columns)
        case .stop(let signal, let timeout):
            writer.integer(signal)
            writer.integer(timeout)
        case .shutDown(let timeout): writer.integer(timeout)
        case .kill(let signal): writer.integer(signal)
        case .setRestartPolicy(let policy):
            writer.integer(policy.name.rawValue)
            writer.integer(policy.maximumRetries)
        }
        return ControlFrame(kind: kind, sequence: sequence, payload: writer.bytes)
    }

    /// - Throws: `.protocol` for an unknown kind or a payload that does not fit it.
    public init(_ frame: ControlFrame) throws(ControlError) {
        var reader = WireReader(frame.payload)
        switch frame.kind {
        case 1: self = .start
        case 2: self = .attach(AttachStreams(rawValue: try reader.integer()))
        case 3: self = .resize(rows: try reader.integer(), columns: try reader.integer())
        case 4: self = .stop(signal: try reader.integer(), timeout: try reader.integer())
        case 5: self = .kill(signal: try reader.integer())
        case 6:
            guard let name = RestartPolicy.Name(rawValue: try reader.integer()) else {
                throw ControlError(.protocol, "read message", cause: "unknown restart policy")
            }
            self = .setRestartPolicy(RestartPolicy(name, maximumRetries: try reader.integer()))
        case 7: self = .pause
        case 8: self = .resume
        case 9: self = .query
        case 10: self = .reload
        case 11: self = .yield
        case 12: self = .reopenLog
        case 13: self = .create
        case 14:
            self = reader.remaining == 0 ? .exec(id: "", terminal: false) : .exec(id: try reader.string(), terminal: try reader.boolean())
        case 15: self = .shutDown(timeout: try reader.integer())
        case 16: self = .freeze
        case 17: self = .watchHealth
        case 18: self = .probe
        case 19: self = .keep
        case 20: self = .checkpoint(try CheckpointOrder(wire: &reader))
        default: throw ControlError(.protocol, "read message", cause: "unknown request \(frame.kind)")
        }
    }
}

/// Which of a container's streams a client connects.
public struct AttachStreams: OptionSet, Sendable, Hashable {
    public let rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }
    public static let input = AttachStreams(rawValue: 1)
    public static let output = AttachStreams(rawValue: 2)
    public static let error = AttachStreams(rawValue: 4)
    public static let all: AttachStreams = [.input, .output, .error]

    public var count: Int { (rawValue & 7).nonzeroBitCount }
}
