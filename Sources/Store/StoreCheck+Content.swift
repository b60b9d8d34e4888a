import Archive
import Linux
import OCI

extension StoreCheck {
    /// Whether the files of every layer are those that its blob has; a repair puts the blob's in their place.
    ///
    /// A tree does not give back the stream it came from, so it is compared with what the stream unpacks to now. Layers
    /// whose blobs are damaged have nothing to be compared with. An indexed layer needs no blob.
    func checkContent() throws(StoreError) {
        var layers: [LayerRow] = []
        try store.database.query("SELECT chain_id,parent,diff_id FROM layers ORDER BY chain_id") { row in
            guard let chainID = Digest(row.text(0)), let diffID = Digest(row.text(2)) else { return }
            layers.append(LayerRow(chainID: chainID, parent: row.optionalText(1).flatMap { Digest($0) }, diffID: diffID))
        }
        let sources = try goodSources()
        for layer in layers {
            try stop()
            guard try isThere(layer.chainID) else { continue }
            let isIndexed = store.layerFormat(layer.chainID.hex) == .erofs
            do throws(StoreError) {
                if isIndexed {
                    try checkIndexed(layer)
                } else if let source = sources[layer.diffID] {
                    try check(layer, against: source)
                }
            } catch {
                guard error.code == .noSpace || error.systemError == .readOnly else { throw error }
                problems.append(
                    StoreProblem(
                        .unchecked, "layers", "they cannot be compared with their blobs: \(error)",
                        fix: error.code == .noSpace ? "berth image prune" : ""))
                return
            }
        }
    }

    /// For every diff id a blob that is good.
    private func goodSources() throws(StoreError) -> [Digest: Descriptor] {
        var found: [Digest: Descriptor] = [:]
        for row in try imageRows() {
            guard let manifest = try? Manifest.decode(row.manifest), let config = try? ImageConfig.decode(row.config) else {
                continue
            }
            for (descriptor, diffID) in zip(manifest.layers, config.rootfs.diffIDs)
            where goodBlobs.contains(descriptor.digest.description) {
                found[diffID] = descriptor
            }
        }
        return found
    }

    private func check(_ layer: LayerRow, against source: Descriptor) throws(StoreError) {
        let content = try store.contentLock(.shared)
        defer { withExtendedLifetime(content) {} }
        let staging = try store.makeStaging()
        defer { staging.remove() }
        guard let expected = try unpack(source, layer.diffID, staging) else { return }
        let lock = try store.lockLayer(layer.chainID.hex)
        defer { withExtendedLifetime(lock) {} }
        guard let cause = try difference(layer, expected) else { return }
        // Removed while this looked: then it is nobody's.
        guard try isKnown(layer.chainID.description) else { return }
        var problem = StoreProblem(.layer, layer.chainID.description, cause)
        defer { problems.append(problem) }
        guard repair else { return }
        let running = try users(of: layer.chainID.description, "containers").filter(options.isRunning)
        if let container = running.first {
            problem.fix = "berth stop \(container.prefix(12)), then \(StoreProblem.repairCommand)"
            return
        }
        // On disk before it takes the place of what is there.
        try system { () throws(SystemError) in try store.root.fd.syncFileSystem() }
        store.discard(Doomed(paths: [Store.layerPath(layer.chainID)]))
        try system { () throws(SystemError) in
            try staging.directory.fd.rename("layer", to: Store.layerPath(layer.chainID), in: store.root.fd)
            try store.root.fd.syncFileSystem()
        }
        store.emptyTrash()
        problem.outcome = .repaired
        problem.fix = ""
    }

    /// What the blob unpacks to; nil when it is not the layer's after all.
    private func unpack(_ source: Descriptor, _ diffID: Digest, _ staging: Staging) throws(StoreError) -> SharedFD? {
        let blob: SharedFD
        do throws(SystemError) {
            blob = SharedFD(try store.root.fd.open(Store.Directory.blobs + "/" + source.digest.hex, [.noFollow, .nonBlocking]))
        } catch {
            // Removed while this looked.
            if error.errno == .noEntry { return nil }
            throw StoreError(error)
        }
        let root = try system { () throws(SystemError) in
            try staging.directory.fd.makeDirectory("layer", mode: 0o700)
            try staging.directory.fd.makeDirectory("layer/fs", mode: 0o755)
            return SharedFD(try staging.directory.fd.open("layer/fs", [.directory, .noFollow]))
        }
        let limits = LayerUnpacker.Limits()
        let stream = try archive { () throws(ArchiveError) in
            try LayerStream(FileReader(blob.fd, offset: 0, length: nil, name: source.digest.description), copy: nil, limit: limits.size)
        }
        let unpacker = LayerUnpacker(
            root: root, isInUserNamespace: store.isInUserNamespace, limits: limits, cancellation: cancellation)
        do throws(StoreError) {
            try unpacker.unpack(TarReader(stream))
        } catch {
            stream.cancel()
            throw error
        }
        let summary = try archive { () throws(ArchiveError) in try stream.finish() }
        withExtendedLifetime(blob) {}
        return summary.diffHex == diffID.hex ? root : nil
    }

    private func difference(_ layer: LayerRow, _ expected: SharedFD) throws(StoreError) -> String? {
        do throws(SystemError) {
            let actual = SharedFD(try store.root.fd.open(Store.layerPath(layer.chainID) + "/fs", [.directory, .noFollow]))
            return try TreeComparison.firstDifference(actual, expected)
        } catch {
            if error.errno == .noEntry { return nil }
            if StoreCheck.saysNothing(error.errno) { throw StoreError(error) }
            return error.description
        }
    }
}
