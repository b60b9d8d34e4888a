import Archive
import Linux
import OCI
import Registry
import Store

/// What happens to a layer on its way here.
public typealias ImageFetchEvent = FetchEvent

/// Is told how a pull goes. `layer` is called by several threads at once; the other two by the caller's.
public protocol PullObserver: FetchObserver {
    /// A name was resolved and is about to be fetched.
    func pulling(_ reference: Reference)
    /// The layers that the indexes of `layer` stand for, lowest first.
    func planned(_ layers: [Descriptor])
}

/// What `pull` is asked for.
public struct PullOptions {
    /// `--platform`; empty takes what runs on this machine.
    public var platform = ""
    public var access = TransferAccess()
    /// Asked before anything of an image is used.
    public var policy: Policy
    /// Pins of names to digests; nil for none.
    public var lock: LockFile?
    /// Fetches what is missing although the image looks up to date: `system check --repair`.
    var isRepair = false

    public init(policy: Policy) { self.policy = policy }
}

/// An image that a name at a registry stands for, and that is here now.
public struct PulledImage: Sendable {
    public var reference: Reference
    /// `sha256:…` of its config.
    public var id: String
    /// What the registry calls it: the digest of the manifest or index that the name stands for.
    public var digest: Digest
    /// Whether anything had to be fetched or named.
    public var isNew: Bool
}

extension Engine {
    /// Brings an image here from its registry, or makes sure that it is up to date (one HEAD request then).
    ///
    /// - Parameter text: as typed: `alpine`, `user/img:tag`, `host:5000/x@sha256:…`.
    /// - Throws: `.notFound`, `.permission`, `.invalid`, `.system`; what was fetched is kept for the next call.
    public func pull(_ text: String, _ options: PullOptions, _ observer: (any PullObserver)?) throws(EngineError) -> PulledImage {
        let platform = try self.platform(options.platform)
        // What is wrong with it is told before anything is fetched.
        _ = try Configuration.load()
        let client = try options.access.client()
        // It ends all connections when it goes.
        defer { withExtendedLifetime(client) {} }
        let candidates = try remote { () throws(RegistryError) in try client.candidates(text) }
        var first: EngineError?
        for reference in candidates {
            do throws(EngineError) {
                let pulled = try pull(reference, platform, client, options, observer)
                try options.lock?.commit()
                if pulled.isNew { try collectImages(keeping: [pulled.id]) }
                announce(pulled)
                return pulled
            } catch {
                // A short name stands for the first registry of the list that has it.
                guard error.code == .notFound || error.code == .permission else { throw error }
                if first == nil { first = error }
            }
        }
        throw first ?? .noSuchImage(text)
    }

    /// All tags of a repository.
    public func pullAllTags(
        _ text: String, _ options: PullOptions, _ observer: (any PullObserver)?
    ) throws(EngineError) -> [PulledImage] {
        let platform = try self.platform(options.platform)
        let client = try options.access.client()
        defer { withExtendedLifetime(client) {} }
        let candidates = try remote { () throws(RegistryError) in try client.candidates(text) }
        guard let repository = candidates.first?.repository else { throw .noSuchImage(text) }
        let tags = try remote { () throws(RegistryError) in try client.repository(repository).tags() }
        var result: [PulledImage] = []
        for tag in tags {
            let reference: Reference
            do throws(OCIError) { reference = try repository.with(tag: tag) } catch { continue }
            result.append(try pull(reference, platform, client, options, observer))
        }
        try options.lock?.commit()
        try collectImages(keeping: Set(result.map(\.id)))
        for image in result { announce(image) }
        return result
    }

    /// Fetches what is missing of an image that a repository is known to have: the repair of `system check`.
    ///
    /// - Parameter reference: `docker.io/library/x@sha256:…`
    public func refetch(_ reference: String, _ digest: Digest) throws(EngineError) {
        var options = PullOptions(policy: try Policy.load())
        options.isRepair = true
        _ = try pull(reference, options, nil)
    }

    private func pull(
        _ reference: Reference, _ platform: Platform?, _ client: RegistryClient, _ options: PullOptions,
        _ observer: (any PullObserver)?
    ) throws(EngineError) -> PulledImage {
        let pinned = try options.lock?.digest(of: reference) ?? reference.digest
        let trusts = options.policy.acceptsEverything
        // What a digest names cannot change: nobody need be asked.
        if let pinned, trusts, !options.isRepair, let known = try known(reference, pinned, platform) { return known }
        let repository = try remote { () throws(RegistryError) in try client.repository(reference) }
        let target = pinned?.description ?? reference.target
        guard let head = try remote({ () throws(RegistryError) in try repository.head(target) }) else {
            throw notThere(reference)
        }
        if !trusts {
            try options.policy.check(PolicySubject(registry: reference), manifestDigest: head.digest) {
                (digest) throws(EngineError) in try repository.sigstoreSignatures(of: digest)
            }
        }
        try options.lock?.pin(reference, head.digest)
        if !options.isRepair, let known = try known(reference, head.digest, platform) { return known }
        observer?.pulling(reference)
        let image = try describe(reference, head, repository, platform)
        observer?.planned(image.manifest.layers)
        let store = try self.store()
        let loaded = try stored { () throws(StoreError) in
            try store.fetch(
                image, from: RegistryBlobs(repository),
                options: FetchOptions(
                    parallel: options.access.parallel, observer: observer, cancellation: options.access.cancellation))
        }
        return PulledImage(reference: reference, id: loaded.id, digest: head.digest, isNew: true)
    }

