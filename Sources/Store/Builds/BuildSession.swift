import Archive
import Glibc
import Linux
import OCI

/// A layer of an image that is being built: in the store already, before any image has it.
public struct BuiltLayer: Sendable, Hashable {
    /// Names it together with all below it.
    public var chainID: Digest
    public var diffID: Digest
    /// Its stored bytes.
    public var descriptor: Descriptor
    /// Bytes of its tar stream.
    public var diffSize: Int64
}

/// A directory for one step of a build, as overlay wants it: what the step writes goes to `upper`.
public struct StepDirectory: Sendable {
    /// Below the session's own directory.
    let name: String
    /// Absolute paths of directories that are there.
    public let upper: String
    public let work: String

    init(name: String, upper: String, work: String) { (self.name, self.upper, self.work) = (name, upper, work) }

    /// A directory of another process's session: to run a step in, not to make a layer of.
    public init(upper: String, work: String) { self.init(name: "", upper: upper, work: work) }
}

/// What one build brings into a store: layers, step by step, and at last images.
///
/// As long as it lives no other command collects garbage, since layers are on disk before a row needs them; what a killed build leaves
/// in its directory is swept by the next command that writes. May be used by several threads at once.
public final class BuildSession: @unchecked Sendable {
    // SAFETY: `store`, `staging` and what they count are only used with `turn` held; Ingest takes its own turns for what it shares.
    private let turn = Monitor()
    private let store: Store
    private let staging: Staging
    private let ingest: Ingest
    private let content: SharedFD?
    private let marks: OverlayMarks
    /// Chain ids of layers that were made for this boot only.
    private var made: Set<String> = []

    /// - Parameter store: used by nobody else as long as the session lives.
    /// - Throws: as ``Store/load(path:options:)``.
    public init(_ store: Store, cancellation: Cancellation? = nil) throws(StoreError) {
        self.store = store
        store.removeGarbage()
        content = try store.contentLock(.shared)
        staging = try store.makeStaging()
        ingest = Ingest(store, staging, limits: LayerUnpacker.Limits(), cancellation: cancellation)
        marks = OverlayMarks(isUser: store.isInUserNamespace)
    }

    deinit { staging.remove() }

    // MARK: Steps

    /// A new directory for a step; it goes with the session unless it becomes a layer.
    public func makeStepDirectory() throws(StoreError) -> StepDirectory {
        try turn.locked { () throws(StoreError) in
            let name = staging.freshName("step")
            let path = store.path + "/" + Store.Directory.staging + "/" + staging.name + "/" + name
            try system { () throws(SystemError) in
                try staging.directory.fd.makeDirectories(name + "/fs", mode: 0o755)
                try staging.directory.fd.makeDirectory(name + "/work", mode: 0o700)
            }
            return StepDirectory(name: name, upper: path + "/fs", work: path + "/work")
        }
    }

    /// Makes a layer of what a step wrote. Nothing is mounted over the directory any more.
    ///
    /// The same files give the same layer. They are read once, and stay where they are: the directory becomes the layer's.
    /// - Parameters:
    ///   - parent: the layer the step stood on.
    ///   - ids: how the owners of files are told.
    ///   - time: nothing is newer in the layer, nanoseconds since 1970 (SOURCE_DATE_EPOCH); nil: as they are.
    /// - Returns: nil when it wrote nothing.
    /// - Throws: `.unsupported` for what layers cannot hold; `.noSpace`, `.system`.
    public func makeLayer(
        of step: StepDirectory, on parent: Digest?, ids: IDTranslation = .none, notAfter time: Int64? = nil
    ) throws(StoreError) -> BuiltLayer? {
        try? removeTree(staging.directory.fd, step.name + "/work")
        let layer = try ingest.add(upper: step.name, TreeReader(ids: ids, marks: marks), on: parent, notAfter: time)
        guard let layer else { return nil }
        turn.locked { _ = made.insert(layer.chainID.description) }
        return layer
    }

