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
        _ text: String, _ access: TransferAccess, _ options: PushOptions = PushOptions(), _ observer: (any PushObserver)?
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
        let plan = try PushPlan(details, options, store)
        observer?.pushing(reference, plan.stored.layers)
        var manifest = try plan.manifest(plan.known)
        // What it will be is known when every layer is, from the last time: then one question tells whether it is there.
        if let expected = manifest, try self.head(repository, reference) == (try digest(expected)) {
            for index in plan.stored.layers.indices { observer?.blob(index, .exists) }
        } else {
            manifest = try plan.manifest(try upload(plan, repository, store, access, observer))
            guard let manifest else { throw EngineError(.system, "push", reference.familiar, cause: "a layer is missing") }
            _ = try remote { () throws(RegistryError) in
                try repository.put(manifest.raw, manifest.mediaType, as: reference.target)
            }
        }
        guard let manifest else { throw EngineError(.system, "push", reference.familiar, cause: "a layer is missing") }
        let document = Descriptor(
            mediaType: manifest.mediaType, digest: try digest(manifest), size: Int64(manifest.raw.count))
        let name = reference.called(document)
        try stored { () throws(StoreError) in
            try store.recordDigest(reference: name.reference, image: id, mediaType: name.mediaType, size: name.size)
        }
        announce("push", image: reference.familiar, name: reference.familiarName, labelsOf: id)
        return PushedImage(reference: reference, digest: document.digest, size: document.size)
    }

    private func digest(_ manifest: Manifest) throws(EngineError) -> Digest { try Digest.ofContent(manifest.raw) }

    /// What a name stands for at the registry now; nil for nothing, or when it cannot be asked.
    private func head(_ repository: Repository, _ reference: Reference) throws(EngineError) -> Digest? {
        (try? repository.head(reference.target))?.digest
    }

    /// All tags of a repository that are here.
    public func pushAllTags(
        _ text: String, _ access: TransferAccess, _ options: PushOptions = PushOptions(), _ observer: (any PushObserver)?
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
        for name in names { result.append(try push(name, access, options, observer)) }
        return result
    }

    /// Brings all blobs to the registry.
    ///
    /// - Returns: what plain layers became.
    private func upload(
        _ plan: PushPlan, _ repository: Repository, _ store: Store, _ access: TransferAccess, _ observer: (any PushObserver)?
    ) throws(EngineError) -> [Digest: Descriptor] {
        let neighbours = try stored { () throws(StoreError) in try store.repositoriesOfBlobs(at: repository.reference.domain) }
        let crew = UploadCrew(
            plan, repository: repository, store: store, neighbours: neighbours, observer: observer,
            cancellation: access.cancellation)
        let result = Result { () throws(EngineError) in try crew.run(threads: access.parallel) }
        // Also of a push that failed: the next one asks whether they arrived before it compresses again.
        let made = crew.compressed.filter { plan.known[$0.key]?.digest != $0.value.digest }
        try stored { () throws(StoreError) in
            try store.recordCompressedLayers(made.map { ($0.key, $0.value.digest, $0.value.size) }, method: plan.method)
        }
        try result.get()
        return crew.compressed
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
    private let plan: PushPlan
    private let cancellation: Cancellation?
    private var next = 0
    private var begun: Set<Digest> = []
    private var failure: EngineError?
    /// What plain layers became; whole when ``run(threads:)`` has returned.
    private(set) var compressed: [Digest: Descriptor] = [:]

    init(
        _ plan: PushPlan, repository: Repository, store: Store, neighbours: [String: [String]],
        observer: (any PushObserver)?, cancellation: Cancellation?
    ) {
        self.plan = plan
        self.cancellation = cancellation
        blobs = plan.stored.layers + [plan.stored.config]
        self.repository = repository
        self.files = store.blobFiles
        self.neighbours = neighbours
        self.observer = observer
        layers = plan.stored.layers.count
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
        if plan.plain.contains(blob.digest) { return try bringCompressed(blob, index) }
        if try isThere(blob, index) { return }
        let file = try stored { () throws(StoreError) in try files.open(blob) }
        try upload(blob, file, index)
    }

    private func bringCompressed(_ blob: Descriptor, _ index: Int) throws(EngineError) {
        let known = plan.known[blob.digest]
        if let known, try isThere(known, index) {
            return monitor.locked { compressed[blob.digest] = known }
        }
        let file = try stored { () throws(StoreError) in try files.open(blob) }
        let reader = FileReader(file.fd, offset: 0, length: blob.size, name: blob.digest.description)
        let made = try CompressedLayer.make(reader, plan.compression, level: plan.level, cancellation)
        guard made.diffHex == blob.digest.hex else {
            throw .damaged(blob.digest.description, "the stored blob has other content (berth system check tells more)")
        }
        let descriptor = made.descriptor(insteadOf: blob, plan.compression)
        monitor.locked { compressed[blob.digest] = descriptor }
        // Another version of the compressor gives other bytes than were asked about.
        if descriptor.digest != known?.digest, try isThere(descriptor, index) { return }
        try upload(descriptor, made.content.file, index)
    }

    /// Whether the registry has a blob, or takes it over from another of its repositories.
    private func isThere(_ blob: Descriptor, _ index: Int) throws(EngineError) -> Bool {
        if try remote({ () throws(RegistryError) in try repository.hasBlob(blob.digest) }) {
            tell(index, .exists)
            return true
        }
        for path in neighbours[blob.digest.description] ?? [] where path != repository.reference.path {
            if try remote({ () throws(RegistryError) in try repository.mount(blob.digest, from: path) }) {
                tell(index, .mounted(from: path))
                return true
            }
        }
        return false
    }

    private func upload(_ blob: Descriptor, _ file: SharedFD, _ index: Int) throws(EngineError) {
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
