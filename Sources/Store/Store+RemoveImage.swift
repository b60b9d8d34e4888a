import Glibc
import Linux
import OCI

/// What `rmi` did, in the order it is told.
public struct RemovedImage: Sendable, Hashable {
    /// References that name nothing any more, in the form people type (`name:tag`), sorted.
    public var untagged: [String]
    /// The image's id and the chain ids of the layers that went with it, topmost first. Empty when a name was enough.
    public var deleted: [String]

    /// Docker's lines: `Untagged: …`, then `Deleted: sha256:…`.
    public var lines: [String] { untagged.map { "Untagged: " + $0 } + deleted.map { "Deleted: " + $0 } }
}

extension Store {
    /// Gives an image one more name; an image that had the name before loses it.
    ///
    /// - Parameters:
    ///   - source: any text ``image(matching:)`` takes.
    ///   - reference: gets the tag `latest` where it has none.
    /// - Returns: the image's id.
    /// - Throws: `.notFound`, `.ambiguous`; `.invalid` for a name with a digest, or one that would read as a digest.
    @discardableResult
    public func tag(_ source: String, as reference: Reference) throws(StoreError) -> String {
        guard reference.digest == nil else {
            throw StoreError(
                .invalid, "tag image", reference.familiar, cause: "refusing to create a tag with a digest reference")
        }
        guard reference.familiarName != "sha256" else {
            throw StoreError(
                .invalid, "tag image", reference.familiar,
                cause: "refusing to create an ambiguous tag using digest algorithm as name")
        }
        removeGarbage()
        let name = reference.withDefaultTag.description
        return try database.transaction(.durable) { () throws(StoreError) in
            let id = try image(matching: source).id
            _ = try setName(name, id)
            return id
        } committed: { _ in
            writeIndex()
        }
    }

    /// Takes a name from an image, or removes the image: what `rmi` does, by Docker's rules.
    ///
    /// A name that is not the last one only goes. The last name, and an id, remove the image with every blob and layer that
    /// nothing else needs; an image of several names goes by its id only with `force`. A container's layers stay until the
    /// container goes. Rows go first, in one durable transaction, then the files: a kill between leaves nothing that is
    /// named, and the next writer sweeps it.
    /// - Parameters:
    ///   - text: a name or id as ``image(matching:)`` takes it.
    ///   - force: also when stopped containers use it; a running one keeps the image, but not its name.
    ///   - isRunning: whether the container with this id runs. Called while the database is locked: may not use it.
    /// - Throws: `.notFound`, `.ambiguous`; `.inUse` with the container's id in `holders`, and Docker's sentence as `cause`.
    @discardableResult
    public func removeImage(
        _ text: String, force: Bool = false, isRunning: @escaping (String) -> Bool
    ) throws(StoreError) -> RemovedImage {
        removeGarbage()
        var doomed = Doomed()
        var isIndexed = true
        let removed = try database.transaction(.durable, givesRoom: true) { () throws(StoreError) -> RemovedImage in
            doomed = Doomed()
            let record = try image(matching: text)
            let removal = ImageRemoval(
                text: text, record: record, name: storedName(text, record), force: force,
                containers: try containers(ofImage: record.id), isRunning: isRunning)
            let decision = try removal.decide()
            try dropNames(decision.names)
            var removed = RemovedImage(untagged: decision.names.map(Store.familiar).sorted(), deleted: [])
            if decision.removesImage { removed.deleted = try dropImage(record.id, into: &doomed) }
            return removed
        } committed: { _ in
            // A save reads blobs without the database's lock; it must find them to its end.
            if let content = try? contentLock(.exclusive, wait: false) {
                discard(doomed)
                withExtendedLifetime(content) {}
            }
            isIndexed = writeIndex()
        }
        emptyTrash()
        awaitRemoval(doomed)
        // The disk was full; now there is room.
        if !isIndexed { try? database.transaction(.volatile, { () throws(StoreError) -> Void in }, committed: { _ in writeIndex() }) }
        database.keepReserve()
        return removed
    }

    /// Inside a transaction: takes away tags and digests.
    func dropNames(_ names: [String]) throws(StoreError) {
        for name in names {
            try database.run("DELETE FROM names WHERE reference=?", [.text(name)])
            try database.run("DELETE FROM repo_digests WHERE reference=?", [.text(name)])
        }
    }

    /// Where another command had the content lock for a moment, tries again; while one loads or saves, the next writer does it.
    func awaitRemoval(_ doomed: Doomed) {
        var attempts = 5
        while attempts > 0, doomed.paths.contains(where: { root.fd.exists($0) }) {
            attempts -= 1
            usleep(20_000)
            removeGarbage()
        }
    }

