import Linux

/// What a container uses now: the few numbers that a live table shows. Nil: its cgroups do not tell.
public struct CgroupUsage: Sendable, Equatable {
    /// Nanoseconds of processor time since the cgroup was made.
    public var cpu: UInt64?
    /// Bytes, without page cache that the kernel would take back first: what Docker and Kubernetes call used.
    public var memory: UInt64?
    /// Bytes; `UInt64.max` is none.
    public var memoryLimit: UInt64?
    /// Bytes read from and written to block devices.
    public var read: UInt64?
    public var written: UInt64?
    /// Processes and threads.
    public var tasks: UInt64?

    public init() {}
}

extension Cgroup {
    /// Reads what changes from second to second; ``stats()`` has all the rest.
    ///
    /// Six small files at most. The directories stay open (four at most), so that the next reading walks along no path.
    /// - Throws: `.notFound` when the cgroup is gone.
    public func usage() throws(CgroupError) -> CgroupUsage {
        var usage = CgroupUsage()
        usage.cpu = try processorTime()
        if let directory = try legacyDirectory(.memory) {
            usage.memory = try Self.memory(directory, "memory.usage_in_bytes", inactive: "total_inactive_file")
            usage.memoryLimit = try directory.number("memory.limit_in_bytes")
        } else if let directory = try unifiedDirectory() {
            usage.memory = try Self.memory(directory, "memory.current", inactive: "inactive_file")
            if usage.memory != nil { usage.memoryLimit = try directory.number("memory.max") }
        }
        if let directory = try legacyDirectory(.io) {
            try Self.legacyBytes(directory, &usage)
        } else if let bytes = try unifiedDirectory()?.readIfPresent("io.stat") {
            Self.unifiedBytes(KeyedText(bytes), &usage)
        }
        if let directory = try legacyDirectory(.pids) {
            usage.tasks = try directory.number("pids.current")
        } else {
            usage.tasks = try unifiedDirectory()?.number("pids.current")
        }
        return usage
    }

    /// Nanoseconds of processor time since the cgroup was made; nil where its cgroups do not tell.
    ///
    /// - Throws: as ``usage()``.
    public func processorTime() throws(CgroupError) -> UInt64? {
        if let directory = try legacyDirectory(.cpuacct) { return try directory.number("cpuacct.usage") }
        guard let bytes = try unifiedDirectory()?.readIfPresent("cpu.stat") else { return nil }
        return KeyedText(bytes).value("usage_usec").map { $0 &* 1000 }
    }

    private static func memory(
        _ directory: CgroupDirectory, _ file: String, inactive key: String
    ) throws(CgroupError) -> UInt64? {
        guard let all = try directory.number(file) else { return nil }
        let inactive = try directory.readIfPresent("memory.stat").flatMap { KeyedText($0).value(key) } ?? 0
        // Read one after the other: more cache than there was memory before is no cache of what was counted.
        return inactive < all ? all - inactive : all
    }

    /// Lines `8:0 Read 4096` of all devices; `Total` and the others are passed over.
    private static func legacyBytes(_ directory: CgroupDirectory, _ usage: inout CgroupUsage) throws(CgroupError) {
        var bytes = try directory.readIfPresent("blkio.throttle.io_service_bytes_recursive")
        if bytes == nil { bytes = try directory.readIfPresent("blkio.throttle.io_service_bytes") }
        guard let bytes else { return }
        var (read, written): (UInt64, UInt64) = (0, 0)
        KeyedText(bytes).forEachLine { fields in
            guard fields.count == 3, let value = number(fields[2]) else { return }
            if fields[1].elementsEqual("Read".utf8) { read &+= value }
            if fields[1].elementsEqual("Write".utf8) { written &+= value }
        }
        (usage.read, usage.written) = (read, written)
    }

    /// Lines `8:0 rbytes=1 wbytes=2 …` of all devices.
    private static func unifiedBytes(_ text: KeyedText, _ usage: inout CgroupUsage) {
        var (read, written): (UInt64, UInt64) = (0, 0)
        text.forEachLine { fields in
            for field in fields.dropFirst() {
                guard let equals = field.firstIndex(of: UInt8(ascii: "=")), let value = number(field[(equals + 1)...]) else { continue }
                if field[..<equals].elementsEqual("rbytes".utf8) { read &+= value }
                if field[..<equals].elementsEqual("wbytes".utf8) { written &+= value }
            }
        }
        (usage.read, usage.written) = (read, written)
    }
}

extension CgroupRecord {
    /// Where a container's cgroups are, as one of its processes shows them.
    ///
    /// What runs in a container may have made cgroups below its own: the path ends with the container's.
    /// - Parameters:
    ///   - processCgroups: `/proc/PID/cgroup` of a process of the container.
    ///   - id: part of the name of the container's cgroup, whoever made it: `…/ID`, `berth-ID.scope`.
    /// - Returns: without entries where the process is in no cgroup of such a name.
    public init(processCgroups bytes: [UInt8], ofContainer id: String, on host: CgroupHost) {
        self.init()
        for (name, path) in CgroupHost.parseOwnCgroups(bytes) {
            let components = path.split(separator: "/").map(String.init)
            guard let last = components.firstIndex(where: { $0.includes(id) }),
                let hierarchy = name.isEmpty ? host.unified : host.legacy.first(where: { $0.name == name })
            else { continue }
            entries.append(Entry(hierarchy: name, path: hierarchy.path(Array(components[...last]))))
        }
    }
}
