import Linux
import OCI

extension Cgroup {
    /// Writes all limits. Call before the first process enters.
    ///
    /// Everything is validated before anything is written. Device rules are written only when `resources.devices` is
    /// not empty: append ``DeviceRules/standard`` to a container's own.
    /// Spec: OCI runtime-spec config-linux.md "Control groups"; kernel: cgroup-v2.rst, cgroup-v1/.
    ///
    /// - Throws: `.invalid` for values no kernel takes; `.controllerMissing` naming the controller of a limit that this
    ///   host does not have; otherwise the refusal, naming file and value.
    public func apply(_ resources: LinuxResources) throws(CgroupError) {
        try resources.validate()
        try requireControllers(of: resources)
        // Real-time bandwidth and cpusets come with their controllers, i.e. before any task enters: a real-time task
        // cannot enter a v1 cpu cgroup without bandwidth. Unified settings last: they are the caller's exact words and
        // override what the general limits said.
        try applyPids(resources)
        try applyMemory(resources)
        try applyIO(resources)
        try applyCPU(resources)
        try applyCPUSet(resources)
        try applyHugepages(resources)
        try applyRdma(resources)
        try applyNetwork(resources)
        if !resources.devices.isEmpty { try applyDevices(try DeviceRules(resources.devices)) }
        try applyUnified(resources)
    }

    /// Changes limits of a running container: what is not set in `resources` stays.
    ///
    /// Order matters where the kernel checks pairs (memory and swap, quota and period): lowering and raising both work.
    /// A v1 controller that `create` left out is added, and the container's processes are moved into it (slow: up to
    /// 15 ms for each); ``record`` has changed then. When the kernel refuses a part, what was written before is written back.
    /// - Throws: as ``apply(_:)``; with `checkBeforeUpdate`, `.invalid` for a memory limit below the current usage.
    public func update(_ resources: LinuxResources) throws(CgroupError) {
        try resources.validate()
        try addMissingHierarchies(for: resources)
        let written = CgroupJournal()
        journal = written
        defer { journal = nil }
        do throws(CgroupError) {
            try apply(resources)
            if let scope = record.scope {
                try SystemdScope.update(scope, rootless: record.rootless, try SystemdScope.limits(resources))
            }
        } catch {
            journal = nil
            written.undo()
            throw error
        }
    }

    /// Finds the controllers of all limits, enabling those of v2 that are not enabled yet.
    private func requireControllers(of resources: LinuxResources) throws(CgroupError) {
        let needed = Controllers.needed(by: resources, rootless: record.rootless)
        let legacy = record.entries.reduce(into: Controllers()) {
            if !$1.isUnified { $0.formUnion(Controllers(legacyList: $1.hierarchy)) }
        }
        var missing = needed.subtracting(legacy)
        if unifiedIndex != nil { missing.remove(.devices) }
        if missing.isEmpty { return }
        let ofUnified = missing.intersection(.unifiedOnes)
        if ofUnified != missing {
            throw CgroupError(
                .controllerMissing, "limit", missing.subtracting(ofUnified).listed,
                unifiedIndex == nil
                    ? "the container has no cgroup with that controller" : "cgroup v2 has no such controller")
        }
        if let known = unifiedControllers, missing.isSubset(of: known) { return }
        try enableControllers(wanted: missing, required: missing)
    }

    // MARK: Controllers whose files are nearly the same in both versions

    private func applyPids(_ resources: LinuxResources) throws(CgroupError) {
        guard let limit = resources.pids?.limit else { return }
        try location(.pids).directory.write("pids.max", ResourceConversion.pids(limit))
    }

    private func applyHugepages(_ resources: LinuxResources) throws(CgroupError) {
        if resources.hugepageLimits.isEmpty { return }
        let (directory, unified) = try location(.hugetlb)
        let suffix = unified ? "max" : "limit_in_bytes"
        for page in resources.hugepageLimits {
            try directory.write("hugetlb.\(page.pageSize).\(suffix)", "\(page.limit)")
            // The limit of reservations (since 5.7) kills nobody: it makes mmap fail instead of a later page fault.
            let file = "hugetlb.\(page.pageSize).rsvd.\(suffix)"
            let errno = directory.attempt(file, "\(page.limit)")
            if errno.rawValue != 0, errno != .noEntry { throw directory.failure(errno, file, "\(page.limit)") }
        }
    }

