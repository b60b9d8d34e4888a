import Linux

extension Store {
    /// Images that no container was made from, least recently used first.
    ///
    /// A container uses an image when it is made; loading and pulling count as use too.
    public func unusedImages() throws(StoreError) -> [ImageRecord] {
        try database.snapshot { () throws(StoreError) in
            let order = try database.texts(
                """
                SELECT id FROM images LEFT JOIN image_uses ON image_id=id
                WHERE NOT EXISTS(SELECT 1 FROM containers WHERE containers.image_id=images.id)
                AND NOT EXISTS(SELECT 1 FROM container_images m WHERE m.image_id=images.id)
                ORDER BY max(coalesce(used_ns,0), added_ns), id
                """)
            var byID: [String: ImageRecord] = [:]
            for record in try images() { byID[record.id] = record }
            return order.compactMap { byID[$0] }
        }
    }

    /// Removes an image that no container needs, with all its names: what `prune` and the collection do.
    ///
    /// Files go to the trash; ``reclaimTrash()`` frees them.
    /// - Parameter onlyUntagged: not when it has a tag (any more).
    /// - Returns: nil when it is gone already, or in use by now.
    public func pruneImage(id: String, onlyUntagged: Bool) throws(StoreError) -> RemovedImage? {
        var doomed = Doomed()
        let removed = try database.transaction(.durable, givesRoom: true) { () throws(StoreError) -> RemovedImage? in
            doomed = Doomed()
            guard let record = try image(id: id), try containers(ofImage: id).isEmpty,
                !onlyUntagged || record.names.isEmpty
            else { return nil }
            let names = record.names + record.digests.map(\.reference)
            try dropNames(names)
            return RemovedImage(
                untagged: names.map(Store.familiar).sorted(), deleted: try dropImage(id, into: &doomed))
        } committed: { removed in
            if removed == nil { return }
            // A save reads blobs without the database's lock; it must find them to its end.
            if let content = try? contentLock(.exclusive, wait: false) {
                discard(doomed)
                withExtendedLifetime(content) {}
            }
            writeIndex()
        }
        awaitRemoval(doomed)
        return removed
    }

    /// What killed commands and abandoned downloads left, moved to the trash: what `prune` takes besides images.
    ///
    /// - Parameter partials: also downloads that nobody works on and that could be continued.
    public func discardLeftovers(partials: Bool) {
        removeGarbage()
        if partials { discardPartials(olderThan: 0) }
    }

    /// Empties the trash.
    ///
    /// - Returns: bytes on disk that are free now.
    public func reclaimTrash() -> Int64 {
        var counter = SpaceCounter()
        var freed: Int64 = 0
        if let trash = try? directory(Directory.trash) {
            for name in names(in: Directory.trash) { freed += counter.bytes(of: name, in: trash.fd) }
        }
        emptyTrash()
        database.keepReserve()
        return freed
    }

    // MARK: Partial downloads

    /// A file for each blob that is being fetched, named by its digest's digits and locked (OFD, exclusive) while a command
    /// writes to it. Whoever locks one must look afterwards whether it is still there by that name.
    public static let partialDirectory = "partial"

    /// Downloads that were given up are kept so long for another try.
    static let partialAge: Int64 = 7 * 24 * 3600

    /// Moves downloads that nobody works on to the trash.
    ///
    /// - Parameter seconds: since they were last written to.
    func discardPartials(olderThan seconds: Int64) {
        guard let parent = try? directory(Store.partialDirectory) else { return }
        for name in partials(olderThan: seconds) {
            // Locked while it is moved: whoever opened it before and locks it now finds it gone.
            guard let file = try? parent.fd.open(name, [.readWrite, .noFollow, .nonBlocking]),
                (try? file.fd.tryLock(.exclusive)) == true
            else { continue }
            discard(Doomed(paths: [Store.partialDirectory + "/" + name]))
        }
    }

    /// Downloads that were not written to for some time, also those that somebody works on.
    func partials(olderThan seconds: Int64) -> [String] {
        guard let parent = try? directory(Store.partialDirectory) else { return [] }
        let now = wallClockNanoseconds() / 1_000_000_000
        return names(in: Store.partialDirectory).filter { name in
            (try? parent.fd.status(of: name)).map { now - Int64($0.st_mtim.tv_sec) >= seconds } ?? false
        }
    }
}
