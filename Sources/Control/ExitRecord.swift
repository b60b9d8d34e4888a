import JSON
import Linux

/// How a container's last run ended.
public struct ExitRecord: Sendable, Hashable {
    /// The exit code, 128 + signal when a signal ended it, or ``unknownCode``.
    public var exitCode: Int
    /// The signal that ended it, or 0.
    public var signal: Int32
    public var oomKilled: Bool
    /// Nanoseconds since 1970; 0 when it never ran.
    public var startedAt: Int64
    public var finishedAt: Int64
    /// The boot in which it ended.
    public var bootID: String
    /// Pid of its first process on the host.
    public var pid: Int32
    /// How often the restart policy has started it again.
    public var restartCount: UInt32
    /// Why it could not be started or watched; empty when it ran.
    public var error: String
    /// Somebody asked for the end (`stop`, `kill`, `rm -f`): `unless-stopped` stays down over a boot.
    public var manuallyStopped: Bool
    /// The machine went down in good order: what the restart policy wants up starts again after the boot.
    public var shutDown: Bool
    /// A checkpoint ended it, from which it can go on.
    public var isCheckpointed = false

    /// The exit code nobody saw: the supervisor was killed or the machine went down.
    public static let unknownCode = -1

    public init(
        exitCode: Int, signal: Int32 = 0, oomKilled: Bool = false, startedAt: Int64 = 0, finishedAt: Int64 = 0,
        bootID: String = "", pid: Int32 = 0, restartCount: UInt32 = 0, error: String = "", manuallyStopped: Bool = false,
        shutDown: Bool = false
    ) {
        self.exitCode = exitCode
        self.signal = signal
        self.oomKilled = oomKilled
        self.startedAt = startedAt
        self.finishedAt = finishedAt
        self.bootID = bootID
        self.pid = pid
        self.restartCount = restartCount
        self.error = error
        self.manuallyStopped = manuallyStopped
        self.shutDown = shutDown
    }

    public func encoded() -> [UInt8] {
        JSONWriter.document { writer in
            writer.object { w in
                w.field("exitCode", exitCode)
                w.fieldIfNotZero("signal", signal)
                w.fieldIfTrue("oomKilled", oomKilled)
                w.field("startedAt", startedAt)
                w.field("finishedAt", finishedAt)
                w.field("bootID", bootID)
                w.field("pid", pid)
                w.fieldIfNotZero("restartCount", restartCount)
                w.fieldIfNotEmpty("error", error)
                w.fieldIfTrue("manuallyStopped", manuallyStopped)
                w.fieldIfTrue("shutDown", shutDown)
                w.fieldIfTrue("checkpointed", isCheckpointed)
            }
        }
    }

    /// - Throws: `.invalid`; a record without an exit code is refused, it must not read as 0.
    public static func parse(_ bytes: [UInt8]) throws(ControlError) -> ExitRecord {
        do throws(JSONError) {
            return try JSONParser.parse(bytes, limits: JSONLimits(depth: 8, size: 1 << 20)) {
                (parser: inout JSONParser) throws(JSONError) -> ExitRecord in try ExitRecord(json: &parser)
            }
        } catch {
            throw ControlError(error, ContainerFiles.exitRecord)
        }
    }

    /// Puts the record into a container's directory by rename: readers see the old one or this one, whole.
    ///
    /// - Parameter durable: both the bytes and the name are synced before this returns.
    public func save(in directory: FD, durable: Bool) throws(ControlError) {
        do throws(SystemError) {
            // A relative name: replaceFile syncs `directory` itself after the rename.
            try directory.replaceFile(ContainerFiles.exitRecord, with: encoded(), durable: durable)
        } catch {
            throw ControlError(error, "write", ContainerFiles.exitRecord)
        }
    }

    /// The record in a container's directory; nil when there is none.
    public static func load(from directory: FD) throws(ControlError) -> ExitRecord? {
        let bytes: [UInt8]
        do throws(SystemError) {
            bytes = try directory.readFile(ContainerFiles.exitRecord, limit: 1 << 20)
        } catch {
            if error.errno == .noEntry { return nil }
            throw ControlError(error, "read", ContainerFiles.exitRecord)
        }
        return try parse(bytes)
    }
}

extension ExitRecord {
    private init(json parser: inout JSONParser) throws(JSONError) {
        self.init(exitCode: ExitRecord.unknownCode)
        var seen = false
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "exitCode":
                exitCode = try parser.int()
                seen = true
            case "signal": signal = try parser.int()
            case "oomKilled": oomKilled = try parser.bool()
            case "startedAt": startedAt = try parser.int()
            case "finishedAt": finishedAt = try parser.int()
            case "bootID": bootID = try parser.string()
            case "pid": pid = try parser.int()
            case "restartCount": restartCount = try parser.int()
            case "error": error = try parser.string()
            case "manuallyStopped": manuallyStopped = try parser.bool()
            case "shutDown": shutDown = try parser.bool()
            case "checkpointed": isCheckpointed = try parser.bool()
            default: try parser.skip()
            }
        }
        guard seen else { throw parser.failure(.invalidValue, "exit code is missing") }
    }
}
