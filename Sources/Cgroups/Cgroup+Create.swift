import CLinux
import Glibc
import Linux
import OCI

extension Cgroup {
    /// Makes a container's cgroup directories in every hierarchy that is needed.
    ///
    /// On an absolute path the directories are made from the root of each hierarchy, as runc does. A relative path
    /// goes under `parent` for root, and for a rootless caller next to or under the caller's own cgroup: next to it
    /// first, because cgroup v2 lets no controllers into a cgroup that holds processes.
    ///
    /// `slice:prefix:name` is a scope that systemd makes: ``releaseAnchor()`` when the first process is in it.
    ///
    /// What was made is removed again when a later step fails.
    /// Spec: OCI runtime-spec config-linux.md "Cgroups Path"; kernel: cgroup-v2.rst "Delegation".
    ///
    /// - Parameters:
    ///   - cgroupsPath: `linux.cgroupsPath`; empty means relative, named `id`.
    ///   - resources: limits that will be applied: their controllers are required.
    ///   - controllers: what to have beside those. On v1 each hierarchy costs some 60 µs of a container's life.
    ///   - parent: where relative paths go for root.
    /// - Returns: an empty cgroup (``isEmpty``) when rootless, nothing is delegated and nothing is limited.
    /// - Throws: `.notDelegated` (with the fix), `.controllerMissing`, `.notEmpty` when the cgroup exists and holds
    ///   processes, `.systemdMissing`, `.systemd`, `.invalid`, or the kernel's refusal.
    public static func create(
        host: CgroupHost, cgroupsPath: String, id: String, resources: LinuxResources? = nil,
        controllers: Controllers = .accounting, rootless: Bool = false, parent: String = "/berth"
    ) throws(CgroupError) -> Cgroup {
        let place = try CgroupsPath.parse(cgroupsPath, id: id)
        if case .systemd(let slice, let prefix, let name) = place {
            let scope = try SystemdScope(slice: slice, prefix: prefix, name: name, rootless: rootless)
            return try makeScope(scope, host: host, resources: resources ?? LinuxResources(), rootless: rootless)
        }
        let required = Controllers.needed(by: resources, rootless: rootless)
        let creation = Creation(
            host: host, place: place, required: required, wanted: controllers.union(required), rootless: rootless,
            parent: parent.split(separator: "/").map(String.init))
        return try creation.run()
    }

    /// What an administrator types so that this user's containers get cgroups that can be frozen.
    public static func freezerFix(host: CgroupHost) -> String {
        let creation = Creation(
            host: host, place: .relative([]), required: .freezer, wanted: .freezer, rootless: true, parent: [])
        let legacy = host.legacy.first { $0.controllers.contains(.freezer) }
        return (host.unified ?? legacy).map { creation.fix($0) } ?? "mount -t cgroup2 cgroup2 /sys/fs/cgroup"
    }
}

extension Controllers {
    /// The controllers a set of limits cannot do without.
    public static func needed(by resources: LinuxResources?, rootless: Bool = false) -> Controllers {
        guard let resources else { return [] }
        var set: Controllers = []
        if resources.limitsMemory { set.insert(.memory) }
        if resources.limitsCPU { set.insert(.cpu) }
        if resources.limitsCPUSet { set.insert(.cpuset) }
        if resources.pids?.limit != nil { set.insert(.pids) }
        if resources.limitsIO { set.insert(.io) }
        if !resources.hugepageLimits.isEmpty { set.insert(.hugetlb) }
        if !resources.rdma.isEmpty { set.insert(.rdma) }
        if resources.network?.classID ?? 0 != 0 { set.insert(.netCls) }
        if !(resources.network?.priorities ?? []).isEmpty { set.insert(.netPrio) }
        // Device rules of an unprivileged user are refused by every kernel, and he cannot make device nodes either.
        if !resources.devices.isEmpty, !rootless { set.insert(.devices) }
        for name in resources.unified.keys {
            let prefix = name.prefix { $0 != "." }
            for entry in names where !entry.unified.isEmpty && entry.unified == prefix { set.insert(entry.controller) }
        }
        return set
    }
}

/// One run of ``Cgroup/create(host:cgroupsPath:id:resources:controllers:rootless:parent:)``.
private struct Creation {
    let host: CgroupHost
    let place: CgroupsPath
    let required: Controllers
    let wanted: Controllers
    let rootless: Bool
    let parent: [String]

    var made: [String] = []
    var record = CgroupRecord()
    var fresh: [Bool] = []
    /// The first refusal that was passed over because the hierarchy is not required.
    var refusal: CgroupError?

