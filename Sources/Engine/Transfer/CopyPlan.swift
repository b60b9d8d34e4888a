import Archive
import Linux
import OCI

/// A blob to be copied, once for each digest.
final class PlannedBlob {
    let descriptor: Descriptor
    let isConfig: Bool
    /// Where its bytes are, when they were made here.
    let rewritten: FileRange?

    init(_ descriptor: Descriptor, isConfig: Bool = false, rewritten: FileRange? = nil) {
        self.descriptor = descriptor
        self.isConfig = isConfig
        self.rewritten = rewritten
    }
}

/// Everything about an image that is known before its blobs are read: the manifests, in the order they are written.
struct CopyPlan {
    /// A manifest or index of the source.
    indirect enum Node {
        case image(Manifest, FoundManifest)
        case index(Index, FoundManifest, [Node])
    }

    let top: Node

    /// Indexes that stand in an index: builders make one level, and nobody two.
    private static let maximumDepth = 2
    /// Manifests of one index; each costs a request.
    private static let maximumManifests = 1000

    /// Reads and checks all manifests that will be copied.
    ///
    /// The signature policy is asked first, before anything the bytes say is used for more than to find what was signed.
    static func make(
        _ found: FoundManifest, _ source: any ImageSource, _ destination: any ImageDestination, _ options: CopyOptions,
        _ signatures: SignatureSource?
    ) throws(EngineError) -> CopyPlan {
        let document = try checked(found, source, options, signatures)
        switch document {
        case .manifest(let manifest):
            if options.multiArchitecture == .indexOnly {
                throw .invalid("--multi-arch index-only needs an index, and \(source.location) is one image")
            }
            try checkPlatform(manifest, source, options)
            return CopyPlan(top: .image(manifest, found))
        case .index(let index):
            if options.multiArchitecture == .system {
                let chosen = try choose(index, source, options, depth: 0)
                return CopyPlan(top: chosen)
            }
            guard destination.keepsIndexes else {
                throw .invalid(
                    "\(destination.location) holds one platform: leave --all away, or choose another destination, such as oci:DIR")
            }
            var budget = maximumManifests
            return CopyPlan(top: try whole(index, found, source, options, depth: 0, &budget))
        }
    }

    /// The document, once the policy has accepted it.
    private static func checked(
        _ found: FoundManifest, _ source: any ImageSource, _ options: CopyOptions, _ signatures: SignatureSource?
    ) throws(EngineError) -> ManifestDocument {
        let subject = PolicySubject(source.location)
        do throws(EngineError) {
            try options.policy.check(subject, manifestDigest: found.digest, signatures)
        } catch {
            // An index that is not signed may list an image that is.
            guard options.multiArchitecture == .system, error.code == .blocked,
                case .index(let index)? = try? ManifestDocument.decode(found.raw, expected: found.mediaType),
                let wanted = index.manifest(for: options.platform ?? Engine.hostPlatform())
            else { throw error }
            do throws(EngineError) {
                try options.policy.check(subject, manifestDigest: wanted.digest, signatures)
            } catch let second {
                if second.code != .blocked { throw second }
                throw error
            }
        }
        return try documented(source.location.description) { () throws(OCIError) in
            try ManifestDocument.decode(found.raw, expected: found.mediaType)
        }
    }

    /// The image for a platform.
    private static func choose(
        _ index: Index, _ source: any ImageSource, _ options: CopyOptions, depth: Int
    ) throws(EngineError) -> Node {
        let platform = options.platform ?? Engine.hostPlatform()
        guard let wanted = index.manifest(for: platform) else {
            let offered = index.manifests.filter { $0.annotations[Annotation.dockerReferenceType] == nil }
                .compactMap { $0.platform?.description }
            throw EngineError(
                .notFound,
                sentence: "no image found in \(source.location) for platform \(platform)"
                    + (offered.isEmpty ? "" : "; there is " + offered.joined(separator: ", ")))
        }
        let raw = try source.manifest(wanted)
        let found = FoundManifest(raw: raw, mediaType: wanted.mediaType, digest: wanted.digest)
        let document = try documented(wanted.digest.description) { () throws(OCIError) in
            try ManifestDocument.decode(raw, expected: wanted.mediaType)
        }
        switch document {
        case .manifest(let manifest): return .image(manifest, found)
        case .index(let inner):
            guard depth + 1 < maximumDepth else { throw tooDeep(source) }
            return try choose(inner, source, options, depth: depth + 1)
        }
    }

