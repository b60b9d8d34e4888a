import Archive
import Glibc
import Linux
import OCI

/// An image whose content is on disk and synced, about to be named.
struct NewImage {
    var id: Digest
    var config: ImageConfig
    var manifest: Manifest
    var manifestDigest: Digest
    var top: Digest?
    var size: Int64
    var names: [String]
    /// What a registry called it.
    var digests: [RepositoryDigest] = []
    /// Further documents that are kept with it, such as the index it came by.
    var documents: [(digest: String, size: Int64)] = []

    /// Every blob that must be kept for it, with its size.
    var blobs: [(digest: String, size: Int64)] {
        var result = [
            (manifestDigest.description, Int64(manifest.raw.count)), (id.description, Int64(config.raw.count)),
        ]
        for layer in manifest.layers { result.append((layer.digest.description, layer.size)) }
        return result + documents
    }
}

/// An image as `images` shows it.
public struct ImageRecord: Sendable, Hashable {
    /// `sha256:…`, the digest of its config.
    public var id: String
    public var manifestDigest: String
    /// Full references (`docker.io/library/x:latest`), sorted. Empty for a dangling image.
    public var names: [String]
    /// Bytes of its layers' tar streams, shared layers included.
    public var size: Int64
    /// When it was built, nanoseconds since 1970; 0 when the config does not say.
    public var created: Int64
    /// When it came into this store.
    public var added: Int64
    /// What the registries it was pulled from or pushed to call it; sorted by reference.
    public var digests: [RepositoryDigest] = []
}

/// Everything about an image.
public struct ImageDetails: Sendable {
    public var record: ImageRecord
    public var config: ImageConfig
    public var manifest: Manifest
    /// Lowest first.
    public var layers: [(chainID: String, diffID: String, size: Int64)]
    /// Ids of containers made from it.
    public var containers: [String]
}

extension Store {
    // MARK: Adding

    /// Names images whose content is in place; nil when some of it is gone again and must be brought in once more.
    func publish(_ images: [NewImage], _ ingest: Ingest) throws(StoreError) -> [LoadedImage]? {
        var doomed = Doomed()
        let result = try database.transaction(.durable) { () throws(StoreError) -> [LoadedImage]? in
            for image in images where !(try isComplete(image)) { return nil }
            var loaded: [LoadedImage] = []
            var unneeded = ingest.placed
            for image in images {
                unneeded.formUnion(try insertRows(image))
                var replaced: [(name: String, id: String)] = []
                for name in image.names {
                    if let old = try setName(name, image.id.description) { replaced.append((name, old)) }
                }
                loaded.append(
                    LoadedImage(
                        id: image.id.description, names: image.names, replaced: replaced, notes: ingest.notes))
            }
            // The image was there before with differently compressed layers: its own are enough.
            for digest in unneeded where try !isBlobNamed(digest) {
                doomed.paths.append(Directory.blobs + "/" + hexPart(digest))
            }
            return loaded
        } committed: { result in
            discard(doomed)
            if result != nil { writeIndex() }
        }
        emptyTrash()
        return result
    }

    private func isComplete(_ image: NewImage) throws(StoreError) -> Bool {
        if let top = image.top {
            let layers = try chain(from: top.description)
            guard layers.count == image.config.rootfs.diffIDs.count else { return false }
            for layer in layers {
                guard try database.firstInteger("SELECT 1 FROM layers WHERE chain_id=?", [.text(layer)]) != nil,
                    layerFormat(hexPart(layer)) != nil
                else { return false }
            }
        }
        for blob in image.blobs where !root.fd.exists(Directory.blobs + "/" + hexPart(blob.digest)) { return false }
        return true
    }

