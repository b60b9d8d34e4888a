import OCI

/// What refers to a manifest: by the registry's own lists, or by an index that clients keep under a tag.
///
/// Spec: OCI distribution-spec 1.1, "Listing Referrers", "Pushing Manifests with Subject", "Referrers Tag Schema".
extension Repository {
    /// What refers to a manifest (signatures, attestations), by the API or else by the tag schema.
    public func referrers(_ digest: Digest, artifactType: String? = nil) throws(RegistryError) -> [Descriptor] {
        let found = try reading(isDigest: true) { (source, attempts) throws(RegistryError) in
            var found: [Descriptor] = []
            var rest = "referrers/" + digest.description
            if let artifactType { rest += "?artifactType=" + WebAddress.queryEscaped(artifactType) }
            let first = source.call(.GET, rest, ["pull"], "referrers of " + shown(digest.description))
            do throws(RegistryError) {
                try pages(first, attempts) { (bytes) throws(RegistryError) in found += try index(bytes, source).manifests }
                return found
            } catch {
                // A registry from before version 1.1 of the specification: an index under a tag takes the API's place.
                guard error.code == .notFound || error.status == 400 || error.status == 405 else { throw error }
                return try referrersByTag(digest)
            }
        }
        guard let artifactType else { return found }
        // The registry may have filtered; twice does no harm.
        return found.filter { $0.artifactType == artifactType }
    }

    private func referrersByTag(_ digest: Digest) throws(RegistryError) -> [Descriptor] {
        do throws(RegistryError) {
            let fetched = try manifest(Repository.referrersTag(of: digest))
            return try index(fetched.bytes, try registry()).manifests
        } catch {
            if error.code == .notFound { return [] }
            throw error
        }
    }

    private func index(_ bytes: [UInt8], _ source: Source) throws(RegistryError) -> Index {
        do throws(OCIError) {
            return try Index.decode(bytes)
        } catch {
            throw RegistryError(.protocol, "\(source.host.name): referrers: \(error.description)")
        }
    }

    /// Where clients list what refers to a manifest when the registry does not.
    private static func referrersTag(of subject: Digest) -> String {
        subject.algorithm.rawValue.prefix(32) + "-" + subject.hex.prefix(64)
    }

    /// Lists a manifest that was pushed among the referrers of its subject, at a registry that does not do so itself.
    ///
    /// Two clients that do this at once may lose one of the entries: the specification has no condition for a tag.
    /// - Throws: `.protocol` when the subject's tag has something else than an index; then the tag is left as it is.
    func listReferrer(_ manifest: [UInt8], _ mediaType: MediaType, _ digest: Digest) throws(RegistryError) {
        guard let (subject, entry) = Repository.referrer(manifest, mediaType, digest) else { return }
        let kept = try keptReferrers(of: subject)
        if kept.manifests.contains(where: { $0.digest == digest }) { return }
        try keep(kept.manifests + [entry], kept, of: subject)
    }

    /// Takes a manifest that was deleted from the referrers of its subject, at a registry that keeps no lists itself.
    public func unlistReferrer(_ manifest: FetchedManifest) throws(RegistryError) {
        guard let (subject, _) = Repository.referrer(manifest.bytes, manifest.mediaType, manifest.digest) else { return }
        let kept = try keptReferrers(of: subject)
        let rest = kept.manifests.filter { $0.digest != manifest.digest }
        if rest.count < kept.manifests.count { try keep(rest, kept, of: subject) }
    }

    private func keep(_ manifests: [Descriptor], _ before: Index, of subject: Digest) throws(RegistryError) {
        let index = Index(manifests: manifests, annotations: before.annotations)
        try put(index.raw, index.mediaType, as: Repository.referrersTag(of: subject))
    }

    /// The subject of a manifest or index, and the descriptor that a list of referrers has of it; nil without a subject.
    private static func referrer(
        _ bytes: [UInt8], _ mediaType: MediaType, _ digest: Digest
    ) -> (subject: Digest, entry: Descriptor)? {
        // What a registry took without a word is not refused here.
        guard let document = try? ManifestDocument.decode(bytes, expected: mediaType) else { return nil }
        let size = Int64(bytes.count)
        switch document {
        case .manifest(let manifest):
            guard let subject = manifest.subject else { return nil }
            let type = manifest.artifactType.isEmpty ? manifest.config.mediaType.rawValue : manifest.artifactType
            let entry = Descriptor(
                mediaType: mediaType, digest: digest, size: size, annotations: manifest.annotations, artifactType: type)
            return (subject.digest, entry)
        case .index(let index):
            guard let subject = index.subject else { return nil }
            let entry = Descriptor(
                mediaType: mediaType, digest: digest, size: size, annotations: index.annotations, artifactType: index.artifactType)
            return (subject.digest, entry)
        }
    }

    /// What the tag of a subject lists at the registry itself: a mirror may be behind.
    private func keptReferrers(of subject: Digest) throws(RegistryError) -> Index {
        let source = try registry()
        do throws(RegistryError) {
            return try index(try manifest(Repository.referrersTag(of: subject), nil, source, nil).bytes, source)
        } catch {
            if error.code == .notFound { return Index(manifests: []) }
            throw error
        }
    }
}
