/// What cgroup hierarchies this host mounts, and where the caller is in them.
public struct CgroupHost: Sendable, Equatable {
    public enum Mode: String, Sendable {
        /// cgroup v2 only.
        case unified
        /// cgroup v1 only.
        case legacy
        /// v1 controllers, and beside them a v2 tree (which may have controllers of its own).
        case hybrid
    }

    /// One mounted hierarchy.
    public struct Hierarchy: Sendable, Equatable {
        /// v1 controllers as the kernel lists them (`cpu,cpuacct`, `name=systemd`); empty for v2.
        public var name: String
        /// Where it is mounted, absolute, without a slash at the end.
        public var mountPoint: String
        /// The caller's cgroup relative to the mount point: `/` or `/a/b`.
        public var ownPath: String
        /// What it controls (v1); for v2 ask the directories themselves.
        public var controllers: Controllers

        public init(name: String, mountPoint: String, ownPath: String = "/") {
            self.name = name
            self.mountPoint = mountPoint
            self.ownPath = ownPath
            controllers = name.isEmpty ? .unifiedOnes : Controllers(legacyList: name)
        }

        func path(_ components: [String]) -> String { mountPoint + components.map { "/" + $0 }.joined() }

        /// The caller's own cgroup as components.
        var ownComponents: [String] { ownPath.split(separator: "/").map(String.init) }
    }

    /// The v2 tree, nil on a legacy host.
    public var unified: Hierarchy?
    /// The v1 hierarchies in the kernel's order, empty on a unified host.
    public var legacy: [Hierarchy]

    public init(unified: Hierarchy?, legacy: [Hierarchy]) {
        self.unified = unified
        self.legacy = legacy
    }

    public var mode: Mode {
        if legacy.isEmpty { return .unified }
        return unified == nil ? .legacy : .hybrid
    }

    /// The v1 controllers that are mounted. Everything else can only come from v2.
    public var legacyControllers: Controllers { legacy.reduce(into: []) { $0.formUnion($1.controllers) } }
}
