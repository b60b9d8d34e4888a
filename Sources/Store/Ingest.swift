import Archive
import CLinux
import Linux
import OCI

/// Brings the content of images into the store: blobs and unpacked layers, before any row names them.
///
/// ``add(_:on:ready:)`` may be called by several threads at once for layers of one image.
final class Ingest: @unchecked Sendable {
    // SAFETY: `placed`, `notes`, the staging directory's names and the database are only used with `turn` held.
    let turn = Monitor()
    let store: Store
    let staging: Staging
    private let cancellation: Cancellation?
    private let limits: LayerUnpacker.Limits
    private let boot = bootIdentifier()
    /// Blobs put in place by this command; no row names them yet.
    private(set) var placed: Set<String> = []
    private(set) var notes = LayerUnpacker.Notes()
    /// How layers are kept that this command makes.
    private var format: LayerFormat?

    init(_ store: Store, _ staging: Staging, limits: LayerUnpacker.Limits, cancellation: Cancellation?) {
        self.store = store
        self.staging = staging
        self.limits = limits
        self.cancellation = cancellation
    }

    /// A layer that this command relied on was removed meanwhile: everything is brought in once more.
    static let lostLayer = StoreError(
        .inUse, "load image", cause: "its layers are being removed by another command; try again")

    /// A layer that is now in the store.
    struct Layer {
        var chainID: Digest
        var descriptor: Descriptor
        var diffSize: Int64
    }

    /// Makes sure a layer is unpacked and its blob is kept.
    ///
    /// - Parameters:
    ///   - parent: the layer below.
    ///   - ready: returns when the layer below is in the store; called last, when all else is done.
    /// - Throws: `.digestMismatch` when the bytes are not what the config or manifest says; nothing of it stays then.
    func add(
        _ layer: PlannedLayer, on parent: Digest?, ready: () throws(StoreError) -> Void = { () throws(StoreError) in }
    ) throws(StoreError) -> Layer {
        let chainID = Store.chainID(parent: parent, diffID: layer.diffID)
        // Held to the end: whoever waits here finds the layer done.
        let lock = try store.lockLayer(chainID.hex)
        defer { withExtendedLifetime(lock) {} }
        let known = try turn.locked { () throws(StoreError) in try unpackedSize(chainID) }
        if let known, let descriptor = try turn.locked({ () throws(StoreError) in try keptBlob(layer) }) {
            if case .remote(let remote) = layer.content { remote.report(.exists) }
            return Layer(chainID: chainID, descriptor: descriptor, diffSize: known)
        }
        let taken: Taken
        switch layer.content {
        case .file(let content): taken = try take(content, layer, unpacking: known == nil)
        case .remote(let remote): taken = try take(remote, layer, unpacking: known == nil)
        }
        if let made = taken.layer {
            try ready()
            try turn.locked { () throws(StoreError) in
                if made.isBlob { try linkTar(of: made, to: taken.descriptor.digest) }
                try place(layer: made.name, chainID, parent, layer.diffID, taken.summary.diffSize)
            }
        }
        if case .remote(let remote) = layer.content { remote.report(.complete) }
        return Layer(chainID: chainID, descriptor: taken.descriptor, diffSize: taken.summary.diffSize)
    }

    /// A layer on its way into place: a directory in staging.
    private struct StagedLayer {
        var name: String
        /// What its index is written from; nil when it is unpacked.
        var indexer: LayerIndexer?
        /// The tar that was written for the index.
        var tar: SharedFD?
        /// Its tar is its blob, and gets a second name.
        var isBlob = false
    }

    /// What one reading of a layer's stored bytes gave, with its blob kept.
    private struct Taken {
        var summary: LayerStream.Summary
        var descriptor: Descriptor
        /// Its files, in staging.
        var layer: StagedLayer?
    }

    private func take(_ content: Content, _ layer: PlannedLayer, unpacking: Bool) throws(StoreError) -> Taken {
        let (name, copy) = try turn.locked { () throws(StoreError) -> (String, SharedFD?) in
            let name = content.stagedName ?? staging.freshName("blob")
            return (name, content.stagedName == nil ? try staging.makeFile(name) : nil)
        }
        let taken = try read(layer, unpacking, cancel: {}, again: { content.reader }) { () throws(ArchiveError) in
            try LayerStream(content.reader, copy: copy?.fd, limit: limits.size)
        }
        try turn.locked { () throws(StoreError) in try place(blob: name, content, taken.descriptor.digest) }
        return taken
    }

