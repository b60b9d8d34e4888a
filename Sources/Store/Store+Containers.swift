import Linux

extension Store {
    /// Adds a container: takes its name, pins its image's layers and its volumes, in one transaction.
    ///
    /// A directory (``makeContainerDirectory(_:)``) without a row is garbage unless somebody holds the lock in it.
    /// - Parameters:
    ///   - container: its `id` and `name` must be new; `imageID` must exist.
    ///   - volumes: names of volumes that it shares with the containers they were made for; they must exist.
    ///   - newVolumes: volumes to add first if their names are free; an existing one is used as it is. Those without a name of
    ///     the user's are the container's own.
    ///   - images: ids of images it mounts besides its own.
    ///   - connections: addresses and ports to lease for it.
    ///   - durability: `.volatile` for `--rm`, which ends with the boot.
    /// - Returns: what was leased.
    /// - Throws: `.nameInUse` with the other container's id in `holders`; `.notFound` for the image, a volume or a network;
    ///   `.inUse` for an address or port, with the container that has it in `holders`; `.tooLarge` where none is left.
    @discardableResult
    public func insertContainer(
        _ container: ContainerRecord, volumes: [String] = [], newVolumes: [VolumeRecord] = [], images: [String] = [],
        connections: ConnectionRequest = ConnectionRequest(), durability: Durability = .durable
    ) throws(StoreError) -> Connections {
        try database.transaction(durability) { () throws(StoreError) -> Connections in
            try requireFreeName(container.name)
            var layer = container.layer
            if let image = container.imageID {
                var found = false
                try database.query("SELECT layer FROM images WHERE id=?", [.text(image)]) { row in
                    found = true
                    layer = row.optionalText(0)
                }
                guard found else { throw StoreError(.notFound, "create container", image, cause: "no such image") }
            }
            try database.run(
                "INSERT INTO containers(id,name,created_ns,image_id,layer,auto_remove,definition) VALUES(?,?,?,?,?,?,?)",
                [
                    .text(container.id), .text(container.name), .integer(container.created),
                    .optionalText(container.imageID), .optionalText(layer), .integer(container.autoRemove ? 1 : 0),
                    .blob(container.definition),
                ])
            if let image = container.imageID { try noteUse(ofImage: image) }
            for volume in newVolumes { try insertVolumeRow(volume, replace: false) }
            let owned = Set(newVolumes.filter(\.isAnonymous).map(\.name) + volumes)
            for volume in Set(volumes + newVolumes.map(\.name)) {
                guard try database.firstInteger("SELECT 1 FROM volumes WHERE name=?", [.text(volume)]) != nil else {
                    throw StoreError(.notFound, "create container", volume, cause: "no such volume")
                }
                try database.run(
                    "INSERT INTO container_volumes VALUES(?,?,?)",
                    [.text(container.id), .text(volume), .integer(owned.contains(volume) ? 1 : 0)])
            }
            for image in images { try insertMountedImage(image, container: container.id) }
            return connections.isEmpty ? Connections() : try insertConnections(connections, container: container.id)
        }
    }

    /// The container with exactly this id.
    public func container(id: String) throws(StoreError) -> ContainerRecord? {
        var result: ContainerRecord?
        try database.query(
            "SELECT id,name,created_ns,image_id,auto_remove,definition FROM containers WHERE id=?", [.text(id)]
        ) { row in result = Store.container(row) }
        return result
    }

    /// The container a user means: by full id, by name, or by the beginning of its id, in this order.
    ///
    /// - Parameter text: a leading `/` is ignored, as Docker's API gives names with one.
    /// - Throws: `.notFound`; `.ambiguous` when several ids begin like this.
    public func container(matching text: String) throws(StoreError) -> ContainerRecord {
        let name = text.hasPrefix("/") ? String(text.dropFirst()) : text
        var result: ContainerRecord?
        try database.query(
            "SELECT id,name,created_ns,image_id,auto_remove,definition FROM containers WHERE id=?1 OR name=?1 ORDER BY id<>?1",
            [.text(name)]
        ) { row in if result == nil { result = Store.container(row) } }
        if let result { return result }
        guard !name.isEmpty, name.utf8.count < 64, name.utf8.allSatisfy(isHexDigit) else {
            throw StoreError(.notFound, "find container", text, cause: "no such container")
        }
        var ids: [String] = []
        // "g" follows the last hexadecimal digit: a range the index can answer.
        try database.query(
            "SELECT id,name,created_ns,image_id,auto_remove,definition FROM containers WHERE id>=?1 AND id<?1||'g' LIMIT 2",
            [.text(name)]
        ) { row in
            result = Store.container(row)
            ids.append(row.text(0))
        }
        if ids.count > 1 {
            throw StoreError(
                .ambiguous, "find container", text, cause: "several container ids begin with it", holders: ids)
        }
        guard let result else { throw StoreError(.notFound, "find container", text, cause: "no such container") }
        return result
    }

    /// All containers, newest first.
    public func containers() throws(StoreError) -> [ContainerRecord] {
        var result: [ContainerRecord] = []
        try database.query(
            "SELECT id,name,created_ns,image_id,auto_remove,definition FROM containers ORDER BY created_ns DESC, id"
        ) { row in result.append(Store.container(row)) }
        return result
    }

    /// The ids of the containers made from an image, or that mount it.
    public func containers(ofImage id: String) throws(StoreError) -> [String] {
        try database.texts(
            "SELECT id FROM containers WHERE image_id=?1 UNION SELECT container_id FROM container_images WHERE image_id=?1 ORDER BY 1",
            [.text(id)])
    }

