import JSON

/// A pointer to a blob: its type, digest and size.
///
/// Spec: OCI image-spec 1.1 descriptor.md.
public struct Descriptor: Sendable, Hashable {
    public var mediaType: MediaType
    public var digest: Digest
    /// Bytes, 0 or more.
    public var size: Int64
    public var urls: [String]
    public var annotations: [String: String]
    /// The blob itself, when it is embedded. It has `size` bytes; the digest is the reader's to check.
    public var data: [UInt8]?
    public var platform: Platform?
    public var artifactType: String

    public init(
        mediaType: MediaType, digest: Digest, size: Int64, urls: [String] = [], annotations: [String: String] = [:],
        data: [UInt8]? = nil, platform: Platform? = nil, artifactType: String = ""
    ) {
        self.mediaType = mediaType
        self.digest = digest
        self.size = size
        self.urls = urls
        self.annotations = annotations
        self.data = data
        self.platform = platform
        self.artifactType = artifactType
    }

    /// Reads a descriptor.
    ///
    /// - Throws: `.invalidValue` when digest or size are missing or wrong; `.outOfRange` for a size above 2⁶³ - 1.
    public init(json parser: inout JSONParser) throws(JSONError) {
        var mediaType = MediaType("")
        var digest: Digest?
        var size: Int64?
        var urls: [String] = []
        var annotations: [String: String] = [:]
        var data: [UInt8]?
        var platform: Platform?
        var artifactType = ""
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "mediaType": mediaType = MediaType(try parser.string())
            case "digest": digest = try Digest(json: &parser)
            case "size": size = try Descriptor.size(&parser)
            case "urls": urls = try parser.strings()
            case "annotations": annotations = try parser.stringDictionary()
            case "data": data = try Descriptor.data(&parser)
            case "platform": platform = try Platform(json: &parser)
            case "artifactType": artifactType = try parser.string()
            default: try parser.skip()
            }
        }
        guard let digest else { throw parser.failure(.invalidValue, "a descriptor without digest") }
        guard let size else { throw parser.failure(.invalidValue, "a descriptor without size") }
        if let data, Int64(data.count) != size {
            throw parser.failure(.invalidValue, "a descriptor whose data has another size than it says")
        }
        self.init(
            mediaType: mediaType, digest: digest, size: size, urls: urls, annotations: annotations, data: data,
            platform: platform, artifactType: artifactType)
    }

    private static func size(_ parser: inout JSONParser) throws(JSONError) -> Int64 {
        let size = try parser.int(Int64.self)
        guard size >= 0 else { throw parser.failure(.invalidValue, "a negative size") }
        return size
    }

    private static func data(_ parser: inout JSONParser) throws(JSONError) -> [UInt8] {
        guard let data = Base64.decode(try parser.string()) else {
            throw parser.failure(.invalidValue, "invalid base64")
        }
        return data
    }

    public func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.field("mediaType", mediaType.rawValue)
            w.field("digest", digest.description)
            w.field("size", size)
            w.fieldIfNotEmpty("urls", urls)
            w.fieldIfNotEmpty("annotations", annotations)
            w.ifPresent("data", data) { w, data in w.value(Base64.encode(data)) }
            w.ifPresent("platform", platform) { w, platform in platform.write(to: &w) }
            w.fieldIfNotEmpty("artifactType", artifactType)
        }
    }
}

extension Digest {
    /// Reads a digest in a string.
    ///
    /// - Throws: `.invalidValue`.
    public init(json parser: inout JSONParser) throws(JSONError) {
        guard let digest = Digest(try parser.string()) else {
            throw parser.failure(.invalidValue, "invalid digest")
        }
        self = digest
    }
}