    /// Absolute paths of a layer and all below it, topmost first: directories, and indexes that `ErofsLayer` mounts.
    public func layerDirectories(top: Digest?) throws(StoreError) -> [String] {
        guard let top else { return [] }
        return try turn.locked { () throws(StoreError) in try store.layerDirectories(top: top.description) }
    }

    /// The layers of an image of the store, lowest first.
    public func layers(ofImage id: String) throws(StoreError) -> (layers: [BuiltLayer], config: ImageConfig) {
        try turn.locked { () throws(StoreError) in
            let details = try store.imageDetails(id: id)
            var layers: [BuiltLayer] = []
            for ((layer, descriptor), diffID) in zip(zip(details.layers, details.manifest.layers), details.config.rootfs.diffIDs) {
                var descriptor = descriptor
                descriptor.mediaType = descriptor.mediaType.asOCILayer
                let chainID = try document { () throws(OCIError) in try Digest.parse(layer.chainID) }
                layers.append(BuiltLayer(chainID: chainID, diffID: diffID, descriptor: descriptor, diffSize: layer.size))
            }
            return (layers, details.config)
        }
    }

    // MARK: Cache

    /// What a step made before that had the same inputs; nil when that is not known, or not all there any more.
    ///
    /// - Parameters:
    ///   - key: digest of everything the result depends on, hexadecimal.
    ///   - parent: what the step stands on now.
    public func find(_ key: String, on parent: Digest?) throws(StoreError) -> CachedStep? {
        try turn.locked { () throws(StoreError) in
            guard let step = try store.cachedStep(key) else { return nil }
            guard let layer = step.layer else { return step }
            // By its own key it stands on the same layer: the parent is an input.
            guard try ingest.isWhole(layer, on: parent) else { return nil }
            try store.useCachedStep(key)
            return step
        }
    }

    /// Remembers what a step made. Lost with the power, not with a kill.
    public func keep(_ step: CachedStep, as key: String) throws(StoreError) {
        try turn.locked { () throws(StoreError) in try store.insertCachedStep(step, key) }
    }

    // MARK: End

    /// Makes an image of layers. When it returns, the image and what the cache says of its layers survive power loss.
    ///
    /// - Parameter layers: lowest first, of this session or of the cache or of images.
    /// - Throws: `.inUse` when another command has removed some of them meanwhile.
    public func publish(_ config: ImageConfig, _ layers: [BuiltLayer], names: [Reference]) throws(StoreError) -> LoadedImage {
        try turn.locked { () throws(StoreError) in
            let id = try document { () throws(OCIError) in try Digest.parse("sha256:" + SHA256.hex(config.raw)) }
            let manifest = Manifest(
                config: Descriptor(mediaType: .ociConfig, digest: id, size: Int64(config.raw.count)), layers: layers.map(\.descriptor))
            let digest = try document { () throws(OCIError) in try Digest.parse("sha256:" + SHA256.hex(manifest.raw)) }
            try ingest.add(document: config.raw, id)
            try ingest.add(document: manifest.raw, digest)
            let image = NewImage(
                id: id, config: config, manifest: manifest, manifestDigest: digest, top: layers.last?.chainID,
                size: layers.reduce(0) { $0 + $1.diffSize }, names: names.map(\.description))
            try system { () throws(SystemError) in try store.root.fd.syncFileSystem() }
            guard let loaded = try store.publish([image], ingest)?.first else { throw Ingest.lostLayer }
            return loaded
        }
    }

    /// Ends a build: what it left in the cache survives power loss from here on.
    public func finish() throws(StoreError) {
        try turn.locked { () throws(StoreError) in
            if made.isEmpty { return }
            try system { () throws(SystemError) in try store.root.fd.syncFileSystem() }
            try store.trustLayers(made)
            made = []
        }
    }
}

extension MediaType {
    /// The OCI's name for a layer of docker's.
    var asOCILayer: MediaType {
        switch layerCompression {
        case .gzip: .ociLayerGzip
        case .zstd: .ociLayerZstd
        default: .ociLayer
        }
    }
}