    /// Replaces a container's definition by what `change` makes of it; nobody else writes in between.
    ///
    /// - Throws: `.notFound`, and what `change` throws (nothing is changed then).
    public func updateContainer(
        id: String, durability: Durability = .durable, _ change: ([UInt8]) throws(StoreError) -> [UInt8]
    ) throws(StoreError) {
        try database.transaction(durability) { () throws(StoreError) in
            guard let old = try container(id: id) else {
                throw StoreError(.notFound, "update container", id, cause: "no such container")
            }
            try database.run(
                "UPDATE containers SET definition=? WHERE id=?", [.blob(try change(old.definition)), .text(id)])
        }
    }

    /// Gives a container another name.
    ///
    /// - Parameter definition: also replaces the definition, where the name is written a second time; nil keeps it.
    /// - Throws: `.nameInUse` with the other container's id in `holders` (also for its own name); `.notFound`.
    public func renameContainer(id: String, to name: String, definition: [UInt8]? = nil) throws(StoreError) {
        try database.transaction(.durable) { () throws(StoreError) in
            guard try container(id: id) != nil else {
                throw StoreError(.notFound, "rename container", id, cause: "no such container")
            }
            try requireFreeName(name)
            try database.run("UPDATE containers SET name=? WHERE id=?", [.text(name), .text(id)])
            if let definition {
                try database.run("UPDATE containers SET definition=? WHERE id=?", [.blob(definition), .text(id)])
            }
        }
    }

    /// What removing a container left behind or took along.
    public struct RemovedContainer: Sendable {
        public var record: ContainerRecord
        /// Anonymous volumes removed with it.
        public var volumes: [String]
    }

    /// Removes a container: its row, its directory, layers that only it still needed and, if asked, its anonymous volumes.
    ///
    /// The caller has stopped it and unmounted its rootfs. Idempotent after a kill: what is left is swept later.
    /// - Parameter keepDirectory: its supervisor, which still lives, removes the directory.
    /// - Throws: `.notFound`.
    @discardableResult
    public func removeContainer(
        id: String, anonymousVolumes: Bool = false, keepDirectory: Bool = false, durability: Durability = .durable
    ) throws(StoreError) -> RemovedContainer {
        var doomed = Doomed()
        let removed = try database.transaction(durability, givesRoom: true) { () throws(StoreError) -> RemovedContainer in
            doomed = Doomed()
            var found: ContainerRecord?
            var layer: String?
            var mountsImages = false
            try database.query(
                """
                SELECT id,name,created_ns,image_id,auto_remove,definition,layer,
                EXISTS(SELECT 1 FROM container_images WHERE container_id=?1) FROM containers WHERE id=?1
                """, [.text(id)]
            ) { row in
                found = Store.container(row)
                layer = row.optionalText(6)
                mountsImages = row.integer(7) != 0
            }
            guard let record = found else {
                throw StoreError(.notFound, "remove container", id, cause: "no such container")
            }
            var volumes: [String] = []
            if anonymousVolumes {
                volumes = try database.texts(
                    """
                    SELECT name FROM volumes JOIN container_volumes ON volume=name WHERE container_id=?1 AND anonymous=1 AND owned=1
                    AND NOT EXISTS(SELECT 1 FROM container_volumes o WHERE o.volume=name AND o.container_id<>?1)
                    """, [.text(id)])
            }
            let mounted =
                mountsImages
                ? try database.texts("SELECT layer FROM container_images WHERE container_id=? AND layer IS NOT NULL", [.text(id)]) : []
            try database.run("DELETE FROM containers WHERE id=?", [.text(id)])
            for volume in volumes {
                try database.run("DELETE FROM volumes WHERE name=?", [.text(volume)])
                markEnding(ofVolume: volume)
            }
            if !keepDirectory { doomed.paths.append(Directory.containers + "/" + id) }
            doomed.paths += volumes.map { Directory.volumes + "/" + $0 }
            // Only when the image went before the container (rmi -f) is the layer free now.
            for layer in [layer].compactMap({ $0 }) + mounted { try dropLayers(from: layer, into: &doomed) }
            return RemovedContainer(record: record, volumes: volumes)
        } committed: { _ in
            discard(doomed)
        }
        if !doomed.paths.isEmpty { emptyTrash() }
        return removed
    }

    /// Inside the transaction that adds the container: keeps the layers of an image that it mounts.
    private func insertMountedImage(_ image: String, container: String) throws(StoreError) {
        var layer: String?
        var isHere = false
        try database.query("SELECT layer FROM images WHERE id=?", [.text(image)]) { row in
            isHere = true
            layer = row.optionalText(0)
        }
        guard isHere else { throw StoreError(.notFound, "create container", image, cause: "no such image") }
        try database.run(
            "INSERT OR IGNORE INTO container_images VALUES(?,?,?)", [.text(container), .text(image), .optionalText(layer)])
        try noteUse(ofImage: image)
    }

    private func requireFreeName(_ name: String) throws(StoreError) {
        if let holder = try database.firstText("SELECT id FROM containers WHERE name=?", [.text(name)]) {
            throw StoreError(
                .nameInUse, "name container", name, cause: "the name is in use by container \(holder)", holders: [holder])
        }
    }

    private static func container(_ row: Row) -> ContainerRecord {
        ContainerRecord(
            id: row.text(0), name: row.text(1), created: row.integer(2), imageID: row.optionalText(3),
            autoRemove: row.integer(4) != 0, definition: row.blob(5))
    }
}

func isHexDigit(_ byte: UInt8) -> Bool {
    (0x30...0x39).contains(byte) || (0x61...0x66).contains(byte)
}
