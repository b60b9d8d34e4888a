import Linux
import OCI

/// What a step of a build made, as the cache has it.
public struct CachedStep: Sendable, Hashable {
    /// Nil: it changed nothing.
    public var layer: BuiltLayer?
    /// The instruction, for people.
    public var description: String
    /// When it was done, nanoseconds since 1970.
    public var created: Int64

    public init(layer: BuiltLayer?, description: String, created: Int64 = wallClockNanoseconds()) {
        (self.layer, self.description, self.created) = (layer, description, created)
    }
}

/// A row of the cache, as `builder du` shows it.
public struct CacheRecord: Sendable, Hashable {
    /// Hexadecimal.
    public var key: String
    /// Chain id of the layer; nil: the step changed nothing.
    public var layer: String?
    /// Chain id of the layer below.
    public var parent: String?
    /// Bytes on disk.
    public var size: Int64
    public var description: String
    /// Nanoseconds since 1970.
    public var created: Int64
    public var used: Int64
    public var uses: Int64
    /// An image or a container has the layer too: its space is not the cache's.
    public var isShared: Bool
}

/// Which rows of the cache go.
public struct CacheSelection: Sendable {
    /// Only what was not used since, nanoseconds since 1970.
    public var unusedSince: Int64?
    /// Least recently used first, until what is left takes no more bytes; nil: all.
    public var keepBytes: Int64?
    public init(unusedSince: Int64? = nil, keepBytes: Int64? = nil) {
        (self.unusedSince, self.keepBytes) = (unusedSince, keepBytes)
    }
}

extension Store {
    func cachedStep(_ key: String) throws(StoreError) -> CachedStep? {
        struct Row {
            var layer: String?
            var blob: String?
            var type: String?
            var size: Int64
            var diffID: String?
            var diffSize: Int64
            var description: String
            var created: Int64
        }
        var found: Row?
        try database.query(
            """
            SELECT layer, blob, media_type, blob_size, diff_id, coalesce(diff_size, 0), description, created_ns
            FROM build_steps LEFT JOIN layers ON layer=chain_id WHERE key=?
            """, [.text(key)]
        ) { row in
            found = Row(
                layer: row.optionalText(0), blob: row.optionalText(1), type: row.optionalText(2), size: row.integer(3),
                diffID: row.optionalText(4), diffSize: row.integer(5), description: row.text(6), created: row.integer(7))
        }
        guard let found else { return nil }
        guard let layer = found.layer else { return CachedStep(layer: nil, description: found.description, created: found.created) }
        guard let blob = found.blob, let type = found.type, let diffID = found.diffID else { return nil }
        return try document { () throws(OCIError) in
            let descriptor = Descriptor(mediaType: MediaType(type), digest: try Digest.parse(blob), size: found.size)
            let built = BuiltLayer(
                chainID: try Digest.parse(layer), diffID: try Digest.parse(diffID), descriptor: descriptor, diffSize: found.diffSize)
            return CachedStep(layer: built, description: found.description, created: found.created)
        }
    }

    func useCachedStep(_ key: String) throws(StoreError) {
        try database.transaction(.volatile) { () throws(StoreError) -> Void in
            try database.run(
                "UPDATE build_steps SET used_ns=?, uses=uses+1 WHERE key=?", [.integer(wallClockNanoseconds()), .text(key)])
        }
    }

    func insertCachedStep(_ step: CachedStep, _ key: String) throws(StoreError) {
        var size: Int64 = 0
        if let layer = step.layer {
            var counter = SpaceCounter()
            size = counter.bytes(of: Store.layerPath(layer.chainID), in: root.fd)
            size += counter.bytes(of: Directory.blobs + "/" + layer.descriptor.digest.hex, in: root.fd)
        }
        let now = wallClockNanoseconds()
        try database.transaction(.volatile) { () throws(StoreError) -> Void in
            try database.run(
                "INSERT OR REPLACE INTO build_steps VALUES(?,?,?,?,?,?,?,?,?,0)",
                [
                    .text(key), .optionalText(step.layer?.chainID.description), .optionalText(step.layer?.descriptor.digest.description),
                    .optionalText(step.layer?.descriptor.mediaType.rawValue), .integer(step.layer?.descriptor.size ?? 0), .integer(size),
                    .text(step.description), .integer(step.created), .integer(now),
                ])
        }
    }

    /// All of it has been synced: it is trusted after a reboot too.
    func trustLayers(_ chainIDs: Set<String>) throws(StoreError) {
        try database.transaction(.durable) { () throws(StoreError) -> Void in
            for layer in chainIDs { try database.run("UPDATE layers SET boot=NULL WHERE chain_id=?", [.text(layer)]) }
        }
    }

    // MARK: What the cache has

    /// Least recently used first.
    public func cacheRecords() throws(StoreError) -> [CacheRecord] {
        var records: [CacheRecord] = []
        try database.query(
            """
            SELECT key, layer, parent, size, description, created_ns, used_ns, uses,
                EXISTS(WITH RECURSIVE up(id) AS (VALUES(layer) UNION SELECT chain_id FROM layers JOIN up ON parent=id)
                    SELECT 1 FROM up WHERE EXISTS(SELECT 1 FROM images WHERE images.layer=up.id)
                    OR EXISTS(SELECT 1 FROM containers WHERE containers.layer=up.id)
                    OR EXISTS(SELECT 1 FROM container_images m WHERE m.layer=up.id))
            FROM build_steps LEFT JOIN layers ON layer=chain_id ORDER BY used_ns, created_ns, key
            """
        ) { row in
            records.append(
                CacheRecord(
                    key: row.text(0), layer: row.optionalText(1), parent: row.optionalText(2), size: row.integer(3),
                    description: row.text(4), created: row.integer(5), used: row.integer(6), uses: row.integer(7),
                    isShared: row.integer(8) != 0))
        }
        return records
    }

    /// Removes rows of the cache, and the layers and stored bytes that nothing else needs.
    ///
    /// Files go to the trash; ``reclaimTrash()`` frees them. A build under way loses nothing of what it has read.
    /// - Returns: what was removed.
    public func pruneCache(_ selection: CacheSelection) throws(StoreError) -> [CacheRecord] {
        var doomed = Doomed()
        var removed: [CacheRecord] = []
        try database.transaction(.durable, givesRoom: true) { () throws(StoreError) -> Void in
            (doomed, removed) = (Doomed(), [])
            let records = try cacheRecords()
            var left = records.reduce(0) { $0 + ($1.isShared ? 0 : $1.size) }
            for record in records {
                if let since = selection.unusedSince, record.used >= since { continue }
                if let most = selection.keepBytes, left <= most { break }
                // Its space is an image's: nothing would be gained.
                if selection.keepBytes != nil, record.isShared { continue }
                let blob = try database.firstText("SELECT blob FROM build_steps WHERE key=?", [.text(record.key)])
                try database.run("DELETE FROM build_steps WHERE key=?", [.text(record.key)])
                if let layer = record.layer { try dropLayers(from: layer, into: &doomed) }
                if let blob, try !isBlobNamed(blob) { doomed.paths.append(Directory.blobs + "/" + hexPart(blob)) }
                if !record.isShared { left -= record.size }
                removed.append(record)
            }
        } committed: { _ in
            if let content = try? contentLock(.exclusive, wait: false) {
                discard(doomed)
                withExtendedLifetime(content) {}
            }
        }
        awaitRemoval(doomed)
        return removed
    }
}
