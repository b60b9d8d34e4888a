import Archive
import Glibc
import JSON
import Linux
import OCI

/// How ``Store/save(_:to:format:)`` writes images.
public enum SaveFormat: String, Sendable, CaseIterable {
    /// What `docker save` writes today: an OCI layout with the `manifest.json` that older readers want beside it. Layers are
    /// plain tars, as dockerd before version 23 reads no zstd and Docker itself writes no others.
    case dockerArchive = "docker-archive"
    /// A tar of an OCI layout and nothing else, with manifests and layers as they came in.
    case ociArchive = "oci-archive"
    /// The same as files in a directory.
    case ociDirectory = "oci-dir"
}

extension Store {
    /// An image and the names it is saved under; none for an image that is only known by its id.
    public typealias SavedImage = (id: String, names: [Reference])

    /// Writes images: the same images give the same bytes, and every blob is written once.
    ///
    /// Every blob is read against its digest on the way, so that a damaged one is found here and not where the archive is loaded.
    /// - Parameters:
    ///   - descriptor: where the archive goes, an empty directory for ``SaveFormat/ociDirectory``; stays the caller's.
    /// - Throws: `.notFound`, `.corrupt` when a blob is not what its name says any more, `.system`.
    public func save(_ images: [SavedImage], to descriptor: FD, format: SaveFormat) throws(StoreError) {
        // Held against another command's rmi until the last blob is read.
        let content = try contentLock(.shared)
        defer { withExtendedLifetime(content) {} }
        var details: [(details: ImageDetails, names: [Reference])] = []
        for image in images { details.append((try imageDetails(id: image.id), image.names)) }
        let file = try system { () throws(SystemError) in SharedFD(try descriptor.duplicate()) }
        let output: any ImageOutput = try archive { () throws(ArchiveError) in
            if format == .ociDirectory { return try DirectoryImageOutput(file) }
            return try TarImageOutput(file)
        }
        let saving = Saving(self, output, plain: format == .dockerArchive)
        for (details, names) in details { try saving.add(details, names) }
        try saving.finish(manifestList: format == .dockerArchive)
    }
}

/// One run of ``Store/save(_:to:format:)``.
private final class Saving {
    private let store: Store
    private let output: any ImageOutput
    /// Layers are written without compression.
    private let plain: Bool
    private var written: Set<String> = []
    private var images: [(manifest: Manifest, platform: Platform, names: [Reference])] = []

    init(_ store: Store, _ output: any ImageOutput, plain: Bool) {
        self.store = store
        self.output = output
        self.plain = plain
    }

    func add(_ details: ImageDetails, _ names: [Reference]) throws(StoreError) {
        let stored = details.manifest
        let layers = Array(zip(stored.layers, details.layers))
        guard layers.count == stored.layers.count, details.layers.count == layers.count else {
            throw StoreError(
                .corrupt, "save image", details.record.id, cause: "some of its layers are unknown (berth system check tells more)")
        }
        let isChanged = plain && layers.contains { $0.digest.description != $1.diffID }
        // The config stays, and with it the image's id; the layers' descriptors are the manifest's only part that changes.
        let manifest = isChanged ? try Self.plain(stored, details) : stored
        if isChanged {
            try write(document: manifest.raw)
        } else {
            try write(blob: details.record.manifestDigest, Int64(manifest.raw.count))
        }
        try write(blob: manifest.config.digest.description, manifest.config.size)
        for (descriptor, layer) in layers {
            if isChanged, descriptor.digest.description != layer.diffID {
                try write(layer: descriptor, diffID: layer.diffID, size: layer.size)
            } else {
                try write(blob: descriptor.digest.description, descriptor.size)
            }
        }
        images.append((manifest, details.config.platform, names))
    }

    private static func plain(_ stored: Manifest, _ details: ImageDetails) throws(StoreError) -> Manifest {
        var config = stored.config
        config.mediaType = .ociConfig
        var layers: [Descriptor] = []
        for layer in details.layers {
            let digest = try document(details.record.id) { () throws(OCIError) in try Digest.parse(layer.diffID) }
            layers.append(Descriptor(mediaType: .ociLayer, digest: digest, size: layer.size))
        }
        return Manifest(config: config, layers: layers, annotations: stored.annotations)
    }

    // MARK: Blobs

    private func write(document bytes: [UInt8]) throws(StoreError) {
        let hex = SHA256.hex(bytes)
        guard written.insert("sha256:" + hex).inserted else { return }
        try archive { () throws(ArchiveError) in try output.add("blobs/sha256/" + hex, bytes) }
    }

