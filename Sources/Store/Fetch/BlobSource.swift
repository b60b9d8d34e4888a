import Archive
import OCI

/// One reading of a blob that comes from somewhere else, such as a registry.
public protocol RemoteStream: ByteReader {
    /// Ends a `read` that waits, from another thread; reads fail from then on.
    func cancel()
    /// The whole truth about why `read` failed, where an ``ArchiveError`` cannot say it.
    var failure: StoreError? { get }
}

/// Where blobs come from that the store lacks. Called by several threads at once.
public protocol BlobSource: AnyObject, Sendable {
    /// Begins to read a blob at an offset; whoever reads checks digest and size.
    func open(_ blob: Descriptor, from offset: Int64) throws(StoreError) -> any RemoteStream
}

/// What happens to a layer while an image is fetched.
public enum FetchEvent: Sendable, Hashable {
    /// It is here already.
    case exists
    /// Another command fetches it, or it is not its turn.
    case waiting
    /// So many bytes of its blob are here.
    case received(Int64)
    /// All of its blob is here; the rest of it is being unpacked.
    case downloaded
    case complete
    /// What was here of it was damaged: it is fetched from its beginning.
    case restarted
}

/// Is told what happens, by several threads at once; must not block.
public protocol FetchObserver: AnyObject, Sendable {
    func layer(_ index: Int, _ event: FetchEvent)
}

/// An image in a registry, with its documents read and checked: only its layers are still to come.
public struct RemoteImage {
    public var config: ImageConfig
    public var manifest: Manifest
    /// The document the name stood for, when that is an index: kept, so that the digest a user sees can be pushed again.
    public var index: (digest: Digest, bytes: [UInt8])?
    public var names: [Reference]
    /// What the registry called it: `name@sha256:…`.
    public var digests: [RepositoryDigest]

    public init(
        config: ImageConfig, manifest: Manifest, index: (digest: Digest, bytes: [UInt8])? = nil, names: [Reference],
        digests: [RepositoryDigest]
    ) {
        self.config = config
        self.manifest = manifest
        self.index = index
        self.names = names
        self.digests = digests
    }
}

/// How an image is fetched.
public struct FetchOptions {
    /// Most layers that are worked on at once.
    public var parallel = 4
    public var observer: (any FetchObserver)?
    public var cancellation: Cancellation?
    public var limits = LayerUnpacker.Limits()
    public init(parallel: Int = 4, observer: (any FetchObserver)? = nil, cancellation: Cancellation? = nil) {
        self.parallel = max(1, parallel)
        self.observer = observer
        self.cancellation = cancellation
    }
}
