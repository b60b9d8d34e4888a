import Linux
import OCI

/// What lies in the store without a name.
struct Garbage {
    /// Chain ids of rows nothing needs.
    var layerRows: [String] = []
    /// Paths below the root: blobs, layers and containers without a row.
    var paths: [String] = []

    var isEmpty: Bool { layerRows.isEmpty && paths.isEmpty }
}

extension Store {
    /// Clears away what killed commands left: staging, trash, and content that no row names.
    ///
    /// Runs at the beginning of every command that writes images. Costs three directory listings where there is nothing to do.
    /// Does nothing while another command brings content in, as that is on disk before a row names it. Failures are left to
    /// the next one.
    func removeGarbage() {
        database.keepReserve()
        sweepStaging()
        discardPartials(olderThan: Store.partialAge)
        // Killed between the transaction and the removal.
        emptyTrash()
        do throws(StoreError) {
            guard let content = try contentLock(.exclusive, wait: false) else { return }
            defer { withExtendedLifetime(content) {} }
            if try findGarbage().isEmpty { return }
            var doomed = Doomed()
            try database.transaction(.durable, givesRoom: true) { () throws(StoreError) in
                doomed = Doomed()
                // Again, as other commands remove images without the content lock.
                let garbage = try findGarbage()
                for layer in garbage.layerRows { try dropLayers(from: layer, into: &doomed) }
                doomed.paths += garbage.paths
            } committed: { _ in
                discard(doomed)
            }
        } catch { return }
        emptyTrash()
    }

    /// What no row names. Certain only under the content lock and inside a transaction.
    func findGarbage() throws(StoreError) -> Garbage {
        // A database that was lost, not a store that was emptied: the content is what it can be made from again.
        if try hasLostDatabase() { return Garbage() }
        var garbage = Garbage()
        garbage.layerRows = try database.texts(
            """
            SELECT chain_id FROM layers l WHERE NOT EXISTS(SELECT 1 FROM images WHERE layer=l.chain_id)
            AND NOT EXISTS(SELECT 1 FROM containers WHERE layer=l.chain_id)
            AND NOT EXISTS(SELECT 1 FROM layers WHERE parent=l.chain_id)
            AND NOT EXISTS(SELECT 1 FROM container_images WHERE layer=l.chain_id)
            AND NOT EXISTS(SELECT 1 FROM build_steps WHERE layer=l.chain_id)
            """)
        // Files are listed before rows are read. A container that is being made has its directory first, with the lock in
        // it held: the look at the lock comes after the rows.
        let blobs = names(in: Directory.blobs)
        let layers = names(in: Directory.layers)
        let containers = names(in: Directory.containers)
        let keptBlobs = Set(
            try database.texts("SELECT digest FROM image_blobs UNION SELECT blob FROM build_steps WHERE blob IS NOT NULL").map(hexPart))
        let keptLayers = Set(try database.texts("SELECT chain_id FROM layers").map(hexPart))
        let keptContainers = Set(try database.texts("SELECT id FROM containers"))
        garbage.paths = blobs.filter { !keptBlobs.contains($0) }.map { Directory.blobs + "/" + $0 }
        garbage.paths += layers.filter { !keptLayers.contains($0) }.map { Directory.layers + "/" + $0 }
        for container in containers where !keptContainers.contains(container) && !isLocked(container) && !isNew(container) {
            garbage.paths.append(Directory.containers + "/" + container)
        }
        let keptVolumes = Set(try database.texts("SELECT name FROM volumes"))
        for volume in names(in: Directory.volumes) where !keptVolumes.contains(volume) {
            let path = Directory.volumes + "/" + volume
            if root.fd.exists(path + "/" + Store.endsWithRow) { garbage.paths.append(path) }
        }
        return garbage
    }

    /// Whether images that `index.json` names are here and the database knows none at all.
    func hasLostDatabase() throws(StoreError) -> Bool {
        if try database.firstInteger("SELECT 1 FROM images LIMIT 1") != nil { return false }
        guard let bytes = try? root.fd.readFile(OCILayout.indexName), let index = try? Index.decode(bytes) else { return false }
        return index.manifests.contains { root.fd.exists(Directory.blobs + "/" + $0.digest.hex) }
    }

    /// Whether a supervisor lives in a container's directory; it has the file `lock` there for life.
    private func isLocked(_ container: String) -> Bool {
        guard let file = try? root.fd.open(Directory.containers + "/" + container + "/lock", [.readWrite, .noFollow]) else {
            return false
        }
        return (try? file.fd.tryLock(.exclusive)) != true
    }

    /// Whether a container's directory was made just now: whoever makes it has had no time to lock it.
    private func isNew(_ container: String) -> Bool {
        guard let info = try? root.fd.status(of: Directory.containers + "/" + container) else { return false }
        let age = wallClockNanoseconds() / 1_000_000_000 - Int64(info.st_mtim.tv_sec)
        return age >= -1 && age <= 1
    }

    /// Names in one of the store's directories; none when it cannot be read.
    func names(in name: String) -> [String] {
        guard let opened = try? directory(name), let entries = try? directoryEntries(opened.fd) else { return [] }
        return entries.map(\.name)
    }
}
