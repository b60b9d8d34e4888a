/// What a supervisor tells its clients.
public enum ControlEvent: Sendable, Hashable {
    /// The request with the same sequence was carried out (or, for `.stop`, taken on).
    case done
    /// The request with the same sequence was not carried out.
    case refused(code: UInt16, text: String)
    /// The container exists; its process waits before execve. To who launched it.
    case created(pid: Int32)
    /// The container's program runs.
    case started(pid: Int32, startedAt: Int64)
    /// The container could not be created or started; the supervisor goes away. As the answer to `.exec`: the further
    /// process could not.
    case failed(exitCode: Int32, text: String)
    /// A run ended. `restarting`: the policy will start it again.
    case exited(ExitRecord, restarting: Bool)
    /// The answer to `.query`.
    case phase(PhaseRecord)
    /// The answer to `.watchHealth`, and sent again whenever it changes.
    case health(HealthStatus)
    /// The answer to `.probe`: what the probe's program ended with (``HealthResult/noExitCode`` where it did not end by itself), and how the
    /// container is now.
    case probed(exitCode: Int32, HealthStatus)

    var kind: UInt16 {
        switch self {
        case .done: 64
        case .refused: 65
        case .created: 66
        case .started: 67
        case .failed: 68
        case .exited: 69
        case .phase: 70
        case .health: 71
        case .probed: 72
        }
    }

    public func frame(sequence: UInt32) -> ControlFrame {
        var writer = WireWriter()
        switch self {
        case .done: break
        case .refused(let code, let text):
            writer.integer(code)
            writer.string(text)
        case .created(let pid): writer.integer(pid)
        case .started(let pid, let startedAt):
            writer.integer(pid)
            writer.integer(startedAt)
        case .failed(let exitCode, let text):
            writer.integer(exitCode)
            writer.string(text)
        case .exited(let record, let restarting):
            writer.boolean(restarting)
            record.write(to: &writer)
        case .phase(let record): record.write(to: &writer)
        case .health(let status): writer.integer(status.rawValue)
        case .probed(let exitCode, let status):
            writer.integer(exitCode)
            writer.integer(status.rawValue)
        }
        return ControlFrame(kind: kind, sequence: sequence, payload: writer.bytes)
    }

    /// - Throws: `.protocol` for an unknown kind or a payload that does not fit it.
    public init(_ frame: ControlFrame) throws(ControlError) {
        var reader = WireReader(frame.payload)
        switch frame.kind {
        case 64: self = .done
        case 65: self = .refused(code: try reader.integer(), text: try reader.string())
        case 66: self = .created(pid: try reader.integer())
        case 67: self = .started(pid: try reader.integer(), startedAt: try reader.integer())
        case 68: self = .failed(exitCode: try reader.integer(), text: try reader.string())
        case 69:
            let restarting = try reader.boolean()
            self = .exited(try ExitRecord(wire: &reader), restarting: restarting)
        case 70: self = .phase(try PhaseRecord(wire: &reader))
        case 71: self = .health(HealthStatus(rawValue: try reader.integer()) ?? .none)
        case 72: self = .probed(exitCode: try reader.integer(), HealthStatus(rawValue: try reader.integer()) ?? .none)
        default: throw ControlError(.protocol, "read message", cause: "unknown event \(frame.kind)")
        }
    }
}

extension ExitRecord {
    func write(to writer: inout WireWriter) {
        writer.integer(Int64(exitCode))
        writer.integer(signal)
        writer.boolean(oomKilled)
        writer.integer(startedAt)
        writer.integer(finishedAt)
        writer.string(bootID)
        writer.integer(pid)
        writer.integer(restartCount)
        writer.string(error)
        writer.boolean(manuallyStopped)
    }

    init(wire reader: inout WireReader) throws(ControlError) {
        self.init(exitCode: Int(try reader.integer(Int64.self)))
        signal = try reader.integer()
        oomKilled = try reader.boolean()
        startedAt = try reader.integer()
        finishedAt = try reader.integer()
        bootID = try reader.string()
        pid = try reader.integer()
        restartCount = try reader.integer()
        error = try reader.string()
        manuallyStopped = try reader.boolean()
    }
}
