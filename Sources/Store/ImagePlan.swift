import Archive
import JSON
import Linux
import OCI

/// An image found in an archive: everything about it is checked except the bytes of its layers.
struct PlannedImage {
    var config: ImageConfig
    var id: Digest
    /// The manifest it came with; nil for a docker-archive, which has none.
    var manifest: Manifest?
    var layers: [PlannedLayer]
    var names: [Reference]
    /// What a registry called it.
    var digests: [RepositoryDigest] = []
    /// Further documents that are kept with it.
    var documents: [(digest: Digest, bytes: [UInt8])] = []
}

/// Where the stored bytes of a layer are.
enum LayerContent {
    case file(Content)
    case remote(RemoteLayer)
}

struct PlannedLayer {
    var content: LayerContent
    /// What the manifest says about the stored bytes; nil when there is no manifest.
    var descriptor: Descriptor?
    var diffID: Digest
}

/// Reads what images an archive has.
struct ImagePlanner {
    let archive: ImageArchive
    /// What `--platform` asks for; nil takes whatever runs here, or the only one there is.
    let platform: Platform?
    let host: Platform

    func plan() throws(StoreError) -> [PlannedImage] {
        let tags = try dockerEntries()
        if try archive.find(OCILayout.fileName) != nil, let index = try archive.read(OCILayout.indexName) {
            return try planLayout(index, tags ?? [])
        }
        if let tags { return try planDocker(tags) }
        if try archive.find("repositories") != nil {
            throw failure(.unsupported, "docker's format of before version 1.10; save it again with a newer docker")
        }
        throw failure(.corrupt, "neither an OCI layout nor a docker archive; use import for the tar of a root file system")
    }

    private func failure(_ code: StoreError.Code, _ cause: String) -> StoreError {
        StoreError(code, "load image", archive.description, cause: cause)
    }

    // MARK: OCI layout

    private func planLayout(_ bytes: [UInt8], _ tags: [DockerArchiveEntry]) throws(StoreError) -> [PlannedImage] {
        guard let marker = try archive.read(OCILayout.fileName, limit: 64 << 10) else { return [] }
        _ = try document(OCILayout.fileName) { () throws(OCIError) in try OCILayout.decode(marker) }
        let index = try document(OCILayout.indexName) { () throws(OCIError) in try Index.decode(bytes) }
        // Descriptors of one name are one image for several platforms; without a name, all of them together are.
        var groups: [(name: String?, members: [Descriptor])] = []
        for descriptor in index.manifests where descriptor.annotations[Annotation.dockerReferenceType] == nil {
            // Spec: OCI image-spec 1.1 image-layout.md "index.json file": a type that is unknown is no error.
            let type = descriptor.mediaType
            guard type.isManifest || type.isIndex || type.isSchema1 || type.rawValue.isEmpty else { continue }
            // The spec's own annotation is any text, such as a version: what is no name of an image names none.
            let name =
                descriptor.annotations[Annotation.containerdImageName]
                ?? descriptor.annotations[Annotation.refName].flatMap { (try? Reference.parse($0)) == nil ? nil : $0 }
            if let known = groups.firstIndex(where: { $0.name == name }) {
                groups[known].members.append(descriptor)
            } else {
                groups.append((name, [descriptor]))
            }
        }
        guard !groups.isEmpty else { throw failure(.corrupt, "no image in it") }
        var images: [PlannedImage] = []
        for group in groups {
            for descriptor in try choose(group.members) {
                var image = try planManifest(descriptor, depth: 0)
                if let name = group.name { image.names.append(try reference(name)) }
                // A docker archive that is also a layout says the names in manifest.json too.
                for entry in tags where entry.config == image.id.layoutPath {
                    image.names += try entry.tags.map { (tag) throws(StoreError) in try reference(tag) }
                }
                if let known = images.firstIndex(where: { $0.id == image.id }) {
                    images[known].names += image.names
                } else {
                    images.append(image)
                }
            }
        }
        return images
    }

    private func choose(_ members: [Descriptor]) throws(StoreError) -> [Descriptor] {
        if members.count == 1 { return members }
        // Without platforms they are simply several images.
        if platform == nil, members.allSatisfy({ $0.platform == nil }) { return members }
        let platforms = members.map(\.platform)
        let wanted = platform ?? host
        let areVariants = platforms.indices.allSatisfy { !platforms[..<$0].contains(platforms[$0]) }
        if areVariants, let best = wanted.best(of: platforms) { return [members[best]] }
        // Several of one platform: `docker save` of images by their ids.
        let fitting = areVariants ? [] : members.filter { wanted.best(of: [$0.platform]) != nil }
        if fitting.isEmpty { throw missingPlatform() }
        return fitting
    }

    private func missingPlatform() -> StoreError {
        failure(.notFound, "no image for platform \(platform ?? host)")
    }

    private func planManifest(_ descriptor: Descriptor, depth: Int) throws(StoreError) -> PlannedImage {
        let bytes = try verified(descriptor)
        let parsed = try document(descriptor.digest.description) { () throws(OCIError) in
            try ManifestDocument.decode(bytes, expected: descriptor.mediaType)
        }
        switch parsed {
        case .index(let index):
            // An index in an index is how builders store an image for several platforms; deeper nesting is none.
            guard depth < 2 else { throw failure(.corrupt, "indexes nested too deep") }
            if let found = index.manifest(for: platform ?? host) { return try planManifest(found, depth: depth + 1) }
            let images = index.manifests.filter { $0.annotations[Annotation.dockerReferenceType] == nil }
            if platform == nil, images.count == 1 { return try planManifest(images[0], depth: depth + 1) }
            throw missingPlatform()
        case .manifest(let manifest):
            return try plan(manifest)
        }
    }

