import Control
import Glibc
import Linux

/// What a command asks of a checkpoint.
public struct CheckpointOptions: Sendable {
    public var leavesRunning = false
    public var establishedConnections = false
    public var fileLocks = false
    /// Only memory, while the container runs on: the next checkpoint `withPrevious` need not write it again.
    public var isPreDump = false
    public var withPrevious = false
    /// CRIU's log and figures stay although all went well.
    public var keepsLogs = false
    public init() {}

    var order: CheckpointOrder.Options {
        var result: CheckpointOrder.Options = []
        if leavesRunning || isPreDump { result.insert(.leavesRunning) }
        if establishedConnections { result.insert(.establishedConnections) }
        if fileLocks { result.insert(.fileLocks) }
        if isPreDump { result.insert(.isPreDump) }
        return result
    }
}

/// What a command asks of a restore.
public struct RestoreOptions: Sendable {
    public var establishedConnections = false
    public var closesConnections = false
    public var fileLocks = false
    /// The checkpoint and CRIU's log stay although all went well.
    public var keeps = false
    public init() {}
}

/// How long a checkpoint or restore took, in microseconds, and CRIU's own figures as JSON.
public struct CheckpointStatistics: Sendable {
    public var id: String
    public var duration: Int64
    public var criu: [UInt8]
}

/// Where a container's checkpoints are.
///
/// Each is a directory of CRIU's images that got its name when it was whole and synced: what is listed can be restored.
struct CheckpointPlaces {
    let container: String
    /// Docker's, by name.
    var named: String { container + "/checkpoints" }
    /// Podman's, of which there is one, and the memory that was written before it.
    var only: String { container + "/checkpoint" }
    var previous: String { container + "/pre-checkpoint" }
    /// CRIU's log and figures.
    var work: String { container + "/criu" }
    /// Written here first. Beside the others, as images name the directory of earlier ones by a relative path.
    var staging: String { container + "/.checkpoint" }

    /// - Throws: Docker's sentence.
    static func check(_ name: String) throws(EngineError) {
        let bytes = Array(name.utf8)
        let isAllowed = { (byte: UInt8) in
            (byte >= 48 && byte <= 57) || (byte >= 65 && byte <= 90) || (byte >= 97 && byte <= 122)
        }
        let rest = bytes.dropFirst().allSatisfy { isAllowed($0) || $0 == 0x5f || $0 == 0x2e || $0 == 0x2d }
        guard let first = bytes.first, isAllowed(first), rest, bytes.count <= 200 else {
            throw .invalid("Invalid checkpoint ID (\(name)), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")
        }
    }

    /// Whether there is a whole checkpoint: the inventory is what CRIU reads first.
    static func isCheckpoint(_ path: String) -> Bool { FD.cwd.exists(path + "/inventory.img") }
}
