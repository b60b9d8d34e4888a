import Archive
import Linux
import OCI
import Registry
import Store

/// `docker://REF`: an image of a registry.
final class RegistrySource: ImageSource {
    let location: ImageLocation
    let reference: Reference
    let repository: Repository
    /// Held for the repository's sake: it ends all connections when it goes.
    private let client: RegistryClient
    /// What the name stands for when it was asked for in another way before: a digest of a lock file.
    private let pinned: Digest?
    /// What the name turned out to stand for.
    private(set) var found: (reference: Reference, digest: Digest)?

    init(_ location: ImageLocation, _ client: RegistryClient, pinned: Digest? = nil) throws(EngineError) {
        guard let reference = location.reference else { throw .invalid("\(location): no name of a registry's image") }
        self.location = location
        self.reference = reference
        self.pinned = pinned
        self.client = client
        repository = try remote { () throws(RegistryError) in try client.repository(reference) }
    }

    func topManifest() throws(EngineError) -> FoundManifest {
        let target = pinned?.description ?? reference.target
        let found = try remote { () throws(RegistryError) in try repository.manifest(target) }
        self.found = (reference, found.digest)
        return FoundManifest(raw: found.bytes, mediaType: found.mediaType, digest: found.digest)
    }

    func manifest(_ descriptor: Descriptor) throws(EngineError) -> [UInt8] {
        try descriptor.digest.requireVerifiable()
        let found = try remote { () throws(RegistryError) in try repository.manifest(descriptor.digest.description) }
        guard Int64(found.bytes.count) == descriptor.size else {
            throw .damaged(descriptor.digest.description, "it has \(found.bytes.count) bytes instead of \(descriptor.size)")
        }
        return found.bytes
    }

    func read(_ blob: Descriptor, into sink: any ByteSink) throws(EngineError) {
        let stream = try remote { () throws(RegistryError) in try repository.blob(blob) }
        let lender = BufferedLender(stream)
        do throws(ArchiveError) {
            while true {
                let piece = try lender.lend()
                if piece.isEmpty { return }
                try sink.write(piece)
            }
        } catch {
            stream.cancel()
            if let failure = stream.failure { throw EngineError(registry: failure) }
            throw EngineError(archive: error)
        }
    }
}

extension RegistrySource {
    func stream(_ blob: Descriptor, from offset: Int64) throws(EngineError) -> any RemoteStream {
        RegistryStream(try remote { () throws(RegistryError) in try repository.blob(blob, from: offset) })
    }
}

/// `docker://REF` to be written.
final class RegistryDestination: ImageDestination {
    let location: ImageLocation
    let keepsIndexes = true
    let prefersCompressed = true
    private let reference: Reference
    private let repository: Repository
    /// Held for the repository's sake: it ends all connections when it goes.
    private let client: RegistryClient

    init(_ location: ImageLocation, _ client: RegistryClient) throws(EngineError) {
        guard let reference = location.reference else { throw .invalid("\(location): no name of a registry's image") }
        self.location = location
        self.reference = reference
        self.client = client
        repository = try remote { () throws(RegistryError) in try client.repository(reference) }
    }

    func begin() throws(EngineError) {}

    func has(_ blob: Descriptor, from source: ImageLocation) throws(EngineError) -> Bool {
        try remote { () throws(RegistryError) in
            if try repository.hasBlob(blob.digest) { return true }
            guard let other = source.reference, source.transport == .registry, other.domain == reference.domain,
                other.path != reference.path
            else { return false }
            return try repository.mount(blob.digest, from: other.path)
        }
    }

    func put(_ blob: Descriptor, _ content: BlobContent) throws(EngineError) {
        if let file = content.file {
            // Read once before it is sent: a registry must not get what its digest does not describe.
            try content.write(Nowhere())
            return try remote { () throws(RegistryError) in try repository.upload(blob, from: file.fd) }
        }
        let spool = try SpoolFile()
        _ = try spool.fill(content.write)
        try remote { () throws(RegistryError) in try repository.upload(blob, from: spool.file.fd) }
    }

    func put(manifest: FoundManifest, isTop: Bool) throws(EngineError) {
        let type = manifest.mediaType ?? .ociManifest
        // By tag last: until then nobody finds it by its name.
        let target = isTop && reference.digest == nil ? reference.target : manifest.digest.description
        if isTop, let digest = reference.digest, digest != manifest.digest {
            throw .invalid(
                "cannot write \(manifest.digest) as \(reference): the digest is another; name a tag instead")
        }
        try remote { () throws(RegistryError) in _ = try repository.put(manifest.raw, type, as: target) }
        if isTop, reference.digest != nil, let tag = reference.tag {
            try remote { () throws(RegistryError) in _ = try repository.put(manifest.raw, type, as: tag) }
        }
    }

    func commit() throws(EngineError) {}
    func abandon() {}
}

/// Takes bytes and forgets them: reading something only to verify it.
final class Nowhere: ByteSink {
    // SAFETY: the bytes are not even looked at.
    func write(_ bytes: UnsafeRawBufferPointer) throws(ArchiveError) {}
    func finish() throws(ArchiveError) {}
}

/// Talks to a registry and tells failures as the engine's.
@inline(__always)
func remote<R>(_ body: () throws(RegistryError) -> R) throws(EngineError) -> R {
    do throws(RegistryError) { return try body() } catch { throw EngineError(registry: error) }
}

extension EngineError {
    init(registry error: RegistryError) {
        let code: Code =
            switch error.code {
            case .notFound: .notFound
            case .unauthorized, .denied: .permission
            case .blocked: .blocked
            case .cancelled: .cancelled
            case .digestMismatch, .protocol, .configuration, .tooLarge: .invalid
            default: .system
            }
        self.init(code, sentence: error.description)
    }
}
