import Archive
import Linux
import OCI

extension StoreCheck {
    /// A row of `images` with what it is made of.
    struct ImageRow {
        var id: String
        var manifestDigest: String
        var layer: String?
        var manifest: [UInt8]
        var config: [UInt8]
    }

    func imageRows() throws(StoreError) -> [ImageRow] {
        var rows: [ImageRow] = []
        try store.database.query("SELECT id,manifest_digest,layer,manifest,config FROM images ORDER BY id") { row in
            rows.append(
                ImageRow(
                    id: row.text(0), manifestDigest: row.text(1), layer: row.optionalText(2), manifest: row.blob(3),
                    config: row.blob(4)))
        }
        return rows
    }

    /// Whether every image's documents are what its digests say, and agree with each other and with the other tables.
    func checkImages() throws(StoreError) {
        for row in try imageRows() {
            try stop()
            let verdict = try judge(row)
            if verdict == .good { continue }
            if !repair {
                if let problem = problem(row, verdict) { problems.append(problem) }
                continue
            }
            var doomed = Doomed()
            let found = try store.database.transaction(.durable) { () throws(StoreError) -> StoreProblem? in
                // Again, now that nobody else writes.
                guard let row = try imageRows().first(where: { $0.id == row.id }) else { return nil }
                let verdict = try judge(row)
                guard var problem = problem(row, verdict) else { return nil }
                try act(on: row, verdict, &problem, &doomed)
                return problem
            } committed: { _ in
                store.discard(doomed)
                store.writeIndex()
            }
            store.emptyTrash()
            if let found { problems.append(found) }
        }
        try checkNames()
    }

    private enum Verdict: Equatable {
        case good
        /// The row's documents are damaged, their blobs are not.
        case documents(manifest: [UInt8], config: [UInt8])
        /// `image_blobs` lacks these.
        case blobs([String: Int64])
        case lost(String)
    }

    private func judge(_ row: ImageRow) throws(StoreError) -> Verdict {
        let manifest = intact(row.manifest, row.manifestDigest)
        let config = intact(row.config, row.id)
        guard let manifest, let config else {
            return .lost("its config or manifest is damaged, in the database and as a blob")
        }
        let parsed: (manifest: Manifest, config: ImageConfig)
        do throws(OCIError) {
            parsed = (try Manifest.decode(manifest), try ImageConfig.decode(config))
            try parsed.config.check(against: parsed.manifest)
        } catch {
            return .lost("its config or manifest cannot be read: \(error)")
        }
        var expected: [String] = []
        var below: Digest?
        for diffID in parsed.config.rootfs.diffIDs {
            let chainID = Store.chainID(parent: below, diffID: diffID)
            expected.append(chainID.description)
            below = chainID
        }
        let chain = try row.layer.map { (top) throws(StoreError) in try store.chain(from: top) } ?? []
        guard chain == expected.reversed() else { return .lost("its layers are not those its config names") }
        if manifest != row.manifest || config != row.config { return .documents(manifest: manifest, config: config) }
        var missing = [row.manifestDigest: Int64(manifest.count), row.id: Int64(config.count)]
        for layer in parsed.manifest.layers { missing[layer.digest.description] = layer.size }
        for blob in try store.database.texts("SELECT digest FROM image_blobs WHERE image_id=?", [.text(row.id)]) {
            missing[blob] = nil
        }
        return missing.isEmpty ? .good : .blobs(missing)
    }

    /// The bytes, when they have the digest; otherwise those of the blob, when they do.
    private func intact(_ bytes: [UInt8], _ digest: String) -> [UInt8]? {
        if "sha256:" + SHA256.hex(bytes) == digest { return bytes }
        // The digest may be damaged too: only its own form makes a path.
        guard let parsed = Digest(digest),
            let blob = try? store.root.fd.readFile(Store.Directory.blobs + "/" + parsed.hex),
            SHA256.hex(blob) == parsed.hex
        else { return nil }
        return blob
    }

    private func problem(_ row: ImageRow, _ verdict: Verdict) -> StoreProblem? {
        switch verdict {
        case .good: nil
        case .documents: StoreProblem(.image, row.id, "its config or manifest is damaged in the database")
        case .blobs: StoreProblem(.image, row.id, "the database does not name all blobs it needs")
        case .lost(let cause): StoreProblem(.image, row.id, cause, fix: StoreProblem.loadAgain)
        }
    }

    /// Inside a transaction.
    private func act(
        on row: ImageRow, _ verdict: Verdict, _ problem: inout StoreProblem, _ doomed: inout Doomed
    ) throws(StoreError) {
        switch verdict {
        case .good: return
        case .documents(let manifest, let config):
            try store.database.run(
                "UPDATE images SET manifest=?, config=? WHERE id=?", [.blob(manifest), .blob(config), .text(row.id)])
        case .blobs(let missing):
            for (digest, size) in missing {
                try store.database.run(
                    "INSERT OR IGNORE INTO image_blobs VALUES(?,?,?)", [.text(row.id), .text(digest), .integer(size)])
            }
        case .lost:
            // Its containers keep their layers.
            _ = try store.dropImage(row.id, into: &doomed)
            problem.outcome = .removed
            return
        }
        problem.outcome = .repaired
        problem.fix = ""
    }

    private func checkNames() throws(StoreError) {
        for name in try store.database.texts("SELECT reference FROM names ORDER BY 1") {
            do throws(OCIError) { if try Reference.parse(name).description == name { continue } } catch { _ = error }
            var problem = StoreProblem(.name, name, "it is no full image reference, so nothing finds it")
            if repair {
                try store.database.transaction(.durable) { () throws(StoreError) -> Void in
                    try store.database.run("DELETE FROM names WHERE reference=?", [.text(name)])
                } committed: { _ in
                    store.writeIndex()
                }
                problem.outcome = .removed
                problem.fix = "berth tag, with the image's id"
            }
            problems.append(problem)
        }
    }
}
