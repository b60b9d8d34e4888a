import Linux
import OCI
import Store

/// A manifest of a repository.
struct StoredManifest: Sendable {
    var digest: Digest
    var mediaType: String
    var size: Int64
    /// Nil when only its existence was asked for.
    var file: SharedFD?
}

/// What a push of a manifest did.
struct PushedManifest: Sendable {
    var digest: Digest
    var subject: Digest?
    var tags: [String]
}

extension RegistryStorage {
    private static func unknownManifest(_ name: ManifestName) -> APIFailure {
        var failure = APIFailure(404, .manifestUnknown, "manifest unknown to registry")
        switch name {
        case .tag(let tag): failure.details = [tag]
        case .digest(let digest): failure.details = [digest.description]
        }
        return failure
    }

    /// The digest that a tag or a digest stands for in a repository.
    private static func resolve(
        _ manifest: ManifestName, _ repository: Int64, _ database: Database
    ) throws(StoreError) -> String? {
        switch manifest {
        case .tag(let tag):
            try database.firstText(
                "SELECT digest FROM tags WHERE repository=? AND name=?", [.integer(repository), .text(tag)])
        case .digest(let digest):
            try database.firstText(
                "SELECT digest FROM manifests WHERE repository=? AND digest=?",
                [.integer(repository), .text(digest.description)])
        }
    }

    /// Finds a manifest.
    ///
    /// - Throws: 404 NAME_UNKNOWN or MANIFEST_UNKNOWN.
    func manifest(_ name: String, _ manifest: ManifestName, opens: Bool) throws(APIFailure) -> StoredManifest {
        let found = try read { (database) throws(StoreError) -> (isKnown: Bool, StoredManifest?) in
            guard let repository = try RegistryStorage.repository(name, database) else { return (false, nil) }
            guard let text = try RegistryStorage.resolve(manifest, repository, database), let digest = Digest(text) else {
                return (true, nil)
            }
            var found: StoredManifest?
            try database.query(
                """
                SELECT media_type, size FROM manifests JOIN blobs USING(digest)
                WHERE manifests.repository=? AND manifests.digest=?
                """, [.integer(repository), .text(text)]
            ) { row in found = StoredManifest(digest: digest, mediaType: row.text(0), size: row.integer(1)) }
            return (true, found)
        }
        guard var stored = found.1 else {
            throw found.isKnown ? RegistryStorage.unknownManifest(manifest) : .unknownName(name)
        }
        if opens { stored.file = try open(stored.digest) }
        return stored
    }

    /// Keeps a manifest, and points tags at it.
    ///
    /// - Parameters:
    ///   - target: the tag, or the digest that the content must have.
    ///   - tags: further tags.
    /// - Throws: 400 when it is none; 404 when it names what the repository has not.
    func putManifest(
        _ name: String, _ target: ManifestName, contentType: String, _ bytes: [UInt8], tags: [String]
    ) throws(APIFailure) -> PushedManifest {
        let content = try ManifestContent.parse(bytes, contentType: contentType)
        let digest: Digest
        var tags = tags
        switch target {
        case .tag(let tag):
            digest = try RunningHash.digest(bytes, .sha256)
            tags.insert(tag, at: 0)
        case .digest(let expected):
            digest = try RunningHash.digest(bytes, expected.algorithm)
            guard digest == expected else {
                throw APIFailure(400, .digestInvalid, "provided digest did not match uploaded content")
            }
        }
        let pushed = PushedManifest(digest: digest, subject: content.subject, tags: tags)
        // The same push again, as CI does it: nothing to write, nothing to sync.
        if try isUnchanged(name, digest, content.mediaType, tags) { return pushed }
        let staged = "manifest-" + hexadecimal(randomBytes(16))
        let file = try kernel { () throws(SystemError) in
            let file = SharedFD(try uploads.fd.open(staged, [.readWrite, .create, .exclusive, .noFollow], mode: 0o600))
            do throws(SystemError) { try file.fd.writeAll(bytes) } catch {
                try? uploads.fd.removeFile(staged)
                throw error
            }
            return file
        }
        do throws(APIFailure) {
            try adopt(staged, file.fd, digest, size: Int64(bytes.count)) {
                (database, _) throws(StoreError) -> Result<Void, APIFailure> in
                if let refusal = try RegistryStorage.commit(content, digest, to: name, tags, database) {
                    return .failure(refusal)
                }
                return .success(())
            }
        } catch {
            try? uploads.fd.removeFile(staged)
            dropOrphan(digest)
            throw error
        }
        markChanged()
        return pushed
    }

    private func isUnchanged(
        _ name: String, _ digest: Digest, _ mediaType: String, _ tags: [String]
    ) throws(APIFailure) -> Bool {
        try read { (database) throws(StoreError) in
            guard let repository = try RegistryStorage.repository(name, database),
                try database.firstText(
                    "SELECT media_type FROM manifests WHERE repository=? AND digest=?",
                    [.integer(repository), .text(digest.description)]) == mediaType
            else { return false }
            for tag in tags {
                guard try RegistryStorage.resolve(.tag(tag), repository, database) == digest.description else { return false }
            }
            return true
        }
    }

