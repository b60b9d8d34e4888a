import Archive
import Linux
import OCI

extension StoreCheck {
    /// A row of `layers`, such as one whose files are missing.
    struct LayerRow {
        var chainID: Digest
        var parent: Digest?
        var diffID: Digest
    }

    /// Whether every layer's directory is there; a repair unpacks it again from its blob.
    func checkLayers() throws(StoreError) {
        for lost in try lostLayers() {
            try stop()
            var problem = StoreProblem(.layer, lost.chainID.description, "its files are missing")
            if repair {
                try rebuild(lost, &problem)
            } else if try sources(of: lost).isEmpty {
                problem.fix = StoreProblem.loadAgain
            }
            problems.append(problem)
        }
    }

    /// From the bottom up, as a layer goes on top of one that is there.
    private func lostLayers() throws(StoreError) -> [LayerRow] {
        var lost: [LayerRow] = []
        let boot = bootIdentifier()
        var rows: [(chainID: String, parent: String?, diffID: String, boot: String?)] = []
        try store.database.query(
            """
            WITH RECURSIVE up(id, depth) AS (
                SELECT chain_id, 0 FROM layers WHERE parent IS NULL
                UNION ALL SELECT chain_id, depth+1 FROM layers JOIN up ON parent=id
            ) SELECT chain_id,parent,diff_id,boot FROM layers JOIN up ON chain_id=id ORDER BY depth, id
            """
        ) { row in rows.append((row.text(0), row.optionalText(1), row.text(2), row.optionalText(3))) }
        for row in rows {
            guard let chainID = Digest(row.chainID), let diffID = Digest(row.diffID) else {
                problems.append(StoreProblem(.layer, row.chainID, "its digest cannot be read", fix: StoreProblem.loadAgain))
                continue
            }
            // Unpacked in an earlier boot and never made durable: power may have been lost before the data was written.
            let isTrusted = row.boot == nil || row.boot == boot
            // Asked before the row is asked for again: the row of a removed layer goes before its directory.
            if isTrusted, try isThere(chainID) { continue }
            guard try isKnown(row.chainID) else { continue }
            if isTrusted, try isThere(chainID) { continue }
            // A killed load's: garbage, not damage.
            if !isTrusted, try !isUsed(row.chainID) { continue }
            lost.append(LayerRow(chainID: chainID, parent: row.parent.flatMap { Digest($0) }, diffID: diffID))
        }
        return lost
    }

    /// - Throws: when it cannot be told: nothing may be removed by that.
    func isThere(_ chainID: Digest) throws(StoreError) -> Bool {
        let base = Store.layerPath(chainID) + "/"
        if try type(of: base + ErofsLayer.indexName) == 0o100000 { return try type(of: base + ErofsLayer.tarName) == 0o100000 }
        return try type(of: base + "fs") == 0o040000
    }

    /// The type as `st_mode` has it; nil for nothing.
    private func type(of path: String) throws(StoreError) -> UInt32? {
        do throws(SystemError) { return try store.root.fd.status(of: path).st_mode & 0o170000 } catch {
            if [.noEntry, .notDirectory, .loop].contains(error.errno) { return nil }
            throw StoreError(error)
        }
    }

    func isKnown(_ chainID: String) throws(StoreError) -> Bool {
        try store.database.firstInteger("SELECT 1 FROM layers WHERE chain_id=?", [.text(chainID)]) != nil
    }

    /// The layer and everything on top of it, by the images or containers that stand on it.
    private func isUsed(_ chainID: String) throws(StoreError) -> Bool {
        if try !users(of: chainID, "images").isEmpty { return true }
        return try !users(of: chainID, "containers").isEmpty
    }

    func users(of chainID: String, _ table: String) throws(StoreError) -> [String] {
        let values: [Value] = [.text(chainID)]
        if table == "images" {
            return try store.database.texts(
                """
                WITH RECURSIVE up(id) AS (VALUES(?) UNION SELECT chain_id FROM layers JOIN up ON parent=id)
                SELECT images.id FROM images JOIN up ON layer=up.id ORDER BY 1
                """, values)
        }
        return try store.database.texts(
            """
            WITH RECURSIVE up(id) AS (VALUES(?) UNION SELECT chain_id FROM layers JOIN up ON parent=id)
            SELECT containers.id FROM containers JOIN up ON layer=up.id
            UNION SELECT container_id FROM container_images JOIN up ON layer=up.id ORDER BY 1
            """, values)
    }

