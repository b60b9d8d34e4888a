import Archive
import Glibc
import Linux
import OCI
import Registry

/// Both sides of a copy, with how each talks to its registry.
public struct CopyRequest {
    public var source: ImageLocation
    public var destination: ImageLocation
    public var sourceAccess = TransferAccess()
    public var destinationAccess = TransferAccess()
    public var options = CopyOptions()
    /// Pins of names to digests; nil for none.
    public var lock: LockFile?

    public init(source: ImageLocation, destination: ImageLocation) {
        self.source = source
        self.destination = destination
    }
}

extension Engine {
    /// Copies an image from one place to another. The local store is touched only where a side names it.
    ///
    /// - Throws: `.blocked` when the signature policy refuses it; `.notFound`, `.permission`, `.invalid`, `.system`.
    public func copyImage(_ request: CopyRequest) throws(EngineError) -> CopyResult {
        var attempt = 0
        while true {
            do throws(EngineError) {
                return try copyOnce(request)
            } catch {
                // Only what may be otherwise in a moment: a refusal stays one.
                guard attempt < request.options.retries, error.code == .system, !request.options.cancellation.isCancelled
                else { throw error }
                attempt += 1
                request.options.progress("Copying failed, trying again: \(error.description)")
                request.options.cancellation.sleep(milliseconds: min(30, 1 << min(attempt, 5)) * 1000)
                if request.options.cancellation.isCancelled { throw .interruptedCopy }
            }
        }
    }

    private func copyOnce(_ request: CopyRequest) throws(EngineError) -> CopyResult {
        var (from, to) = (request.sourceAccess, request.destinationAccess)
        from.cancellation = request.options.cancellation
        to.cancellation = request.options.cancellation
        let source = try openSource(request.source, from, request.lock)
        let destination = try openDestination(
            request.destination, to, tags: request.options.additionalTags)
        let result = try ImageCopier(source, destination, request.options).run(signatures: signatures(of: source))
        if let lock = request.lock, let pinned = (source as? RegistrySource)?.found {
            try lock.pin(pinned.reference, pinned.digest)
            try lock.commit()
        }
        return result
    }

    func openSource(
        _ location: ImageLocation, _ access: TransferAccess, _ lock: LockFile? = nil
    ) throws(EngineError) -> any ImageSource {
        switch location.transport {
        case .registry:
            var pinned: Digest?
            if let lock, let reference = location.reference { pinned = try lock.digest(of: reference) }
            return try RegistrySource(location, try access.client(), pinned: pinned)
        case .layout, .layoutArchive: return try LayoutSource(location)
        case .dockerArchive: return try DockerArchiveSource(location)
        case .directory: return try DirectorySource(location)
        case .store: return try StoreSource(self, location)
        }
    }

    func openDestination(
        _ location: ImageLocation, _ access: TransferAccess, tags: [Reference] = []
    ) throws(EngineError) -> any ImageDestination {
        guard tags.isEmpty || location.transport == .dockerArchive else {
            throw .invalid("further tags are for docker-archive: only")
        }
        switch location.transport {
        case .registry: return try RegistryDestination(location, try access.client())
        case .layout: return try LayoutDestination(location)
        case .layoutArchive: return try LayoutArchiveDestination(location)
        case .dockerArchive: return try DockerArchiveDestination(location, tags: tags)
        case .directory: return try DirectoryDestination(location)
        case .store: return try StoreDestination(self, location, access)
        }
    }

    /// How the signatures of a source's images are fetched; nil where there are none.
    func signatures(of source: any ImageSource) -> SignatureSource? {
        guard let source = source as? RegistrySource else { return nil }
        return { (digest) throws(EngineError) in try source.repository.sigstoreSignatures(of: digest) }
    }
}

extension Repository {
    /// The cosign signatures of a manifest, from the tag that cosign keeps them under. None is no error.
    ///
    /// What is no signature in there is passed over: whether enough of them are good is the policy's question.
    public func sigstoreSignatures(of digest: Digest) throws(EngineError) -> [SigstoreSignature] {
        let tag = SigstoreSignature.tag(of: digest)
        let found: FetchedManifest
        do throws(RegistryError) { found = try manifest(tag) } catch {
            if error.code == .notFound { return [] }
            throw EngineError(registry: error)
        }
        let manifest = try documented(tag) { () throws(OCIError) in
            try Manifest.decode(found.bytes, expected: found.mediaType)
        }
        var signatures: [SigstoreSignature] = []
        for layer in manifest.layers.prefix(SigstoreSignature.countLimit) {
            guard layer.mediaType == SigstoreSignature.mediaType,
                let signature = layer.annotations[SigstoreSignature.annotation]
            else { continue }
            let payload = try remote { () throws(RegistryError) in
                try smallBlob(layer, limit: SigstoreSignature.payloadLimit)
            }
            signatures.append(SigstoreSignature(payload: payload, signature: signature))
        }
        return signatures
    }
}
