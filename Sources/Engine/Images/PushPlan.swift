import Archive
import OCI
import Store

/// How an image is pushed.
public struct PushOptions: Sendable {
    /// What was asked for; nil compresses layers without compression by gzip, unless a registry has them so.
    public var compression: Compression?
    /// Of the compression; nil takes its own.
    public var level: Int32?

    public init() {}

    /// What `--compression-format` and `--compression-level` say.
    ///
    /// - Throws: `.invalid`.
    public init(format: String?, level: Int64?) throws(EngineError) {
        switch format {
        case nil: break
        case "gzip": compression = .gzip
        case "zstd": compression = .zstd
        case "zstd:chunked": throw .invalid("zstd:chunked is read and not written: use --compression-format zstd")
        default: throw .invalid("unknown compression format \"\(format ?? "")\": use gzip or zstd")
        }
        guard let level else { return }
        let highest: Int64 = compression == .zstd ? 19 : 9
        guard (1...highest).contains(level) else {
            throw .invalid("compression level \(level) is none of \(compression == .zstd ? "zstd" : "gzip"): use 1 to \(highest)")
        }
        self.level = Int32(level)
        if compression == nil { compression = .gzip }
    }
}

/// What of an image goes to a registry as it is, and what is compressed on its way.
///
/// Registries and those who pull pay for every byte, so that plain layers are compressed, as docker and podman do; the image's
/// id and diff ids are those of the content and stay. What came from a registry is what others know the image by: it goes
/// back byte for byte, unless the compression was asked for.
struct PushPlan {
    let stored: Manifest
    let compression: Compression
    let level: Int32?
    /// Digests of the stored layers that are compressed.
    let plain: Set<Digest>
    /// What those were the last time.
    let known: [Digest: Descriptor]

    init(_ details: ImageDetails, _ options: PushOptions, _ store: Store) throws(EngineError) {
        stored = details.manifest
        compression = options.compression ?? .gzip
        level = options.level
        let isKnown = details.record.digests.contains { $0.reference.hasSuffix("@" + details.record.manifestDigest) }
        guard options.compression != nil || !isKnown else {
            (self.plain, self.known) = ([], [:])
            return
        }
        var plain: Set<Digest> = []
        var known: [Digest: Descriptor] = [:]
        for (layer, diff) in zip(stored.layers, details.layers) {
            // The bytes decide, not what the manifest calls them: without compression both digests are one.
            guard layer.digest.description == diff.diffID, !layer.mediaType.isForeignLayer else { continue }
            plain.insert(layer.digest)
            let last = try Engine.remembered(layer.digest, PushPlan.method(compression, level), store)
            if let last { known[layer.digest] = layer.compressed(compression, last.digest, last.size) }
        }
        (self.plain, self.known) = (plain, known)
    }

    var method: String { PushPlan.method(compression, level) }

    /// What the store keeps results by: another level gives other bytes.
    private static func method(_ compression: Compression, _ level: Int32?) -> String {
        (compression == .zstd ? "zstd" : "gzip") + (level.map { ":\($0)" } ?? "")
    }

    /// The manifest with these in the place of plain layers; nil while one is missing.
    func manifest(_ compressed: [Digest: Descriptor]) throws(EngineError) -> Manifest? {
        if plain.isEmpty { return stored }
        var layers: [Descriptor] = []
        for layer in stored.layers {
            guard plain.contains(layer.digest) else {
                layers.append(layer)
                continue
            }
            guard let changed = compressed[layer.digest] else { return nil }
            layers.append(changed)
        }
        // Docker's manifests know no zstd.
        let format = compression == .zstd ? .oci : ManifestFormat(stored.mediaType) ?? .oci
        return try format.convert(stored, layers: layers)
    }
}

extension Engine {
    fileprivate static func remembered(
        _ plain: Digest, _ method: String, _ store: Store
    ) throws(EngineError) -> (digest: Digest, size: Int64)? {
        try stored { () throws(StoreError) in try store.compressedLayer(of: plain, method: method) }
    }
}