    init(
        host: CgroupHost, place: CgroupsPath, required: Controllers, wanted: Controllers, rootless: Bool,
        parent: [String]
    ) {
        self.host = host
        self.place = place
        self.required = required
        self.wanted = wanted
        self.rootless = rootless
        self.parent = parent
    }

    consuming func run() throws(CgroupError) -> Cgroup {
        record.rootless = rootless
        do throws(CgroupError) {
            try checkLegacyIsThere()
            for hierarchy in host.legacy where selects(hierarchy) { try make(hierarchy, needs: required) }
            let legacy = host.legacyControllers
            if let unified = host.unified { try make(unified, needs: required.subtracting(legacy)) }
            if record.entries.isEmpty, let refusal, case .absolute = place { throw refusal }
            let cgroup = Cgroup(record: record)
            cgroup.fresh = fresh
            // Only after all directories exist: enabling controllers is what fails most often, and names the limit.
            try cgroup.enableControllers(
                wanted: wanted.subtracting(legacy).intersection(.unifiedOnes),
                required: required.subtracting(legacy).intersection(.unifiedOnes))
            return cgroup
        } catch {
            // Deepest first, so that parents made on the way are empty by then.
            for path in made.reversed() { _ = cl_unlinkat(AT_FDCWD, path, 0x200 /* AT_REMOVEDIR */) }
            throw error
        }
    }

    /// Which v1 hierarchies a container gets a directory in.
    private func selects(_ hierarchy: CgroupHost.Hierarchy) -> Bool {
        if !hierarchy.controllers.isDisjoint(with: wanted) { return true }
        // Without a v2 tree: v1 freezer is the only way to pause, and systemd must see that the container left its unit.
        return host.unified == nil && !hierarchy.controllers.isDisjoint(with: [.freezer, .named])
    }

    /// Fails early for what only v1 has and this host lacks.
    private func checkLegacyIsThere() throws(CgroupError) {
        var missing = required.subtracting(host.legacyControllers)
        if host.unified != nil { missing.subtract(Controllers.unifiedOnes.union(.devices)) }
        if missing.isEmpty { return }
        throw CgroupError(
            .controllerMissing, "limit", missing.listed,
            host.unified == nil
                ? "no cgroup v1 hierarchy of that controller is mounted" : "cgroup v2 has no such controller")
    }

    /// Makes the directory in one hierarchy, trying each place it may be in.
    private mutating func make(_ hierarchy: CgroupHost.Hierarchy, needs: Controllers) throws(CgroupError) {
        let needed = hierarchy.name.isEmpty ? needs : needs.intersection(hierarchy.controllers)
        var last: CgroupError?
        for components in candidates(hierarchy) {
            do throws(CgroupError) {
                let path = try makePath(hierarchy, components)
                record.entries.append(.init(hierarchy: hierarchy.name, path: path))
                return
            } catch {
                guard rootless, error.code == .permissionDenied else { throw error }
                last = error
            }
        }
        guard let last else { return }
        let error = notDelegated(hierarchy, last, needed)
        if !needed.isEmpty { throw error }
        if refusal == nil { refusal = error }
    }

    fileprivate func candidates(_ hierarchy: CgroupHost.Hierarchy) -> [[String]] {
        switch place {
        case .absolute(let components): return [components]
        case .systemd: return []
        case .relative(let components):
            if !rootless { return [parent + components] }
            let own = hierarchy.ownComponents
            if hierarchy.name.isEmpty, !own.isEmpty { return [own.dropLast() + components, own + components] }
            return [own + components]
        }
    }

    /// mkdir -p from the mount point on. The common case is one system call: the parent exists, the leaf does not.
    private mutating func makePath(
        _ hierarchy: CgroupHost.Hierarchy, _ components: [String]
    ) throws(CgroupError) -> String {
        let path = hierarchy.path(components)
        var result = cl_mkdirat(AT_FDCWD, path, 0o755)
        if result == -ENOENT {
            for depth in 1..<max(components.count, 1) {
                let ancestor = hierarchy.path(Array(components.prefix(depth)))
                let step = cl_mkdirat(AT_FDCWD, ancestor, 0o755)
                if step == 0 { made.append(ancestor) }
                if step < 0, step != -EEXIST { throw makeFailure(step, ancestor) }
            }
            result = cl_mkdirat(AT_FDCWD, path, 0o755)
        }
        if result == -EEXIST {
            try checkUnused(path)
        } else if result < 0 {
            throw makeFailure(result, path)
        } else {
            made.append(path)
        }
        fresh.append(result == 0)
        if hierarchy.controllers.contains(.cpuset), !hierarchy.name.isEmpty {
            // A v1 cpuset starts empty and lets no task in before it has CPUs and memory nodes.
            try LegacyCpuset.inherit(path, downFrom: hierarchy.mountPoint)
        }
        return path
    }