    /// - Returns: blobs that the image needs no longer.
    private func insertRows(_ image: NewImage) throws(StoreError) -> [String] {
        // Everything below the top was synced before this transaction.
        if let top = image.top {
            for layer in try chain(from: top.description) {
                try database.run("UPDATE layers SET boot=NULL WHERE chain_id=? AND boot IS NOT NULL", [.text(layer)])
            }
        }
        let id = image.id.description
        var replaced: [String] = []
        if let old = try database.firstText("SELECT manifest_digest FROM images WHERE id=?", [.text(id)]) {
            let blobs = try database.texts("SELECT digest FROM image_blobs WHERE image_id=?", [.text(id)])
            let isWhole = blobs.allSatisfy { root.fd.exists(Directory.blobs + "/" + hexPart($0)) }
            let isSame = old == image.manifestDigest.description
            // An archive's manifest says nothing that the one here does not; a registry's is what others know it by.
            if image.digests.isEmpty && (isSame || isWhole) { return [] }
            if !isSame {
                replaced = blobs
                try database.run("DELETE FROM image_blobs WHERE image_id=?", [.text(id)])
                try database.run(
                    "UPDATE images SET manifest_digest=?, manifest=? WHERE id=?",
                    [.text(image.manifestDigest.description), .blob(image.manifest.raw), .text(id)])
            }
        } else {
            try database.run(
                "INSERT INTO images VALUES(?,?,?,?,?,?,?,?)",
                [
                    .text(id), .text(image.manifestDigest.description), .optionalText(image.top?.description),
                    .integer(image.size), .integer(image.config.created.flatMap(parseTime) ?? 0),
                    .integer(wallClockNanoseconds()), .blob(image.manifest.raw), .blob(image.config.raw),
                ])
        }
        for blob in image.blobs {
            try database.run(
                "INSERT OR IGNORE INTO image_blobs VALUES(?,?,?)", [.text(id), .text(blob.digest), .integer(blob.size)])
        }
        try insertDigests(image.digests, imageID: id)
        return replaced
    }

    /// Points a name to an image; gives the id of the other image it named before.
    func setName(_ name: String, _ id: String) throws(StoreError) -> String? {
        let old = try database.firstText("SELECT image_id FROM names WHERE reference=?", [.text(name)])
        try database.run(
            "INSERT INTO names VALUES(?,?) ON CONFLICT(reference) DO UPDATE SET image_id=excluded.image_id",
            [.text(name), .text(id)])
        if old == id { return nil }
        try database.run(
            "INSERT OR REPLACE INTO name_history VALUES(?,?,?)",
            [.text(id), .text(name), .integer(wallClockNanoseconds())])
        return old
    }

    /// Whether a blob is kept for some image, or the cache of builds, and is there.
    func hasBlob(_ digest: Digest) throws(StoreError) -> Bool {
        try isBlobNamed(digest.description) && root.fd.exists(Directory.blobs + "/" + digest.hex)
    }

    func isBlobNamed(_ digest: String) throws(StoreError) -> Bool {
        try database.firstInteger(
            "SELECT 1 WHERE EXISTS(SELECT 1 FROM image_blobs WHERE digest=?1) OR EXISTS(SELECT 1 FROM build_steps WHERE blob=?1)",
            [.text(digest)]) != nil
    }

    // MARK: Finding

    /// All images, newest first.
    public func images() throws(StoreError) -> [ImageRecord] {
        try database.snapshot { () throws(StoreError) in
            var names: [String: [String]] = [:]
            try database.query("SELECT image_id,reference FROM names ORDER BY reference") { row in
                names[row.text(0), default: []].append(row.text(1))
            }
            var digests: [String: [RepositoryDigest]] = [:]
            try database.query("SELECT reference,media_type,size,image_id FROM repo_digests ORDER BY reference") { row in
                digests[row.text(3), default: []].append(RepositoryDigest(row))
            }
            var result: [ImageRecord] = []
            try database.query(
                "SELECT id,manifest_digest,size,created_ns,added_ns FROM images ORDER BY created_ns DESC, id"
            ) { row in
                result.append(Store.image(row, names[row.text(0)] ?? [], digests[row.text(0)] ?? []))
            }
            return result
        }
    }

    /// The image a user means: by reference, by full id (with or without `sha256:`), or by the beginning of its id.
    ///
    /// A reference goes before an id that looks the same, as in Docker.
    /// - Throws: `.notFound`; `.ambiguous` for a short id of several images; `.invalid` for what is neither.
    public func image(matching text: String) throws(StoreError) -> ImageRecord {
        try database.snapshot { () throws(StoreError) in
            var id = try imageID(named: text)
            if id == nil { id = try imageID(beginning: text) }
            if let id, let record = try image(id: id) { return record }
            throw StoreError(.notFound, "find image", text, cause: "no such image")
        }
    }

    /// The image that has a name; nil when none has.
    public func imageID(tagged reference: Reference) throws(StoreError) -> String? {
        try database.firstText("SELECT image_id FROM names WHERE reference=?", [.text(reference.withDefaultTag.description)])
    }

