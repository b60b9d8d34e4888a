import Linux
import OCI
import Store

/// Garbage: what nobody can reach any more. Found from the database while requests are served.
extension RegistryStorage {
    /// How long an unfinished upload is kept, in nanoseconds.
    private static let uploadLifetime: Int64 = 86_400_000_000_000

    /// Clears away what a killed server left. Before anybody is served.
    func sweepAtStart() throws(StoreError) {
        try connections.with { (database) throws(StoreError) in
            // Deleting must work when the disk is full.
            database.keepReserve()
            let sessions = Set(try database.texts("SELECT id FROM uploads"))
            for name in try self.names(uploads.fd) where !sessions.contains(name) { try? uploads.fd.removeFile(name) }
            let gone = sessions.filter { !uploads.fd.exists($0) }
            if !gone.isEmpty {
                try database.transaction(.volatile) { () throws(StoreError) in
                    for id in gone { try database.run("DELETE FROM uploads WHERE id=?", [.text(id)]) }
                }
            }
            // Renamed into place, and killed before the commit; or killed between a commit and the removal it allows.
            let known = Set(try database.texts("SELECT digest FROM blobs"))
            for algorithm in Digest.Algorithm.allCases {
                let directory = try system { () throws(SystemError) in
                    try root.fd.open("blobs/" + algorithm.rawValue, [.directory, .noFollow])
                }
                for name in try self.names(directory.fd) where !known.contains(algorithm.rawValue + ":" + name) {
                    try? directory.fd.removeFile(name)
                }
            }
        }
        markChanged()
        collect()
    }

    private func names(_ directory: FD) throws(StoreError) -> [String] {
        try system { () throws(SystemError) in
            // Opened again: the position of a descriptor moves with what was read.
            let reader = try directory.open(".", [.directory])
            return try directoryEntries(reader.fd).map(\.name)
        }
    }

    /// Removes blobs that no manifest names and nobody has touched for a while, unfinished uploads of yesterday, and
    /// repositories that have nothing. Failures are told and left to the next time.
    func collect() {
        guard !isReadOnly else { return }
        let now = wallClockNanoseconds()
        do throws(APIFailure) {
            try collectUploads(before: now - RegistryStorage.uploadLifetime)
            while try collectLinks(before: now - keepUnlinked) {}
        } catch {
            complain("collect garbage: \(error.inside ?? error.message)")
        }
        sightings.forgetOld()
        _ = try? connections.with { (database) throws(StoreError) in database.keepReserve() }
        writeIndex()
    }

    private func collectUploads(before time: Int64) throws(APIFailure) {
        let old = try read { (database) throws(StoreError) in
            try database.texts("SELECT id FROM uploads WHERE started_ns<?", [.integer(time)])
        }
        for id in old {
            let session = sessions.withLock { $0[id] }
            if let session, session.isWriting { continue }
            // Begun long ago, and somebody still adds to it.
            guard let written = try? uploads.fd.status(of: id), Int64(written.st_mtim.tv_sec) * 1_000_000_000 >= time else {
                session?.cancel()
                forget(id)
                continue
            }
        }
    }

    private struct Loose {
        var repository: Int64
        var digest: String
    }

    /// Removes some links, and the blobs that were theirs alone.
    ///
    /// - Returns: whether there are more.
    private func collectLinks(before time: Int64) throws(APIFailure) -> Bool {
        // Pushes wait for the write lock: not for long.
        let batch = 200
        func loose(_ database: Database) throws(StoreError) -> [Loose] {
            var found: [Loose] = []
            try database.query(
                """
                SELECT repository, digest FROM links WHERE touched_ns<=?
                AND NOT EXISTS(SELECT 1 FROM needs WHERE needs.digest=links.digest AND needs.repository=links.repository)
                """, [.integer(time)]
            ) { row in
                let link = Loose(repository: row.integer(0), digest: row.text(1))
                if found.count < batch, !sightings.isRecent(link.repository, link.digest) { found.append(link) }
            }
            return found
        }
        // Mostly there is nothing, and nothing is written.
        let isEmpty = try read { (database) throws(StoreError) -> Bool in
            guard try loose(database).isEmpty else { return false }
            return try database.firstInteger(
                """
                SELECT 1 FROM repositories WHERE NOT EXISTS(SELECT 1 FROM links WHERE repository=id)
                AND NOT EXISTS(SELECT 1 FROM manifests WHERE repository=id) LIMIT 1
                """) == nil
        }
        if isEmpty { return false }
        return try write(givesRoom: true) { (database, doomed) throws(StoreError) -> Result<Bool, APIFailure> in
            let links = try loose(database)
            for link in links {
                try database.run(
                    "DELETE FROM links WHERE repository=? AND digest=?", [.integer(link.repository), .text(link.digest)])
                if try RegistryStorage.dropBlob(link.digest, database), let gone = Digest(link.digest) { doomed.append(gone) }
            }
            try database.run(
                """
                DELETE FROM repositories WHERE NOT EXISTS(SELECT 1 FROM links WHERE repository=id)
                AND NOT EXISTS(SELECT 1 FROM manifests WHERE repository=id)
                """)
            return .success(links.count == batch)
        }
    }
}
