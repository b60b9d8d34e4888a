import CLinux
import Glibc
import Linux
import OCI

/// CPU scheduler, I/O priority and affinity of the container's process.
///
/// Spec: runtime-spec config.md "Linux Process": scheduler, ioPriority, execCPUAffinity.
enum Scheduling {
    private static let policies: [(StaticString, UInt32)] = [
        ("SCHED_OTHER", 0), ("SCHED_FIFO", 1), ("SCHED_RR", 2), ("SCHED_BATCH", 3), ("SCHED_ISO", 4), ("SCHED_IDLE", 5),
        ("SCHED_DEADLINE", 6),
    ]
    private static let flags: [(StaticString, UInt64)] = [
        ("SCHED_FLAG_RESET_ON_FORK", 0x01), ("SCHED_FLAG_RECLAIM", 0x02), ("SCHED_FLAG_DL_OVERRUN", 0x04),
        ("SCHED_FLAG_KEEP_POLICY", 0x08), ("SCHED_FLAG_KEEP_PARAMS", 0x10), ("SCHED_FLAG_UTIL_CLAMP_MIN", 0x20),
        ("SCHED_FLAG_UTIL_CLAMP_MAX", 0x40),
    ]
    private static let classes: [(StaticString, Int32)] = [
        ("IOPRIO_CLASS_RT", 1), ("IOPRIO_CLASS_BE", 2), ("IOPRIO_CLASS_IDLE", 3),
    ]

    private static func find<T>(_ name: String, in table: [(StaticString, T)]) -> T? {
        for known in table where known.0.matches(name) { return known.1 }
        return nil
    }

    static func apply(_ scheduler: Scheduler) throws(RuntimeError) {
        guard let policy = find(scheduler.policy, in: policies) else {
            throw .invalid("process.scheduler.policy", "unknown policy \"\(scheduler.policy)\"")
        }
        var bits: UInt64 = 0
        for name in scheduler.flags {
            guard let flag = find(name, in: flags) else {
                throw .invalid("process.scheduler.flags", "unknown flag \"\(name)\"")
            }
            bits |= flag
        }
        let result = cl_sched_setattr(
            0, policy, bits, Int32(clamping: scheduler.nice), UInt32(clamping: scheduler.priority), scheduler.runtime,
            scheduler.deadline, scheduler.period)
        try kernel { () throws(SystemError) in try check(result, "set scheduler", scheduler.policy) }
    }

    static func apply(_ priority: LinuxIOPriority) throws(RuntimeError) {
        guard let kind = find(priority.class, in: classes) else {
            throw .invalid("process.ioPriority.class", "unknown class \"\(priority.class)\"")
        }
        guard (0...7).contains(priority.priority) else {
            throw .invalid("process.ioPriority.priority", "\(priority.priority) is not within 0 to 7")
        }
        let result = cl_ioprio_set(kind << 13 | Int32(priority.priority))
        try kernel { () throws(SystemError) in try check(result, "set I/O priority", priority.class) }
    }

    /// - Parameter list: CPUs in the kernel's list format, e.g. `0-3,7`.
    static func setAffinity(_ list: String) throws(RuntimeError) {
        var mask = [UInt8](repeating: 0, count: 1024)
        for part in list.split(separator: ",") {
            let ends = part.split(separator: "-", omittingEmptySubsequences: false)
            guard (1...2).contains(ends.count), let first = Int(ends[0]), let last = Int(ends[ends.count - 1]),
                first >= 0, first <= last, last < mask.count * 8
            else { throw .invalid("process.execCPUAffinity", "\"\(list)\" is not a CPU list") }
            for cpu in first...last { mask[cpu / 8] |= 1 << UInt8(cpu % 8) }
        }
        let result = cl_sched_setaffinity(0, mask.count, mask)
        try kernel { () throws(SystemError) in try check(result, "set CPU affinity", list) }
    }
}