    private func announce(_ pulled: PulledImage) {
        announce("pull", image: pulled.reference.familiar, name: pulled.reference.familiarName, labelsOf: pulled.id)
    }

    private func notThere(_ reference: Reference) -> EngineError {
        EngineError(
            .notFound, sentence: "manifest for \(reference.familiar) not found: \(reference.registryHost) has no such image or tag",
            exitCode: 1)
    }

    // MARK: What is here already

    /// The image that a digest at this name stands for, when it is here, fits the platform and needs no more than its name.
    private func known(
        _ reference: Reference, _ digest: Digest, _ platform: Platform?
    ) throws(EngineError) -> PulledImage? {
        guard hasStore else { return nil }
        let store = try self.store()
        let full = reference.repository.with(digest: digest).description
        return try stored { () throws(StoreError) -> PulledImage? in
            guard let id = try store.imageID(ofDigest: full), try store.isWhole(image: id) else { return nil }
            let config = try store.imageConfig(id: id)
            // One index, several platforms: another of its images may be asked for.
            guard (platform ?? Engine.hostPlatform()).runs(config.platform) else { return nil }
            let named = reference.tag == nil ? id : try store.imageID(tagged: reference.tagged)
            let isNamed = named == id
            if !isNamed { _ = try store.tag(id, as: reference.tagged) }
            return PulledImage(reference: reference, id: id, digest: digest, isNew: !isNamed)
        }
    }

    // MARK: Documents

    /// Fetches and checks everything about an image but its layers.
    private func describe(
        _ reference: Reference, _ head: Descriptor, _ repository: Repository, _ platform: Platform?
    ) throws(EngineError) -> RemoteImage {
        let host = Engine.hostPlatform()
        var fetched = try fetch(head.digest.description, repository)
        var digests = [reference.called(fetched.descriptor)]
        var index: (digest: Digest, bytes: [UInt8])?
        var document = try understood(fetched, reference)
        if case .index(let list) = document {
            index = (fetched.digest, fetched.bytes)
            guard let chosen = list.manifest(for: platform ?? host) else {
                throw missingPlatform(reference, platform ?? host, list)
            }
            fetched = try fetch(chosen.digest.description, repository)
            guard Int64(fetched.bytes.count) == chosen.size else {
                throw wrong(reference, "manifest \(chosen.digest) has \(fetched.bytes.count) bytes instead of \(chosen.size)")
            }
            digests.append(reference.called(fetched.descriptor))
            document = try understood(fetched, reference)
        }
        guard case .manifest(let manifest) = document else { throw wrong(reference, "an index in an index") }
        guard manifest.config.mediaType.isConfig else {
            throw EngineError(
                .invalid, sentence: "\(reference.familiar) is an artifact of type \(artifactType(manifest)), not an image",
                exitCode: 1)
        }
        let bytes = try remote { () throws(RegistryError) in try repository.smallBlob(manifest.config, limit: 4 << 20) }
        let config = try stored { () throws(StoreError) in try Store.checkedConfig(bytes, manifest) }
        if let platform, !platform.runs(config.platform), !platform.isSame(as: config.platform) {
            throw EngineError(
                .notFound,
                sentence: "image with reference \(reference.familiar) was found but does not match the specified platform: "
                    + "wanted \(platform), actual: \(config.platform)", exitCode: 1)
        }
        return RemoteImage(
            config: config, manifest: manifest, index: index,
            names: reference.tag == nil ? [] : [reference.tagged], digests: digests)
    }

    private func artifactType(_ manifest: Manifest) -> String {
        manifest.artifactType.isEmpty ? manifest.config.mediaType.rawValue : manifest.artifactType
    }

    private func fetch(_ target: String, _ repository: Repository) throws(EngineError) -> FetchedManifest {
        try remote { () throws(RegistryError) in try repository.manifest(target) }
    }

    private func understood(_ fetched: FetchedManifest, _ reference: Reference) throws(EngineError) -> ManifestDocument {
        if fetched.mediaType.isSchema1 {
            throw EngineError(
                .invalid,
                sentence:
                    "\(reference.familiar) is in docker's image format of before 2017 (schema 1), which is not supported: push it again with a newer docker",
                exitCode: 1)
        }
        do throws(OCIError) {
            return try ManifestDocument.decode(fetched.bytes, expected: fetched.mediaType)
        } catch {
            throw wrong(reference, error.description)
        }
    }

    private func wrong(_ reference: Reference, _ cause: String) -> EngineError {
        EngineError(.invalid, sentence: "pull \(reference.familiar): \(cause)", exitCode: 1)
    }

    private func missingPlatform(_ reference: Reference, _ wanted: Platform, _ index: Index) -> EngineError {
        let known = index.manifests.filter { $0.annotations[Annotation.dockerReferenceType] == nil }
            .compactMap { $0.platform?.description }
        let offer = known.isEmpty ? "" : ": it has " + known.joined(separator: ", ")
        return EngineError(
            .notFound, sentence: "no image for platform \(wanted) in \(reference.familiar)\(offer)", exitCode: 1)
    }
}

extension Reference {
    /// `docker.io/library/x:tag`, without a digest: what the store calls an image by.
    var tagged: Reference {
        // Its own tag was checked when it was parsed.
        (try? repository.with(tag: tag ?? Reference.defaultTag)) ?? withDefaultTag
    }

    /// A document as this name's registry calls it.
    func called(_ document: Descriptor) -> RepositoryDigest {
        RepositoryDigest(
            reference: repository.with(digest: document.digest).description, mediaType: document.mediaType.rawValue,
            size: document.size)
    }
}