    /// Whether all its blobs and layers are there, as far as a look at their names tells.
    public func isWhole(image id: String) throws(StoreError) -> Bool {
        let blobs = try database.texts("SELECT digest FROM image_blobs WHERE image_id=?", [.text(id)])
        guard blobs.allSatisfy({ root.fd.exists(Directory.blobs + "/" + hexPart($0)) }) else { return false }
        guard let top = try database.firstText("SELECT layer FROM images WHERE id=?", [.text(id)]) else { return true }
        return try chain(from: top).allSatisfy { layerFormat(hexPart($0)) != nil }
    }

    public func image(id: String) throws(StoreError) -> ImageRecord? {
        let names = try database.texts("SELECT reference FROM names WHERE image_id=? ORDER BY 1", [.text(id)])
        let digests = try digests(of: id)
        var result: ImageRecord?
        try database.query("SELECT id,manifest_digest,size,created_ns,added_ns FROM images WHERE id=?", [.text(id)]) { row in
            result = Store.image(row, names, digests)
        }
        return result
    }

    private func imageID(named text: String) throws(StoreError) -> String? {
        let reference: Reference
        do { reference = try Reference.parse(text) } catch { return nil }
        let full = reference.withDefaultTag
        if let id = try database.firstText("SELECT image_id FROM names WHERE reference=?", [.text(full.description)]) {
            return id
        }
        guard let digest = reference.digest else { return nil }
        if let id = try imageID(ofDigest: reference.name + "@" + digest.description) { return id }
        // name@sha256:…: the manifest's digest, for an image that has this repository.
        return try database.firstText(
            """
            SELECT id FROM images JOIN names ON image_id=id WHERE manifest_digest=?1
            AND (reference LIKE ?2||':%' OR reference LIKE ?2||'@%') LIMIT 1
            """, [.text(digest.description), .text(reference.name)])
    }

    private func imageID(beginning text: String) throws(StoreError) -> String? {
        let hex = text.hasPrefix("sha256:") ? String(text.dropFirst(7)) : text
        guard !hex.isEmpty, hex.utf8.count <= 64, hex.utf8.allSatisfy(isHexDigit) else { return nil }
        let ids = try database.texts(
            "SELECT id FROM images WHERE id>='sha256:'||?1 AND id<'sha256:'||?1||'g' LIMIT 3", [.text(hex)])
        if ids.count > 1 {
            throw StoreError(.ambiguous, "find image", text, cause: "several image ids begin with it", holders: ids)
        }
        return ids.first
    }

    /// Everything about an image.
    ///
    /// - Throws: `.notFound`.
    public func imageDetails(id: String) throws(StoreError) -> ImageDetails {
        try database.snapshot { () throws(StoreError) in
            guard let record = try image(id: id) else {
                throw StoreError(.notFound, "inspect image", id, cause: "no such image")
            }
            var documents: (manifest: [UInt8], config: [UInt8], layer: String?) = ([], [], nil)
            try database.query("SELECT manifest,config,layer FROM images WHERE id=?", [.text(id)]) { row in
                documents = (row.blob(0), row.blob(1), row.optionalText(2))
            }
            var layers: [(chainID: String, diffID: String, size: Int64)] = []
            var below: [String] = []
            if let top = documents.layer { below = try chain(from: top) }
            for layer in below {
                try database.query("SELECT chain_id,diff_id,diff_size FROM layers WHERE chain_id=?", [.text(layer)]) { row in
                    layers.append((row.text(0), row.text(1), row.integer(2)))
                }
            }
            return ImageDetails(
                record: record,
                config: try document(id) { () throws(OCIError) in try ImageConfig.decode(documents.config) },
                manifest: try document(id) { () throws(OCIError) in try Manifest.decode(documents.manifest) },
                layers: layers.reversed(), containers: try containers(ofImage: id))
        }
    }

    /// Only an image's config: the hot path of `run`.
    ///
    /// - Throws: `.notFound`.
    public func imageConfig(id: String) throws(StoreError) -> ImageConfig {
        var bytes: [UInt8]?
        try database.query("SELECT config FROM images WHERE id=?", [.text(id)]) { row in bytes = row.blob(0) }
        guard let bytes else { throw StoreError(.notFound, "find image", id, cause: "no such image") }
        return try document(id) { () throws(OCIError) in try ImageConfig.decode(bytes) }
    }

    private static func image(_ row: Row, _ names: [String], _ digests: [RepositoryDigest]) -> ImageRecord {
        ImageRecord(
            id: row.text(0), manifestDigest: row.text(1), names: names, size: row.integer(2), created: row.integer(3),
            added: row.integer(4), digests: digests)
    }
}
