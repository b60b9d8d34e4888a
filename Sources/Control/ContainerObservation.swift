import Linux

/// What a container is, found out now from its supervisor's lock, the kernel and its exit record. Nothing of it is stored.
public struct ContainerObservation: Sendable, Hashable {
    public enum Status: Sendable, Hashable {
        /// Defined, and never started; `error` and `exitCode` tell of an attempt that failed.
        case created
        /// A supervisor makes it, or it waits for `start`.
        case starting
        /// Its environment is there, and its process waits for a start (podman's `init`).
        case initialized
        case running
        case paused
        /// The restart policy waits before the next run.
        case restarting
        case stopping
        case exited
        /// Its directory is being removed.
        case removing
        /// Its directory is gone, or what is left of it is to be removed: forget its definition.
        case removed

        /// Docker's word in `State.Status`.
        public var text: String {
            switch self {
            case .created, .starting: "created"
            case .initialized: "initialized"
            case .running, .stopping: "running"
            case .paused: "paused"
            case .restarting: "restarting"
            case .exited: "exited"
            case .removing, .removed: "removing"
            }
        }

        /// Whether there is a process to signal or enter.
        public var isAlive: Bool { self == .running || self == .paused || self == .stopping }
        /// Whether there are namespaces to enter: its program runs, or waits to be started.
        public var hasProcess: Bool { isAlive || self == .initialized }
    }

    public var status: Status
    /// Host pid of the first process while it is alive, else 0.
    public var pid: Int32
    /// When that process began, in ticks since the boot: with the pid it names one process (``processStartTime(_:)``). 0 without one.
    public var processStart: UInt64 = 0
    /// Pid of the supervisor while it is alive, else 0.
    public var supervisor: Int32
    /// Nanoseconds since 1970 of the latest start; 0 when there was none.
    public var startedAt: Int64
    /// End of the latest run that has ended; 0 when there was none or it was not seen.
    public var finishedAt: Int64
    /// Of the latest run that has ended; ``ExitRecord/unknownCode`` when nobody saw its end.
    public var exitCode: Int
    public var oomKilled: Bool
    public var restartCount: UInt32
    /// Why it failed or what is not known; empty when all is well.
    public var error: String
    /// The process lives and its supervisor was killed: it can be signalled and entered, but has no log and no exit code.
    public var supervisorLost: Bool
    /// What the exit record says, for status `.exited`.
    public var manuallyStopped: Bool
    /// What the exit record says, for status `.exited`.
    public var shutDown: Bool
    /// The boot of the latest run, for status `.exited`; empty when nobody knows.
    public var bootID: String
    /// Of a container that runs and has a supervisor; otherwise `.none`.
    public var health = HealthStatus.none
    /// What the exit record says, for status `.exited`.
    public var isCheckpointed = false
    /// The run goes on from a checkpoint.
    public var isRestored = false

    public init(
        _ status: Status, pid: Int32 = 0, supervisor: Int32 = 0, startedAt: Int64 = 0, finishedAt: Int64 = 0,
        exitCode: Int = 0, oomKilled: Bool = false, restartCount: UInt32 = 0, error: String = "",
        supervisorLost: Bool = false, manuallyStopped: Bool = false, shutDown: Bool = false, bootID: String = ""
    ) {
        self.status = status
        self.pid = pid
        self.supervisor = supervisor
        self.startedAt = startedAt
        self.finishedAt = finishedAt
        self.exitCode = exitCode
        self.oomKilled = oomKilled
        self.restartCount = restartCount
        self.error = error
        self.supervisorLost = supervisorLost
        self.manuallyStopped = manuallyStopped
        self.shutDown = shutDown
        self.bootID = bootID
    }

    /// What could never be started is as it was made, with the error of the attempt (Docker says so too).
    init(_ record: ExitRecord) {
        self.init(
            record.startedAt == 0 && !record.error.isEmpty ? .created : .exited, startedAt: record.startedAt, finishedAt: record.finishedAt,
            exitCode: record.exitCode,
            oomKilled: record.oomKilled, restartCount: record.restartCount, error: record.error,
            manuallyStopped: record.manuallyStopped, shutDown: record.shutDown, bootID: record.bootID)
        isCheckpointed = record.isCheckpointed
    }
}
