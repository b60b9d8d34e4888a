import Archive
import OCI

/// A request to stop, for doors that know nothing of archives.
public typealias CopyCancellation = Cancellation

/// What of an image of several platforms is copied.
public enum MultiArchitecture: String, Sendable, CaseIterable {
    /// The one for this machine, or for the platform asked for.
    case system
    /// All of them, with the index.
    case all
    /// Only the index: the rest is at the destination already.
    case indexOnly = "index-only"
}

/// How an image is copied.
public struct CopyOptions {
    public var multiArchitecture = MultiArchitecture.system
    /// What was asked for; nil takes what runs on this machine.
    public var platform: Platform?
    /// What manifests are converted to; nil leaves every byte as it is.
    public var format: ManifestFormat?
    /// Layers are compressed anew; nil leaves them as they are.
    public var compression: Compression?
    /// Refuses every conversion.
    public var preserveDigests = false
    /// Further tags of a docker archive.
    public var additionalTags: [Reference] = []
    public var policy = Policy.acceptAnything
    /// How often a copy that failed for the network's sake is tried again.
    public var retries = 0
    /// Blobs under way at once.
    public var parallel = 4
    /// Stops the copy when it is requested; what was staged is taken away then.
    public var cancellation = Cancellation()
    /// Gets a line for each step. Called by one thread at a time.
    public var progress: (String) -> Void = { _ in }

    public init() {}
}

/// What came of a copy.
public struct CopyResult: Sendable {
    /// The digest of what the destination's name stands for now.
    public var digest: Digest
    public var mediaType: MediaType
    /// Bytes of blobs that went to the destination.
    public var copied: Int64
    /// Blobs that were there already.
    public var skipped: Int
}
