import Archive
import Glibc
import JSON
import Linux
import Store

/// Names in an archive of a checkpoint, a tar:
/// `berth-checkpoint.json` first, which says what container it is, `checkpoint/` and `pre-checkpoint/` with CRIU's images, `rootfs-diff.tar`
/// with what the container has changed of its image, as a layer, and `volumes/N.tar` with the content of its Nth mount.
enum CheckpointArchive {
    static let description = "berth-checkpoint.json"
    static let images = "checkpoint"
    static let previous = "pre-checkpoint"
    static let rootfs = "rootfs-diff.tar"
    static let volumes = "volumes/"

    static func volume(_ index: Int) -> String { volumes + "\(index).tar" }
}

/// The container of an archive.
struct CheckpointDescription {
    var definition: ContainerDefinition
    var networks: [Attachment] = []

    /// One connection of the container.
    struct Attachment {
        /// What was asked for, as the database keeps it.
        var definition: [UInt8]
        /// What it had; empty: none.
        var ipv4 = ""
        var ipv6 = ""
        var mac = ""
    }

    var encoded: [UInt8] {
        JSONWriter.document { writer in
            writer.object { w in
                w.field("version", 1)
                w.key("container")
                definition.write(to: &w)
                w.array("networks", networks) { w, network in
                    w.object { w in
                        w.rawField("definition", network.definition)
                        w.fieldIfNotEmpty("ipv4", network.ipv4)
                        w.fieldIfNotEmpty("ipv6", network.ipv6)
                        w.fieldIfNotEmpty("mac", network.mac)
                    }
                }
            }
        }
    }

    init(definition: ContainerDefinition) { self.definition = definition }

    /// - Throws: `.invalid` for a document that is none of ours, or of a newer form.
    init(decoding bytes: [UInt8]) throws(EngineError) {
        do throws(JSONError) {
            self = try JSONParser.parse(bytes) { (parser: inout JSONParser) throws(JSONError) in
                var result = CheckpointDescription(definition: ContainerDefinition(id: "", name: ""))
                var version: Int64 = 0
                var object = try parser.beginObject()
                while let key = try parser.nextKey(&object) {
                    switch key {
                    case "version": version = try parser.int()
                    case "container": result.definition = try ContainerDefinition(json: &parser)
                    case "networks":
                        var array = try parser.beginArray()
                        while try parser.nextElement(&array) { result.networks.append(try Attachment(json: &parser)) }
                    default: try parser.skip()
                    }
                }
                guard version == 1 else { throw parser.failure(.invalidValue, "version \(version) of the archive is not known") }
                return result
            }
        } catch {
            throw .invalid("the archive's description cannot be read: \(error.description)")
        }
    }
}

extension CheckpointDescription.Attachment {
    fileprivate init(json parser: inout JSONParser) throws(JSONError) {
        self.init(definition: [])
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "definition":
                let value = try JSONValue(json: &parser)
                definition = JSONWriter.document { $0.value(value) }
            case "ipv4": ipv4 = try parser.string()
            case "ipv6": ipv6 = try parser.string()
            case "mac": mac = try parser.string()
            default: try parser.skip()
            }
        }
    }
}

/// What `container checkpoint --export` writes.
public struct CheckpointExport: Sendable {
    public var path: String
    public var compression: Compression
    /// What the container has changed of its image's files.
    public var includesRootfs: Bool
    public var includesVolumes: Bool

    public init(path: String, compression: Compression, includesRootfs: Bool, includesVolumes: Bool) {
        (self.path, self.compression) = (path, compression)
        (self.includesRootfs, self.includesVolumes) = (includesRootfs, includesVolumes)
    }

    /// Podman's words.
    public static func compression(_ word: String) throws(EngineError) -> Compression {
        switch word {
        case "zstd": return .zstd
        case "gzip": return .gzip
        case "none": return .none
        default: throw .invalid("invalid compression \"\(word)\": use zstd, gzip or none")
        }
    }
}
