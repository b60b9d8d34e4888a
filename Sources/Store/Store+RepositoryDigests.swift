import Linux
import OCI

/// What a repository of a registry calls an image: the digest of its manifest, or of the index the manifest was chosen from.
public struct RepositoryDigest: Sendable, Hashable {
    /// `docker.io/library/x@sha256:…`
    public var reference: String
    /// Of the document with that digest.
    public var mediaType: String
    public var size: Int64

    public init(reference: String, mediaType: String, size: Int64) {
        self.reference = reference
        self.mediaType = mediaType
        self.size = size
    }

    init(_ row: Row) { self.init(reference: row.text(0), mediaType: row.text(1), size: row.integer(2)) }
}

extension Store {
    /// Keeps what a repository calls an image, as after a push. Durable when it returns.
    ///
    /// - Parameters:
    ///   - reference: `docker.io/library/x@sha256:…`, without a tag. Another image that was called so loses it: an index has
    ///     an image for each platform, and the one that came last is meant.
    ///   - image: the image's id.
    /// - Throws: `.notFound` for the image, `.invalid` for the reference.
    public func recordDigest(reference: String, image: String, mediaType: String, size: Int64) throws(StoreError) {
        try database.transaction(.durable) { () throws(StoreError) in
            guard try database.firstInteger("SELECT 1 FROM images WHERE id=?", [.text(image)]) != nil else {
                throw StoreError(.notFound, "record digest", image, cause: "no such image")
            }
            try insertDigests([RepositoryDigest(reference: reference, mediaType: mediaType, size: size)], imageID: image)
        }
    }

    /// As ``recordDigest(reference:image:mediaType:size:)`` inside a transaction, after the image's row.
    func insertDigests(_ digests: [RepositoryDigest], imageID: String) throws(StoreError) {
        for digest in digests {
            let reference = try document(digest.reference) { () throws(OCIError) in try Reference.parse(digest.reference) }
            guard let hash = reference.digest else {
                throw StoreError(.invalid, "record digest", digest.reference, cause: "the reference has no digest")
            }
            try database.run(
                """
                INSERT INTO repo_digests VALUES(?,?,?,?,?) ON CONFLICT(reference)
                DO UPDATE SET image_id=excluded.image_id, media_type=excluded.media_type, size=excluded.size
                """,
                [
                    .text(reference.name + "@" + hash.description), .text(imageID), .text(digest.mediaType),
                    .integer(digest.size), .integer(wallClockNanoseconds()),
                ])
        }
    }

    /// Inside a transaction: further blobs to keep as long as the image, such as the index its manifest was chosen from.
    func insertBlobs(_ blobs: [(digest: String, size: Int64)], imageID: String) throws(StoreError) {
        for blob in blobs {
            try database.run(
                "INSERT OR IGNORE INTO image_blobs VALUES(?,?,?)",
                [.text(imageID), .text(blob.digest), .integer(blob.size)])
        }
    }

    /// What repositories call an image, sorted by reference.
    public func digests(of imageID: String) throws(StoreError) -> [RepositoryDigest] {
        var result: [RepositoryDigest] = []
        try database.query(
            "SELECT reference,media_type,size FROM repo_digests WHERE image_id=? ORDER BY reference", [.text(imageID)]
        ) { row in result.append(RepositoryDigest(row)) }
        return result
    }

    /// The image that a repository calls so; nil when no registry was asked about it.
    public func imageID(ofDigest reference: String) throws(StoreError) -> String? {
        try database.firstText("SELECT image_id FROM repo_digests WHERE reference=?", [.text(reference)])
    }

    /// Every name an image ever had, the newest first, by image.
    public func nameHistory() throws(StoreError) -> [String: [String]] {
        var result: [String: [String]] = [:]
        try database.query("SELECT image_id,reference FROM name_history ORDER BY since_ns DESC, reference") { row in
            result[row.text(0), default: []].append(row.text(1))
        }
        return result
    }

    // MARK: Use

    /// Inside a transaction: that an image is used now; at most one write an hour.
    func noteUse(ofImage id: String) throws(StoreError) {
        let now = wallClockNanoseconds()
        let last = try database.firstInteger("SELECT used_ns FROM image_uses WHERE image_id=?", [.text(id)])
        // A clock that was set back must not keep an image for ever.
        if let last, last <= now, now - last < 3600 * 1_000_000_000 { return }
        try database.run(
            "INSERT INTO image_uses VALUES(?,?) ON CONFLICT(image_id) DO UPDATE SET used_ns=excluded.used_ns",
            [.text(id), .integer(now)])
    }
}
