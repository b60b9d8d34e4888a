import Archive
import Linux
import OCI
import Store

/// `berth:NAME` to be written: an image of the local store.
///
/// Nothing is written before `commit`; there the store takes the layers from where they are, each in one stream that is
/// verified, kept and unpacked at once, as in a pull. What came of a copy that was cut short is kept for the next one.
final class StoreDestination: ImageDestination {
    let location: ImageLocation
    let keepsIndexes = false
    let prefersCompressed = false
    private let engine: Engine
    private let access: TransferAccess
    private let reference: Reference
    private let contents = DeferredBlobs()
    private var manifest: Manifest?

    init(_ engine: Engine, _ location: ImageLocation, _ access: TransferAccess) throws(EngineError) {
        let reference: Reference
        do throws(OCIError) { reference = try Reference.parse(location.name).withDefaultTag } catch {
            throw .invalid("invalid image name \"\(location)\": \(error.description)")
        }
        if reference.digest != nil { throw .invalid("\(location): an image is stored under a tag, not under a digest") }
        // What is wrong with it is told before anything is fetched.
        _ = try Configuration.load()
        self.engine = engine
        self.location = location
        self.access = access
        self.reference = reference
    }

    func begin() throws(EngineError) {}
    func has(_ blob: Descriptor, from source: ImageLocation) throws(EngineError) -> Bool { false }
    func put(_ blob: Descriptor, _ content: BlobContent) throws(EngineError) { contents.add(blob.digest, content) }

    func put(manifest: FoundManifest, isTop: Bool) throws(EngineError) {
        self.manifest = try documented(location.description) { () throws(OCIError) in
            try Manifest.decode(manifest.raw, expected: manifest.mediaType)
        }
    }

    func commit() throws(EngineError) {
        guard let manifest else { throw EngineError(.system, "write", location.description, cause: "no image came") }
        guard manifest.config.mediaType.isConfig else {
            let type = manifest.artifactType.isEmpty ? manifest.config.mediaType.rawValue : manifest.artifactType
            throw .invalid("the store keeps images, and this is an artifact of type \(type): copy it to a registry or to oci:DIR")
        }
        let bytes = try contents.bytes(of: manifest.config)
        let image = RemoteImage(
            config: try stored { () throws(StoreError) in try Store.checkedConfig(bytes, manifest, of: location.description) },
            manifest: manifest, names: [reference], digests: [])
        let store = try engine.store()
        let options = FetchOptions(parallel: access.parallel, cancellation: access.cancellation)
        let loaded: LoadedImage
        do throws(StoreError) { loaded = try store.fetch(image, from: contents, options: options) } catch {
            throw contents.failure ?? EngineError(error)
        }
        try engine.collectImages(keeping: [loaded.id])
    }

    func abandon() {}
}

/// Where the blobs of an image are, until the store asks for them.
private final class DeferredBlobs: BlobSource, @unchecked Sendable {
    // SAFETY: everything is only touched under the monitor's lock; what the contents do is safe on any thread.
    private let monitor = Monitor()
    private var contents: [Digest: BlobContent] = [:]
    private var first: EngineError?

    func add(_ digest: Digest, _ content: BlobContent) { monitor.locked { contents[digest] = content } }

    /// Why a blob could not be read, where the store cannot tell it in full.
    var failure: EngineError? { monitor.locked { first } }

    private func content(_ blob: Descriptor) throws(EngineError) -> BlobContent {
        guard let content = monitor.locked({ contents[blob.digest] }) else {
            throw .damaged(blob.digest.description, "it is kept elsewhere, and the image came without it")
        }
        return content
    }

    /// A small blob, verified.
    func bytes(of blob: Descriptor) throws(EngineError) -> [UInt8] {
        let memory = MemorySink(limit: 4 << 20)
        try content(blob).write(memory)
        return memory.bytes
    }

    func open(_ blob: Descriptor, from offset: Int64) throws(StoreError) -> any RemoteStream {
        do throws(EngineError) {
            return try content(blob).open(offset)
        } catch {
            monitor.locked { if first == nil { first = error } }
            throw StoreError(.remote, "", cause: error.description)
        }
    }
}
