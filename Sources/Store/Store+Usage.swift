import Linux

/// What a store takes on disk, in bytes as du(1) counts them: blocks, and a file of several names once.
public struct StoreUsage: Sendable {
    /// By digest.
    public var blobs: [String: Int64] = [:]
    /// By chain id.
    public var layers: [String: Int64] = [:]
    /// By id: what they wrote, their logs and settings.
    public var containers: [String: Int64] = [:]
    /// By name.
    public var volumes: [String: Int64] = [:]
    /// By digest: downloads under way or given up.
    public var partials: [String: Int64] = [:]
    /// What is being brought in or removed, and what nobody removed yet.
    public var leftovers: Int64 = 0
    /// The database, the index and everything else.
    public var other: Int64 = 0

    public init() {}

    public var total: Int64 {
        [blobs, layers, containers, volumes, partials].reduce(leftovers + other) { $0 + $1.values.reduce(0, +) }
    }
}

/// What images and containers need of the store, by the database.
public struct StoreNeeds: Sendable {
    public struct Image: Sendable {
        public var record: ImageRecord
        /// Digests.
        public var blobs: [String]
        /// Chain ids, topmost first.
        public var layers: [String]
        /// Ids.
        public var containers: [String]
    }

    public init() {}

    public var images: [Image] = []
    /// Chain ids that containers stand on.
    public var pinned: Set<String> = []
}

extension Store {
    /// Walks the whole store. Other commands go on meanwhile.
    public func usage() -> StoreUsage {
        var usage = StoreUsage()
        var counter = SpaceCounter()
        // Each part with the directories that hold its entries, which belong to no one entry.
        func entries(_ name: String, _ key: (String) -> String = { $0 }) -> [String: Int64] {
            var result: [String: Int64] = [:]
            guard let parent = try? directory(name) else { return result }
            for entry in names(in: name) { result[key(entry)] = counter.bytes(of: entry, in: parent.fd) }
            usage.other += Int64((try? parent.fd.status())?.st_blocks ?? 0) * 512
            return result
        }
        let digest = { (hex: String) in "sha256:" + hex }
        usage.blobs = entries(Directory.blobs, digest)
        usage.layers = entries(Directory.layers, digest)
        usage.containers = entries(Directory.containers)
        usage.volumes = entries(Directory.volumes)
        usage.partials = entries(Store.partialDirectory, digest)
        usage.leftovers = (entries(Directory.staging).merging(entries(Directory.trash)) { $0 + $1 }).values.reduce(0, +)
        // Of builds: the engine counts it with their cache.
        let cacheMounts = "cache-mounts"
        let counted: Set<String> = [
            Directory.layers, Directory.containers, Directory.volumes, Store.partialDirectory, Directory.staging,
            Directory.trash, "blobs", cacheMounts,
        ]
        for name in names(in: ".") where !counted.contains(name) { usage.other += counter.bytes(of: name, in: root.fd) }
        for name in [".", "blobs"] { usage.other += Int64((try? root.fd.status(of: name))?.st_blocks ?? 0) * 512 }
        if let blobs = try? directory("blobs") {
            for name in names(in: "blobs") where name != "sha256" { usage.other += counter.bytes(of: name, in: blobs.fd) }
        }
        return usage
    }

    /// What every image and container needs, on one snapshot.
    public func needs() throws(StoreError) -> StoreNeeds {
        try database.snapshot { () throws(StoreError) in
            var parents: [String: String] = [:]
            try database.query("SELECT chain_id,parent FROM layers WHERE parent IS NOT NULL") { row in
                parents[row.text(0)] = row.text(1)
            }
            func chain(_ top: String?) -> [String] {
                var result: [String] = []
                var next = top
                // Bounded: a damaged table must not make a ring endless.
                while let layer = next, result.count < 4096 {
                    result.append(layer)
                    next = parents[layer]
                }
                return result
            }
            var tops: [String: String] = [:]
            try database.query("SELECT id,layer FROM images WHERE layer IS NOT NULL") { row in tops[row.text(0)] = row.text(1) }
            var blobs: [String: [String]] = [:]
            try database.query("SELECT image_id,digest FROM image_blobs") { row in
                blobs[row.text(0), default: []].append(row.text(1))
            }
            var needs = StoreNeeds()
            var users: [String: [String]] = [:]
            try database.query("SELECT id,image_id,layer FROM containers") { row in
                if let image = row.optionalText(1) { users[image, default: []].append(row.text(0)) }
                needs.pinned.formUnion(chain(row.optionalText(2)))
            }
            try database.query("SELECT container_id,image_id,layer FROM container_images") { row in
                users[row.text(1), default: []].append(row.text(0))
                needs.pinned.formUnion(chain(row.optionalText(2)))
            }
            needs.images = try images().map { record in
                StoreNeeds.Image(
                    record: record, blobs: blobs[record.id] ?? [], layers: chain(tops[record.id]),
                    containers: users[record.id] ?? [])
            }
            return needs
        }
    }
}

extension Store {
    /// Bytes of the blobs of every image, as its documents say.
    public func contentSizes() throws(StoreError) -> [String: Int64] {
        var result: [String: Int64] = [:]
        try database.query("SELECT image_id,sum(size) FROM image_blobs GROUP BY image_id") { row in
            result[row.text(0)] = row.integer(1)
        }
        return result
    }
}
