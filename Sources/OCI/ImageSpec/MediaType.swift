/// The type of a blob or document, as an open set.
public struct MediaType: RawRepresentable, Sendable, Hashable, CustomStringConvertible {
    public let rawValue: String
    public init(rawValue: String) { self.rawValue = rawValue }
    public init(_ rawValue: String) { self.rawValue = rawValue }
    public var description: String { rawValue }

    // MARK: OCI
    public static let ociDescriptor = MediaType("application/vnd.oci.descriptor.v1+json")
    public static let ociLayoutHeader = MediaType("application/vnd.oci.layout.header.v1+json")
    public static let ociIndex = MediaType("application/vnd.oci.image.index.v1+json")
    public static let ociManifest = MediaType("application/vnd.oci.image.manifest.v1+json")
    public static let ociConfig = MediaType("application/vnd.oci.image.config.v1+json")
    public static let ociEmpty = MediaType("application/vnd.oci.empty.v1+json")
    public static let ociLayer = MediaType("application/vnd.oci.image.layer.v1.tar")
    public static let ociLayerGzip = MediaType("application/vnd.oci.image.layer.v1.tar+gzip")
    public static let ociLayerZstd = MediaType("application/vnd.oci.image.layer.v1.tar+zstd")
    /// Deprecated: layers that may not be pushed to another registry.
    public static let ociForeignLayer = MediaType("application/vnd.oci.image.layer.nondistributable.v1.tar")
    public static let ociForeignLayerGzip = MediaType("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip")
    public static let ociForeignLayerZstd = MediaType("application/vnd.oci.image.layer.nondistributable.v1.tar+zstd")

    // MARK: Docker schema 2
    public static let dockerManifestList = MediaType("application/vnd.docker.distribution.manifest.list.v2+json")
    public static let dockerManifest = MediaType("application/vnd.docker.distribution.manifest.v2+json")
    public static let dockerConfig = MediaType("application/vnd.docker.container.image.v1+json")
    public static let dockerLayer = MediaType("application/vnd.docker.image.rootfs.diff.tar")
    public static let dockerLayerGzip = MediaType("application/vnd.docker.image.rootfs.diff.tar.gzip")
    public static let dockerLayerZstd = MediaType("application/vnd.docker.image.rootfs.diff.tar.zstd")
    public static let dockerForeignLayerGzip = MediaType("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip")

    // MARK: Docker schema 1, which is refused
    public static let dockerManifestV1 = MediaType("application/vnd.docker.distribution.manifest.v1+json")
    public static let dockerManifestV1Signed = MediaType("application/vnd.docker.distribution.manifest.v1+prettyjws")

    /// How a layer is compressed.
    public enum Compression: Sendable, Hashable {
        case none, gzip, zstd
    }

    /// What an `Accept` header lists, best first.
    public static let acceptedManifests: [MediaType] = [.ociIndex, .ociManifest, .dockerManifestList, .dockerManifest]

    public var isManifest: Bool { self == .ociManifest || self == .dockerManifest }
    public var isIndex: Bool { self == .ociIndex || self == .dockerManifestList }
    public var isConfig: Bool { self == .ociConfig || self == .dockerConfig }
    public var isSchema1: Bool { self == .dockerManifestV1 || self == .dockerManifestV1Signed }

    /// How a layer of this type is compressed; nil when it is no type of layer.
    public var layerCompression: Compression? {
        switch self {
        case .ociLayer, .ociForeignLayer, .dockerLayer: Compression.none
        case .ociLayerGzip, .ociForeignLayerGzip, .dockerLayerGzip, .dockerForeignLayerGzip: .gzip
        case .ociLayerZstd, .ociForeignLayerZstd, .dockerLayerZstd: .zstd
        default: nil
        }
    }

    public var isLayer: Bool { layerCompression != nil }

    /// Whether the layer's publisher does not allow to push it elsewhere.
    public var isForeignLayer: Bool {
        switch self {
        case .ociForeignLayer, .ociForeignLayerGzip, .ociForeignLayerZstd, .dockerForeignLayerGzip: true
        default: false
        }
    }

    /// The type without parameters, in lower case, out of a `Content-Type` header.
    public init(contentType: String) {
        let type = contentType.prefix { $0 != ";" }.lowercased()
        rawValue = String(type.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
    }
}

/// Keys of annotations that the image-spec names.
public enum Annotation {
    public static let created = "org.opencontainers.image.created"
    public static let refName = "org.opencontainers.image.ref.name"
    public static let title = "org.opencontainers.image.title"
    public static let version = "org.opencontainers.image.version"
    public static let revision = "org.opencontainers.image.revision"
    public static let source = "org.opencontainers.image.source"
    public static let baseDigest = "org.opencontainers.image.base.digest"
    public static let baseName = "org.opencontainers.image.base.name"
    /// The full name of the image, which containerd, Docker and buildkit write beside `refName`.
    public static let containerdImageName = "io.containerd.image.name"
    /// Marks what is no image in an index: `attestation-manifest`.
    public static let dockerReferenceType = "vnd.docker.reference.type"
}
