import Archive
import JSON
import Linux
import OCI

/// `oci:DIR[:NAME]` and `oci-archive:FILE[:NAME]`.
///
/// Spec: OCI image-spec 1.1 image-layout.md.
final class LayoutSource: FileImageSource {
    let location: ImageLocation
    private let files: ImageFiles
    private let top: Descriptor

    init(_ location: ImageLocation) throws(EngineError) {
        self.location = location
        files =
            location.transport == .layoutArchive
            ? try ImageFiles(archive: location.path) : try ImageFiles(directory: location.path)
        guard let marker = try files.read(OCILayout.fileName, limit: 64 << 10),
            let bytes = try files.read(OCILayout.indexName)
        else {
            throw EngineError(
                .invalid, "read image layout", location.path,
                cause: "it has no \(OCILayout.fileName) or no \(OCILayout.indexName): it is no OCI image layout")
        }
        _ = try documented(location.path) { () throws(OCIError) in try OCILayout.decode(marker) }
        let index = try documented(location.path) { () throws(OCIError) in try Index.decode(bytes) }
        top = try LayoutSource.choose(index, location)
    }

    /// The descriptor of a name; without a name, the only one there is.
    static func choose(_ index: Index, _ location: ImageLocation) throws(EngineError) -> Descriptor {
        let known = index.manifests.filter {
            $0.mediaType.isManifest || $0.mediaType.isIndex || $0.mediaType.isSchema1 || $0.mediaType.rawValue.isEmpty
        }
        if location.name.isEmpty {
            if known.count == 1 { return known[0] }
            let names = known.compactMap { $0.annotations[Annotation.refName] }
            throw EngineError(
                .invalid, "read image layout", location.path,
                cause: known.isEmpty
                    ? "no image in it"
                    : "more than one image in it: choose one by name, such as \(location.transport.rawValue):\(location.path):"
                        + (names.first ?? "NAME"))
        }
        let found =
            known.first { $0.annotations[Annotation.refName] == location.name }
            ?? known.first { $0.annotations[Annotation.containerdImageName] == location.name }
            ?? known.first { $0.digest.description == location.name }
        guard let found else {
            let names = known.compactMap { $0.annotations[Annotation.refName] }
            throw EngineError(
                .notFound, "read image layout", location.path,
                cause: "no image named \"\(location.name)\"" + (names.isEmpty ? "" : "; there is " + names.joined(separator: ", ")))
        }
        return found
    }

    func topManifest() throws(EngineError) -> FoundManifest {
        FoundManifest(
            raw: try manifest(top), mediaType: top.mediaType.rawValue.isEmpty ? nil : top.mediaType, digest: top.digest)
    }

    func manifest(_ descriptor: Descriptor) throws(EngineError) -> [UInt8] { try bytes(of: descriptor) }

    func check(_ blob: Descriptor) throws(EngineError) { _ = try content(blob) }
    func content(_ blob: Descriptor) throws(EngineError) -> FileRange { try files.blob(blob.digest.layoutPath, blob) }

    func file(_ blob: Descriptor) throws(EngineError) -> SharedFD? {
        location.transport == .layout ? try content(blob).file : nil
    }
}

/// `dir:PATH`: every blob and manifest as a file.
///
/// Spec: containers-transports(5); the files are `version`, `manifest.json`, `HEX` and `HEX.manifest.json`.
final class DirectorySource: FileImageSource {
    let location: ImageLocation
    private let files: ImageFiles

    /// The first line of the file `version`.
    static let versionPrefix = "Directory Transport Version: "

    init(_ location: ImageLocation) throws(EngineError) {
        self.location = location
        files = try ImageFiles(directory: location.path)
        // Older directories have no such file.
        if let version = try files.read("version", limit: 64 << 10) {
            let text = String(decoding: version, as: UTF8.self)
            guard text.hasPrefix(DirectorySource.versionPrefix + "1.") else {
                throw EngineError(.notSupported, "read image directory", location.path, cause: "unknown version")
            }
        }
    }

    func topManifest() throws(EngineError) -> FoundManifest {
        guard let bytes = try files.read("manifest.json") else {
            throw EngineError(
                .notFound, "read image directory", location.path, cause: "it has no manifest.json: it is no directory of dir:")
        }
        return try FoundManifest(raw: bytes, mediaType: nil)
    }

    func manifest(_ descriptor: Descriptor) throws(EngineError) -> [UInt8] {
        let content = try files.blob(descriptor.digest.hex + ".manifest.json", descriptor)
        let bytes = try content.bytes(limit: 4 << 20, of: descriptor.digest.description)
        guard SHA256.hex(bytes) == descriptor.digest.hex else {
            throw .damaged(descriptor.digest.description, "its content has the digest sha256:\(SHA256.hex(bytes))")
        }
        return bytes
    }

    func check(_ blob: Descriptor) throws(EngineError) { _ = try content(blob) }
    func content(_ blob: Descriptor) throws(EngineError) -> FileRange { try files.blob(blob.digest.hex, blob) }
    func file(_ blob: Descriptor) throws(EngineError) -> SharedFD? { try content(blob).file }
}

