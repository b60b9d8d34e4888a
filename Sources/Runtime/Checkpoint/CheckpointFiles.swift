import CLinux
import Glibc
import JSON
import Linux

/// What stands beside CRIU's images: what the container had of the host, by the names it has in the images.
struct CheckpointFiles {
    static let name = "berth.json"
    /// runc's: the standard streams at the time of the dump.
    static let streams = "descriptors.json"
    /// What the network namespace is called in the images.
    static let networkKey = "extRootNetNS"

    /// Mount points of the container, by the place in this list.
    var mounts: [String] = []
    /// Links of `/proc/PID/fd/0` to 2, as `pipe:[4711]`.
    var streams: [String] = []
    /// The network namespace is not in the images.
    var hasNetwork = false

    static func mountKey(_ index: Int) -> String { "berth-\(index)" }

    func write(_ directory: FD) throws(SystemError) {
        let document = JSONWriter.document { writer in
            writer.object { w in
                w.field("version", 1)
                w.field("mounts", mounts)
                w.field("network", hasNetwork)
            }
        }
        try directory.writeFile(Self.name, document)
        var list = JSONWriter()
        list.value(streams)
        try directory.writeFile(Self.streams, list.bytes)
    }

    /// - Throws: `.invalid` for a directory that is no checkpoint.
    static func read(_ directory: FD, _ path: String) throws(RuntimeError) -> CheckpointFiles {
        var result = CheckpointFiles()
        do throws(SystemError) {
            let (document, list) = (try directory.readFile(name, limit: 1 << 20), try directory.readFile(streams, limit: 64 << 10))
            do throws(JSONError) {
                try result.decode(document, list)
                return result
            } catch {
                throw SystemError(.invalid, "read \(error.description) in", name)
            }
        } catch {
            throw RuntimeError(.invalid, "read checkpoint", path, cause: "it is none that berth-runtime made: \(error.description)")
        }
    }

    private mutating func decode(_ document: [UInt8], _ list: [UInt8]) throws(JSONError) {
        streams = try JSONParser.parse(list) { (parser: inout JSONParser) throws(JSONError) in try parser.strings() }
        self = try JSONParser.parse(document) { [streams] (parser: inout JSONParser) throws(JSONError) -> CheckpointFiles in
            var result = CheckpointFiles()
            result.streams = streams
            var object = try parser.beginObject()
            while let key = try parser.nextKey(&object) {
                switch key {
                case "mounts": result.mounts = try parser.strings()
                case "network": result.hasNetwork = try parser.bool()
                default: try parser.skip()
                }
            }
            return result
        }
    }

    /// Syncs every file of a directory, then the directory.
    static func sync(_ directory: FD) throws(SystemError) {
        let listed = try directory.open(".", [.readOnly, .directory])
        for (name, type) in try directoryEntries(listed.fd) where type == 8 /* DT_REG */ {
            let file = try directory.open(name, [.readOnly, .noFollow])
            try file.fd.sync()
        }
        try listed.fd.sync()
    }
}
