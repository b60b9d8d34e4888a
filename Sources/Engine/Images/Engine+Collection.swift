import Linux
import Store

extension Engine {
    /// Removes unused images, least recently used first, until the store fits `[store] max_size`; without that setting, nothing.
    ///
    /// Runs after images came in. What containers use stays, and so does what came just now, so that a store that is too
    /// small for one image still gets it.
    /// - Parameter ids: images not to remove.
    /// - Throws: `.invalid` for a configuration that cannot be read.
    public func collectImages(keeping ids: Set<String>) throws(EngineError) {
        guard let limit = try Configuration.load().maximumStoreSize else { return }
        let store = try self.store()
        let usage = store.usage()
        var size = usage.total
        if size <= limit { return }
        store.discardLeftovers(partials: false)
        size -= store.reclaimTrash()
        let candidates = try stored { () throws(StoreError) in try store.unusedImages() }
        for candidate in candidates where size > limit && !ids.contains(candidate.id) && !isImageMounted(candidate.id) {
            let removed = try stored { () throws(StoreError) in try store.pruneImage(id: candidate.id, onlyUntagged: false) }
            guard let removed else { continue }
            size -= store.reclaimTrash()
            warn("removed \(removed.untagged.first ?? candidate.id): the store is over its max_size")
        }
        if size > limit {
            warn(
                "WARNING: the store takes \(ByteSize.decimal(size)), over its max_size of \(ByteSize.decimal(limit)), "
                    + "and everything else in it is in use")
        }
    }
}
