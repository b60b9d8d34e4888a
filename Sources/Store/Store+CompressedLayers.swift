import Linux
import OCI

/// What plain layers became when they were compressed for a registry: their bytes are not kept, only what to ask for.
extension Store {
    /// What a stored plain layer became the last time.
    ///
    /// - Parameters:
    ///   - plain: digest of the stored blob, which is the diff id.
    ///   - method: names the compression and its level.
    public func compressedLayer(of plain: Digest, method: String) throws(StoreError) -> (digest: Digest, size: Int64)? {
        var found: (digest: Digest, size: Int64)?
        try database.query(
            "SELECT digest,size FROM compressed_layers WHERE plain=? AND method=?", [.text(plain.description), .text(method)]
        ) { row in found = Digest(row.text(0)).map { ($0, row.integer(1)) } }
        return found
    }

    /// Keeps what plain layers became, as long as an image needs them.
    public func recordCompressedLayers(
        _ layers: [(plain: Digest, digest: Digest, size: Int64)], method: String
    ) throws(StoreError) {
        if layers.isEmpty { return }
        // Forgotten after power loss it only costs another compression.
        try database.transaction(.volatile) { () throws(StoreError) in
            for layer in layers where try isBlobNamed(layer.plain.description) {
                try database.run(
                    """
                    INSERT INTO compressed_layers VALUES(?,?,?,?)
                    ON CONFLICT(plain,method) DO UPDATE SET digest=excluded.digest, size=excluded.size
                    """,
                    [.text(layer.plain.description), .text(method), .text(layer.digest.description), .integer(layer.size)])
            }
        }
    }
}
