import Archive
import Glibc
import JSON
import Linux
import OCI

/// A tar that is being written beside its place. Times are zero: the same image gives the same bytes.
final class StagedTar {
    let target: StagedTarget
    private let file: SharedFD
    private let writer: TarWriter

    init(_ target: StagedTarget) throws(EngineError) {
        self.target = target
        file = try target.makeFile()
        writer = TarWriter(FileSink(file.fd, name: target.path))
    }

    func directory(_ name: String) throws(EngineError) {
        try archived { () throws(ArchiveError) in
            try writer.append(TarEntry(kind: .directory, path: Array((name + "/").utf8), mode: 0o755))
        }
    }

    func add(_ name: String, _ bytes: [UInt8]) throws(EngineError) {
        try archived { () throws(ArchiveError) in
            try writer.append(TarEntry(kind: .file, path: Array(name.utf8), mode: 0o644, size: Int64(bytes.count)), contents: bytes)
        }
    }

    func add(_ name: String, _ content: FileRange) throws(EngineError) {
        try archived { () throws(ArchiveError) in
            try writer.append(TarEntry(kind: .file, path: Array(name.utf8), mode: 0o644, size: content.size))
        }
        try content.write(into: TarPayload(writer))
    }

    func publish() throws(EngineError) {
        try archived { () throws(ArchiveError) in try writer.finish() }
        try target.publish(file)
    }
}

/// The payload of the entry that a tar writer is at.
private final class TarPayload: ByteSink {
    private let writer: TarWriter
    init(_ writer: TarWriter) { self.writer = writer }
    // SAFETY: the bytes are borrowed for the call and written before it returns.
    func write(_ bytes: UnsafeRawBufferPointer) throws(ArchiveError) { try writer.write(bytes) }
    func finish() throws(ArchiveError) {}
}

/// Blobs on their way into an archive: files without a name, as several come at once and a tar takes one after the other.
final class SpooledBlobs {
    private let monitor = Monitor()
    private var blobs: [Digest: FileRange] = [:]

    func put(_ blob: Descriptor, _ content: BlobContent) throws(EngineError) {
        let range: FileRange
        if let file = content.file {
            // It stays open, so it stays there; and it was verified.
            try content.write(Nowhere())
            range = FileRange(file: file, offset: 0, size: blob.size)
        } else {
            let spool = try SpoolFile()
            range = FileRange(file: spool.file, offset: 0, size: try spool.fill(content.write))
        }
        monitor.lock()
        blobs[blob.digest] = range
        monitor.unlock()
    }

    subscript(_ digest: Digest) -> FileRange? { blobs[digest] }

    /// In one order, whatever order they came in.
    var sorted: [(Digest, FileRange)] { blobs.sorted { $0.key < $1.key }.map { ($0.key, $0.value) } }
}

/// `oci-archive:FILE[:NAME]` to be written.
final class LayoutArchiveDestination: ImageDestination {
    let location: ImageLocation
    let keepsIndexes = true
    let prefersCompressed = true
    private let target: StagedTarget
    private let blobs = SpooledBlobs()
    private var documents: [FoundManifest] = []
    private var top: Descriptor?

    init(_ location: ImageLocation) throws(EngineError) {
        self.location = location
        target = try StagedTarget(location.path)
        if let existing = try target.existing(), existing.st_mode & S_IFMT != S_IFREG {
            throw .invalid("\(location.path) exists and is no file: name another")
        }
    }

    func begin() throws(EngineError) {}
    func has(_ blob: Descriptor, from source: ImageLocation) throws(EngineError) -> Bool { false }
    func put(_ blob: Descriptor, _ content: BlobContent) throws(EngineError) { try blobs.put(blob, content) }

    func put(manifest: FoundManifest, isTop: Bool) throws(EngineError) {
        if !documents.contains(where: { $0.digest == manifest.digest }) { documents.append(manifest) }
        guard isTop else { return }
        top = Descriptor(
            mediaType: manifest.mediaType ?? .ociManifest, digest: manifest.digest, size: manifest.size,
            annotations: location.name.isEmpty ? [:] : [Annotation.refName: location.name])
    }