    /// A blob from elsewhere is read again from its beginning when what was here of it turns out to be damaged.
    private func take(_ remote: RemoteLayer, _ layer: PlannedLayer, unpacking: Bool) throws(StoreError) -> Taken {
        for _ in 0..<3 {
            guard let partial = try PartialBlob.open(store, remote.blob) else {
                // Another command has just finished it.
                return try take(whole: remote, layer, unpacking: unpacking)
            }
            let reader = PartialReader(partial, remote.source, progress: remote.report)
            remote.begin(reader)
            defer { remote.end() }
            do throws(StoreError) {
                let taken = try read(layer, unpacking, cancel: reader.cancel, again: { partial.whole }) {
                    () throws(ArchiveError) in try LayerStream(reader, limit: limits.size)
                }
                try partial.keep()
                turn.locked { _ = placed.insert(remote.blob.digest.description) }
                return taken
            } catch {
                if let failure = reader.failure { throw failure }
                switch error.code {
                case .digestMismatch, .corrupt, .unsupported, .tooLarge: partial.discard()
                default: throw error
                }
                // Damage in what was fetched now is the source's.
                if partial.found == 0 { throw error }
                remote.report(.restarted)
            }
        }
        throw StoreError(.inUse, "fetch layer", remote.blob.digest.description, cause: "other commands keep damaging it")
    }

    private func take(whole remote: RemoteLayer, _ layer: PlannedLayer, unpacking: Bool) throws(StoreError) -> Taken {
        let file = try system { () throws(SystemError) in
            SharedFD(try store.root.fd.open(PartialBlob.wholePath(remote.blob.digest), [.readOnly, .noFollow]))
        }
        let reader = { FileReader(file.fd, offset: 0, length: remote.blob.size, name: "partial blob") }
        let taken = try read(layer, unpacking, cancel: {}, again: reader) { () throws(ArchiveError) in
            try LayerStream(reader(), limit: limits.size)
        }
        try PartialBlob.link(store, remote.blob.digest)
        turn.locked { _ = placed.insert(remote.blob.digest.description) }
        return taken
    }

    /// Reads a layer to its end, verifies it, and unpacks or indexes it on the way.
    ///
    /// - Parameter again: the stored bytes once more, when all of them were read.
    private func read(
        _ layer: PlannedLayer, _ unpacking: Bool, cancel: () -> Void, again: () -> any ByteReader,
        open: () throws(ArchiveError) -> LayerStream
    ) throws(StoreError) -> Taken {
        let format = unpacking ? try turn.locked { () throws(StoreError) in try newLayerFormat() } : .directory
        let stream = try archive(open)
        var staged: StagedLayer?
        if unpacking { staged = format == .erofs ? try index(stream, cancel) : StagedLayer(name: try unpack(stream, cancel)) }
        let summary: LayerStream.Summary
        do throws(ArchiveError) { summary = try stream.finish() } catch {
            cancel()
            throw StoreError(error)
        }
        guard summary.diffHex == layer.diffID.hex else {
            throw StoreError(
                .digestMismatch, "load layer", layer.diffID.description, cause: "its content has the diff id sha256:\(summary.diffHex)")
        }
        let descriptor = try checked(summary, layer)
        if let made = staged { staged = try finish(made, layer.diffID, summary, again) }
        return Taken(summary: summary, descriptor: descriptor, layer: staged)
    }

    /// Keeps a small document as a blob.
    ///
    /// Only while no other thread adds layers.
    func add(document bytes: [UInt8], _ digest: Digest) throws(StoreError) {
        if try store.hasBlob(digest) { return }
        let name = staging.freshName("blob")
        let file = try staging.makeFile(name)
        try system { () throws(SystemError) in try file.fd.writeAll(bytes) }
        try place(blob: name, digest)
    }

    // MARK: What is there already

    /// The size of a layer's tar stream, if the layer is unpacked and can be trusted; nil otherwise.
    func unpackedSize(_ chainID: Digest) throws(StoreError) -> Int64? {
        var size: Int64?
        try store.database.query(
            "SELECT diff_size FROM layers WHERE chain_id=? AND (boot IS NULL OR boot=?)",
            [.text(chainID.description), .text(boot)]
        ) { row in size = row.integer(0) }
        // Somebody may have removed it by hand; loading again repairs that.
        return size != nil && store.layerFormat(chainID.hex) != nil ? size : nil
    }

