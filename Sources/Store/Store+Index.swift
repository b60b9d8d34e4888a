import Linux
import OCI

extension Store {
    /// Writes `index.json` and `oci-layout`, so that other tools can read the store as an OCI image layout.
    ///
    /// Runs after a commit while the write lock is held, so the files do not go back in time. They say nothing that the
    /// database does not: a failure or a kill here is made good by the next change.
    /// - Returns: whether they are written.
    @discardableResult
    func writeIndex() -> Bool {
        do throws(SystemError) {
            // Durable: after a power loss a file that was only renamed may be empty.
            try root.fd.replaceFile(OCILayout.indexName, with: indexDocument(), durable: true)
            if !root.fd.exists(OCILayout.fileName) {
                try root.fd.replaceFile(OCILayout.fileName, with: OCILayout().encode(), durable: true)
            }
            return true
        } catch { return false }
    }

    /// What `index.json` has to say.
    func indexDocument() -> [UInt8] {
        var manifests: [Descriptor] = []
        try? database.query(
            """
            SELECT manifest_digest, length(manifest), manifest, reference FROM images
            LEFT JOIN names ON image_id=id ORDER BY reference, id
            """
        ) { row in
            guard let digest = Digest(row.text(0)) else { return }
            let type = (try? Manifest.decode(row.blob(2)))?.mediaType ?? .ociManifest
            var annotations: [String: String] = [:]
            if let name = row.optionalText(3) {
                annotations[Annotation.containerdImageName] = name
                annotations[Annotation.refName] = name
            }
            manifests.append(Descriptor(mediaType: type, digest: digest, size: row.integer(1), annotations: annotations))
        }
        return Index(manifests: manifests).raw
    }
}