    private func plan(_ manifest: Manifest) throws(StoreError) -> PlannedImage {
        guard manifest.config.mediaType.isConfig else {
            throw failure(.unsupported, "artifact of type \(manifest.config.mediaType), not an image")
        }
        let config = try Store.checkedConfig(try verified(manifest.config), manifest, of: archive.description)
        if let platform, !platform.runs(config.platform) { throw missingPlatform() }
        var layers: [PlannedLayer] = []
        for (descriptor, diffID) in zip(manifest.layers, config.rootfs.diffIDs) {
            let content = try archive.blob(descriptor.digest)
            guard content.size == descriptor.size else {
                throw failure(
                    .digestMismatch, "blob \(descriptor.digest) has \(content.size) bytes instead of \(descriptor.size)")
            }
            layers.append(PlannedLayer(content: .file(content), descriptor: descriptor, diffID: diffID))
        }
        return PlannedImage(
            config: config, id: manifest.config.digest, manifest: manifest, layers: layers, names: [])
    }

    /// A small blob whose size and digest are right.
    private func verified(_ descriptor: Descriptor) throws(StoreError) -> [UInt8] {
        try requireSHA256(descriptor.digest)
        let content = try archive.blob(descriptor.digest)
        let bytes = try content.bytes(limit: 4 << 20, of: descriptor.digest.description)
        guard Int64(bytes.count) == descriptor.size, SHA256.hex(bytes) == descriptor.digest.hex else {
            throw failure(.digestMismatch, "blob \(descriptor.digest) has other content than its digest says")
        }
        return bytes
    }

    private func requireSHA256(_ digest: Digest) throws(StoreError) {
        try Store.requireSHA256(digest, of: archive.description)
    }

    /// A config that can run on the platform asked for.
    private func config(_ bytes: [UInt8], _ digest: Digest) throws(StoreError) -> ImageConfig {
        let config = try Store.boundedConfig(bytes, digest, of: archive.description)
        if let platform, !platform.runs(config.platform) { throw missingPlatform() }
        return config
    }

    // MARK: Docker archive

    /// The entries of `manifest.json`; nil without one.
    private func dockerEntries() throws(StoreError) -> [DockerArchiveEntry]? {
        guard let bytes = try archive.read(DockerArchiveEntry.fileName) else { return nil }
        do throws(JSONError) { return try DockerArchiveEntry.decode(bytes) } catch {
            throw failure(.corrupt, "\(DockerArchiveEntry.fileName): \(error.reason)")
        }
    }

    private func planDocker(_ entries: [DockerArchiveEntry]) throws(StoreError) -> [PlannedImage] {
        guard !entries.isEmpty else { throw failure(.corrupt, "no image in it") }
        var images: [PlannedImage] = []
        for entry in entries {
            guard let bytes = try archive.read(entry.config), let id = Digest("sha256:" + SHA256.hex(bytes)) else {
                throw failure(.corrupt, "config \"\(entry.config)\" is missing")
            }
            let config = try config(bytes, id)
            guard entry.layers.count == config.rootfs.diffIDs.count else {
                throw failure(.corrupt, "\(config.rootfs.diffIDs.count) diff ids for \(entry.layers.count) layers")
            }
            var layers: [PlannedLayer] = []
            for (name, diffID) in zip(entry.layers, config.rootfs.diffIDs) {
                guard let content = try archive.find(name) else { throw failure(.corrupt, "layer \"\(name)\" is missing") }
                layers.append(PlannedLayer(content: .file(content), descriptor: nil, diffID: diffID))
            }
            images.append(
                PlannedImage(
                    config: config, id: id, manifest: nil, layers: layers,
                    names: try entry.tags.map { (tag) throws(StoreError) in try reference(tag) }))
        }
        return images
    }

    private func reference(_ text: String) throws(StoreError) -> Reference {
        try document(text) { () throws(OCIError) in try Reference.parse(text).withDefaultTag }
    }
}

extension Store {
    /// Reads an image's config and checks it against its manifest: everything that can be known before a layer is here.
    ///
    /// - Parameters:
    ///   - bytes: of the digest that the manifest says; the caller has verified that.
    ///   - name: what the image is read from, for messages.
    /// - Throws: `.corrupt`, `.unsupported`, `.tooLarge`.
    public static func checkedConfig(
        _ bytes: [UInt8], _ manifest: Manifest, of name: String = ""
    ) throws(StoreError) -> ImageConfig {
        try requireSHA256(manifest.config.digest, of: name)
        let config = try boundedConfig(bytes, manifest.config.digest, of: name)
        try document(name) { () throws(OCIError) in try config.check(against: manifest) }
        for layer in manifest.layers {
            guard layer.mediaType.isLayer else {
                throw StoreError(.unsupported, "load image", name, cause: "layer of type \"\(layer.mediaType)\"")
            }
            try requireSHA256(layer.digest, of: name)
        }
        return config
    }

    static func boundedConfig(_ bytes: [UInt8], _ digest: Digest, of name: String) throws(StoreError) -> ImageConfig {
        let config = try document(digest.description) { () throws(OCIError) in try ImageConfig.decode(bytes) }
        for diffID in config.rootfs.diffIDs { try requireSHA256(diffID, of: name) }
        // Overlay takes 500 lower layers at most (OVL_MAX_STACK).
        guard config.rootfs.diffIDs.count <= 500 else {
            throw StoreError(.tooLarge, "load image", name, cause: "more than 500 layers")
        }
        return config
    }

    static func requireSHA256(_ digest: Digest, of name: String) throws(StoreError) {
        guard digest.algorithm == .sha256 else {
            throw StoreError(.unsupported, "load image", name, cause: "digest algorithm of \(digest)")
        }
    }
}