    /// The descriptor of a layer whose stored bytes are already kept; nil when they have to be read to know.
    private func keptBlob(_ layer: PlannedLayer) throws(StoreError) -> Descriptor? {
        if let descriptor = layer.descriptor {
            return try isKept(descriptor.digest) ? descriptor : nil
        }
        guard case .file(let content) = layer.content else { return nil }
        let reader = content.reader
        let compression = try archive { () throws(ArchiveError) in
            try Compression.detect(try PrefixedReader.peek(reader, Compression.magicLength).bytes)
        }
        // A plain layer's blob has the diff id as its digest; what a compressed one has shows only when it is read.
        guard compression == .none, try isKept(layer.diffID) else { return nil }
        return Descriptor(mediaType: .ociLayer, digest: layer.diffID, size: content.size)
    }

    func isKept(_ digest: Digest) throws(StoreError) -> Bool {
        // Until this command's rows name it, another's rmi of the same content may take it away.
        if placed.contains(digest.description), store.root.fd.exists(Store.Directory.blobs + "/" + digest.hex) { return true }
        if try store.hasBlob(digest) { return true }
        // Another command has fetched it and not named it yet, or was interrupted after it.
        guard store.root.fd.exists(PartialBlob.wholePath(digest)) else { return false }
        try PartialBlob.link(store, digest)
        placed.insert(digest.description)
        return true
    }

    private func checked(_ summary: LayerStream.Summary, _ layer: PlannedLayer) throws(StoreError) -> Descriptor {
        if let descriptor = layer.descriptor {
            guard summary.blobHex == descriptor.digest.hex, summary.blobSize == descriptor.size else {
                throw StoreError(
                    .digestMismatch, "load layer", descriptor.digest.description,
                    cause: "its content has the digest sha256:\(summary.blobHex)")
            }
            return descriptor
        }
        let type: MediaType =
            switch summary.compression {
            case .none: .ociLayer
            case .gzip: .ociLayerGzip
            case .zstd: .ociLayerZstd
            }
        let digest = try document { () throws(OCIError) in try Digest.parse("sha256:" + summary.blobHex) }
        return Descriptor(mediaType: type, digest: digest, size: summary.blobSize)
    }

    // MARK: Unpacking and placing

    private func makeStagedLayer() throws(StoreError) -> String {
        let name = turn.locked { staging.freshName("layer") }
        try system { () throws(SystemError) in try staging.directory.fd.makeDirectory(name, mode: 0o700) }
        return name
    }

    private func unpack(_ stream: LayerStream, _ cancel: () -> Void) throws(StoreError) -> String {
        let name = try makeStagedLayer()
        do throws(StoreError) { try unpack(stream, in: name) } catch {
            cancel()
            stream.cancel()
            throw error
        }
        return name
    }

    private func unpack(_ tar: any ByteLender, in name: String) throws(StoreError) {
        let root = try system { () throws(SystemError) in
            try staging.directory.fd.makeDirectory(name + "/fs", mode: 0o755)
            return SharedFD(try staging.directory.fd.open(name + "/fs", [.directory, .noFollow]))
        }
        let unpacker = LayerUnpacker(
            root: root, isInUserNamespace: store.isInUserNamespace, limits: limits, cancellation: cancellation)
        try unpacker.unpack(TarReader(tar))
        turn.locked { notes.add(unpacker.notes) }
    }

    // MARK: Indexing

    /// Asked only when a layer has to be made; then the same for all of them.
    func newLayerFormat() throws(StoreError) -> LayerFormat {
        if let format { return format }
        let chosen = try store.chooseLayerFormat()
        format = chosen
        return chosen
    }

    /// Reads a layer's tar, keeping it as it is.
    private func index(_ stream: LayerStream, _ cancel: () -> Void) throws(StoreError) -> StagedLayer {
        var staged = StagedLayer(name: try makeStagedLayer())
        let indexer = LayerIndexer(limits: limits, cancellation: cancellation)
        do throws(StoreError) {
            // The blob of a plain layer is the tar already.
            staged.isBlob = stream.compression == .none
            if !staged.isBlob {
                let path = staged.name + "/" + ErofsLayer.tarName
                staged.tar = try system { () throws(SystemError) in
                    SharedFD(try staging.directory.fd.open(path, [.readWrite, .create, .exclusive, .noFollow], mode: 0o600))
                }
            }
            let copy = TarCopy(stream, to: staged.tar, cancellation: cancellation)
            try indexer.read(TarReader(copy))
            try archive { () throws(ArchiveError) in try copy.drain() }
        } catch {
            cancel()
            stream.cancel()
            throw error
        }
        staged.indexer = indexer
        return staged
    }