    func commit() throws(EngineError) {
        guard let top else { throw EngineError(.system, "write", location.path, cause: "no image came") }
        let tar = try StagedTar(target)
        try tar.add(OCILayout.fileName, OCILayout().encode())
        try tar.add(OCILayout.indexName, Index(manifests: [top]).raw)
        try tar.directory("blobs")
        try tar.directory("blobs/sha256")
        for document in documents where blobs[document.digest] == nil { try tar.add(document.digest.layoutPath, document.raw) }
        for (digest, content) in blobs.sorted { try tar.add(digest.layoutPath, content) }
        try tar.publish()
    }

    func abandon() { target.discard() }
}

/// `docker-archive:FILE[:NAME:TAG]` to be written: what `docker load` of every version reads.
///
/// Layers are plain tars there, named by their diff ids; there is no manifest.
final class DockerArchiveDestination: ImageDestination {
    let location: ImageLocation
    let keepsIndexes = false
    let prefersCompressed = false
    private let target: StagedTarget
    private let blobs = SpooledBlobs()
    private var image: Manifest?
    private let tags: [Reference]

    init(_ location: ImageLocation, tags: [Reference] = []) throws(EngineError) {
        self.location = location
        self.tags = (location.reference.map { [$0] } ?? []) + tags
        target = try StagedTarget(location.path)
        if location.name.hasPrefix("@") { throw .invalid("\(location): @ and a number choose an image to read, not to write") }
        if let existing = try target.existing(), existing.st_mode & S_IFMT != S_IFREG || existing.st_size > 0 {
            throw EngineError(
                .conflict, sentence: "\(location.path) exists, and a docker archive is not added to: remove it first, or name another")
        }
    }

    func begin() throws(EngineError) {}
    func has(_ blob: Descriptor, from source: ImageLocation) throws(EngineError) -> Bool { false }
    func put(_ blob: Descriptor, _ content: BlobContent) throws(EngineError) { try blobs.put(blob, content) }

    func put(manifest: FoundManifest, isTop: Bool) throws(EngineError) {
        image = try documented(location.path) { () throws(OCIError) in
            try Manifest.decode(manifest.raw, expected: manifest.mediaType)
        }
    }

    func commit() throws(EngineError) {
        guard let image, let config = blobs[image.config.digest] else {
            throw EngineError(.system, "write", location.path, cause: "no image came")
        }
        let bytes = try config.bytes(limit: 4 << 20, of: image.config.digest.description)
        let parsed = try documented(location.path) { () throws(OCIError) in
            let parsed = try ImageConfig.decode(bytes)
            try parsed.check(against: image)
            return parsed
        }
        let tar = try StagedTar(target)
        var names: [String] = []
        for (layer, diffID) in zip(image.layers, parsed.rootfs.diffIDs) {
            let name = diffID.hex + ".tar"
            if !names.contains(name) { try tar.add(name, try plain(layer, diffID)) }
            names.append(name)
        }
        try tar.add(image.config.digest.hex + ".json", bytes)
        try tar.add(
            "manifest.json",
            DockerArchiveDestination.list(config: image.config.digest.hex + ".json", tags: tags, layers: names))
        try tar.publish()
    }

    /// The tar inside a layer, which must be what the config says.
    private func plain(_ layer: Descriptor, _ diffID: Digest) throws(EngineError) -> FileRange {
        guard let content = blobs[layer.digest] else { throw .damaged(layer.digest.description, "it did not come") }
        if layer.digest == diffID { return content }
        let spool = try SpoolFile()
        var found = ""
        let size = try spool.fill { (sink) throws(EngineError) in
            found = try archived { () throws(ArchiveError) in
                let stream = try LayerStream(content.reader)
                while true {
                    let piece = try stream.lend()
                    if piece.isEmpty { break }
                    try sink.write(piece)
                }
                return try stream.finish().diffHex
            }
        }
        guard found == diffID.hex else {
            throw .damaged(layer.digest.description, "its content has the diff id sha256:\(found) instead of \(diffID)")
        }
        return FileRange(file: spool.file, offset: 0, size: size)
    }

    func abandon() { target.discard() }
}

extension DockerArchiveDestination {
    /// `manifest.json`.
    private static func list(config: String, tags: [Reference], layers: [String]) -> [UInt8] {
        JSONWriter.document { w in
            w.array { w in
                w.object { w in
                    w.field("Config", config)
                    if tags.isEmpty { w.nullField("RepoTags") } else { w.field("RepoTags", tags.map(\.familiar)) }
                    w.field("Layers", layers)
                }
            }
        }
    }
}
