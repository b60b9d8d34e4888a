import Archive
import Linux
import OCI

extension StoreCheck {
    /// Whether the tar of an indexed layer is the one its diff id names, and its index the one that belongs to it.
    ///
    /// Needs no blob: the tar proves itself, and the index is written once more from it.
    func checkIndexed(_ layer: LayerRow) throws(StoreError) {
        let location = Store.layerPath(layer.chainID) + "/"
        let content = try store.contentLock(.shared)
        defer { withExtendedLifetime(content) {} }
        guard let found = try damage(ofIndexed: layer, location) else { return }
        // Removed while this looked: then it is nobody's.
        guard try isKnown(layer.chainID.description) else { return }
        var problem = StoreProblem(.layer, layer.chainID.description, found.cause)
        defer { problems.append(problem) }
        guard repair else {
            if found.index == nil, try sources(of: layer).isEmpty { problem.fix = StoreProblem.loadAgain }
            return
        }
        if let index = found.index {
            // By rename: whoever has the old one mounted keeps it.
            try system { () throws(SystemError) in
                try store.root.fd.replaceFile(location + ErofsLayer.indexName, with: index, durable: true)
            }
            problem.outcome = .repaired
            problem.fix = ""
            return
        }
        let running = try users(of: layer.chainID.description, "containers").filter(options.isRunning)
        if let container = running.first {
            problem.fix = "berth stop \(container.prefix(12)), then \(StoreProblem.repairCommand)"
            return
        }
        try rebuild(layer, &problem)
    }

    /// What is wrong; with the right index, when only that is wrong.
    private func damage(
        ofIndexed layer: LayerRow, _ location: String
    ) throws(StoreError) -> (cause: String, index: [UInt8]?)? {
        let tar: SharedFD
        do throws(SystemError) {
            tar = SharedFD(try store.root.fd.open(location + ErofsLayer.tarName, [.noFollow, .nonBlocking]))
        } catch {
            if StoreCheck.saysNothing(error.errno) { throw StoreError(error) }
            // Whether it is missing was looked at before.
            return nil
        }
        let indexer = LayerIndexer(cancellation: cancellation)
        let reader = FileReader(tar.fd, offset: 0, length: nil, name: ErofsLayer.tarName)
        let copy = TarCopy(BufferedLender(reader), hashing: true, cancellation: cancellation)
        var unreadable: StoreError?
        do throws(StoreError) {
            do throws(StoreError) { try indexer.read(TarReader(copy)) } catch {
                if error.code == .cancelled || StoreCheck.saysNothing(error.systemError) { throw error }
                unreadable = error
            }
            try archive { () throws(ArchiveError) in try copy.drain() }
        } catch {
            if error.code == .cancelled || StoreCheck.saysNothing(error.systemError) { throw error }
            return ("its tar cannot be read: \(error)", nil)
        }
        let digest = copy.digest()
        if digest != layer.diffID.hex { return ("its tar has the diff id sha256:\(digest)", nil) }
        if let unreadable { return ("its tar cannot be read: \(unreadable)", nil) }
        var index = ErofsIndex(indexer.tree)
        guard indexer.obstacle == nil, let expected = index.image(diffID: layer.diffID, tarSize: copy.size) else {
            return ("its index cannot be right: \(indexer.obstacle ?? "its tar is too large")", nil)
        }
        let stored: [UInt8]
        do throws(SystemError) {
            stored = try store.root.fd.readFile(location + ErofsLayer.indexName, limit: expected.count + 1)
        } catch {
            if StoreCheck.saysNothing(error.errno) { throw StoreError(error) }
            return ("its index cannot be read: \(error.errno)", expected)
        }
        return stored == expected ? nil : ("its index is not that of its tar", expected)
    }
}
