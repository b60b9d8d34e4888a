import OCI

/// The two families of manifests: which media types they have.
public enum ManifestFormat: String, Sendable, CaseIterable {
    case oci
    /// Docker's image manifest version 2, schema 2.
    case docker = "v2s2"

    /// Reads what `--format` says.
    ///
    /// - Throws: `.invalid`, also for schema 1, which no tool should write any more.
    public static func parse(_ text: String) throws(EngineError) -> ManifestFormat {
        switch text {
        case "oci": return .oci
        case "v2s2", "docker": return .docker
        case "v2s1":
            throw EngineError(.notSupported, sentence: "format v2s1 (docker schema 1) is not written any more: use v2s2 or oci")
        default: throw .invalid("unknown format \"\(text)\": use oci or v2s2")
        }
    }

    public var manifestType: MediaType { self == .oci ? .ociManifest : .dockerManifest }
    public var indexType: MediaType { self == .oci ? .ociIndex : .dockerManifestList }
    var configType: MediaType { self == .oci ? .ociConfig : .dockerConfig }

    /// The family of a manifest or index; nil for what belongs to none.
    public init?(_ type: MediaType) {
        switch type {
        case .ociManifest, .ociIndex: self = .oci
        case .dockerManifest, .dockerManifestList: self = .docker
        default: return nil
        }
    }

    /// A layer's type in this family.
    func layerType(_ type: MediaType) throws(EngineError) -> MediaType {
        guard let compression = type.layerCompression else {
            throw .invalid("cannot convert to \(rawValue): a layer has the type \"\(type)\"; leave --format away")
        }
        switch (self, compression, type.isForeignLayer) {
        case (.oci, .none, false): return .ociLayer
        case (.oci, .gzip, false): return .ociLayerGzip
        case (.oci, .zstd, false): return .ociLayerZstd
        case (.oci, .none, true): return .ociForeignLayer
        case (.oci, .gzip, true): return .ociForeignLayerGzip
        case (.oci, .zstd, true): return .ociForeignLayerZstd
        case (.docker, .none, false): return .dockerLayer
        case (.docker, .gzip, false): return .dockerLayerGzip
        case (.docker, .gzip, true): return .dockerForeignLayerGzip
        case (.docker, .zstd, _):
            throw .invalid(
                "cannot convert to v2s2: it has no layers of zstd; add --dest-compress-format gzip, or leave --format away")
        case (.docker, .none, true):
            throw .invalid("cannot convert to v2s2: it has no foreign layers without compression; leave --format away")
        }
    }

    /// The same image in this family. The config stays as it is, and with it the image's id.
    ///
    /// - Parameter layers: what takes the place of its layers.
    func convert(_ manifest: Manifest, layers: [Descriptor]) throws(EngineError) -> Manifest {
        guard manifest.config.mediaType.isConfig, manifest.artifactType.isEmpty else {
            throw .invalid(
                "cannot convert to \(rawValue): this is an artifact of type \"\(manifest.config.mediaType)\"; leave --format away")
        }
        var config = manifest.config
        config.mediaType = configType
        var converted: [Descriptor] = []
        for layer in layers {
            var descriptor = layer
            descriptor.mediaType = try layerType(layer.mediaType)
            if self == .docker { descriptor.annotations = [:] }
            converted.append(descriptor)
        }
        // Docker's manifests have no annotations and no subject.
        return Manifest(
            mediaType: manifestType, config: config, layers: converted, subject: self == .oci ? manifest.subject : nil,
            annotations: self == .oci ? manifest.annotations : [:])
    }
}
