import Archive
import Glibc
import Linux
import OCI

/// How a store is checked.
public struct CheckOptions {
    /// Rebuild what is damaged, and remove what nothing can rebuild.
    public var repair = false
    /// Read no content: only whether everything is there.
    public var isQuick = false
    /// Whether the container with this id runs: the files below it are not replaced then.
    public var isRunning: (String) -> Bool = { _ in false }
    /// Pulls an image again by what its registry calls it (`docker.io/library/x@sha256:…`). Called outside of transactions.
    public var refetch: ((String) throws(StoreError) -> Void)?
    /// Removes a container whose layers are lost for good; says whether it is gone. Called outside of transactions. Nil leaves
    /// them, for their layers may be loaded again.
    public var removeContainer: ((String) -> Bool)?
    /// Seconds after which a download that nobody works on is a leftover; nil takes what every command takes.
    public var leftoverAge: Int64?
    public var cancellation: Cancellation?

    public init(repair: Bool = false, cancellation: Cancellation? = nil) {
        self.repair = repair
        self.cancellation = cancellation
    }
}

extension Store {
    /// Looks at every blob, layer and row, and repairs what can be repaired: what `system check` does.
    ///
    /// Reads all content, and unpacks every layer once more to compare it. Other commands go on meanwhile. A repair rebuilds
    /// rows and documents from each other and layers from their blobs, brings blobs in again from where they came, and removes
    /// only what is damaged and cannot be had again; volumes are never touched.
    /// - Returns: every problem, also the repaired ones; empty for a good store.
    /// - Throws: `.cancelled`, `.system`, `.database`, when the check itself cannot go on.
    public func check(_ options: CheckOptions) throws(StoreError) -> [StoreProblem] {
        let check = StoreCheck(self, options)
        try check.run()
        return check.problems
    }

    public func check(repair: Bool = false, cancellation: Cancellation? = nil) throws(StoreError) -> [StoreProblem] {
        try check(CheckOptions(repair: repair, cancellation: cancellation))
    }
}

/// One run over a store.
final class StoreCheck {
    let store: Store
    let options: CheckOptions
    var repair: Bool { options.repair }
    var cancellation: Cancellation? { options.cancellation }
    var problems: [StoreProblem] = []
    /// Digests of blobs that are there as they should be.
    var goodBlobs: Set<String> = []
    /// Where in `problems` is told of blobs that nothing here can give.
    private var lostBlobs: [String: Int] = [:]

    init(_ store: Store, _ options: CheckOptions) {
        self.store = store
        self.options = options
    }

    /// In this order: what a step relies on was looked at before. Blobs need no rows; rows are rebuilt from blobs; layers are
    /// rebuilt from blobs by what the rows say; and garbage comes last, as repairs make some.
    func run() throws(StoreError) {
        let damage = try store.database.integrityProblems()
        guard damage.isEmpty else {
            for text in damage { problems.append(StoreProblem(.database, Database.fileName, text, fix: databaseFix)) }
            // What the rows say cannot be trusted, so nothing may be done by it.
            return
        }
        try checkLostDatabase()
        try checkBlobs()
        try checkImages()
        try checkLayers()
        if !options.isQuick { try checkContent() }
        try checkVolumes()
        try checkNetworks()
        try checkIndex()
        try checkGarbage()
    }

    private var databaseFix: String {
        "mv \(store.path)/\(Database.fileName) \(store.path)/\(Database.fileName).damaged, then \(StoreProblem.repairCommand)"
    }

    /// Whether an error is about this moment or the hardware, not about what is stored: then nothing is called damaged, and
    /// nothing removed, because of it.
    static func saysNothing(_ error: Errno) -> Bool {
        [EIO, ENOMEM, EMFILE, ENFILE, EINTR, EAGAIN, EACCES, EPERM, ENOSPC, EDQUOT, EROFS].contains(error.rawValue)
    }

    func stop() throws(StoreError) {
        try archive { () throws(ArchiveError) in try cancellation?.check("check store") }
    }

    // MARK: Database

    /// The store is an OCI layout: images can be had again from it.
    private func checkLostDatabase() throws(StoreError) {
        guard try store.hasLostDatabase() else { return }
        var problem = StoreProblem(.database, Database.fileName, "it does not know the images that index.json names")
        if repair {
            do throws(StoreError) {
                _ = try store.load(path: store.path, options: LoadOptions(cancellation: cancellation))
                problem.outcome = .repaired
                problem.fix = ""
            } catch {
                if error.code == .cancelled { throw error }
                problem.cause += ", and they cannot be read: \(error)"
                problem.fix = StoreProblem.loadAgain
            }
        }
        problems.append(problem)
    }

