import Linux
import OCI

/// The stored blobs as files; may be used by several threads at once.
public struct BlobFiles: Sendable {
    private let root: SharedFD

    init(_ root: SharedFD) { self.root = root }

    /// A blob for reading.
    ///
    /// - Throws: `.corrupt` when it is missing or has another size.
    public func open(_ blob: Descriptor) throws(StoreError) -> SharedFD {
        let path = Store.Directory.blobs + "/" + blob.digest.hex
        let advice = "berth system check --repair says what is left of the image"
        guard let file = try? root.fd.open(path, [.readOnly, .noFollow]) else {
            throw StoreError(.corrupt, "open blob", blob.digest.description, cause: "it is missing; \(advice)")
        }
        let shared = SharedFD(file)
        let size = try system { () throws(SystemError) in Int64(try shared.fd.status().st_size) }
        guard size == blob.size else {
            throw StoreError(
                .corrupt, "open blob", blob.digest.description, cause: "it has \(size) bytes instead of \(blob.size); \(advice)")
        }
        return shared
    }
}

extension Store {
    public var blobFiles: BlobFiles { BlobFiles(root) }

    /// In which repositories of a registry blobs are likely to be, from what was pulled from there and pushed to there, as they
    /// are here or compressed.
    ///
    /// - Parameter domain: `docker.io`, `localhost:5000`.
    /// - Returns: paths (`library/alpine`) for each digest.
    public func repositoriesOfBlobs(at domain: String) throws(StoreError) -> [String: [String]] {
        var result: [String: [String]] = [:]
        try database.query(
            """
            WITH at(image_id, path) AS (
                SELECT image_id, substr(reference, ?2, instr(reference,'@')-?2) FROM repo_digests
                WHERE substr(reference,1,?2-1)=?1)
            SELECT digest, path FROM at JOIN image_blobs USING(image_id)
            UNION SELECT c.digest, path FROM at JOIN image_blobs b USING(image_id) JOIN compressed_layers c ON plain=b.digest
            ORDER BY 2
            """, [.text(domain + "/"), .integer(Int64(domain.utf8.count) + 2)]
        ) { row in result[row.text(0), default: []].append(row.text(1)) }
        return result
    }
}
