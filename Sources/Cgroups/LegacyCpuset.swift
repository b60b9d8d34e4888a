import Linux

/// cgroup v1 `cpuset`: a new cgroup has no CPUs and no memory nodes, and takes them from its parent.
enum LegacyCpuset {
    /// Fills the empty `cpuset.cpus` and `cpuset.mems` of a directory from its parent.
    ///
    /// Parents that are empty themselves are filled first, top-down, up to the mount point (whose sets are never empty).
    static func inherit(_ path: String, downFrom mountPoint: String) throws(CgroupError) {
        let directory = try CgroupDirectory(path: path)
        var empty: [String] = []
        for file in ["cpuset.cpus", "cpuset.mems"] {
            if let set = try directory.readIfPresent(file), KeyedText(set).isBlank { empty.append(file) }
        }
        if empty.isEmpty || path == mountPoint { return }
        guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return }
        let parentPath = String(path[..<slash])
        var parent = try CgroupDirectory(path: parentPath)
        for file in empty {
            var value = KeyedText(try parent.read(file)).trimmed
            if value.isEmpty {
                try inherit(parentPath, downFrom: mountPoint)
                parent = try CgroupDirectory(path: parentPath)
                value = KeyedText(try parent.read(file)).trimmed
            }
            if !value.isEmpty { try directory.write(file, value) }
        }
    }
}
