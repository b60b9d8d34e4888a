import OCI
import Store

/// What `images --tree` shows of an image besides its names.
public struct ImageParts: Sendable {
    public var platform: String
    /// The digest of its manifest.
    public var manifest: String
    /// Bytes of its blobs as they came: manifest, config and layers.
    public var content: Int64
    /// Whether a container was made from it.
    public var isInUse: Bool
}

extension Engine {
    /// By the images' ids. From the database: no layer is looked at.
    public func imageParts() throws(EngineError) -> [String: ImageParts] {
        guard hasStore else { return [:] }
        let store = try self.store()
        return try stored { () throws(StoreError) in
            let sizes = try store.contentSizes()
            var result: [String: ImageParts] = [:]
            for record in try store.images() {
                let config = try store.imageConfig(id: record.id)
                result[record.id] = ImageParts(
                    platform: config.platform.description, manifest: record.manifestDigest,
                    content: sizes[record.id] ?? 0, isInUse: try !store.containers(ofImage: record.id).isEmpty)
            }
            return result
        }
    }
}