    /// Writes the index; where there can be none, the layer is unpacked from what was kept of it.
    private func finish(
        _ staged: StagedLayer, _ diffID: Digest, _ summary: LayerStream.Summary, _ again: () -> any ByteReader
    ) throws(StoreError) -> StagedLayer {
        guard let indexer = staged.indexer else { return staged }
        var result = StagedLayer(name: staged.name)
        if indexer.obstacle == nil {
            var index = ErofsIndex(indexer.tree)
            if let image = index.image(diffID: diffID, tarSize: summary.diffSize) {
                try system { () throws(SystemError) in
                    try staging.directory.fd.writeFile(staged.name + "/" + ErofsLayer.indexName, image)
                }
                turn.locked { notes.add(indexer.notes) }
                result.isBlob = staged.isBlob
                return result
            }
        }
        let source = staged.tar.map { FileReader($0.fd, offset: 0, length: summary.diffSize, name: "layer") } ?? again()
        try unpack(BufferedLender(source), in: staged.name)
        if staged.tar != nil {
            try system { () throws(SystemError) in
                try staging.directory.fd.removeFile(staged.name + "/" + ErofsLayer.tarName)
            }
        }
        return result
    }

    /// One file with two names: the blob, and the tar the index points into.
    private func linkTar(of staged: StagedLayer, to blob: Digest) throws(StoreError) {
        let target = staged.name + "/" + ErofsLayer.tarName
        let result = cl_linkat(store.root.raw, Store.Directory.blobs + "/" + blob.hex, staging.directory.raw, target, 0)
        _ = try system { () throws(SystemError) in try Linux.check(result, "link", target) }
    }

    func place(blob staged: String, _ content: Content, _ digest: Digest) throws(StoreError) {
        try place(blob: staged, digest)
        content.stagedName = nil
    }

    private func place(blob staged: String, _ digest: Digest) throws(StoreError) {
        let target = Store.Directory.blobs + "/" + digest.hex
        try system { () throws(SystemError) in
            // Another command's may be named by a row since we looked: what replaces it is on disk before.
            if store.root.fd.exists(target) {
                let file = try staging.directory.fd.open(staged, [.readOnly, .noFollow])
                try file.fd.sync()
            }
            try staging.directory.fd.rename(staged, to: target, in: store.root.fd)
        }
        placed.insert(digest.description)
    }

    func place(
        layer staged: String, _ chainID: Digest, _ parent: Digest?, _ diffID: Digest, _ size: Int64
    ) throws(StoreError) {
        // Left by a killed command or not trusted any more: out of the way, under the layer's lock.
        store.discard(Doomed(paths: [Store.layerPath(chainID)]))
        try system { () throws(SystemError) in
            try staging.directory.fd.rename(staged, to: Store.layerPath(chainID), in: store.root.fd)
        }
        // The row lets others use the layer at once. It holds for this boot: a kill loses nothing of what was written, only
        // power loss does, and the command's last transaction makes it durable after the data is.
        try store.database.transaction(.volatile) { () throws(StoreError) -> Void in
            // Another command's rmi may have taken it away since: its rows go without the content lock.
            if let parent,
                try store.database.firstInteger(
                    "SELECT 1 FROM layers WHERE chain_id=?", [.text(parent.description)]) == nil
            {
                throw Ingest.lostLayer
            }
            try store.database.run(
                """
                INSERT INTO layers VALUES(?,?,?,?,?)
                ON CONFLICT(chain_id) DO UPDATE SET diff_size=excluded.diff_size, boot=excluded.boot
                """,
                [
                    .text(chainID.description), .optionalText(parent?.description), .text(diffID.description),
                    .integer(size), .text(boot),
                ])
        }
    }
}

extension LayerUnpacker.Notes {
    mutating func add(_ other: LayerUnpacker.Notes) {
        skippedDevices += other.skippedDevices
        droppedAttributes += other.droppedAttributes
        droppedWhiteoutNodes += other.droppedWhiteoutNodes
    }
}