    // MARK: Blobs

    private func checkBlobs() throws(StoreError) {
        for text in try store.database.texts("SELECT DISTINCT digest FROM image_blobs ORDER BY 1") {
            try stop()
            guard let cause = try damage(ofBlob: text) else {
                // Good as far as it was looked at.
                goodBlobs.insert(text)
                continue
            }
            var problem = StoreProblem(.blob, text, cause)
            let isNamed: Bool
            if repair {
                isNamed = try store.database.transaction(.durable) { () throws(StoreError) in
                    try repairBlob(text, &problem)
                }
                store.emptyTrash()
            } else {
                isNamed = try store.isBlobNamed(text)
                let origins = options.refetch == nil ? [] : try origins(ofBlob: text)
                if origins.isEmpty, try documents(text).isEmpty { problem.fix = StoreProblem.loadAgain }
            }
            // Not named any more: its image was removed while this looked.
            if !isNamed { continue }
            if problem.outcome != .repaired { lostBlobs[text] = problems.count }
            problems.append(problem)
        }
        try refetchLostBlobs()
    }

    /// What registries call the images that have a blob.
    private func origins(ofBlob text: String) throws(StoreError) -> [String] {
        try store.database.texts(
            """
            SELECT reference FROM repo_digests JOIN image_blobs ON image_blobs.image_id=repo_digests.image_id
            WHERE digest=? ORDER BY 1
            """, [.text(text)])
    }

    /// Brings blobs back that nothing here can give, from the registries their images came from.
    private func refetchLostBlobs() throws(StoreError) {
        guard repair, let refetch = options.refetch else { return }
        var tried: [String: String] = [:]
        for (blob, place) in lostBlobs.sorted(by: { $0.value < $1.value }) {
            for origin in try origins(ofBlob: blob) {
                try stop()
                if tried[origin] == nil {
                    do throws(StoreError) {
                        try refetch(origin)
                        tried[origin] = ""
                    } catch {
                        if error.code == .cancelled { throw error }
                        tried[origin] = "\(error)"
                    }
                }
                if try damage(ofBlob: blob) == nil {
                    goodBlobs.insert(blob)
                    problems[place].cause += "; pulled again as \(origin)"
                    problems[place].outcome = .repaired
                    problems[place].fix = ""
                    break
                }
                if let failure = tried[origin], !failure.isEmpty { problems[place].cause += "; \(failure)" }
            }
        }
    }

    /// What is wrong with a blob; nil when its content is what its name says.
    private func damage(ofBlob text: String) throws(StoreError) -> String? {
        guard let digest = Digest(text), digest.algorithm == .sha256 else { return "its digest cannot be read" }
        let file: SharedFD
        do throws(SystemError) {
            file = SharedFD(try store.root.fd.open(Store.Directory.blobs + "/" + digest.hex, [.noFollow, .nonBlocking]))
        } catch {
            if StoreCheck.saysNothing(error.errno) { throw StoreError(error) }
            return error.errno == .noEntry ? "it is missing" : error.description
        }
        if options.isQuick { return nil }
        var hash = SHA256()
        do throws(ArchiveError) {
            let lender = BufferedLender(FileReader(file.fd, offset: 0, length: nil, name: text))
            while true {
                let piece = try lender.lend()
                if piece.isEmpty { break }
                hash.update(piece)
                try cancellation?.check("check store")
            }
        } catch {
            if error.code == .cancelled || StoreCheck.saysNothing(Errno(rawValue: error.systemError)) { throw StoreError(error) }
            return StoreError(error).description
        }
        let found = hash.finishHex()
        return found == digest.hex ? nil : "its content has the digest sha256:\(found)"
    }

