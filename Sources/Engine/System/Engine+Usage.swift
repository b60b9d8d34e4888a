import Linux
import OCI
import Store

/// What `system df` tells.
public struct UsageReport: Sendable {
    /// One line of the table.
    public struct Summary: Sendable {
        public var type: String
        public var total = 0
        public var active = 0
        public var size: Int64 = 0
        public var reclaimable: Int64 = 0
    }

    public struct Image: Sendable {
        public var row: ImageRow
        /// Bytes on disk of its blobs and layers.
        public var size: Int64
        /// Of these, what other images need too.
        public var shared: Int64
        public var containers: Int
    }

    public struct Container: Sendable {
        public var view: ContainerView
        public var size: Int64
    }

    public struct Volume: Sendable {
        public var name: String
        public var labels: [String: String]
        public var links: Int
        public var size: Int64
    }

    /// In Docker's order, and behind them what Docker does not tell: the rest of the store.
    public var summaries: [Summary] = []
    public var images: [Image] = []
    public var containers: [Container] = []
    public var volumes: [Volume] = []
    /// What builds remember; its layers are not counted with the images' where only it needs them.
    public var cache: [CacheRecord] = []
    /// Bytes on disk of the whole store, as `du` counts them.
    public var total: Int64 = 0
}

extension Engine {
    /// Walks the store and says what takes the room.
    public func usage() throws(EngineError) -> UsageReport {
        var report = UsageReport()
        var usage = StoreUsage()
        var needs = StoreNeeds()
        var volumes: [VolumeRecord] = []
        var users: [String: Int] = [:]
        if hasStore {
            let store = try self.store()
            // The files first: what is brought in meanwhile has no row yet, and is counted all the same.
            usage = store.usage()
            try stored { () throws(StoreError) in
                needs = try store.needs()
                volumes = try store.volumes()
                for volume in volumes { users[volume.name] = try store.containers(ofVolume: volume.name).count }
            }
        }
        let views = try containers()
        report.cache = try buildCache()
        report.images = try images(usage, needs)
        report.containers = views.map { UsageReport.Container(view: $0, size: usage.containers[$0.id] ?? 0) }
        report.volumes = volumes.map { volume in
            UsageReport.Volume(
                name: volume.name, labels: volume.labels, links: users[volume.name] ?? 0,
                size: usage.volumes[volume.name] ?? 0)
        }
        report.summaries = [
            imageSummary(usage, needs, report.cache), containerSummary(usage, views), volumeSummary(usage, report.volumes),
            cacheSummary(report.cache),
            UsageReport.Summary(
                type: "Other", total: usage.partials.count, active: 0,
                size: usage.other + usage.leftovers + usage.partials.values.reduce(0, +),
                reclaimable: usage.leftovers + usage.partials.values.reduce(0, +)),
        ]
        report.total = usage.total
        return report
    }

    private func images(_ usage: StoreUsage, _ needs: StoreNeeds) throws(EngineError) -> [UsageReport.Image] {
        var uses: [String: Int] = [:]
        for image in needs.images { for part in image.blobs + image.layers { uses[part, default: 0] += 1 } }
        var rows: [String: ImageRow] = [:]
        // Only the first name, as Docker.
        for row in try imageRows() where rows[row.id] == nil { rows[row.id] = row }
        return needs.images.compactMap { image in
            guard let row = rows[image.record.id] else { return nil }
            var size: Int64 = 0
            var shared: Int64 = 0
            // A blob and a layer may have one digest: an uncompressed layer's blob has its diff id.
            for (part, bytes) in image.blobs.map({ ($0, usage.blobs[$0] ?? 0) }) + image.layers.map({ ($0, usage.layers[$0] ?? 0) }) {
                size += bytes
                if uses[part, default: 0] > (image.blobs.contains(part) && image.layers.contains(part) ? 2 : 1) { shared += bytes }
            }
            return UsageReport.Image(row: row, size: size, shared: shared, containers: image.containers.count)
        }
    }

    /// Docker counts what nothing else has.
    private func cacheSummary(_ records: [CacheRecord]) -> UsageReport.Summary {
        let own = records.filter { !$0.isShared }
        let size = own.reduce(0) { $0 + $1.size } + cacheMountsSize()
        return UsageReport.Summary(
            type: "Build Cache", total: records.count, active: records.count - own.count, size: size, reclaimable: size)
    }

    private func imageSummary(
        _ usage: StoreUsage, _ needs: StoreNeeds, _ cache: [CacheRecord]
    ) -> UsageReport.Summary {
        let active = needs.images.filter { !$0.containers.isEmpty }
        let blobs = Set(active.flatMap(\.blobs))
        let layers = Set(active.flatMap(\.layers)).union(needs.pinned)
        let size =
            usage.blobs.values.reduce(0, +) + usage.layers.values.reduce(0, +) - cache.reduce(0) { $0 + ($1.isShared ? 0 : $1.size) }
        let kept =
            blobs.reduce(0) { $0 + (usage.blobs[$1] ?? 0) } + layers.reduce(0) { $0 + (usage.layers[$1] ?? 0) }
        return UsageReport.Summary(
            type: "Images", total: needs.images.count, active: active.count, size: size, reclaimable: size - kept)
    }

    private func containerSummary(_ usage: StoreUsage, _ views: [ContainerView]) -> UsageReport.Summary {
        let active = views.filter { $0.isAlive || $0.observation.status == .restarting }
        let size = usage.containers.values.reduce(0, +)
        return UsageReport.Summary(
            type: "Containers", total: views.count, active: active.count, size: size,
            reclaimable: size - active.reduce(0) { $0 + (usage.containers[$1.id] ?? 0) })
    }

    private func volumeSummary(_ usage: StoreUsage, _ volumes: [UsageReport.Volume]) -> UsageReport.Summary {
        let size = usage.volumes.values.reduce(0, +)
        let active = volumes.filter { $0.links > 0 }
        return UsageReport.Summary(
            type: "Local Volumes", total: volumes.count, active: active.count, size: size,
            reclaimable: size - active.reduce(0) { $0 + $1.size })
    }
}
