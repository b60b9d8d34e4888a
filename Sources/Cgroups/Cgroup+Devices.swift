import Linux
import OCI

extension Cgroup {
    /// Puts a device policy in force: v1's controller where it is mounted, otherwise a BPF program on the v2 cgroup.
    ///
    /// Without privileges every kernel refuses both; a rootless container then relies on its inability to make or reach
    /// device nodes, as with runc and crun.
    /// - Throws: `.controllerMissing` when the host has neither, `.permissionDenied` unless rootless.
    public func applyDevices(_ rules: DeviceRules) throws(CgroupError) {
        do throws(CgroupError) {
            if let index = legacyIndex(.devices) {
                try applyLegacy(rules, index)
            } else if let index = unifiedIndex {
                try applyProgram(rules, index)
            } else if !record.rootless {
                throw CgroupError(
                    .controllerMissing, "limit", "devices", "the container has no cgroup with that controller")
            }
        } catch {
            if record.rootless, error.code == .permissionDenied { return }
            throw error
        }
    }

    private func applyLegacy(_ rules: DeviceRules, _ index: Int) throws(CgroupError) {
        let directory = try directory(at: index)
        // A fresh cgroup has a copy of its parent's rules: "deny all" first costs less than reading them.
        let old = fresh[index] ? nil : try directory.readIfPresent("devices.list").map(DeviceRules.parse(legacyList:))
        let writes = rules.legacyWrites(from: old)
        // Runs of the same file are written through one descriptor.
        var start = 0
        while start < writes.count {
            let end = writes[start...].firstIndex { $0.allow != writes[start].allow } ?? writes.count
            try directory.writeEach(writes[start].file, writes[start..<end].map(\.line))
            start = end
        }
        fresh[index] = false
    }

    private func applyProgram(_ rules: DeviceRules, _ index: Int) throws(CgroupError) {
        let directory = try directory(at: index)
        let isNew = fresh[index]
        fresh[index] = false
        if rules.allowsEverything {
            if !isNew { DeviceProgram.detachAll(from: directory.fd) }
            return
        }
        try DeviceProgram(rules).attach(to: directory.fd, isNew: isNew)
    }
}