    /// Adds the rows of a manifest whose blob has a row.
    ///
    /// - Returns: why it is refused.
    private static func commit(
        _ content: ManifestContent, _ digest: Digest, to name: String, _ tags: [String], _ database: Database
    ) throws(StoreError) -> APIFailure? {
        let repository = try madeRepository(name, database)
        if let refusal = try missing(content, repository, database) { return refusal }
        let key: [Value] = [.integer(repository), .text(digest.description)]
        try database.run(
            """
            INSERT INTO manifests VALUES(?1,?2,?3,?4,?5,?6,?7)
            ON CONFLICT(repository, digest) DO UPDATE SET media_type=?3, artifact_type=?4, subject=?5, annotations=?6
            """,
            key + [
                .text(content.mediaType), .text(content.artifactType), .optionalText(content.subject?.description),
                .blob(content.annotations), .integer(wallClockNanoseconds()),
            ])
        try database.run("DELETE FROM needs WHERE repository=? AND manifest=?", key)
        for need in content.needs {
            try database.run("INSERT OR IGNORE INTO needs VALUES(?,?,?)", key + [.text(need.digest.description)])
        }
        for tag in tags {
            try database.run(
                """
                INSERT INTO tags VALUES(?1,?3,?2)
                ON CONFLICT(repository, name) DO UPDATE SET digest=excluded.digest
                """, key + [.text(tag)])
        }
        return nil
    }

    /// What a manifest names and the repository has not, or has with another size.
    private static func missing(
        _ content: ManifestContent, _ repository: Int64, _ database: Database
    ) throws(StoreError) -> APIFailure? {
        var unknown: [String] = []
        for need in content.needs {
            let key: [Value] = [.integer(repository), .text(need.digest.description)]
            var size = try database.firstInteger(
                "SELECT size FROM links JOIN blobs USING(digest) WHERE links.repository=? AND links.digest=?", key)
            if size == nil, need.mayBeManifest {
                size = try database.firstInteger(
                    "SELECT size FROM manifests JOIN blobs USING(digest) WHERE manifests.repository=? AND manifests.digest=?",
                    key)
            }
            guard let size else {
                unknown.append(need.digest.description)
                continue
            }
            if need.size >= 0, need.size != size {
                return APIFailure(
                    400, .manifestInvalid,
                    "manifest invalid: \(need.digest) has \(size) bytes, the manifest says \(need.size)")
            }
        }
        if unknown.isEmpty { return nil }
        var failure = APIFailure(404, .manifestBlobUnknown, "manifest references a manifest or blob unknown to registry")
        failure.details = Array(unknown.prefix(50))
        return failure
    }

    /// Removes the file of a manifest that was refused, unless something else has the same content.
    private func dropOrphan(_ digest: Digest) {
        _ = try? write(.volatile, givesRoom: true) { (database, doomed) throws(StoreError) -> Result<Void, APIFailure> in
            let isKnown = try database.firstInteger("SELECT 1 FROM blobs WHERE digest=?", [.text(digest.description)]) != nil
            if !isKnown { doomed.append(digest) }
            return .success(())
        }
    }

    /// Takes a tag away; the manifest stays.
    func deleteTag(_ name: String, _ tag: String) throws(APIFailure) {
        try write(givesRoom: true) { (database, _) throws(StoreError) -> Result<Void, APIFailure> in
            guard let repository = try RegistryStorage.repository(name, database) else { return .failure(.unknownName(name)) }
            let count = try database.run(
                "DELETE FROM tags WHERE repository=? AND name=?", [.integer(repository), .text(tag)])
            return count > 0 ? .success(()) : .failure(RegistryStorage.unknownManifest(.tag(tag)))
        }
        markChanged()
    }

    /// Removes a manifest, the tags that point at it, and the blobs that only it named.
    ///
    /// Blobs that were pushed or asked for lately stay for a while: somebody may be about to name them.
    /// - Throws: 404; 405 while an index of the repository names it.
    func deleteManifest(_ name: String, _ digest: Digest) throws(APIFailure) {
        let now = wallClockNanoseconds()
        try write(givesRoom: true) { (database, doomed) throws(StoreError) -> Result<Void, APIFailure> in
            guard let repository = try RegistryStorage.repository(name, database) else { return .failure(.unknownName(name)) }
            let key: [Value] = [.integer(repository), .text(digest.description)]
            guard try database.firstInteger("SELECT 1 FROM manifests WHERE repository=? AND digest=?", key) != nil else {
                return .failure(RegistryStorage.unknownManifest(.digest(digest)))
            }
            if try database.firstInteger("SELECT 1 FROM needs WHERE repository=? AND digest=?", key) != nil {
                return .failure(
                    APIFailure(405, .unsupported, "an index of this repository names the manifest; delete the index first"))
            }
            let needs = try database.texts("SELECT digest FROM needs WHERE repository=? AND manifest=?", key)
            // Tags and needs go with it (ON DELETE CASCADE).
            try database.run("DELETE FROM manifests WHERE repository=? AND digest=?", key)
            for need in needs { try self.loosen(need, repository, now, database, &doomed) }
            if try RegistryStorage.dropBlob(digest.description, database) { doomed.append(digest) }
            return .success(())
        }
        markChanged()
    }

    /// Deals with a blob that has lost a manifest.
    private func loosen(
        _ digest: String, _ repository: Int64, _ now: Int64, _ database: Database, _ doomed: inout [Digest]
    ) throws(StoreError) {
        let key: [Value] = [.integer(repository), .text(digest)]
        guard try database.firstInteger("SELECT 1 FROM needs WHERE repository=? AND digest=?", key) == nil,
            let touched = try database.firstInteger("SELECT touched_ns FROM links WHERE repository=? AND digest=?", key)
        else { return }
        if touched > now - keepUnlinked || sightings.isRecent(repository, digest) {
            // The hour begins now for what is in use by a push.
            try database.run("UPDATE links SET touched_ns=?3 WHERE repository=?1 AND digest=?2", key + [.integer(now)])
            return
        }
        try database.run("DELETE FROM links WHERE repository=? AND digest=?", key)
        if try RegistryStorage.dropBlob(digest, database), let gone = Digest(digest) { doomed.append(gone) }
    }
}
