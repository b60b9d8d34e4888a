import Control
import Linux
import OCI
import Store

/// What `prune` spares although nobody uses it.
public struct PruneFilter: Sendable {
    /// Only what was made before, nanoseconds since 1970.
    public var until: Int64?
    /// `KEY` or `KEY=VALUE`, all of which it must have.
    public var labels: [String] = []
    /// None of which it may have.
    public var withoutLabels: [String] = []

    public init() {}

    func admits(_ labels: [String: String]) -> Bool {
        func has(_ text: String) -> Bool {
            guard let mark = text.firstIndex(of: "=") else { return labels[text] != nil }
            return labels[String(text[..<mark])] == String(text[text.index(after: mark)...])
        }
        return self.labels.allSatisfy(has) && !withoutLabels.contains(where: has)
    }

    var looksAtLabels: Bool { !labels.isEmpty || !withoutLabels.isEmpty }
}

/// What `prune` did.
public struct PruneReport: Sendable {
    /// What is gone, as Docker tells it.
    public var lines: [String] = []
    /// Bytes on disk that are free now.
    public var reclaimed: Int64 = 0
}

/// Removal of what nobody uses. Each object goes in a transaction of its own, so a kill in between leaves the rest as it was.
extension Engine {
    /// Images without a tag that no container was made from; with `all` those with tags too. And what killed commands and
    /// abandoned downloads left.
    public func pruneImages(all: Bool, _ filter: PruneFilter) throws(EngineError) -> PruneReport {
        var report = PruneReport()
        guard hasStore else { return report }
        let store = try self.store()
        store.discardLeftovers(partials: true)
        for record in try stored({ () throws(StoreError) in try store.unusedImages() }) {
            if !all, !record.names.isEmpty { continue }
            if isImageMounted(record.id) { continue }
            if let until = filter.until, (record.created > 0 ? record.created : record.added) >= until { continue }
            if filter.looksAtLabels {
                // Removed by another command meanwhile: nothing to do.
                guard let config = try? store.imageConfig(id: record.id), filter.admits(config.config.labels) else { continue }
            }
            guard let removed = try stored({ () throws(StoreError) in try store.pruneImage(id: record.id, onlyUntagged: !all) })
            else { continue }
            announce(removed, id: record.id)
            report.lines += removed.untagged.map { "untagged: " + $0 } + removed.deleted.map { "deleted: " + $0 }
        }
        report.reclaimed = store.reclaimTrash()
        announcePrune("image", reclaimed: report.reclaimed)
        return report
    }

    /// Containers that do not run.
    public func pruneContainers(_ filter: PruneFilter) throws(EngineError) -> PruneReport {
        var report = PruneReport()
        for view in try containers() {
            let status = view.observation.status
            if view.hasProcess || status == .starting || status == .restarting { continue }
            if let until = filter.until, view.definition.createdAt >= until { continue }
            if !filter.admits(view.definition.labels) { continue }
            let size = space(of: view.id, in: roots.containers)
            do throws(EngineError) {
                try remove(view.id)
            } catch {
                // Started or removed by another command meanwhile.
                if error.code == .conflict || error.code == .notFound { continue }
                throw error
            }
            report.lines.append(view.id)
            report.reclaimed += size
        }
        announcePrune("container", reclaimed: report.reclaimed)
        return report
    }

    /// Volumes that no container uses: those without a name of the user's, or all.
    ///
    /// - Parameter isRehearsal: only tell what would go.
    public func pruneVolumes(all: Bool, _ filter: PruneFilter, isRehearsal: Bool = false) throws(EngineError) -> PruneReport {
        var report = PruneReport()
        guard hasStore else { return report }
        let store = try self.store()
        for volume in try stored({ () throws(StoreError) in try store.volumes() }) {
            if !all, !volume.isAnonymous { continue }
            if !filter.admits(view(volume).labels) { continue }
            if isRehearsal {
                if try stored({ () throws(StoreError) in try store.containers(ofVolume: volume.name) }).isEmpty {
                    report.lines.append(volume.name)
                }
                continue
            }
            let size = space(of: volume.name, in: roots.store + "/volumes")
            do throws(StoreError) {
                try store.removeVolume(name: volume.name)
            } catch {
                if error.code == .inUse || error.code == .notFound { continue }
                throw EngineError(error)
            }
            announce("destroy", volume: volume.name, driver: volume.driver)
            report.lines.append(volume.name)
            report.reclaimed += size
        }
        announcePrune("volume", reclaimed: report.reclaimed)
        return report
    }

    private func space(of name: String, in parent: String) -> Int64 {
        guard let directory = try? FD.cwd.open(parent, [.readOnly, .directory, .noFollow]) else { return 0 }
        var counter = SpaceCounter()
        return counter.bytes(of: name, in: directory.fd)
    }
}
