import Linux
import OCI
import Store

/// An open blob.
struct BlobFile: Sendable {
    var digest: Digest
    var size: Int64
    /// Nil when only the size was asked for.
    var file: SharedFD?
}

extension RegistryStorage {
    private static func unknownBlob(_ digest: Digest) -> APIFailure {
        var failure = APIFailure(404, .blobUnknown, "blob unknown to registry")
        failure.details = [digest.description]
        return failure
    }

    /// Finds a blob that a repository has.
    ///
    /// - Parameter opens: false when only its size is wanted: a client looks whether it must push the blob, which is kept
    ///   for a while then.
    /// - Throws: 404.
    func blob(_ name: String, _ digest: Digest, opens: Bool) throws(APIFailure) -> BlobFile {
        let found = try read { (database) throws(StoreError) -> (Int64, Int64)? in
            var found: (Int64, Int64)?
            try database.query(
                """
                SELECT repositories.id, blobs.size FROM repositories
                JOIN links ON links.repository=repositories.id AND links.digest=?2
                JOIN blobs ON blobs.digest=links.digest WHERE repositories.name=?1
                """, [.text(name), .text(digest.description)]
            ) { row in found = (row.integer(0), row.integer(1)) }
            return found
        }
        guard let (repository, size) = found else { throw RegistryStorage.unknownBlob(digest) }
        guard opens else {
            sightings.note(repository, digest.description)
            return BlobFile(digest: digest, size: size, file: nil)
        }
        return BlobFile(digest: digest, size: size, file: try open(digest))
    }

    /// Opens a blob's file.
    ///
    /// - Throws: 404 when it has just been removed.
    func open(_ digest: Digest) throws(APIFailure) -> SharedFD {
        do throws(SystemError) {
            return SharedFD(try root.fd.open(digest.layoutPath, [.readOnly, .noFollow]))
        } catch {
            if error.errno == .noEntry { throw RegistryStorage.unknownBlob(digest) }
            throw APIFailure(error)
        }
    }

    /// Takes a blob out of a repository; its file goes with the last one.
    ///
    /// - Throws: 404; 405 while a manifest of the repository names it: a manifest that is there is whole.
    func deleteBlob(_ name: String, _ digest: Digest) throws(APIFailure) {
        try write(givesRoom: true) { (database, doomed) throws(StoreError) -> Result<Void, APIFailure> in
            guard let repository = try RegistryStorage.repository(name, database) else { return .failure(.unknownName(name)) }
            let key: [Value] = [.integer(repository), .text(digest.description)]
            guard try database.firstInteger("SELECT 1 FROM links WHERE repository=? AND digest=?", key) != nil else {
                return .failure(RegistryStorage.unknownBlob(digest))
            }
            if try database.firstInteger("SELECT 1 FROM needs WHERE repository=? AND digest=?", key) != nil {
                return .failure(
                    APIFailure(405, .unsupported, "a manifest of this repository names the blob; delete the manifest first"))
            }
            try database.run("DELETE FROM links WHERE repository=? AND digest=?", key)
            if try RegistryStorage.dropBlob(digest.description, database) { doomed.append(digest) }
            return .success(())
        }
    }

    /// Deletes a blob's row when nothing has it any more.
    static func dropBlob(_ digest: String, _ database: Database) throws(StoreError) -> Bool {
        try database.run(
            """
            DELETE FROM blobs WHERE digest=?1
            AND NOT EXISTS(SELECT 1 FROM links WHERE digest=?1)
            AND NOT EXISTS(SELECT 1 FROM manifests WHERE digest=?1)
            AND NOT EXISTS(SELECT 1 FROM needs WHERE digest=?1)
            """, [.text(digest)]) > 0
    }

    /// Gives a repository a blob that another one has.
    ///
    /// - Parameter source: the repository it is in; nil takes it from anywhere. Whoever may push here may read everything.
    /// - Returns: whether there was such a blob.
    func mount(_ name: String, _ digest: Digest, from source: String?) throws(APIFailure) -> Bool {
        let text = digest.description
        // Most mounts that fail do so here, without the write lock.
        func isThere(_ database: Database) throws(StoreError) -> Bool {
            guard let source else {
                return try database.firstInteger("SELECT 1 FROM links WHERE digest=? LIMIT 1", [.text(text)]) != nil
            }
            guard let id = try RegistryStorage.repository(source, database) else { return false }
            return try database.firstInteger(
                "SELECT 1 FROM links WHERE repository=? AND digest=?", [.integer(id), .text(text)]) != nil
        }
        guard try read({ (database) throws(StoreError) in try isThere(database) }) else { return false }
        return try write { (database, _) throws(StoreError) -> Result<Bool, APIFailure> in
            guard try isThere(database) else { return .success(false) }
            try RegistryStorage.link(text, to: name, database)
            return .success(true)
        }
    }

    static func link(_ digest: String, to name: String, _ database: Database) throws(StoreError) {
        try database.run(
            """
            INSERT INTO links VALUES(?,?,?)
            ON CONFLICT(repository, digest) DO UPDATE SET touched_ns=excluded.touched_ns
            """,
            [.integer(try madeRepository(name, database)), .text(digest), .integer(wallClockNanoseconds())])
    }

    /// Brings a finished file in and commits what names it.
    ///
    /// - Parameters:
    ///   - staged: its name below `uploads/`.
    ///   - file: open; it is synced here.
    ///   - commit: runs in the transaction that adds the blob's row.
    func adopt<T>(
        _ staged: String, _ file: FD, _ digest: Digest, size: Int64,
        commit: (Database, inout [Digest]) throws(StoreError) -> Result<T, APIFailure>
    ) throws(APIFailure) -> T {
        // From here on a removal of the same content leaves the file alone, whichever of both commits first.
        pin(digest)
        defer { unpin(digest) }
        let isKnown = try read { (database) throws(StoreError) in
            try database.firstInteger("SELECT 1 FROM blobs WHERE digest=?", [.text(digest.description)]) != nil
        }
        // A file that somebody took away by hand comes back with the next push.
        if isKnown, root.fd.exists(digest.layoutPath) {
            try? uploads.fd.removeFile(staged)
        } else {
            try kernel { () throws(SystemError) in
                try syncData(file)
                try uploads.fd.rename(staged, to: digest.layoutPath, in: root.fd)
                let directory = try root.fd.open("blobs/" + digest.algorithm.rawValue, [.directory])
                try directory.fd.sync()
            }
        }
        return try write { (database, doomed) throws(StoreError) -> Result<T, APIFailure> in
            try database.run(
                "INSERT OR IGNORE INTO blobs VALUES(?,?)", [.text(digest.description), .integer(size)])
            return try commit(database, &doomed)
        }
    }
}
