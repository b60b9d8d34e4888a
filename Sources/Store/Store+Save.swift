import Archive
import Glibc
import JSON
import Linux
import OCI

/// How ``Store/save(_:to:format:)`` writes images.
public enum SaveFormat: String, Sendable {
    /// What `docker save` writes today: an OCI layout with the `manifest.json` that older readers want beside it.
    case dockerArchive = "docker-archive"
    /// A tar of an OCI layout and nothing else.
    case ociArchive = "oci-archive"
}

extension Store {
    /// Writes images as one tar stream: the same images give the same bytes, and every blob is written once.
    ///
    /// - Parameters:
    ///   - images: ids with the names each is saved under; none for an image that is only known by its id.
    ///   - descriptor: where the archive goes; stays the caller's.
    /// - Throws: `.notFound`, `.corrupt` when a blob is not what its name says any more, `.system`.
    public func save(_ images: [(id: String, names: [Reference])], to descriptor: FD, format: SaveFormat) throws(StoreError) {
        // Held against another command's rmi until the last blob is read.
        let content = try contentLock(.shared)
        defer { withExtendedLifetime(content) {} }
        var details: [(details: ImageDetails, names: [Reference])] = []
        for image in images { details.append((try imageDetails(id: image.id), image.names)) }
        let output = try system { () throws(SystemError) in SharedFD(try descriptor.duplicate()) }
        let sink = FileSink(output.fd, name: "image archive")
        let writer = TarWriter(sink)
        try archive { () throws(ArchiveError) in
            for directory in ["blobs/", "blobs/sha256/"] { try writer.append(Self.entry(directory, .directory, 0o755)) }
        }
        var written: Set<String> = []
        for image in details {
            let manifest = image.details.manifest
            try write(image.details.record.manifestDigest, Int64(manifest.raw.count), writer, &written)
            try write(manifest.config.digest.description, manifest.config.size, writer, &written)
            for layer in manifest.layers { try write(layer.digest.description, layer.size, writer, &written) }
        }
        let index = Self.index(details)
        let layout = OCILayout().encode()
        let docker = Self.dockerManifest(details)
        try archive { () throws(ArchiveError) in
            try writer.append(Self.entry(OCILayout.indexName, .file, 0o644), contents: index)
            if format == .dockerArchive { try writer.append(Self.entry("manifest.json", .file, 0o644), contents: docker) }
            try writer.append(Self.entry(OCILayout.fileName, .file, 0o644), contents: layout)
            try writer.finish()
        }
    }

    /// Times are zero: an archive depends on what is in it, not on when it was made.
    private static func entry(_ path: String, _ kind: TarEntry.Kind, _ mode: UInt32, size: Int64 = 0) -> TarEntry {
        TarEntry(kind: kind, path: Array(path.utf8), mode: mode, size: size)
    }

    /// Copies one blob and checks it on the way: an archive with a wrong blob would be found out only where it is loaded.
    private func write(_ digest: String, _ size: Int64, _ writer: TarWriter, _ written: inout Set<String>) throws(StoreError) {
        guard written.insert(digest).inserted else { return }
        let hex = hexPart(digest)
        let file = try system { () throws(SystemError) in
            SharedFD(try root.fd.open(Directory.blobs + "/" + hex, [.readOnly, .noFollow]))
        }
        var hash = SHA256()
        try archive { () throws(ArchiveError) in
            try writer.append(Self.entry("blobs/sha256/" + hex, .file, 0o644, size: size))
            let lender = BufferedLender(FileReader(file.fd, offset: 0, length: size, name: digest), size: 256 << 10)
            while true {
                let piece = try lender.lend()
                if piece.isEmpty { break }
                hash.update(piece)
                try writer.write(piece)
            }
        }
        guard hash.finishHex() == hex else {
            throw StoreError(
                .corrupt, "save image", digest, cause: "the stored blob is damaged (berth system check tells more)")
        }
    }

    private static func index(_ images: [(details: ImageDetails, names: [Reference])]) -> [UInt8] {
        var manifests: [Descriptor] = []
        for (details, names) in images {
            guard let digest = Digest(details.record.manifestDigest) else { continue }
            let size = Int64(details.manifest.raw.count)
            let type = details.manifest.mediaType
            if names.isEmpty {
                manifests.append(Descriptor(mediaType: type, digest: digest, size: size, platform: details.config.platform))
            }
            for name in names {
                let annotations = [
                    Annotation.containerdImageName: name.description, Annotation.refName: name.effectiveTag ?? "latest",
                ]
                manifests.append(
                    Descriptor(
                        mediaType: type, digest: digest, size: size, annotations: annotations,
                        platform: details.config.platform))
            }
        }
        return Index(manifests: manifests).raw
    }

    /// `manifest.json`: Docker's list of images with the paths of their files.
    private static func dockerManifest(_ images: [(details: ImageDetails, names: [Reference])]) -> [UInt8] {
        func path(_ digest: Digest) -> String { "blobs/sha256/" + digest.hex }
        return JSONWriter.document { w in
            w.array { w in
                for (details, names) in images {
                    w.object { w in
                        w.field("Config", path(details.manifest.config.digest))
                        if names.isEmpty { w.nullField("RepoTags") } else { w.field("RepoTags", names.map(\.familiar)) }
                        w.field("Layers", details.manifest.layers.map { path($0.digest) })
                    }
                }
            }
        }
    }
}
