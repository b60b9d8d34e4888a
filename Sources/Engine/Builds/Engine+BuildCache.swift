import Control
import Linux
import Store

/// The cache of builds: what steps made, and the directories of their cache mounts.
extension Engine {
    private var cacheMounts: String { roots.store + "/cache-mounts" }

    /// Least recently used first.
    public func buildCache() throws(EngineError) -> [CacheRecord] {
        guard hasStore else { return [] }
        let store = try self.store()
        return try stored { () throws(StoreError) in try store.cacheRecords() }
    }

    /// Bytes on disk of the directories that cache mounts have.
    public func cacheMountsSize() -> Int64 {
        var counter = SpaceCounter()
        return counter.bytes(of: cacheMounts, in: .cwd)
    }

    /// Removes results of steps.
    ///
    /// - Parameter mounts: the directories of cache mounts too, but those that a step uses now.
    public func pruneBuildCache(_ selection: CacheSelection, mounts: Bool) throws(EngineError) -> PruneReport {
        var report = PruneReport()
        guard hasStore else { return report }
        let store = try self.store()
        let removed = try stored { () throws(StoreError) in try store.pruneCache(selection) }
        report.lines = removed.map(\.key)
        report.reclaimed = store.reclaimTrash()
        if mounts { report.reclaimed += removeCacheMounts() }
        return report
    }

    private func removeCacheMounts() -> Int64 {
        guard let directory = try? FD.cwd.open(cacheMounts, [.readOnly, .directory, .noFollow]),
            let entries = try? directoryEntries(directory.fd)
        else { return 0 }
        var freed: Int64 = 0
        for entry in entries where entry.name.hasSuffix(".lock") {
            let name = String(entry.name.dropLast(5))
            // A step that begins meanwhile waits for the lock, and makes the directory again.
            guard let lock = try? directory.fd.open(entry.name, [.readWrite, .noFollow]), (try? lock.fd.tryLock(.exclusive)) == true else {
                continue
            }
            var counter = SpaceCounter()
            freed += counter.bytes(of: name, in: directory.fd)
            try? removeTree(directory.fd, name)
        }
        return freed
    }

    /// Removes least recently used results until the cache fits `[build] cache_max`. Runs after each build.
    ///
    /// - Throws: `.invalid` for a configuration that cannot be read.
    public func collectBuildCache() throws(EngineError) {
        let limit = try Configuration.load().maximumBuildCacheSize
        let store = try self.store()
        let size = try buildCache().reduce(0) { $0 + ($1.isShared ? 0 : $1.size) }
        if size <= limit { return }
        _ = try stored { () throws(StoreError) in try store.pruneCache(CacheSelection(keepBytes: limit)) }
        _ = store.reclaimTrash()
    }
}
