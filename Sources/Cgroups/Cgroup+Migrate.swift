import CLinux
import Glibc
import Linux
import OCI

extension Cgroup {
    /// Adds the v1 hierarchies that limits need and the container is not in yet, with all its processes.
    ///
    /// The fast path of `create` leaves out hierarchies nobody asked for; an `update` may ask later.
    func addMissingHierarchies(for resources: LinuxResources) throws(CgroupError) {
        let needed = Controllers.needed(by: resources, rootless: record.rootless)
        let present = record.entries.reduce(into: Controllers()) {
            if !$1.isUnified { $0.formUnion(Controllers(legacyList: $1.hierarchy)) }
        }
        let missing = needed.subtracting(present)
        if missing.isEmpty || record.rootless { return }
        let host = try CgroupHost.detect()
        for hierarchy in host.legacy where !hierarchy.controllers.isDisjoint(with: missing) {
            guard let suffix = suffix(on: host) else { return }
            try migrate(into: hierarchy, suffix)
        }
    }

    /// The container's path below a mount point; the same in all hierarchies when root made it.
    private func suffix(on host: CgroupHost) -> String? {
        for entry in record.entries {
            let hierarchy = entry.isUnified ? host.unified : host.legacy.first { $0.name == entry.hierarchy }
            if let point = hierarchy?.mountPoint, entry.path.hasPrefix(point + "/") {
                return String(entry.path.dropFirst(point.count))
            }
        }
        return nil
    }

    private func migrate(into hierarchy: CgroupHost.Hierarchy, _ suffix: String) throws(CgroupError) {
        let path = hierarchy.mountPoint + suffix
        try rewording { () throws(SystemError) in try FD.cwd.makeDirectories(path) }
        if hierarchy.controllers.contains(.cpuset) {
            try LegacyCpuset.inherit(path, downFrom: hierarchy.mountPoint)
        }
        let target = try CgroupDirectory(path: path)
        // Processes fork meanwhile: children of a moved process are born in the new cgroup, so a pass that finds
        // nothing to move is the end. Bounded, as a fork bomb could go on for ever.
        for _ in 0..<20 {
            let inside = Set(try target.readIfPresent("cgroup.procs").map(Self.pids) ?? [])
            let outside = try processes().filter { !inside.contains($0) }
            if outside.isEmpty { break }
            for pid in outside {
                do throws(CgroupError) { try Self.add(pid, to: target) } catch {
                    if error.code != .notFound { throw error }
                }
            }
        }
        record.entries.append(.init(hierarchy: hierarchy.name, path: path))
        directories.append(target)
        target.onWrite = onWrite
        fresh.append(false)
    }
}
