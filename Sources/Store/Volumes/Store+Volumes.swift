import JSON
import Linux

extension Store {
    /// Adds a volume and its directory.
    ///
    /// - Throws: `.nameInUse`; `.invalid` for a name that is not one.
    public func insertVolume(_ volume: VolumeRecord) throws(StoreError) {
        guard try createVolume(volume) == nil else {
            throw StoreError(.nameInUse, "create volume", volume.name, cause: "the volume exists", holders: [volume.name])
        }
    }

    /// Adds a volume and its directory, or finds the one that has the name; of several commands at once one adds it.
    ///
    /// - Returns: the volume that was there before; nil when it was added.
    /// - Throws: `.invalid` for a name that is not one.
    public func createVolume(_ volume: VolumeRecord) throws(StoreError) -> VolumeRecord? {
        try database.transaction(.durable) { () throws(StoreError) -> VolumeRecord? in
            if let existing = try self.volume(name: volume.name) { return existing }
            try insertVolumeRow(volume, replace: true)
            return nil
        } committed: { existing in
            // While nobody can remove it. A kill before this leaves a row, whose directory the next use makes.
            if existing == nil { _ = try? volumeDirectory(volume.name) }
        }
    }

    public func volume(name: String) throws(StoreError) -> VolumeRecord? {
        var result: VolumeRecord?
        try database.query(
            "SELECT name,driver,options,labels,created_ns,anonymous FROM volumes WHERE name=?", [.text(name)]
        ) { (row) throws(StoreError) in result = try Store.volume(row) }
        return result
    }

    /// All volumes by name.
    public func volumes() throws(StoreError) -> [VolumeRecord] {
        var result: [VolumeRecord] = []
        try database.query("SELECT name,driver,options,labels,created_ns,anonymous FROM volumes ORDER BY name") {
            (row) throws(StoreError) in result.append(try Store.volume(row))
        }
        return result
    }

    /// Names of the volumes that containers use.
    public func usedVolumes() throws(StoreError) -> Set<String> {
        Set(try database.texts("SELECT DISTINCT volume FROM container_volumes"))
    }

    /// The ids of the containers that use a volume.
    public func containers(ofVolume name: String) throws(StoreError) -> [String] {
        try database.texts("SELECT container_id FROM container_volumes WHERE volume=? ORDER BY 1", [.text(name)])
    }

    /// Removes a volume and its data.
    ///
    /// - Throws: `.notFound`; `.inUse` with the containers' ids in `holders`.
    public func removeVolume(name: String) throws(StoreError) {
        var doomed = Doomed()
        try database.transaction(.durable, givesRoom: true) { () throws(StoreError) in
            doomed = Doomed()
            let users = try containers(ofVolume: name)
            guard users.isEmpty else {
                throw StoreError(.inUse, "remove volume", name, cause: "volume is in use", holders: users)
            }
            guard try database.run("DELETE FROM volumes WHERE name=?", [.text(name)]) == 1 else {
                throw StoreError(.notFound, "remove volume", name, cause: "no such volume")
            }
            markEnding(ofVolume: name)
            doomed.paths.append(Directory.volumes + "/" + name)
        } committed: { _ in
            discard(doomed)
        }
        emptyTrash()
    }

    /// The absolute path of a volume's data; made where it is missing.
    ///
    /// Mode 0755, owner whoever calls; the engine copies the image's content and ownership into it before first use.
    public func volumeDirectory(_ name: String) throws(StoreError) -> String {
        guard isObjectName(name) else { throw StoreError(.invalid, "open volume", name, cause: "invalid name") }
        let relative = Directory.volumes + "/" + name
        try system { () throws(SystemError) in
            try root.fd.makeDirectories(relative, mode: 0o711)
            try root.fd.makeDirectories(relative + "/_data", mode: 0o755)
        }
        return path + "/" + relative + "/_data"
    }

    func insertVolumeRow(_ volume: VolumeRecord, replace mustBeNew: Bool) throws(StoreError) {
        guard isObjectName(volume.name) else {
            throw StoreError(
                .invalid, "create volume", volume.name,
                cause: "a name has letters, digits, \"_\", \".\" and \"-\", and begins with a letter or digit")
        }
        if try database.firstInteger("SELECT 1 FROM volumes WHERE name=?", [.text(volume.name)]) != nil {
            guard mustBeNew else { return }
            throw StoreError(
                .nameInUse, "create volume", volume.name, cause: "the volume exists", holders: [volume.name])
        }
        discardLeftVolume(volume.name)
        try database.run(
            "INSERT INTO volumes VALUES(?,?,?,?,?,?)",
            [
                .text(volume.name), .text(volume.driver), .text(Store.json(volume.options)),
                .text(Store.json(volume.labels)), .integer(volume.created), .integer(volume.isAnonymous ? 1 : 0),
            ])
    }

    private static func volume(_ row: Row) throws(StoreError) -> VolumeRecord {
        VolumeRecord(
            name: row.text(0), driver: row.text(1), options: try dictionary(row.text(2)),
            labels: try dictionary(row.text(3)), created: row.integer(4), isAnonymous: row.integer(5) != 0)
    }

    private static func json(_ values: [String: String]) -> String {
        String(decoding: JSONWriter.document { w in w.value(values) }, as: UTF8.self)
    }

    private static func dictionary(_ text: String) throws(StoreError) -> [String: String] {
        do {
            return try JSONParser.parse(Array(text.utf8)) { (parser: inout JSONParser) throws(JSONError) in
                try parser.stringDictionary()
            }
        } catch { throw StoreError(.corrupt, "read volume", cause: error.reason) }
    }
}

/// Docker's rule for names of containers and volumes: `[a-zA-Z0-9][a-zA-Z0-9_.-]*`, at most 255 bytes (a directory's name).
public func isObjectName(_ name: String) -> Bool {
    guard let first = name.utf8.first, name.utf8.count <= 255 else { return false }
    func isAlphanumeric(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte)
    }
    return isAlphanumeric(first) && name.utf8.allSatisfy { isAlphanumeric($0) || [0x5f, 0x2e, 0x2d].contains($0) }
}