    private func open(_ digest: String) throws(StoreError) -> SharedFD {
        do throws(SystemError) {
            return SharedFD(
                try store.root.fd.open(Store.Directory.blobs + "/" + hexPart(digest), [.readOnly, .noFollow, .nonBlocking]))
        } catch {
            guard error.errno == .noEntry else { throw StoreError(error) }
            throw Self.damaged(digest, "is missing")
        }
    }

    private static func damaged(_ digest: String, _ what: String) -> StoreError {
        StoreError(.corrupt, "save image", digest, cause: "the stored blob \(what) (berth system check tells more)")
    }

    private func write(blob digest: String, _ size: Int64) throws(StoreError) {
        guard written.insert(digest).inserted else { return }
        let file = try open(digest)
        var hash = SHA256()
        try reading(digest) { () throws(ArchiveError) in
            try output.begin("blobs/sha256/" + hexPart(digest), size: size)
            let lender = BufferedLender(FileReader(file.fd, offset: 0, length: size, name: digest), size: 256 << 10)
            while true {
                let piece = try lender.lend()
                if piece.isEmpty { break }
                hash.update(piece)
                try output.write(piece)
            }
        }
        guard hash.finishHex() == hexPart(digest) else { throw Self.damaged(digest, "is damaged") }
    }

    /// Writes the tar inside a compressed blob.
    ///
    /// Its size is known from when it was unpacked and stands before it in an archive; the digests of both are checked.
    private func write(layer descriptor: Descriptor, diffID: String, size: Int64) throws(StoreError) {
        guard written.insert(diffID).inserted else { return }
        let digest = descriptor.digest.description
        let file = try open(digest)
        let summary = try reading(digest) { () throws(ArchiveError) in
            try output.begin("blobs/sha256/" + hexPart(diffID), size: size)
            let reader = FileReader(file.fd, offset: 0, length: descriptor.size, name: digest)
            let stream = try LayerStream(reader, limit: size)
            while true {
                let piece = try stream.lend()
                if piece.isEmpty { break }
                try output.write(piece)
            }
            return try stream.finish()
        }
        guard summary.blobHex == descriptor.digest.hex, summary.diffHex == hexPart(diffID), summary.diffSize == size else {
            throw Self.damaged(digest, "is damaged")
        }
    }

    /// Whatever is wrong with the bytes is the blob's fault; what system calls say is not.
    private func reading<T>(_ digest: String, _ body: () throws(ArchiveError) -> T) throws(StoreError) -> T {
        do throws(ArchiveError) { return try body() } catch {
            if error.code == .system || error.code == .cancelled { throw StoreError(error) }
            throw Self.damaged(digest, "is damaged: \(error.cause)")
        }
    }

    // MARK: Documents

    func finish(manifestList: Bool) throws(StoreError) {
        let (index, list) = (index(), dockerManifest())
        try archive { () throws(ArchiveError) in
            try output.add(OCILayout.indexName, index)
            if manifestList { try output.add("manifest.json", list) }
            try output.add(OCILayout.fileName, OCILayout().encode())
            try output.finish()
        }
    }

    private func index() -> [UInt8] {
        var manifests: [Descriptor] = []
        for image in images {
            guard let digest = Digest("sha256:" + SHA256.hex(image.manifest.raw)) else { continue }
            var descriptor = Descriptor(
                mediaType: image.manifest.mediaType, digest: digest, size: Int64(image.manifest.raw.count),
                platform: image.platform)
            if image.names.isEmpty { manifests.append(descriptor) }
            for name in image.names {
                descriptor.annotations = [
                    Annotation.containerdImageName: name.description, Annotation.refName: name.effectiveTag ?? "latest",
                ]
                manifests.append(descriptor)
            }
        }
        return Index(manifests: manifests).raw
    }

    /// `manifest.json`: Docker's list of images with the paths of their files.
    private func dockerManifest() -> [UInt8] {
        func path(_ digest: Digest) -> String { "blobs/sha256/" + digest.hex }
        return JSONWriter.document { w in
            w.array { w in
                for image in images {
                    w.object { w in
                        w.field("Config", path(image.manifest.config.digest))
                        if image.names.isEmpty { w.nullField("RepoTags") } else { w.field("RepoTags", image.names.map(\.familiar)) }
                        w.field("Layers", image.manifest.layers.map { path($0.digest) })
                    }
                }
            }
        }
    }
}
