import JSON

/// One image: its config and its layers.
///
/// Immutable, so that `raw` is always what the members came from, or what they were written as.
/// Spec: OCI image-spec 1.1 manifest.md; Docker's image manifest version 2, schema 2.
public struct Manifest: Sendable, Hashable {
    public let mediaType: MediaType
    public let artifactType: String
    public let config: Descriptor
    /// Lowest first.
    public let layers: [Descriptor]
    public let subject: Descriptor?
    public let annotations: [String: String]
    /// The exact bytes; the digest is theirs.
    public let raw: [UInt8]

    /// A manifest to be written.
    public init(
        mediaType: MediaType = .ociManifest, artifactType: String = "", config: Descriptor, layers: [Descriptor],
        subject: Descriptor? = nil, annotations: [String: String] = [:]
    ) {
        self.mediaType = mediaType
        self.artifactType = artifactType
        self.config = config
        self.layers = layers
        self.subject = subject
        self.annotations = annotations
        raw = JSONWriter.document { w in
            w.object { w in
                w.field("schemaVersion", 2)
                w.fieldIfNotEmpty("mediaType", mediaType.rawValue)
                w.fieldIfNotEmpty("artifactType", artifactType)
                w.key("config")
                config.write(to: &w)
                w.array("layers", layers) { w, layer in layer.write(to: &w) }
                w.ifPresent("subject", subject) { w, subject in subject.write(to: &w) }
                w.fieldIfNotEmpty("annotations", annotations)
            }
        }
    }

    /// Reads a manifest.
    ///
    /// - Parameter expected: the type that the descriptor or the `Content-Type` header gave; nil when there is none.
    /// - Throws: `.ambiguous` when it could also be an index, or has another type than expected (CVE-2021-41190);
    ///   `.unsupported` for Docker's schema 1; `.invalidJSON`, `.invalidDocument`, `.tooLarge`.
    public static func decode(_ bytes: [UInt8], expected: MediaType? = nil) throws(OCIError) -> Manifest {
        let fields = try ManifestFields.decode(bytes, "parse manifest")
        try fields.checkKind("parse manifest", expected, isRight: { $0.isManifest }, refused: [.manifests])
        guard let config = fields.config else {
            throw OCIError(code: .invalidDocument, operation: "parse manifest", cause: "no config")
        }
        return Manifest(fields, config, bytes, expected == .dockerManifest ? .dockerManifest : .ociManifest)
    }

    init(_ fields: ManifestFields, _ config: Descriptor, _ bytes: [UInt8], _ fallback: MediaType) {
        mediaType = fields.mediaType ?? fallback
        artifactType = fields.artifactType
        self.config = config
        layers = fields.layers
        subject = fields.subject
        annotations = fields.annotations
        raw = bytes
    }

    /// The bytes of all layers together, as the registry sends them.
    public var layersSize: Int64 { layers.reduce(0) { $0 + $1.size } }
}

/// Several images under one name, usually one for each platform.
///
/// Immutable, so that `raw` is always what the members came from, or what they were written as.
/// Spec: OCI image-spec 1.1 image-index.md; Docker's manifest list.
public struct Index: Sendable, Hashable {
    public let mediaType: MediaType
    public let artifactType: String
    public let manifests: [Descriptor]
    public let subject: Descriptor?
    public let annotations: [String: String]
    /// The exact bytes; the digest is theirs.
    public let raw: [UInt8]

    /// An index to be written.
    public init(
        mediaType: MediaType = .ociIndex, artifactType: String = "", manifests: [Descriptor], subject: Descriptor? = nil,
        annotations: [String: String] = [:]
    ) {
        self.mediaType = mediaType
        self.artifactType = artifactType
        self.manifests = manifests
        self.subject = subject
        self.annotations = annotations
        raw = JSONWriter.document { w in
            w.object { w in
                w.field("schemaVersion", 2)
                w.fieldIfNotEmpty("mediaType", mediaType.rawValue)
                w.fieldIfNotEmpty("artifactType", artifactType)
                w.array("manifests", manifests) { w, manifest in manifest.write(to: &w) }
                w.ifPresent("subject", subject) { w, subject in subject.write(to: &w) }
                w.fieldIfNotEmpty("annotations", annotations)
            }
        }
    }

    /// Reads an index.
    ///
    /// - Parameter expected: the type that the descriptor or the `Content-Type` header gave; nil when there is none.
    /// - Throws: `.ambiguous` when it could also be a manifest, or has another type than expected (CVE-2021-41190);
    ///   `.unsupported` for Docker's schema 1; `.invalidJSON`, `.tooLarge`.
    public static func decode(_ bytes: [UInt8], expected: MediaType? = nil) throws(OCIError) -> Index {
        let fields = try ManifestFields.decode(bytes, "parse index")
        try fields.checkKind("parse index", expected, isRight: { $0.isIndex }, refused: [.config, .layers])
        return Index(fields, bytes, expected == .dockerManifestList ? .dockerManifestList : .ociIndex)
    }

    init(_ fields: ManifestFields, _ bytes: [UInt8], _ fallback: MediaType) {
        mediaType = fields.mediaType ?? fallback
        artifactType = fields.artifactType
        manifests = fields.manifests
        subject = fields.subject
        annotations = fields.annotations
        raw = bytes
    }

    /// The manifest to run on a machine, best platform first; nil when there is none.
    ///
    /// Attestations, which are listed beside the images with an unknown platform, are left out.
    public func manifest(for platform: Platform) -> Descriptor? {
        let images = manifests.filter {
            $0.annotations[Annotation.dockerReferenceType] == nil && ($0.mediaType.isManifest || $0.mediaType.isIndex)
        }
        guard let best = platform.best(of: images.map(\.platform)) else { return nil }
        return images[best]
    }
}

/// What a registry or layout has under a name.
public enum ManifestDocument: Sendable, Hashable {
    case manifest(Manifest)
    case index(Index)

    /// Reads whichever it is.
    ///
    /// - Parameter expected: the type that the descriptor or the `Content-Type` header gave; nil when there is none.
    /// - Throws: what `Manifest.decode` and `Index.decode` throw.
    public static func decode(_ bytes: [UInt8], expected: MediaType? = nil) throws(OCIError) -> ManifestDocument {
        if let expected, expected.isManifest { return .manifest(try Manifest.decode(bytes, expected: expected)) }
        if let expected, expected.isIndex { return .index(try Index.decode(bytes, expected: expected)) }
        let fields = try ManifestFields.decode(bytes, "parse manifest")
        // A type that says neither (`application/json`) leaves it to the document; both kinds refuse the other's members.
        if fields.mediaType?.isIndex == true || fields.mediaType == nil && fields.present.contains(.manifests) {
            return .index(try Index.decode(bytes, expected: expected))
        }
        return .manifest(try Manifest.decode(bytes, expected: expected))
    }

    public var raw: [UInt8] {
        switch self {
        case .manifest(let manifest): manifest.raw
        case .index(let index): index.raw
        }
    }
}
