import JSON

/// One image of a docker archive's `manifest.json`: what `docker save` writes.
///
/// The paths are names of files in the archive.
public struct DockerArchiveEntry: Sendable, Hashable {
    public static let fileName = "manifest.json"

    public var config = ""
    public var tags: [String] = []
    public var layers: [String] = []

    public init() {}

    /// Reads the file.
    public static func decode(_ bytes: [UInt8]) throws(JSONError) -> [DockerArchiveEntry] {
        try JSONParser.parse(bytes, limits: JSONLimits(size: 4 << 20, allowsNUL: false)) {
            (parser: inout JSONParser) throws(JSONError) in
            try parser.array { (parser: inout JSONParser) throws(JSONError) in
                var entry = DockerArchiveEntry()
                try parser.object { (parser: inout JSONParser, key: JSONKey) throws(JSONError) in
                    switch key {
                    case "Config": entry.config = try parser.string()
                    case "RepoTags": entry.tags = try parser.strings()
                    case "Layers": entry.layers = try parser.strings()
                    default: try parser.skip()
                    }
                }
                return entry
            }
        }
    }
}
