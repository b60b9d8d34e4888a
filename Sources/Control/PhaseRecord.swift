import Linux

/// What a supervisor is doing, kept in its lock file. It counts only while the lock is held, so it is never stale.
///
/// After the supervisor is gone it still says which process it watched, and in which boot.
public struct PhaseRecord: Sendable, Hashable {
    /// An open set: a newer supervisor may have more.
    public struct Phase: RawRepresentable, Sendable, Hashable {
        public let rawValue: UInt8
        public init(rawValue: UInt8) { self.rawValue = rawValue }
        /// The container is being made.
        public static let preparing = Phase(rawValue: 0)
        /// Its process waits for `.start`.
        public static let created = Phase(rawValue: 1)
        public static let running = Phase(rawValue: 2)
        /// Between two runs of the restart policy.
        public static let restarting = Phase(rawValue: 3)
        /// A stop was asked for and the container still runs.
        public static let stopping = Phase(rawValue: 4)
        /// It has ended; exit.json is there unless the container is being removed.
        public static let exited = Phase(rawValue: 5)
        /// It has ended and its directory is being removed.
        public static let removing = Phase(rawValue: 6)
        /// Its process waits for `.start` from whoever sends it.
        public static let initialized = Phase(rawValue: 7)
    }

    public var phase: Phase
    public var supervisor: Int32
    /// Pid of the container's first process; 0 when there is none now.
    public var pid: Int32
    /// Its start time in clock ticks since boot, which tells it from a later process with its pid.
    public var processStartTime: UInt64
    /// Nanoseconds since 1970 of the latest start.
    public var startedAt: Int64
    /// End of the run before; 0 when there was none.
    public var finishedAt: Int64
    /// Exit code of the run before.
    public var exitCode: Int64
    public var restartCount: UInt32
    public var bootID: String
    /// The kernel's file that says whether the cgroup is frozen (`cgroup.events` or `freezer.state`); empty when unknown.
    public var freezeFile: String
    /// Of a running container.
    public var health = HealthStatus.none
    /// The run goes on from a checkpoint.
    public var isRestored = false

    public init(
        phase: Phase = .preparing, supervisor: Int32 = 0, pid: Int32 = 0, processStartTime: UInt64 = 0,
        startedAt: Int64 = 0, finishedAt: Int64 = 0, exitCode: Int64 = 0, restartCount: UInt32 = 0,
        bootID: String = "", freezeFile: String = ""
    ) {
        self.phase = phase
        self.supervisor = supervisor
        self.pid = pid
        self.processStartTime = processStartTime
        self.startedAt = startedAt
        self.finishedAt = finishedAt
        self.exitCode = exitCode
        self.restartCount = restartCount
        self.bootID = bootID
        self.freezeFile = freezeFile
    }

    func write(to writer: inout WireWriter) {
        writer.integer(phase.rawValue)
        writer.integer(supervisor)
        writer.integer(pid)
        writer.integer(processStartTime)
        writer.integer(startedAt)
        writer.integer(finishedAt)
        writer.integer(exitCode)
        writer.integer(restartCount)
        writer.string(bootID)
        writer.string(freezeFile)
        if health != .none || isRestored { writer.integer(health.rawValue) }
        if isRestored { writer.boolean(true) }
    }

    init(wire reader: inout WireReader) throws(ControlError) {
        self.init()
        phase = Phase(rawValue: try reader.integer())
        supervisor = try reader.integer()
        pid = try reader.integer()
        processStartTime = try reader.integer()
        startedAt = try reader.integer()
        finishedAt = try reader.integer()
        exitCode = try reader.integer()
        restartCount = try reader.integer()
        bootID = try reader.string()
        freezeFile = try reader.string()
        // Without a probe it is left out.
        if reader.remaining > 0 { health = HealthStatus(rawValue: try reader.integer()) ?? .none }
        if reader.remaining > 0 { isRestored = try reader.boolean() }
    }
}

extension PhaseRecord {
    /// Bytes the record takes in the lock file: it is always written whole.
    static let fileSize = 1024
    private static let magic: UInt32 = 0x3150_5242  // "BRP1"

    /// The file's content: magic, generation, length, record, padding, generation.
    ///
    /// The generation stands at both ends: a reader that met a writer sees two different ones and reads again.
    func fileContent(generation: UInt32) -> [UInt8] {
        var body = WireWriter(capacity: PhaseRecord.fileSize)
        write(to: &body)
        // A path that does not fit costs the freezer's state, not the record.
        if body.bytes.count > PhaseRecord.fileSize - 16 {
            var shorter = self
            shorter.freezeFile = ""
            return shorter.fileContent(generation: generation)
        }
        var writer = WireWriter(capacity: PhaseRecord.fileSize)
        writer.integer(PhaseRecord.magic)
        writer.integer(generation)
        writer.integer(UInt32(body.bytes.count))
        var bytes = writer.bytes + body.bytes
        bytes.append(contentsOf: repeatElement(0, count: PhaseRecord.fileSize - 4 - bytes.count))
        var tail = WireWriter()
        tail.integer(generation)
        return bytes + tail.bytes
    }

    /// Reads ``fileContent(generation:)``; nil when there is no record or it was being written.
    static func parse(fileContent bytes: [UInt8]) -> PhaseRecord? {
        guard bytes.count == fileSize else { return nil }
        var reader = WireReader(bytes)
        var tail = WireReader([UInt8](bytes[(fileSize - 4)...]))
        guard let magic: UInt32 = try? reader.integer(), magic == PhaseRecord.magic,
            let first: UInt32 = try? reader.integer(), let last: UInt32 = try? tail.integer(), first == last,
            (try? reader.integer(UInt32.self)) != nil
        else { return nil }
        return try? PhaseRecord(wire: &reader)
    }
}
