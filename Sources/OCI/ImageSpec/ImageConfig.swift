import JSON

/// The config document of an image: platform, defaults for containers, layers and history.
///
/// Immutable, so that `raw` is always what the members came from, or what they were written as.
/// Spec: OCI image-spec 1.1 config.md; Docker's image specification 1.2.
public struct ImageConfig: Sendable, Hashable {
    /// RFC 3339, kept as written: it has nanoseconds.
    public let created: String?
    public let author: String
    public let platform: Platform
    public let config: ContainerConfig
    public let rootfs: RootFS
    public let history: [History]
    /// The exact bytes; the image id is their digest.
    public let raw: [UInt8]

    /// A config to be written.
    public init(
        created: String? = nil, author: String = "", platform: Platform, config: ContainerConfig = ContainerConfig(),
        rootfs: RootFS = RootFS(), history: [History] = []
    ) {
        self.created = created
        self.author = author
        self.platform = platform
        self.config = config
        self.rootfs = rootfs
        self.history = history
        raw = JSONWriter.document { w in
            w.object { w in
                w.fieldIfPresent("created", created)
                w.fieldIfNotEmpty("author", author)
                platform.writeMembers(to: &w)
                w.key("config")
                config.write(to: &w)
                w.key("rootfs")
                rootfs.write(to: &w)
                w.arrayIfNotEmpty("history", history) { w, entry in entry.write(to: &w) }
            }
        }
    }

    /// Documents are kept in memory whole.
    static let limits = JSONLimits(size: 4 << 20, allowsNUL: false)

    /// Reads a config.
    ///
    /// - Throws: `.invalidJSON`, `.tooLarge`, `.invalidDocument` when `rootfs` is of another type than `layers`.
    public static func decode(_ bytes: [UInt8]) throws(OCIError) -> ImageConfig {
        let config = try Document.decode(bytes, "parse image config", limits) {
            (parser: inout JSONParser) throws(JSONError) in try ImageConfig(json: &parser, raw: bytes)
        }
        guard config.rootfs.type.isEmpty || config.rootfs.type == "layers" else {
            throw OCIError(
                code: .invalidDocument, operation: "parse image config",
                cause: "unknown rootfs type \"" + Printable.short(config.rootfs.type) + "\"")
        }
        return config
    }

    private init(json parser: inout JSONParser, raw: [UInt8]) throws(JSONError) {
        var created: String?
        var author = ""
        var platform = Platform(os: "", architecture: "")
        var config = ContainerConfig()
        var rootfs = RootFS(type: "")
        var history: [History] = []
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "created": created = try parser.string()
            case "author": author = try parser.string()
            case "architecture": platform.architecture = try parser.string()
            case "os": platform.os = try parser.string()
            case "os.version": platform.osVersion = try parser.string()
            case "os.features": platform.osFeatures = try parser.strings()
            case "variant": platform.variant = try parser.string()
            case "config": config = try ContainerConfig(json: &parser)
            case "rootfs": rootfs = try RootFS(json: &parser)
            case "history": history = try parser.array(History.init(json:))
            default: try parser.skip()
            }
        }
        self.created = created
        self.author = author
        self.platform = platform
        self.config = config
        self.rootfs = rootfs
        self.history = history
        self.raw = raw
    }

    /// Checks that the config and the manifest that points to it tell the same story.
    ///
    /// Must run before the image is made visible. Whether a layer has its diff id only its unpacking shows.
    /// - Throws: `.invalidDocument` when the number of layers differs.
    public func check(against manifest: Manifest) throws(OCIError) {
        guard rootfs.diffIDs.count == manifest.layers.count else {
            throw OCIError(
                code: .invalidDocument, operation: "parse image config",
                cause: "\(rootfs.diffIDs.count) diff ids for \(manifest.layers.count) layers")
        }
    }

    /// For each entry of `history` the index of the layer it made, nil for one that made none.
    ///
    /// Builders get the history wrong without harm to the image, so a wrong one is not an error.
    /// - Returns: nil when the history does not fit the number of layers.
    public var historyLayers: [Int?]? {
        var next = 0
        var layers: [Int?] = []
        for entry in history {
            layers.append(entry.emptyLayer ? nil : next)
            if !entry.emptyLayer { next += 1 }
        }
        return next == rootfs.diffIDs.count ? layers : nil
    }
}

/// The layers of an image by the digests of their uncompressed form.
public struct RootFS: Sendable, Hashable {
    /// Always `layers`.
    public var type: String
    /// Lowest first.
    public var diffIDs: [Digest]

    public init(type: String = "layers", diffIDs: [Digest] = []) {
        self.type = type
        self.diffIDs = diffIDs
    }

    public init(json parser: inout JSONParser) throws(JSONError) {
        self.init(type: "")
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "type": type = try parser.string()
            case "diff_ids": diffIDs = try parser.array(Digest.init(json:))
            default: try parser.skip()
            }
        }
    }

    public func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.field("type", type)
            w.array("diff_ids", diffIDs) { w, digest in w.value(digest.description) }
        }
    }
}

/// One step of how an image was built.
public struct History: Sendable, Hashable {
    /// RFC 3339, kept as written.
    public var created: String?
    public var createdBy: String
    public var author: String
    public var comment: String
    /// Whether the step made no layer.
    public var emptyLayer: Bool

    public init(
        created: String? = nil, createdBy: String = "", author: String = "", comment: String = "", emptyLayer: Bool = false
    ) {
        self.created = created
        self.createdBy = createdBy
        self.author = author
        self.comment = comment
        self.emptyLayer = emptyLayer
    }

    public init(json parser: inout JSONParser) throws(JSONError) {
        self.init()
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "created": created = try parser.string()
            case "created_by": createdBy = try parser.string()
            case "author": author = try parser.string()
            case "comment": comment = try parser.string()
            case "empty_layer": emptyLayer = try parser.bool()
            default: try parser.skip()
            }
        }
    }

    public func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.fieldIfPresent("created", created)
            w.fieldIfNotEmpty("created_by", createdBy)
            w.fieldIfNotEmpty("author", author)
            w.fieldIfNotEmpty("comment", comment)
            w.fieldIfTrue("empty_layer", emptyLayer)
        }
    }
}
