import JSON
import Linux
import OCI
import Store

/// A page of names, and whether there are more.
struct NamePage: Sendable {
    var names: [String]
    var hasMore: Bool
}

/// A manifest that names another as its subject.
struct Referrer: Sendable {
    var digest: String
    var mediaType: String
    var size: Int64
    var artifactType: String
    /// A JSON object.
    var annotations: [UInt8]
}

extension RegistryStorage {
    private static func page(_ names: [String], _ limit: Int) -> NamePage {
        NamePage(names: Array(names.prefix(limit)), hasMore: names.count > limit && limit > 0)
    }

    /// Tags behind `last`, in the order of their bytes.
    ///
    /// - Throws: 404 for a repository that does not exist.
    func tags(_ name: String, limit: Int, after last: String) throws(APIFailure) -> NamePage {
        let names = try read { (database) throws(StoreError) -> [String]? in
            guard let repository = try RegistryStorage.repository(name, database) else { return nil }
            return try database.texts(
                "SELECT name FROM tags WHERE repository=? AND name>? ORDER BY name LIMIT ?",
                [.integer(repository), .text(last), .integer(Int64(limit) + 1)])
        }
        guard let names else { throw .unknownName(name) }
        return RegistryStorage.page(names, limit)
    }

    /// Repositories that have something, behind `last`.
    func repositories(limit: Int, after last: String) throws(APIFailure) -> NamePage {
        let names = try read { (database) throws(StoreError) in
            try database.texts(
                """
                SELECT name FROM repositories WHERE name>?
                AND (EXISTS(SELECT 1 FROM manifests WHERE repository=id) OR EXISTS(SELECT 1 FROM links WHERE repository=id))
                ORDER BY name LIMIT ?
                """, [.text(last), .integer(Int64(limit) + 1)])
        }
        return RegistryStorage.page(names, limit)
    }

    /// Manifests whose subject is `digest`, by their digest; none where there is no such repository.
    ///
    /// - Parameters:
    ///   - artifactType: only those of this type.
    ///   - size: bytes of annotations after which a page ends.
    func referrers(
        _ name: String, _ digest: Digest, artifactType: String?, limit: Int, size: Int, after last: String
    ) throws(APIFailure) -> (page: [Referrer], hasMore: Bool) {
        try read { (database) throws(StoreError) -> (page: [Referrer], hasMore: Bool) in
            guard let repository = try RegistryStorage.repository(name, database) else { return ([], false) }
            var page: [Referrer] = []
            var room = size
            var hasMore = false
            try database.query(
                """
                SELECT manifests.digest, media_type, size, artifact_type, annotations
                FROM manifests JOIN blobs USING(digest)
                WHERE repository=?1 AND subject=?2 AND manifests.digest>?3 AND (?4 IS NULL OR artifact_type=?4)
                ORDER BY manifests.digest LIMIT ?5
                """,
                [
                    .integer(repository), .text(digest.description), .text(last), .optionalText(artifactType),
                    .integer(Int64(limit) + 1),
                ]
            ) { row in
                if page.count == limit || room < 0 {
                    hasMore = true
                    return
                }
                let annotations = row.blob(4)
                room -= annotations.count
                page.append(
                    Referrer(
                        digest: row.text(0), mediaType: row.text(1), size: row.integer(2), artifactType: row.text(3),
                        annotations: annotations))
            }
            return (page, hasMore)
        }
    }

    // MARK: Layout

    /// Writes `index.json`, where something has changed, so that other tools can read the directory as an OCI layout.
    ///
    /// A picture of the database, not the truth: the server writes it a moment after a change, at its start and at its end.
    func writeIndex() {
        let isStale = indexIsStale.withLock { stale in
            defer { stale = false }
            return stale
        }
        guard isStale, !isReadOnly else { return }
        do throws(APIFailure) {
            let bytes = try layoutIndex()
            try kernel { () throws(SystemError) in
                try root.fd.replaceFile("index.json", with: bytes, mode: 0o600, durable: false)
            }
        } catch {
            markChanged()
            complain("write index.json: \(error.inside ?? error.message)")
        }
    }

    private func layoutIndex() throws(APIFailure) -> [UInt8] {
        try read { (database) throws(StoreError) in
            var writer = JSONWriter()
            var failure: StoreError?
            writer.object { w in
                w.field("schemaVersion", 2)
                w.field("mediaType", MediaType.ociIndex.rawValue)
                w.key("manifests")
                w.array { w in
                    do throws(StoreError) {
                        // Those without a tag are listed too, or a tool that collects garbage would take them away.
                        try database.query(
                            """
                            SELECT repositories.name, tags.name, manifests.digest, media_type, size
                            FROM manifests JOIN blobs USING(digest) JOIN repositories ON repositories.id=manifests.repository
                            LEFT JOIN tags ON tags.repository=manifests.repository AND tags.digest=manifests.digest
                            ORDER BY repositories.name, tags.name, manifests.digest
                            """
                        ) { row in
                            w.object { w in
                                w.field("mediaType", row.text(3))
                                w.field("digest", row.text(2))
                                w.field("size", row.integer(4))
                                guard let tag = row.optionalText(1) else { return }
                                w.field("annotations", [Annotation.refName: row.text(0) + ":" + tag])
                            }
                        }
                    } catch {
                        failure = error
                    }
                }
            }
            if let failure { throw failure }
            return writer.bytes
        }
    }
}
