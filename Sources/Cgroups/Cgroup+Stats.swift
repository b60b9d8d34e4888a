import CLinux
import Glibc
import Linux

extension Cgroup {
    /// Reads all statistics the container's cgroups offer.
    ///
    /// - Throws: `.notFound` when the cgroup is gone. Files a kernel does not have are passed over.
    public func stats() throws(CgroupError) -> CgroupStats {
        var stats = CgroupStats()
        let unified = try unifiedDirectory()
        // cpu.stat of v2 is there without the controller, also on a hybrid host; v1 adds what each processor did.
        if let unified { try UnifiedStats.cpu(unified, &stats.cpu) }
        if let directory = try legacyDirectory(.cpuacct) { try LegacyStats.cpuUsage(directory, &stats.cpu) }
        if let directory = try legacyDirectory(.cpu) { try LegacyStats.throttling(directory, &stats.cpu) }
        if let directory = try legacyDirectory(.memory) {
            try LegacyStats.memory(directory, &stats.memory)
        } else if let unified {
            try UnifiedStats.memory(unified, &stats.memory)
        }
        if let directory = try legacyDirectory(.io) {
            try LegacyStats.blockIO(directory, &stats.blockIO)
        } else if let unified {
            try UnifiedStats.blockIO(unified, &stats.blockIO)
        }
        try readPids(&stats.pids)
        if let directory = try legacyDirectory(.hugetlb) {
            stats.hugetlb = try HugePageStats.read(directory, unified: false)
        } else if let unified {
            stats.hugetlb = try HugePageStats.read(unified, unified: true)
        }
        if let unified {
            stats.cpu.pressure = try UnifiedStats.pressure(unified, "cpu.pressure")
            stats.memory.pressure = try UnifiedStats.pressure(unified, "memory.pressure")
            stats.blockIO.pressure = try UnifiedStats.pressure(unified, "io.pressure")
        }
        return stats
    }

    private func readPids(_ pids: inout CgroupStats.Pids) throws(CgroupError) {
        var directory = try legacyDirectory(.pids)
        if directory == nil { directory = try unifiedDirectory() }
        if let directory, let current = try directory.number("pids.current") {
            pids.current = current
            let limit = try directory.number("pids.max") ?? 0
            pids.limit = limit == .max ? 0 : limit
        } else {
            pids.current = UInt64(try processes().count)
        }
    }
}

/// Sizes of huge pages, from the names the kernel gives their files.
enum HugePageStats {
    static func read(
        _ directory: CgroupDirectory, unified: Bool
    ) throws(CgroupError) -> [(size: String, usage: CgroupStats.HugePages)] {
        var result: [(size: String, usage: CgroupStats.HugePages)] = []
        for size in sizes {
            // Reservations are what runc reports; kernels before 5.7 only count pages in use.
            for prefix in ["hugetlb.\(size).rsvd", "hugetlb.\(size)"] {
                var pages = CgroupStats.HugePages()
                guard let usage = try directory.number(prefix + (unified ? ".current" : ".usage_in_bytes")) else { continue }
                pages.usage = usage
                if unified {
                    pages.failures = KeyedText(try directory.readIfPresent("hugetlb.\(size).events") ?? []).value("max") ?? 0
                } else {
                    pages.peak = try directory.number(prefix + ".max_usage_in_bytes") ?? 0
                    pages.failures = try directory.number(prefix + ".failcnt") ?? 0
                }
                result.append((size, pages))
                break
            }
        }
        return result
    }

    /// `hugepages-2048kB` is `2MB` in the names of cgroup files.
    static let sizes: [String] = {
        guard let directory = try? FD.cwd.open("/sys/kernel/mm/hugepages", .directory),
            let entries = try? directoryEntries(directory.fd)
        else { return [] }
        return entries.compactMap { entry -> String? in
            guard entry.name.hasPrefix("hugepages-"), entry.name.hasSuffix("kB"),
                let kilobytes = number(Array(entry.name.utf8.dropFirst(10).dropLast(2)))
            else { return nil }
            return name(kilobytes: kilobytes)
        }.sorted()
    }()

    static func name(kilobytes: UInt64) -> String {
        var value = kilobytes
        var unit = 0
        while value >= 1024, value % 1024 == 0, unit < 2 {
            value /= 1024
            unit += 1
        }
        return "\(value)\(["KB", "MB", "GB"][unit])"
    }
}
