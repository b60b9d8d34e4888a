import Cgroups
import Glibc
import JSON
import Linux
import OCI

/// What the runtime remembers of a container between its commands: facts of its creation, never its status.
///
/// One `state.json` in the container's state directory, on a file system that a reboot empties.
public struct ContainerRecord: Sendable {
    public var id = ""
    public var ociVersion = ""
    /// Host pid of the container's first process, and its start time in clock ticks, which tells it from a successor.
    public var pid: Int32 = 0
    public var startTime: UInt64 = 0
    public var bundle = ""
    public var rootfs = ""
    /// RFC 3339, UTC, nanoseconds.
    public var created = ""
    /// uid of the user who created it.
    public var owner: UInt32 = 0
    public var annotations: [String: String] = [:]
    public var cgroup = CgroupRecord()

    public func encode() -> [UInt8] {
        var writer = JSONWriter()
        writer.object { w in
            w.field("version", 1)
            w.field("id", id)
            w.field("ociVersion", ociVersion)
            w.field("pid", pid)
            w.field("startTime", startTime)
            w.field("bundle", bundle)
            w.field("rootfs", rootfs)
            w.field("created", created)
            w.field("owner", owner)
            w.fieldIfNotEmpty("annotations", annotations)
            w.field("cgroup", cgroup.lines)
        }
        return writer.bytes
    }

    public static func decode(_ bytes: [UInt8]) throws(RuntimeError) -> ContainerRecord {
        do {
            return try JSONParser.parse(bytes) { (parser) throws(JSONError) in
                var record = ContainerRecord()
                var lines: [String] = []
                var object = try parser.beginObject()
                while let key = try parser.nextKey(&object) {
                    switch key {
                    case "id": record.id = try parser.string()
                    case "ociVersion": record.ociVersion = try parser.string()
                    case "pid": record.pid = try parser.int()
                    case "startTime": record.startTime = try parser.int()
                    case "bundle": record.bundle = try parser.string()
                    case "rootfs": record.rootfs = try parser.string()
                    case "created": record.created = try parser.string()
                    case "owner": record.owner = try parser.int()
                    case "annotations": record.annotations = try parser.stringDictionary()
                    case "cgroup": lines = try parser.strings()
                    default: try parser.skip()
                    }
                }
                do throws(CgroupError) { record.cgroup = try CgroupRecord(lines: lines) } catch {
                    throw parser.failure(.invalidValue, error.description)
                }
                return record
            }
        } catch {
            throw RuntimeError(.system, "read state", "state.json", cause: "\(error)")
        }
    }
}

/// A container's status in the words of the runtime-spec (runtime.md "State").
public enum ContainerStatus: String, Sendable {
    case creating, created, running, paused, stopped
}
