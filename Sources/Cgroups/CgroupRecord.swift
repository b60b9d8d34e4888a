/// Where a container's cgroups are: what a later process needs to open them again.
public struct CgroupRecord: Sendable, Equatable {
    /// One hierarchy's directory.
    public struct Entry: Sendable, Equatable {
        /// Empty for cgroup v2; otherwise the v1 controllers as the kernel lists them: `cpu,cpuacct`, `name=systemd`.
        public var hierarchy: String
        /// The directory, absolute in the host's mount namespace.
        public var path: String

        public init(hierarchy: String, path: String) {
            self.hierarchy = hierarchy
            self.path = path
        }

        public var isUnified: Bool { hierarchy.isEmpty }
    }

    public var entries: [Entry]
    /// Made by an unprivileged user: device rules are then best effort, as the kernel refuses them.
    public var rootless: Bool
    /// The unit, where systemd made the cgroup.
    public var scope: String?

    public init(entries: [Entry] = [], rootless: Bool = false, scope: String? = nil) {
        self.entries = entries
        self.rootless = rootless
        self.scope = scope
    }

    /// The same as an array of strings for a state file: `hierarchy:path`, and before them `rootless` and `scope UNIT`
    /// where they apply.
    public var lines: [String] {
        (rootless ? ["rootless"] : []) + (scope.map { ["scope " + $0] } ?? []) + entries.map { "\($0.hierarchy):\($0.path)" }
    }

    /// Reads what ``lines`` wrote.
    /// - Throws: `.invalid` for a line without a colon or with a relative path.
    public init(lines: [String]) throws(CgroupError) {
        self.init()
        for line in lines {
            if line == "rootless" {
                rootless = true
                continue
            }
            if line.hasPrefix("scope ") {
                scope = String(line.dropFirst(6))
                continue
            }
            // v1 hierarchy names have no colon in /proc/self/cgroup, paths may have.
            guard let colon = line.utf8.firstIndex(of: UInt8(ascii: ":")) else {
                throw CgroupError(.invalid, "read cgroup record", "\"\(line)\"", "no colon")
            }
            let path = String(line[line.index(after: colon)...])
            guard path.utf8.first == UInt8(ascii: "/") else {
                throw CgroupError(.invalid, "read cgroup record", "\"\(line)\"", "the path is not absolute")
            }
            entries.append(Entry(hierarchy: String(line[..<colon]), path: path))
        }
    }
}