    private func applyRdma(_ resources: LinuxResources) throws(CgroupError) {
        if resources.rdma.isEmpty { return }
        let values = resources.rdma.sorted { $0.key < $1.key }.map { device, limit in
            device + (limit.hcaHandles.map { " hca_handle=\($0)" } ?? "")
                + (limit.hcaObjects.map { " hca_object=\($0)" } ?? "")
        }
        try location(.rdma).directory.writeEach("rdma.max", values)
    }

    private func applyNetwork(_ resources: LinuxResources) throws(CgroupError) {
        if let classID = resources.network?.classID, classID != 0 {
            try location(.netCls).directory.write("net_cls.classid", "\(classID)")
        }
        if let priorities = resources.network?.priorities, !priorities.isEmpty {
            try location(.netPrio).directory.writeEach(
                "net_prio.ifpriomap", priorities.map { "\($0.name) \($0.priority)" })
        }
    }

    private func applyCPUSet(_ resources: LinuxResources) throws(CgroupError) {
        guard resources.limitsCPUSet, let cpu = resources.cpu else { return }
        let directory = try location(.cpuset).directory
        if !cpu.cpus.isEmpty { try directory.write("cpuset.cpus", cpu.cpus) }
        if !cpu.mems.isEmpty { try directory.write("cpuset.mems", cpu.mems) }
    }

    private func applyUnified(_ resources: LinuxResources) throws(CgroupError) {
        if resources.unified.isEmpty { return }
        guard let directory = try unifiedDirectory() else {
            throw CgroupError(
                .unsupported, "set", "unified resources", "this host has cgroup v1 only, and unified needs cgroup v2")
        }
        for (file, value) in resources.unified.sorted(by: { $0.key < $1.key }) {
            // Keyed files such as io.max take one line for each write.
            let lines = value.split(separator: "\n").map(String.init)
            do throws(CgroupError) {
                try directory.writeEach(file, lines.isEmpty ? [value] : lines)
            } catch {
                guard error.errno == .noEntry || error.errno == .notPermitted else { throw error }
                throw CgroupError(
                    .controllerMissing, error.operation, file,
                    "this kernel's \(file.prefix { $0 != "." }) controller has no such file", errno: error.errno)
            }
        }
    }

    // MARK: Which directory, which version

    /// Where a controller's files are: v1 where it is mounted, otherwise v2.
    func location(_ controller: Controllers) throws(CgroupError) -> (directory: CgroupDirectory, unified: Bool) {
        if let legacy = try legacyDirectory(controller) { return (legacy, false) }
        if let unified = try unifiedDirectory() { return (unified, true) }
        throw CgroupError(
            .controllerMissing, "limit", controller.listed, "the container has no cgroup with that controller")
    }

    private func applyMemory(_ resources: LinuxResources) throws(CgroupError) {
        guard let memory = resources.memory, resources.limitsMemory else { return }
        let (directory, unified) = try location(.memory)
        if unified {
            try UnifiedLimits.memory(memory, directory)
        } else {
            try LegacyLimits.memory(memory, directory)
        }
    }

    private func applyCPU(_ resources: LinuxResources) throws(CgroupError) {
        guard let cpu = resources.cpu, resources.limitsCPU else { return }
        let (directory, unified) = try location(.cpu)
        if unified {
            try UnifiedLimits.cpu(cpu, directory, realtime: resources.limitsRealtime)
        } else {
            try LegacyLimits.cpu(cpu, directory)
        }
    }

    private func applyIO(_ resources: LinuxResources) throws(CgroupError) {
        guard let io = resources.blockIO, resources.limitsIO else { return }
        let (directory, unified) = try location(.io)
        if unified {
            try UnifiedLimits.io(io, directory)
        } else {
            try LegacyLimits.io(io, directory)
        }
    }
}
