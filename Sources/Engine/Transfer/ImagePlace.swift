import Archive
import Linux
import OCI
import Store

/// A manifest or index as it was found.
public struct FoundManifest: Sendable {
    /// The exact bytes.
    public var raw: [UInt8]
    /// What the place said it is; nil when it does not say.
    public var mediaType: MediaType?
    /// The digest of the bytes, computed here.
    public let digest: Digest

    public init(raw: [UInt8], mediaType: MediaType?) throws(EngineError) {
        self.raw = raw
        self.mediaType = mediaType
        digest = try Digest.ofContent(raw)
    }

    /// Bytes whose digest was verified already.
    init(raw: [UInt8], mediaType: MediaType?, digest: Digest) {
        self.raw = raw
        self.mediaType = mediaType
        self.digest = digest
    }

    public var size: Int64 { Int64(raw.count) }
}

/// A blob on its way from a source to a destination.
public struct BlobContent {
    /// Writes all bytes into a sink, from any thread; they were verified when it returns. May be called again.
    public var write: (any ByteSink) throws(EngineError) -> Void
    /// Begins to read at an offset, from any thread; whoever reads verifies.
    public var open: (Int64) throws(EngineError) -> any RemoteStream
    /// The file that is the blob and nothing else, where there is one.
    public var file: SharedFD?
}

/// Where an image is read from.
///
/// `read` and `stream` are called by several threads at once; everything else by one. Nothing is written by a source. Bytes are as
/// they were found: whoever copies them verifies them.
public protocol ImageSource: AnyObject {
    var location: ImageLocation { get }
    /// The source of these bytes has no manifest of its own: it was made here, and may be made differently.
    var isSynthetic: Bool { get }
    /// What the location names: a manifest or an index. Verified where the location has a digest.
    func topManifest() throws(EngineError) -> FoundManifest
    /// A manifest named by an index.
    func manifest(_ descriptor: Descriptor) throws(EngineError) -> [UInt8]
    /// Where a blob is, for a destination that could take it over from there.
    func origin(_ blob: Descriptor) -> ImageLocation
    /// Refuses a blob that cannot be what its descriptor says, as far as that is known without reading it.
    func check(_ blob: Descriptor) throws(EngineError)
    /// Writes a blob's bytes into `sink`, without calling its `finish`.
    func read(_ blob: Descriptor, into sink: any ByteSink) throws(EngineError)
    /// Begins to read a blob at an offset, 0 to its size.
    func stream(_ blob: Descriptor, from offset: Int64) throws(EngineError) -> any RemoteStream
    /// The file that holds the blob and nothing else; nil where there is none.
    func file(_ blob: Descriptor) throws(EngineError) -> SharedFD?
}

extension ImageSource {
    public var isSynthetic: Bool { false }
    public func origin(_ blob: Descriptor) -> ImageLocation { location }
    public func check(_ blob: Descriptor) throws(EngineError) {}
    public func file(_ blob: Descriptor) throws(EngineError) -> SharedFD? { nil }

    /// A small blob, verified.
    func bytes(of blob: Descriptor, limit: Int = 4 << 20) throws(EngineError) -> [UInt8] {
        guard blob.size <= Int64(limit) else { throw .damaged(blob.digest.description, "it is larger than \(limit) bytes") }
        let memory = MemorySink(limit: limit)
        let sink = VerifyingSink(memory, blob)
        try read(blob, into: sink)
        try sink.verify()
        return memory.bytes
    }
}

/// An image whose blobs are files, or parts of one.
protocol FileImageSource: ImageSource {
    func content(_ blob: Descriptor) throws(EngineError) -> FileRange
}

extension FileImageSource {
    public func read(_ blob: Descriptor, into sink: any ByteSink) throws(EngineError) { try content(blob).write(into: sink) }

    public func stream(_ blob: Descriptor, from offset: Int64) throws(EngineError) -> any RemoteStream {
        FileStream(try content(blob), from: offset)
    }
}

/// Where an image is written to.
///
/// Called in this order: `begin`; `has` and `put(blob:)` by several threads at once; `put(manifest:)` members first; `commit`.
/// Until `commit` nothing of it can be found under its name. `abandon` takes away what was staged.
public protocol ImageDestination: AnyObject {
    var location: ImageLocation { get }
    /// What it keeps of an image: whether a whole index can be written.
    var keepsIndexes: Bool { get }
    /// Whether layers without compression are better compressed before they go there.
    var prefersCompressed: Bool { get }
    func begin() throws(EngineError)
    /// Whether the blob is there already, or could be mounted from the source's repository.
    func has(_ blob: Descriptor, from source: ImageLocation) throws(EngineError) -> Bool
    /// Keeps a blob, or what it needs to take it in `commit`.
    func put(_ blob: Descriptor, _ content: BlobContent) throws(EngineError)
    /// Keeps a manifest or index.
    /// - Parameter isTop: it is what the location's name stands for.
    func put(manifest: FoundManifest, isTop: Bool) throws(EngineError)
    func commit() throws(EngineError)
    func abandon()
}

extension Digest {
    /// SHA-256 of bytes in memory.
    static func ofContent(_ bytes: [UInt8]) throws(EngineError) -> Digest {
        guard let digest = Digest("sha256:" + SHA256.hex(bytes)) else {
            throw EngineError(.system, "compute digest", cause: "no digest came out")
        }
        return digest
    }

    /// Refuses what cannot be verified here.
    func requireVerifiable() throws(EngineError) {
        guard algorithm == .sha256 else {
            throw EngineError(.notSupported, "verify", description, cause: "only sha256 digests can be verified")
        }
    }
}

extension EngineError {
    /// Content that is not what its digest, size or format says.
    static func damaged(_ object: String, _ cause: String) -> EngineError {
        EngineError(.invalid, "read image content", object, cause: cause)
    }
}

/// Tells failures of archives and documents as the engine's.
@inline(__always)
func archived<R>(_ body: () throws(ArchiveError) -> R) throws(EngineError) -> R {
    do throws(ArchiveError) { return try body() } catch { throw EngineError(archive: error) }
}

@inline(__always)
func documented<R>(_ object: String, _ body: () throws(OCIError) -> R) throws(EngineError) -> R {
    do throws(OCIError) { return try body() } catch {
        throw EngineError(.invalid, sentence: (error.object.isEmpty ? error.naming(object) : error).description)
    }
}

extension EngineError {
    init(archive error: ArchiveError) {
        self.init(error.code == .system ? .system : error.code == .cancelled ? .cancelled : .invalid, sentence: error.description)
    }
}
