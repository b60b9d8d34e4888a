import Archive
import Glibc
import Linux
import OCI

/// What ``Store/commit(_:)`` makes an image of.
public struct CommitRequest {
    /// Of the container: its layers stay below the new one.
    public var imageID: String
    /// The container's writable layer.
    public var upper: SharedFD
    public var ids: IDTranslation
    public var marks: OverlayMarks
    public var name: Reference?
    /// Defaults of the new image's containers.
    public var config: ContainerConfig
    public var author: String
    public var message: String
    /// Goes into the history.
    public var createdBy: String
    /// Called when nothing more is read of the container.
    public var whenRead: () -> Void = {}

    public init(
        imageID: String, upper: SharedFD, ids: IDTranslation, marks: OverlayMarks, name: Reference?, config: ContainerConfig,
        author: String = "", message: String = "", createdBy: String = ""
    ) {
        (self.imageID, self.upper, self.ids, self.marks) = (imageID, upper, ids, marks)
        (self.name, self.config) = (name, config)
        (self.author, self.message, self.createdBy) = (author, message, createdBy)
    }
}

extension Store {
    /// Makes an image of a container's image and one layer of what the container has changed. When it returns, it survives power
    /// loss.
    ///
    /// The same changes give the same layer. Without changes there is no new layer.
    /// - Returns: the image's id.
    /// - Throws: `.notFound` when the container's image is gone; else as ``load(path:options:)``.
    public func commit(_ request: CommitRequest) throws(StoreError) -> LoadedImage {
        let loaded = try ingest(LoadOptions()) { (staging, _) throws(StoreError) in
            let details = try self.imageDetails(id: request.imageID)
            let layer = try self.pack(request, staging)
            request.whenRead()
            return [try self.image(request, on: details, layer)]
        }
        guard let image = loaded.first else { throw StoreError(.corrupt, "commit", request.imageID, cause: "nothing was read") }
        return image
    }

    /// - Returns: nil when nothing was changed.
    private func pack(_ request: CommitRequest, _ staging: Staging) throws(StoreError) -> PlannedLayer? {
        let name = staging.freshName("commit")
        let file = try staging.makeFile(name)
        let sink = CountingSink(TarSink(TarWriter(FileSink(file.fd, name: "layer"))))
        try TreeReader(ids: request.ids, marks: request.marks).read(request.upper, as: [], to: sink)
        if sink.count == 0 { return nil }
        try archive { () throws(ArchiveError) in try sink.next.finish() }
        let summary = try archive { () throws(ArchiveError) in
            try LayerStream(FileReader(file.fd, offset: 0, length: nil, name: "layer")).finish()
        }
        let diffID = try document { () throws(OCIError) in try Digest.parse("sha256:" + summary.diffHex) }
        let content = Content(file, size: summary.blobSize, stagedName: name)
        return PlannedLayer(content: .file(content), descriptor: nil, diffID: diffID)
    }

    private func image(
        _ request: CommitRequest, on details: ImageDetails, _ layer: PlannedLayer?
    ) throws(StoreError) -> PlannedImage {
        let base = details.config
        var layers: [PlannedLayer] = []
        for (descriptor, diffID) in zip(details.manifest.layers, base.rootfs.diffIDs) {
            let blob = Content(try blobFiles.open(descriptor), size: descriptor.size)
            // The manifest is one of the OCI's, whatever the image came with.
            var converted = descriptor
            converted.mediaType = descriptor.mediaType.asOCILayer
            layers.append(PlannedLayer(content: .file(blob), descriptor: converted, diffID: diffID))
        }
        if let layer { layers.append(layer) }
        let time = rfc3339(wallClockNanoseconds())
        let step = History(
            created: time, createdBy: request.createdBy, author: request.author, comment: request.message, emptyLayer: layer == nil)
        let config = ImageConfig(
            created: time, author: request.author, platform: base.platform, config: request.config,
            rootfs: RootFS(diffIDs: layers.map(\.diffID)), history: base.history + [step])
        let id = try document { () throws(OCIError) in try Digest.parse("sha256:" + SHA256.hex(config.raw)) }
        return PlannedImage(
            config: config, id: id, manifest: nil, layers: layers, names: request.name.map { [$0] } ?? [])
    }
}

/// Counts what comes, and makes nothing newer than it may be.
final class CountingSink: TreeSink {
    let next: TarSink
    private let notAfter: Int64?
    private(set) var count = 0

    /// - Parameter notAfter: nanoseconds since 1970; nil: times are as they are.
    init(_ next: TarSink, notAfter: Int64? = nil) {
        self.next = next
        self.notAfter = notAfter
    }

    func add(_ entry: TarEntry, content: FD?) throws(StoreError) {
        count += 1
        guard let notAfter, entry.modification.seconds >= notAfter / 1_000_000_000 else { return try next.add(entry, content: content) }
        var entry = entry
        entry.modification = FileTime(seconds: notAfter / 1_000_000_000, nanoseconds: 0)
        try next.add(entry, content: content)
    }
}