    private static func whole(
        _ index: Index, _ found: FoundManifest, _ source: any ImageSource, _ options: CopyOptions, depth: Int, _ budget: inout Int
    ) throws(EngineError) -> Node {
        if options.multiArchitecture == .indexOnly { return .index(index, found, []) }
        guard depth < maximumDepth else { throw tooDeep(source) }
        var members: [Node] = []
        for descriptor in index.manifests {
            budget -= 1
            guard budget >= 0 else {
                throw .damaged(source.location.description, "its index lists more than \(maximumManifests) manifests")
            }
            let raw = try source.manifest(descriptor)
            let member = FoundManifest(raw: raw, mediaType: descriptor.mediaType, digest: descriptor.digest)
            let document = try documented(descriptor.digest.description) { () throws(OCIError) in
                try ManifestDocument.decode(raw, expected: descriptor.mediaType)
            }
            switch document {
            case .manifest(let manifest): members.append(.image(manifest, member))
            case .index(let inner): members.append(try whole(inner, member, source, options, depth: depth + 1, &budget))
            }
        }
        return .index(index, found, members)
    }

    private static func tooDeep(_ source: any ImageSource) -> EngineError {
        .damaged(source.location.description, "indexes nested too deep")
    }

    /// A platform that was asked for is not given up silently because there is only one.
    private static func checkPlatform(
        _ manifest: Manifest, _ source: any ImageSource, _ options: CopyOptions
    ) throws(EngineError) {
        guard let wanted = options.platform, manifest.config.mediaType.isConfig else { return }
        let bytes = try source.bytes(of: manifest.config)
        let platform = try documented(manifest.config.digest.description) { () throws(OCIError) in
            try ImageConfig.decode(bytes).platform
        }
        guard wanted.isSame(as: platform) || wanted.runs(platform) else {
            throw EngineError(
                .notFound, sentence: "\(source.location) is an image for \(platform), not for \(wanted); leave --platform away to copy it")
        }
    }
}

// MARK: What is written

extension CopyPlan {
    /// Documents in the order they are written, the top last, and every blob once.
    struct Output {
        var documents: [FoundManifest] = []
        var blobs: [PlannedBlob] = []
        private var seen: Set<Digest> = []

        mutating func add(_ blob: PlannedBlob) {
            if seen.insert(blob.descriptor.digest).inserted { blobs.append(blob) }
        }

        mutating func add(_ document: FoundManifest) {
            if seen.insert(document.digest).inserted { documents.append(document) }
        }
    }

    /// The plan with everything that was asked to be converted.
    func rewritten(
        _ source: any ImageSource, _ destination: any ImageDestination, _ options: CopyOptions
    ) throws(EngineError) -> Output {
        var output = Output()
        let rewriter = LayerRewriter(source, destination, options)
        let last = try add(top, rewriter, options, &output)
        // The top is written last, even where a member has the same bytes.
        output.documents.removeAll { $0.digest == last.digest }
        output.documents.append(last)
        return output
    }

    private func add(
        _ node: Node, _ rewriter: LayerRewriter, _ options: CopyOptions, _ output: inout Output
    ) throws(EngineError) -> FoundManifest {
        switch node {
        case .image(let manifest, let found): return try add(manifest, found, rewriter, &output)
        case .index(let index, let found, let members):
            var descriptors = index.manifests
            for (number, member) in members.enumerated() {
                let written = try add(member, rewriter, options, &output)
                if written.digest == descriptors[number].digest { continue }
                descriptors[number].digest = written.digest
                descriptors[number].size = written.size
                descriptors[number].mediaType = written.mediaType ?? descriptors[number].mediaType
                descriptors[number].data = nil
            }
            let type = options.format?.indexType ?? found.mediaType ?? index.mediaType
            if descriptors == index.manifests, type == index.mediaType {
                output.add(FoundManifest(raw: found.raw, mediaType: index.mediaType, digest: found.digest))
                return FoundManifest(raw: found.raw, mediaType: index.mediaType, digest: found.digest)
            }
            try rewriter.refuseIfPreserving("the index would be written as \(type)")
            let isDocker = type == .dockerManifestList
            let changed = Index(
                mediaType: type, artifactType: isDocker ? "" : index.artifactType, manifests: descriptors,
                subject: isDocker ? nil : index.subject, annotations: isDocker ? [:] : index.annotations)
            let written = try FoundManifest(raw: changed.raw, mediaType: type)
            output.add(written)
            return written
        }
    }

    private func add(
        _ manifest: Manifest, _ found: FoundManifest, _ rewriter: LayerRewriter, _ output: inout Output
    ) throws(EngineError) -> FoundManifest {
        let result = try rewriter.rewrite(manifest)
        for blob in result.blobs { output.add(blob) }
        let written =
            try result.manifest.raw == found.raw
            ? FoundManifest(raw: found.raw, mediaType: manifest.mediaType, digest: found.digest)
            : FoundManifest(raw: result.manifest.raw, mediaType: result.manifest.mediaType)
        output.add(written)
        return written
    }
}
