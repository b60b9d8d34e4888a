import Archive
import Glibc
import Linux
import OCI
import Registry
import Store

/// What happens to a blob while an image is pushed.
public enum PushEvent: Sendable, Hashable {
    case preparing
    /// So many bytes of it were sent.
    case sent(Int64)
    /// The registry has it already.
    case exists
    /// The registry took it over from another of its repositories.
    case mounted(from: String)
    case pushed
}

/// Is told how a push goes; `blob` by several threads at once.
public protocol PushObserver: AnyObject, Sendable {
    func pushing(_ reference: Reference, _ layers: [Descriptor])
    func blob(_ index: Int, _ event: PushEvent)
}

/// What a push left at the registry.
public struct PushedImage: Sendable {
    public var reference: Reference
    public var digest: Digest
    /// Bytes of the manifest.
    public var size: Int64
}

extension Engine {
    /// Brings an image to the registry that its name says.
    ///
    /// Blobs first, then the manifest that names them: a push that is cut short changes nothing that others see. What the
    /// registry has is not sent: an image that is there already costs one request.
    /// - Parameter text: a name of a local image.
    public func push(
        _ text: String, _ access: TransferAccess, _ observer: (any PushObserver)?
    ) throws(EngineError) -> PushedImage {
        let reference: Reference
        do throws(OCIError) { reference = try Reference.parse(text).withDefaultTag } catch {
            throw .invalid("invalid reference format: \(error.description)")
        }
        guard reference.tag != nil else { throw .invalid("cannot push a digest reference: \(text); name a tag") }
        let store = try self.store()
        let id = try stored { () throws(StoreError) in hasStore ? try store.imageID(tagged: reference) : nil }
        guard let id else {
            throw EngineError(.notFound, sentence: "An image does not exist locally with the tag: \(reference.familiarName)", exitCode: 1)
        }
        let details = try stored { () throws(StoreError) in try store.imageDetails(id: id) }
        let client = try access.client()
        // It ends all connections when it goes.
        defer { withExtendedLifetime(client) {} }
        let repository = try remote { () throws(RegistryError) in try client.repository(reference) }
        let manifest = details.manifest
        let digest = try parsed(details.record.manifestDigest)
        observer?.pushing(reference, manifest.layers)
        let head = try? repository.head(reference.target)
        if head?.digest == digest {
            for index in manifest.layers.indices { observer?.blob(index, .exists) }
        } else {
            try upload(manifest, repository, store, access.parallel, observer)
            _ = try remote { () throws(RegistryError) in
                try repository.put(manifest.raw, manifest.mediaType, as: reference.target)
            }
        }
        let document = Descriptor(mediaType: manifest.mediaType, digest: digest, size: Int64(manifest.raw.count))
        let name = reference.called(document)
        try stored { () throws(StoreError) in
            try store.recordDigest(reference: name.reference, image: id, mediaType: name.mediaType, size: name.size)
        }
        return PushedImage(reference: reference, digest: digest, size: document.size)
    }

    /// All tags of a repository that are here.
    public func pushAllTags(
        _ text: String, _ access: TransferAccess, _ observer: (any PushObserver)?
    ) throws(EngineError) -> [PushedImage] {
        let repository: Reference
        do throws(OCIError) { repository = try Reference.parse(text) } catch { throw .invalid(error.description) }
        guard repository.tag == nil, repository.digest == nil else {
            throw EngineError(.invalid, sentence: "tag can't be used with --all-tags/-a", exitCode: 1)
        }
        let prefix = repository.name + ":"
        let names = try images().flatMap(\.names).filter { $0.hasPrefix(prefix) }.sorted()
        if names.isEmpty {
            throw EngineError(.notFound, sentence: "An image does not exist locally with the tag: \(repository.familiarName)", exitCode: 1)
        }
        var result: [PushedImage] = []
        for name in names { result.append(try push(name, access, observer)) }
        return result
    }

    private func parsed(_ digest: String) throws(EngineError) -> Digest {
        do throws(OCIError) { return try Digest.parse(digest) } catch { throw .invalid(error.description) }
    }

    private func upload(
        _ manifest: Manifest, _ repository: Repository, _ store: Store, _ parallel: Int, _ observer: (any PushObserver)?
    ) throws(EngineError) {
        let neighbours = try stored { () throws(StoreError) in try store.repositoriesOfBlobs(at: repository.reference.domain) }
        let crew = UploadCrew(
            blobs: manifest.layers + [manifest.config], repository: repository, store: store, neighbours: neighbours,
            observer: observer, layers: manifest.layers.count)
        try crew.run(threads: parallel)
    }
}

/// Uploads the blobs of one image by several threads.
private final class UploadCrew: @unchecked Sendable {
    // SAFETY: everything that changes is only touched under the monitor's lock.
    private let monitor = Monitor()
    private let blobs: [Descriptor]
    private let repository: Repository
    private let files: BlobFiles
    private let neighbours: [String: [String]]
    private let observer: (any PushObserver)?
    private let layers: Int
    private var next = 0
    private var begun: Set<Digest> = []
    private var failure: EngineError?

    init(
        blobs: [Descriptor], repository: Repository, store: Store, neighbours: [String: [String]],
        observer: (any PushObserver)?, layers: Int
    ) {
        self.blobs = blobs
        self.repository = repository
        self.files = store.blobFiles
        self.neighbours = neighbours
        self.observer = observer
        self.layers = layers
    }

    func run(threads: Int) throws(EngineError) {
        var workers: [Worker] = []
        for _ in 0..<max(1, min(threads, blobs.count)) {
            do throws(ArchiveError) { workers.append(try Worker { self.work() }) } catch {
                monitor.locked { failure = EngineError(StoreError(error)) }
            }
        }
        for worker in workers { worker.join() }
        if let failure { throw failure }
    }

    private func work() {
        while let index = monitor.locked({ takeNext() }) {
            do throws(EngineError) {
                try bring(index)
            } catch {
                monitor.locked { if failure == nil { failure = error } }
            }
        }
    }

    private func takeNext() -> Int? {
        guard failure == nil, next < blobs.count else { return nil }
        next += 1
        return next - 1
    }

    private func bring(_ index: Int) throws(EngineError) {
        let blob = blobs[index]
        // The same layer twice in one image is sent once.
        guard monitor.locked({ begun.insert(blob.digest).inserted }) else { return tell(index, .exists) }
        tell(index, .preparing)
        if try remote({ () throws(RegistryError) in try repository.hasBlob(blob.digest) }) { return tell(index, .exists) }
        for path in neighbours[blob.digest.description] ?? [] where path != repository.reference.path {
            if try remote({ () throws(RegistryError) in try repository.mount(blob.digest, from: path) }) {
                return tell(index, .mounted(from: path))
            }
        }
        let file = try stored { () throws(StoreError) in try files.open(blob) }
        let observer = index < layers ? observer : nil
        try remote { () throws(RegistryError) in
            try repository.upload(blob, from: file.fd) { sent in observer?.blob(index, .sent(sent)) }
        }
        tell(index, .pushed)
    }

    private func tell(_ index: Int, _ event: PushEvent) {
        if index < layers { observer?.blob(index, event) }
    }
}
