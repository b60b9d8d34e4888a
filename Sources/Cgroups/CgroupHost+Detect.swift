import CLinux
import Glibc
import Linux

private let cgroup2Magic: Int64 = 0x6367_7270
private let cgroupMagic: Int64 = 0x27_e0eb
private let conventional = "/sys/fs/cgroup"

extension CgroupHost {
    /// Finds the hierarchies of this host as the calling process sees them.
    ///
    /// Probes the conventional mount points with `fstatfs(2)`: `/proc/self/mountinfo` is read only when they are not
    /// there, because it grows with every container on the host. Takes some tens of microseconds.
    /// - Throws: `.notFound` when no cgroup file system is mounted.
    public static func detect() throws(CgroupError) -> CgroupHost {
        let own = parseOwnCgroups(try procText("/proc/self/cgroup"))
        if let host = probe(own) { return host }
        let host = parse(mountinfo: try procText("/proc/self/mountinfo"), own: own)
        if host.unified == nil, host.legacy.isEmpty {
            throw CgroupError(
                .notFound, "find", "cgroup file system", "none is mounted",
                fix: "sudo mount -t cgroup2 none /sys/fs/cgroup")
        }
        return host
    }

    static func procText(_ path: String) throws(CgroupError) -> [UInt8] {
        try rewording { () throws(SystemError) in try FD.cwd.readFile(path) }
    }

    /// Lines of `/proc/PID/cgroup`, `id:controllers:path`, as (controllers, path); v2 has an empty name.
    static func parseOwnCgroups(_ bytes: [UInt8]) -> [(name: String, path: String)] {
        bytes.split(separator: 10).compactMap { line in
            let fields = line.split(separator: UInt8(ascii: ":"), maxSplits: 2, omittingEmptySubsequences: false)
            guard fields.count == 3 else { return nil }
            // A cgroup outside of our cgroup namespace is printed with leading `..`: all we can reach is the root.
            let path = text(fields[2])
            return (text(fields[1]), path.hasPrefix("/..") ? "/" : path)
        }
    }

    /// The host under the conventional mount points, or nil when they do not explain all of `own`.
    private static func probe(_ own: [(name: String, path: String)]) -> CgroupHost? {
        if magic(of: conventional) == cgroup2Magic {
            let path = own.first { $0.name.isEmpty }?.path ?? "/"
            let unified = Hierarchy(name: "", mountPoint: conventional, ownPath: path)
            return reachable(unified) ? CgroupHost(unified: unified, legacy: []) : nil
        }
        var host = CgroupHost(unified: nil, legacy: [])
        for (name, path) in own {
            let directory = name.isEmpty ? "unified" : name.hasPrefix("name=") ? String(name.dropFirst(5)) : name
            let hierarchy = Hierarchy(name: name, mountPoint: "\(conventional)/\(directory)", ownPath: path)
            // Not mounted there: v2 need not be mounted at all on a legacy host, but a controller has to be somewhere.
            let found = magic(of: hierarchy.mountPoint)
            if name.isEmpty, found != cgroup2Magic { continue }
            if !name.isEmpty, found != cgroupMagic { return nil }
            if !reachable(hierarchy) { return nil }
            if name.isEmpty { host.unified = hierarchy } else { host.legacy.append(hierarchy) }
        }
        // In the kernel's order the newest hierarchy comes first; a stable order of our own keeps records comparable.
        host.legacy.sort { $0.name < $1.name }
        return host.legacy.isEmpty ? nil : host
    }

    /// False when the mount shows only a part of the hierarchy (a bind mount in a container without cgroup namespace).
    private static func reachable(_ hierarchy: Hierarchy) -> Bool {
        hierarchy.ownPath == "/" || cl_faccessat(AT_FDCWD, hierarchy.mountPoint + hierarchy.ownPath, F_OK, 0) == 0
    }

    /// One system call for each mount point: this runs at every start of a container.
    private static func magic(of path: String) -> Int64 {
        var status = statfs()
        return statfs(path, &status) == 0 ? Int64(status.f_type) : 0
    }

    /// The host from the text of `/proc/self/mountinfo`. The first mount of each hierarchy wins.
    static func parse(mountinfo: [UInt8], own: [(name: String, path: String)]) -> CgroupHost {
        var host = CgroupHost(unified: nil, legacy: [])
        for line in mountinfo.split(separator: 10) {
            // id parent major:minor root mountpoint options [optional…] - type source superoptions
            let fields = line.split(separator: 32)
            guard let dash = fields.firstIndex(where: { $0.elementsEqual([45]) }), dash >= 6, dash + 3 < fields.count
            else { continue }
            let root = text(unescapeMountField(fields[3]))
            let point = text(unescapeMountField(fields[4]))
            if fields[dash + 1].elementsEqual("cgroup2".utf8), host.unified == nil {
                let path = relative(own.first { $0.name.isEmpty }?.path ?? "/", to: root)
                host.unified = Hierarchy(name: "", mountPoint: point, ownPath: path)
            } else if fields[dash + 1].elementsEqual("cgroup".utf8) {
                let options = text(fields[dash + 3]).split(separator: ",").map(String.init)
                guard let (name, path) = own.first(where: { !$0.name.isEmpty && matches($0.name, options) }),
                    !host.legacy.contains(where: { $0.name == name })
                else { continue }
                host.legacy.append(Hierarchy(name: name, mountPoint: point, ownPath: relative(path, to: root)))
            }
        }
        host.legacy.sort { $0.name < $1.name }
        return host
    }

    /// Whether a mount's super options carry every controller of a hierarchy.
    private static func matches(_ name: String, _ options: [String]) -> Bool {
        name.split(separator: ",").allSatisfy { options.contains(String($0)) }
    }

    /// A cgroup's path below a mount that shows the hierarchy from `root` on.
    private static func relative(_ path: String, to root: String) -> String {
        if root == "/" { return path }
        if path.hasPrefix(root + "/") { return String(path.dropFirst(root.utf8.count)) }
        return "/"
    }
}
