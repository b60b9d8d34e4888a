import Archive
import Linux
import OCI

extension Store {
    /// The chain id of a layer: the digest that names it together with everything below it.
    ///
    /// Spec: OCI image-spec 1.1 config.md "Layer ChainID".
    static func chainID(parent: Digest?, diffID: Digest) -> Digest {
        guard let parent else { return diffID }
        var hash = SHA256()
        hash.update(Array("\(parent) \(diffID)".utf8))
        // 32 bytes always make a digest.
        return Digest(bytes: hash.finish()) ?? diffID
    }

    /// Where a layer's files are, below the root.
    static func layerPath(_ chainID: Digest) -> String { Directory.layers + "/" + chainID.hex }

    /// Absolute paths of a container's layers, topmost first: directories, and indexes that `ErofsLayer` mounts. Empty for an
    /// image without layers.
    public func layerDirectories(container id: String) throws(StoreError) -> [String] {
        try layerDirectories(top: try database.firstText("SELECT layer FROM containers WHERE id=?", [.text(id)]))
    }

    /// Absolute paths of an image's layers, topmost first. Only a container that was inserted keeps them from being removed.
    public func layerDirectories(image id: String) throws(StoreError) -> [String] {
        try layerDirectories(top: try database.firstText("SELECT layer FROM images WHERE id=?", [.text(id)]))
    }

    /// Absolute paths of the layers of an image that a container mounts, topmost first.
    public func layerDirectories(ofImage image: String, mountedBy container: String) throws(StoreError) -> [String] {
        try layerDirectories(
            top: try database.firstText(
                "SELECT layer FROM container_images WHERE container_id=? AND image_id=?", [.text(container), .text(image)]))
    }

    /// - Parameter top: chain id.
    func layerDirectories(top: String?) throws(StoreError) -> [String] {
        guard let top else { return [] }
        return try chain(from: top).map { path + "/" + layerLocation(hexPart($0)) }
    }

    /// Chain ids from a layer down to the lowest.
    func chain(from top: String) throws(StoreError) -> [String] {
        try database.texts(
            """
            WITH RECURSIVE chain(id, depth) AS (
                VALUES(?, 0) UNION ALL SELECT parent, depth+1 FROM layers JOIN chain ON chain_id=id WHERE parent IS NOT NULL
            ) SELECT id FROM chain ORDER BY depth
            """, [.text(top)])
    }

    /// Inside a transaction: deletes the rows of a layer and those below it, down to the first that is still needed.
    func dropLayers(from top: String, into doomed: inout Doomed) throws(StoreError) {
        for layer in try chain(from: top) {
            let isNeeded = try database.firstInteger(
                """
                SELECT 1 WHERE EXISTS(SELECT 1 FROM images WHERE layer=?1) OR EXISTS(SELECT 1 FROM containers WHERE layer=?1)
                OR EXISTS(SELECT 1 FROM layers WHERE parent=?1) OR EXISTS(SELECT 1 FROM container_images WHERE layer=?1)
                OR EXISTS(SELECT 1 FROM build_steps WHERE layer=?1)
                """, [.text(layer)])
            if isNeeded != nil { return }
            try database.run("DELETE FROM layers WHERE chain_id=?", [.text(layer)])
            doomed.paths.append(Directory.layers + "/" + hexPart(layer))
        }
    }
}

/// The digits of a digest's text.
func hexPart(_ digest: String) -> String {
    digest.utf8.firstIndex(of: UInt8(ascii: ":")).map { String(digest[digest.utf8.index(after: $0)...]) } ?? digest
}