/// `docker-archive:FILE[:NAME|:@INDEX]`: what `docker save` writes.
///
/// It has no manifest: one is made from the config and the layers, which have to be read for that.
final class DockerArchiveSource: FileImageSource {
    let location: ImageLocation
    let isSynthetic = true
    private var blobs: [Digest: FileRange] = [:]
    private let manifest: Manifest

    init(_ location: ImageLocation) throws(EngineError) {
        self.location = location
        let files = try ImageFiles(archive: location.path)
        let entry = try DockerArchiveEntry.choose(DockerArchiveEntry.all(files), location)
        guard let config = try files.find(entry.config) else {
            throw .damaged(location.path, "its config \"\(entry.config)\" is missing")
        }
        let bytes = try config.bytes(limit: 4 << 20, of: entry.config)
        let parsed = try documented(location.path) { () throws(OCIError) in try ImageConfig.decode(bytes) }
        guard entry.layers.count == parsed.rootfs.diffIDs.count else {
            throw .damaged(location.path, "\(parsed.rootfs.diffIDs.count) diff ids for \(entry.layers.count) layers")
        }
        let id = try Digest.ofContent(bytes)
        blobs[id] = config
        var layers: [Descriptor] = []
        for (name, diffID) in zip(entry.layers, parsed.rootfs.diffIDs) {
            let (content, descriptor) = try DockerArchiveSource.layer(files, name, diffID)
            blobs[descriptor.digest] = content
            layers.append(descriptor)
        }
        manifest = Manifest(
            mediaType: .dockerManifest,
            config: Descriptor(mediaType: .dockerConfig, digest: id, size: Int64(bytes.count)), layers: layers)
    }

    private static func layer(
        _ files: ImageFiles, _ name: String, _ diffID: Digest
    ) throws(EngineError) -> (FileRange, Descriptor) {
        try diffID.requireVerifiable()
        guard let content = try files.find(name) else { throw .damaged(files.description, "its layer \"\(name)\" is missing") }
        let compression = try archived { () throws(ArchiveError) in
            try Compression.detect(try PrefixedReader.peek(content.reader, Compression.magicLength).bytes)
        }
        if compression == .none {
            return (content, Descriptor(mediaType: .dockerLayer, digest: diffID, size: content.size))
        }
        // Its digest is written nowhere; the tar inside must be what the config says.
        let summary = try archived { () throws(ArchiveError) in try LayerStream(content.reader).finish() }
        guard summary.diffHex == diffID.hex else {
            throw .damaged(files.description, "layer \"\(name)\" has the diff id sha256:\(summary.diffHex) instead of \(diffID)")
        }
        guard let digest = Digest("sha256:" + summary.blobHex) else { throw .damaged(files.description, "no digest") }
        return (
            content,
            Descriptor(
                mediaType: compression == .gzip ? .dockerLayerGzip : .dockerLayerZstd, digest: digest, size: content.size)
        )
    }

    func topManifest() throws(EngineError) -> FoundManifest {
        try FoundManifest(raw: manifest.raw, mediaType: manifest.mediaType)
    }

    func manifest(_ descriptor: Descriptor) throws(EngineError) -> [UInt8] {
        throw .damaged(descriptor.digest.description, "a docker archive has no index")
    }

    func content(_ blob: Descriptor) throws(EngineError) -> FileRange {
        guard let content = blobs[blob.digest] else {
            throw .damaged(blob.digest.description, "it is missing in \(location.path)")
        }
        return content
    }
}

extension DockerArchiveEntry {
    static func all(_ files: ImageFiles) throws(EngineError) -> [DockerArchiveEntry] {
        guard let bytes = try files.read(fileName) else {
            throw EngineError(
                .invalid, "read docker archive", files.description,
                cause: "it has no \(fileName): it is no archive of docker save")
        }
        do throws(JSONError) { return try decode(bytes) } catch {
            throw .damaged(files.description, "\(fileName): \(error.reason)")
        }
    }

    static func choose(_ entries: [DockerArchiveEntry], _ location: ImageLocation) throws(EngineError) -> DockerArchiveEntry {
        if location.name.isEmpty {
            if entries.count == 1 { return entries[0] }
            throw EngineError(
                .invalid, "read docker archive", location.path,
                cause: entries.isEmpty ? "no image in it" : "more than one image in it: choose one by name, or by :@0, :@1 and so on")
        }
        if location.name.hasPrefix("@") {
            guard let number = Int(location.name.dropFirst()), entries.indices.contains(number) else {
                throw EngineError(
                    .notFound, "read docker archive", location.path, cause: "it has \(entries.count) images, counted from @0")
            }
            return entries[number]
        }
        let wanted = location.reference?.description
        for entry in entries {
            for tag in entry.tags {
                guard let reference = try? Reference.parse(tag).withDefaultTag else { continue }
                if reference.description == wanted { return entry }
            }
        }
        throw EngineError(
            .notFound, "read docker archive", location.path,
            cause: "no image named \(location.name); there is " + entries.flatMap(\.tags).joined(separator: ", "))
    }
}