    private func makeFailure(_ result: Int32, _ path: String) -> CgroupError {
        let errno = Errno(rawValue: -result)
        if errno == .again {
            return CgroupError(
                .kernel, "make cgroup", "\"\(path)\"",
                "cgroup.max.depth or cgroup.max.descendants of a parent is reached", errno: errno)
        }
        return CgroupError(errno, "make cgroup", "\"\(path)\"")
    }

    /// An old directory is taken over only when it is empty: sharing one would mix two containers' limits and kills.
    private func checkUnused(_ path: String) throws(CgroupError) {
        let directory = try CgroupDirectory(path: path)
        guard let listed = try directory.readIfPresent("cgroup.procs") else { return }
        let count = listed.split(separator: 10).count
        if count > 0 {
            throw CgroupError(.notEmpty, "make cgroup", "\"\(path)\"", "it exists and holds \(count) process(es)")
        }
    }

    private func notDelegated(
        _ hierarchy: CgroupHost.Hierarchy, _ error: CgroupError, _ needed: Controllers
    ) -> CgroupError {
        let own = hierarchy.mountPoint + (hierarchy.ownPath == "/" ? "" : hierarchy.ownPath)
        if needed.isEmpty {
            return CgroupError(
                .notDelegated, error.operation, error.object, error.cause, errno: error.errno, fix: fix(hierarchy))
        }
        return CgroupError(
            .notDelegated, "limit \(needed.listed) in", "\"\(own)\"",
            "this cgroup is not delegated to user \(userIDOutside()): \(error.errno.description)", errno: error.errno,
            fix: fix(hierarchy))
    }

    /// What an administrator types once. Never "give the user the cgroup he is in": that may be the root.
    func fix(_ hierarchy: CgroupHost.Hierarchy) -> String {
        let name = "user-\(userIDOutside())"
        if !hierarchy.name.isEmpty {
            let all = host.legacy.filter { !$0.controllers.isDisjoint(with: required) }
            let places = (all.isEmpty ? [hierarchy] : all).map {
                $0.mountPoint + ($0.ownPath == "/" ? "" : $0.ownPath) + "/" + name
            }
            return "sudo sh -c 'for d in \(places.joined(separator: " ")); do mkdir -p $d && chown -R \(userIDOutside()) $d "
                + "&& echo '$$' > $d/cgroup.procs; done'"
        }
        if FD.cwd.exists("/run/systemd/system") {
            // A login session's cgroup belongs to root: only the user's own systemd can give a delegated one.
            return hierarchy.ownPath.split(separator: "/").contains("user@\(userIDOutside()).service")
                ? Cgroup.delegationFix : "start it under: systemd-run --user --scope -p Delegate=yes"
        }
        let root = hierarchy.mountPoint
        return "sudo sh -c 'c=\"+cpu +io +memory +pids\"; d=\(root)/\(name); mkdir -p $d/shell; "
            + "echo $c > \(root)/cgroup.subtree_control; echo $c > $d/cgroup.subtree_control; "
            + "chown -R \(userIDOutside()) $d; echo '$$' > $d/shell/cgroup.procs'"
    }
}

extension Cgroup {
    /// What a creator that was killed before it could write down where its cgroup is has left of it.
    ///
    /// - Parameters: as for ``create(host:cgroupsPath:id:resources:controllers:rootless:parent:)``.
    /// - Returns: the directories that are there; empty when there are none.
    public static func abandoned(
        host: CgroupHost, cgroupsPath: String, id: String, rootless: Bool = false, parent: String = "/berth"
    ) throws(CgroupError) -> Cgroup {
        let creation = Creation(
            host: host, place: try CgroupsPath.parse(cgroupsPath, id: id), required: [], wanted: [], rootless: rootless,
            parent: parent.split(separator: "/").map(String.init))
        var record = CgroupRecord(rootless: rootless)
        for hierarchy in host.legacy + (host.unified.map { [$0] } ?? []) {
            for components in creation.candidates(hierarchy) where !components.isEmpty {
                let path = hierarchy.path(components)
                if FD.cwd.exists(path) { record.entries.append(.init(hierarchy: hierarchy.name, path: path)) }
            }
        }
        return Cgroup(record: record)
    }
}
