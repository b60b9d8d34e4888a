import Archive
import Linux
import OCI

/// Makes of an image what the destination or a flag asks for: other media types, other compression.
///
/// An image that needs nothing keeps every byte.
struct LayerRewriter {
    private let source: any ImageSource
    private let options: CopyOptions
    private let format: ManifestFormat?
    private let compression: Compression?

    init(_ source: any ImageSource, _ destination: any ImageDestination, _ options: CopyOptions) {
        self.source = source
        self.options = options
        if source.isSynthetic, destination.prefersCompressed {
            // It had no manifest: it gets the one that fits where it goes. A registry may be old, a layout is of OCI.
            format = options.format ?? (destination.location.transport == .registry ? .docker : .oci)
            compression = options.compression ?? .gzip
        } else {
            format = options.format ?? (source.isSynthetic && destination.location.transport == .store ? .oci : nil)
            compression = options.compression
        }
    }

    func refuseIfPreserving(_ what: String) throws(EngineError) {
        guard options.preserveDigests, !source.isSynthetic else { return }
        throw .invalid("cannot keep the digests as --preserve-digests asks: \(what)")
    }

    func rewrite(_ manifest: Manifest) throws(EngineError) -> (manifest: Manifest, blobs: [PlannedBlob]) {
        var blobs: [PlannedBlob] = []
        var layers: [Descriptor] = []
        for layer in manifest.layers {
            // What its publisher keeps elsewhere stays there.
            if layer.mediaType.isForeignLayer, !layer.urls.isEmpty {
                layers.append(layer)
                continue
            }
            try layer.digest.requireVerifiable()
            try source.check(layer)
            if let compression, let changed = try recompressed(layer, compression) {
                layers.append(changed.descriptor)
                blobs.append(changed)
            } else {
                layers.append(layer)
                blobs.append(PlannedBlob(layer))
            }
        }
        try manifest.config.digest.requireVerifiable()
        try source.check(manifest.config)
        blobs.append(PlannedBlob(manifest.config, isConfig: true))
        if layers == manifest.layers, format == nil || ManifestFormat(manifest.mediaType) == format {
            return (manifest, blobs)
        }
        let target = format ?? ManifestFormat(manifest.mediaType) ?? .oci
        try refuseIfPreserving("the manifest would be written as \(target.manifestType)")
        return (try target.convert(manifest, layers: layers), blobs)
    }

    /// The layer compressed as wanted; nil when it is that already, or is no layer of an image.
    private func recompressed(_ layer: Descriptor, _ wanted: Compression) throws(EngineError) -> PlannedBlob? {
        guard let named = layer.mediaType.layerCompression else { return nil }
        switch (named, wanted) {
        case (.none, .none), (.gzip, .gzip), (.zstd, .zstd): return nil
        default: break
        }
        try refuseIfPreserving("layer \(layer.digest) would be compressed anew")
        let original = try SpoolFile()
        let size = try original.fill { (sink) throws(EngineError) in
            let verifying = VerifyingSink(sink, layer)
            try source.read(layer, into: verifying)
            try verifying.verify()
        }
        let reader = FileReader(original.file.fd, offset: 0, length: size, name: "layer")
        let made = try CompressedLayer.make(reader, wanted)
        return PlannedBlob(made.descriptor(insteadOf: layer, wanted), rewritten: made.content)
    }
}