    /// The blobs that hold the layer and are good.
    func sources(of lost: LayerRow) throws(StoreError) -> [Descriptor] {
        var found: [Descriptor] = []
        for row in try imageRows() {
            guard let manifest = try? Manifest.decode(row.manifest), let config = try? ImageConfig.decode(row.config) else {
                continue
            }
            for (descriptor, diffID) in zip(manifest.layers, config.rootfs.diffIDs)
            where diffID == lost.diffID && goodBlobs.contains(descriptor.digest.description) && !found.contains(descriptor) {
                found.append(descriptor)
            }
        }
        return found
    }

    func rebuild(_ lost: LayerRow, _ problem: inout StoreProblem) throws(StoreError) {
        for source in try sources(of: lost) {
            do throws(StoreError) {
                try unpack(lost, source)
                problem.outcome = .repaired
                problem.fix = ""
                return
            } catch {
                if error.code == .cancelled || StoreCheck.saysNothing(error.systemError) { throw error }
                problem.cause += "; \(error)"
            }
        }
        problem.fix = StoreProblem.loadAgain
        try dropImages(on: lost, &problem)
    }

    /// As a load does it: to staging, renamed into place, synced, and last the row that says it is on disk.
    private func unpack(_ lost: LayerRow, _ source: Descriptor) throws(StoreError) {
        let content = try store.contentLock(.shared)
        defer { withExtendedLifetime(content) {} }
        let staging = try store.makeStaging()
        defer { staging.remove() }
        let file = try system { () throws(SystemError) in
            SharedFD(try store.root.fd.open(Store.Directory.blobs + "/" + source.digest.hex, [.noFollow, .nonBlocking]))
        }
        // Not trusted although it may be there: so that it is unpacked, not found.
        store.discard(Doomed(paths: [Store.layerPath(lost.chainID)]))
        let ingest = Ingest(store, staging, limits: LayerUnpacker.Limits(), cancellation: cancellation)
        _ = try ingest.add(
            PlannedLayer(content: .file(Content(file, size: source.size)), descriptor: source, diffID: lost.diffID), on: lost.parent)
        try system { () throws(SystemError) in try store.root.fd.syncFileSystem() }
        try store.database.transaction(.durable) { () throws(StoreError) -> Void in
            try store.database.run("UPDATE layers SET boot=NULL WHERE chain_id=?", [.text(lost.chainID.description)])
        }
        store.emptyTrash()
    }

    /// Images without one of their layers cannot run. Those whose layers a container needs stay: loading them again is what
    /// repairs the container.
    private func dropImages(on lost: LayerRow, _ problem: inout StoreProblem) throws(StoreError) {
        if let remove = options.removeContainer, try !isThere(lost.chainID) {
            for container in try users(of: lost.chainID.description, "containers") where remove(container) {
                problems.append(
                    StoreProblem(.container, container, "its layer \(lost.chainID) is lost", outcome: .removed))
            }
        }
        var doomed = Doomed()
        let dropped = try store.database.transaction(.durable) { () throws(StoreError) -> [String] in
            let chainID = lost.chainID.description
            guard try users(of: chainID, "containers").isEmpty, try !isThere(lost.chainID) else { return [] }
            let images = try users(of: chainID, "images")
            for image in images { _ = try store.dropImage(image, into: &doomed) }
            return images
        } committed: { _ in
            store.discard(doomed)
            store.writeIndex()
        }
        store.emptyTrash()
        for image in dropped {
            problems.append(
                StoreProblem(
                    .image, image, "its layer \(lost.chainID) is lost", fix: StoreProblem.loadAgain, outcome: .removed))
        }
        if !dropped.isEmpty { problem.outcome = .removed }
    }
}
