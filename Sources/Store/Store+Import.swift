import Archive
import Glibc
import Linux
import OCI

/// What `import` makes an image of besides the files.
public struct ImportRequest: Sendable {
    public var name: Reference?
    /// Defaults of its containers.
    public var config: ContainerConfig
    /// Nil: this machine's.
    public var platform: Platform?
    /// Goes into the history.
    public var message: String
    /// Where the files came from, for the history: a path or `-`.
    public var source: String

    public init(
        name: Reference?, config: ContainerConfig = ContainerConfig(), platform: Platform? = nil, message: String = "",
        source: String = "-"
    ) {
        self.name = name
        self.config = config
        self.platform = platform
        self.message = message
        self.source = source
    }
}

extension Store {
    /// Makes an image of one layer from the tar of a root file system. When it returns, it survives power loss.
    ///
    /// The diff id of a layer names the directory it is unpacked to, and is known only at the end of the stream: the
    /// stored bytes are kept in staging first, then unpacked from there.
    /// - Parameter descriptor: a tar, plain or compressed by gzip or zstd; read to its end, stays the caller's.
    /// - Returns: the image's id.
    /// - Throws: as ``load(path:options:)``.
    public func importRootFileSystem(from descriptor: FD, _ request: ImportRequest) throws(StoreError) -> LoadedImage {
        let source = try system { () throws(SystemError) in SharedFD(try descriptor.duplicate()) }
        let loaded = try ingest(LoadOptions()) { (staging, _) throws(StoreError) in
            let name = staging.freshName("import")
            let file = try staging.makeFile(name)
            let summary = try archive { () throws(ArchiveError) in
                let reader = FileReader(source.fd, name: request.source)
                return try LayerStream(reader, copy: file.fd).finish()
            }
            let content = Content(file, size: summary.blobSize, stagedName: name)
            return [try self.image(of: summary, content, request)]
        }
        guard let image = loaded.first else { throw StoreError(.corrupt, "import", request.source, cause: "nothing was read") }
        return image
    }

    private func image(
        of summary: LayerStream.Summary, _ content: Content, _ request: ImportRequest
    ) throws(StoreError) -> PlannedImage {
        guard summary.diffSize >= 1024 else {
            throw StoreError(.corrupt, "import", request.source, cause: "it is not a tar archive")
        }
        let diffID = try document { () throws(OCIError) in try Digest.parse("sha256:" + summary.diffHex) }
        let time = rfc3339(wallClockNanoseconds())
        let comment = request.message.isEmpty ? "Imported from \(request.source)" : request.message
        let config = ImageConfig(
            created: time, platform: request.platform ?? Store.hostPlatform(), config: request.config,
            rootfs: RootFS(diffIDs: [diffID]), history: [History(created: time, comment: comment)])
        let id = try document { () throws(OCIError) in try Digest.parse("sha256:" + SHA256.hex(config.raw)) }
        return PlannedImage(
            config: config, id: id, manifest: nil,
            layers: [PlannedLayer(content: .file(content), descriptor: nil, diffID: diffID)],
            names: request.name.map { [$0] } ?? [])
    }
}