    /// Inside a transaction, so that nobody brings it in or takes it away meanwhile.
    ///
    /// - Returns: whether an image still needs the blob.
    private func repairBlob(_ text: String, _ problem: inout StoreProblem) throws(StoreError) -> Bool {
        guard try store.isBlobNamed(text) else { return false }
        // Another command may have loaded it again since.
        if try damage(ofBlob: text) == nil {
            goodBlobs.insert(text)
            problem.outcome = .repaired
            problem.fix = ""
            return true
        }
        let path = Store.Directory.blobs + "/" + hexPart(text)
        if let bytes = try documents(text).first {
            // Out of the way first: it may be something that no file can be renamed over.
            store.discard(Doomed(paths: [path]))
            try system { () throws(SystemError) in try store.root.fd.replaceFile(path, with: bytes, durable: true) }
            goodBlobs.insert(text)
            problem.outcome = .repaired
            problem.fix = ""
            return true
        }
        // A layer's bytes cannot be made again from its files. The image still runs; loading it brings the blob back.
        if store.root.fd.exists(path) {
            store.discard(Doomed(paths: [path]))
            problem.outcome = .removed
        }
        problem.fix = StoreProblem.loadAgain
        return true
    }

    /// The bytes of a config or manifest as the database has them, where they have the digest.
    private func documents(_ text: String) throws(StoreError) -> [[UInt8]] {
        var found: [[UInt8]] = []
        try store.database.query("SELECT manifest FROM images WHERE manifest_digest=?", [.text(text)]) { row in
            found.append(row.blob(0))
        }
        try store.database.query("SELECT config FROM images WHERE id=?", [.text(text)]) { row in found.append(row.blob(0)) }
        return found.filter { "sha256:" + SHA256.hex($0) == text }
    }

    // MARK: The rest

    private func checkVolumes() throws(StoreError) {
        let directories = Set(store.names(in: Store.Directory.volumes))
        let rows = Set(try store.database.texts("SELECT name FROM volumes"))
        for name in rows.subtracting(directories).sorted() {
            var problem = StoreProblem(
                .volume, name, "its directory is missing; it is made empty on next use", fix: "berth volume rm \(name)")
            // Where a command was killed between the row and the directory that is all there was to it.
            if repair, (try? store.volumeDirectory(name)) != nil { (problem.outcome, problem.fix) = (.repaired, "") }
            problems.append(problem)
        }
        for name in directories.subtracting(rows).sorted() where isObjectName(name) {
            // Of a command that was killed: told with the garbage.
            if store.root.fd.exists(Store.Directory.volumes + "/" + name + "/" + Store.endsWithRow) { continue }
            problems.append(
                StoreProblem(
                    .volume, name, "the database does not know it; its data is in \(store.path)/\(Store.Directory.volumes)/\(name)",
                    fix: "look at the directory, then move it away"))
        }
    }

    private func checkIndex() throws(StoreError) {
        func isCurrent() throws(StoreError) -> Bool {
            guard try store.database.firstInteger("SELECT 1 FROM images LIMIT 1") != nil else { return true }
            return (try? store.root.fd.readFile(OCILayout.indexName)) == store.indexDocument()
                && store.root.fd.exists(OCILayout.fileName)
        }
        if try isCurrent() { return }
        // Another command may have been between its commit and the file.
        let isBehind = try store.database.transaction(.volatile) { () throws(StoreError) in
            if try isCurrent() { return false }
            if repair { store.writeIndex() }
            return true
        }
        guard isBehind else { return }
        problems.append(
            StoreProblem(
                .index, OCILayout.indexName, "it does not name the images that are here", fix: repair ? "" : StoreProblem.repairCommand,
                outcome: repair ? .repaired : .found))
    }

    private func checkGarbage() throws(StoreError) {
        var paths: [String] = []
        // Content that a command brings in just now has no name yet; then the next check sees what is left.
        // Nor can anything be known, or done, where the store cannot be written.
        if !store.database.lockIsMissing, let content = try store.contentLock(.exclusive, wait: false) {
            defer { withExtendedLifetime(content) {} }
            let garbage = try store.database.transaction(.volatile) { () throws(StoreError) in try store.findGarbage() }
            paths = garbage.layerRows.map { Store.Directory.layers + "/" + hexPart($0) } + garbage.paths
        }
        paths += store.abandonedStaging().map { Store.Directory.staging + "/" + $0 }
        paths += store.names(in: Store.Directory.trash).map { Store.Directory.trash + "/" + $0 }
        if let age = options.leftoverAge {
            paths += store.partials(olderThan: age).map { Store.partialDirectory + "/" + $0 }
            if repair { store.discardPartials(olderThan: age) }
        }
        if repair { store.removeGarbage() }
        for path in paths.sorted() {
            let isGone = repair && !store.root.fd.exists(path)
            problems.append(
                StoreProblem(
                    .garbage, path, "left by a command that was killed", fix: isGone ? "" : StoreProblem.repairCommand,
                    outcome: isGone ? .repaired : .found))
        }
    }
}
