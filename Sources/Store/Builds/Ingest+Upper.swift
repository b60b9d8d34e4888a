import Archive
import Linux
import OCI

extension Ingest {
    /// Makes a layer of an overlay's writable layer. Its files are read once and take the layer's place.
    ///
    /// - Parameters:
    ///   - name: a directory in staging that has them as `fs`.
    ///   - notAfter: nothing is newer in the layer, nanoseconds since 1970.
    /// - Returns: nil when nothing was written.
    func add(upper name: String, _ reader: TreeReader, on parent: Digest?, notAfter: Int64?) throws(StoreError) -> BuiltLayer? {
        let (blobName, file, root) = try turn.locked { () throws(StoreError) in
            let blobName = staging.freshName("blob")
            let root = try system { () throws(SystemError) in
                SharedFD(try staging.directory.fd.open(name + "/fs", [.path, .directory, .noFollow]))
            }
            return (blobName, try staging.makeFile(blobName), root)
        }
        let tar = DigestSink(FileSink(file.fd, name: "layer"))
        reader.settlesMarks = true
        let sink = CountingSink(TarSink(TarWriter(tar)), notAfter: notAfter)
        try reader.read(root, as: [], to: sink)
        if sink.count == 0 { return nil }
        try archive { () throws(ArchiveError) in try sink.next.finish() }
        let diffID = try tar.digest()
        let content = Content(file, size: tar.size, stagedName: blobName)
        // With other times than the files have, or as a tar and its index: as a layer that came from elsewhere.
        let format = try turn.locked { () throws(StoreError) in try newLayerFormat() }
        if notAfter == nil, format == .directory { return try place(files: name, content, diffID, on: parent) }
        let layer = try add(PlannedLayer(content: .file(content), descriptor: nil, diffID: diffID), on: parent)
        return BuiltLayer(chainID: layer.chainID, diffID: diffID, descriptor: layer.descriptor, diffSize: layer.diffSize)
    }

    private func place(files name: String, _ content: Content, _ diffID: Digest, on parent: Digest?) throws(StoreError) -> BuiltLayer {
        let chainID = Store.chainID(parent: parent, diffID: diffID)
        // Held to the end: whoever waits here finds the layer done.
        let lock = try store.lockLayer(chainID.hex)
        defer { withExtendedLifetime(lock) {} }
        return try turn.locked { () throws(StoreError) in
            if try !isKept(diffID), let staged = content.stagedName { try place(blob: staged, content, diffID) }
            if try unpackedSize(chainID) == nil { try place(layer: name, chainID, parent, diffID, content.size) }
            return BuiltLayer(
                chainID: chainID, diffID: diffID, descriptor: Descriptor(mediaType: .ociLayer, digest: diffID, size: content.size),
                diffSize: content.size)
        }
    }

    /// Whether a layer that was made before is there with its stored bytes.
    func isWhole(_ layer: BuiltLayer, on parent: Digest?) throws(StoreError) -> Bool {
        if Store.chainID(parent: parent, diffID: layer.diffID) != layer.chainID { return false }
        if try unpackedSize(layer.chainID) == nil { return false }
        return try isKept(layer.descriptor.digest)
    }
}

/// Takes the digest of what goes through it.
private final class DigestSink: ByteSink {
    private let next: any ByteSink
    private var hash = SHA256()

    init(_ next: any ByteSink) { self.next = next }

    var size: Int64 { hash.count }

    // SAFETY: the bytes are the writer's for the length of the call.
    func write(_ bytes: UnsafeRawBufferPointer) throws(ArchiveError) {
        hash.update(bytes)
        try next.write(bytes)
    }

    func finish() throws(ArchiveError) { try next.finish() }

    /// Called once, after all was written.
    func digest() throws(StoreError) -> Digest {
        let hex = hash.finishHex()
        return try document { () throws(OCIError) in try Digest.parse("sha256:" + hex) }
    }
}