    /// Inside a transaction: deletes an image's rows and those of the layers only it needed.
    ///
    /// - Returns: what is gone, as Docker tells it: the image's id, then chain ids from the top.
    func dropImage(_ id: String, into doomed: inout Doomed) throws(StoreError) -> [String] {
        let layer = try database.firstText("SELECT layer FROM images WHERE id=?", [.text(id)])
        let blobs = try database.texts("SELECT digest FROM image_blobs WHERE image_id=? ORDER BY 1", [.text(id)])
        // Names and blobs go along (ON DELETE CASCADE).
        try database.run("DELETE FROM images WHERE id=?", [.text(id)])
        for blob in blobs where try !isBlobNamed(blob) {
            doomed.paths.append(Directory.blobs + "/" + hexPart(blob))
        }
        guard let layer else { return [id] }
        let candidates = try chain(from: layer)
        try dropLayers(from: layer, into: &doomed)
        var gone = [id]
        for candidate in candidates {
            if try database.firstInteger("SELECT 1 FROM layers WHERE chain_id=?", [.text(candidate)]) != nil { break }
            gone.append(candidate)
        }
        return gone
    }

    /// The stored tag or digest that the text is; nil when it is an id, or a digest no registry told.
    private func storedName(_ text: String, _ record: ImageRecord) -> String? {
        guard let reference = try? Reference.parse(text) else { return nil }
        let name = reference.withDefaultTag.description
        if record.names.contains(name) { return name }
        guard let digest = reference.digest else { return nil }
        let pinned = reference.name + "@" + digest.description
        return record.digests.contains { $0.reference == pinned } ? pinned : nil
    }

    static func familiar(_ name: String) -> String {
        do throws(OCIError) { return try Reference.parse(name).familiar } catch { return name }
    }
}

/// Docker's rules about what `rmi` may take away.
struct ImageRemoval {
    var text: String
    var record: ImageRecord
    /// The tag or digest that was given, among the record's; nil for an id.
    var name: String?
    var force: Bool
    var containers: [String]
    var isRunning: (String) -> Bool

    struct Decision {
        /// Tags and digests that go.
        var names: [String]
        var removesImage: Bool
    }

    private var digests: [String] { record.digests.map(\.reference) }

    /// Whether everything that names the image is one tag and the digests of its repository: Docker counts them as one.
    private var hasOneName: Bool {
        if record.names.count > 1 { return false }
        let repositories = Set((record.names + digests).map(Self.repository))
        return repositories.count <= 1
    }

    func decide() throws(StoreError) -> Decision {
        guard let name else {
            try refuseConflicts()
            return Decision(names: record.names + digests, removesImage: true)
        }
        if hasOneName, !force, let user = containers.first {
            throw conflict(
                "unable to remove repository reference \"\(text)\" (must force) - container \(short(user)) is using its "
                    + "referenced image \(shortID)", user)
        }
        var gone = [name]
        // With the last tag of a repository go its digests; a digest goes alone.
        if record.names.contains(name) {
            let repository = Self.repository(name)
            let hasOthers = record.names.contains { $0 != name && Self.repository($0) == repository }
            if !hasOthers { gone += digests.filter { Self.repository($0) == repository } }
        }
        if gone.count < record.names.count + digests.count { return Decision(names: gone, removesImage: false) }
        // With force, the name goes; what a running container was made from stays without a name.
        return Decision(names: gone, removesImage: !containers.contains(where: isRunning))
    }

    private static func repository(_ name: String) -> String { (try? Reference.parse(name).name) ?? name }

    private func refuseConflicts() throws(StoreError) {
        if let user = containers.first(where: isRunning) {
            throw conflict(
                "unable to delete \(shortID) (cannot be forced) - image is being used by running container \(short(user))", user)
        }
        if force { return }
        if !hasOneName {
            throw conflict("unable to delete \(shortID) (must be forced) - image is referenced in multiple repositories", nil)
        }
        if let user = containers.first {
            throw conflict(
                "unable to delete \(shortID) (must be forced) - image is being used by stopped container \(short(user))", user)
        }
    }

    private func conflict(_ cause: String, _ holder: String?) -> StoreError {
        StoreError(.inUse, "remove image", text, cause: "conflict: " + cause, holders: holder.map { [$0] } ?? [])
    }

    private var shortID: String { short(hexPart(record.id)) }
    private func short(_ id: String) -> String { String(id.prefix(12)) }
}
