import Glibc

/// Conversions of OCI's limits, which were made for cgroup v1, into what cgroup v2 has.
///
/// The formulas are those of runc (and since 2025 of Kubernetes), so that a container behaves the same under both.
public enum ResourceConversion {
    /// `cpu.shares` (2 to 262144, default 1024) as `cpu.weight` (1 to 10000, default 100).
    ///
    /// A quadratic through both ends and the defaults: 10^((l² + 125 l) / 612 − 7/34) with l = log2(shares).
    /// - Returns: 0 for 0 (not set).
    public static func weight(shares: UInt64) -> UInt64 {
        if shares == 0 { return 0 }
        if shares <= 2 { return 1 }
        if shares >= 262_144 { return 10000 }
        let l = log2(Double(shares))
        let exponent = (l * l + 125 * l) / 612 - 7.0 / 34.0
        return UInt64(min(max(pow(10, exponent).rounded(.up), 1), 10000))
    }

    /// `blkio.weight` (10 to 1000) as `io.weight` (1 to 10000), linear.
    /// - Returns: 0 for 0 (not set).
    public static func ioWeight(blkio weight: UInt16) -> UInt64 {
        if weight == 0 { return 0 }
        return 1 + (UInt64(max(weight, 10)) - 10) * 9999 / 990
    }

    /// OCI's limit of memory and swap together as v2's limit of swap alone.
    ///
    /// - Parameters: bytes; -1 is unlimited, 0 is not set.
    /// - Returns: what to write to `memory.swap.max`, nil for nothing.
    /// - Throws: `.invalid` when swap is limited without memory, or below it.
    public static func swapMaximum(memory: Int64, memoryAndSwap: Int64) throws(CgroupError) -> String? {
        switch (memory, memoryAndSwap) {
        case (-1, 0): return "max"  // v1 lifts both; do the same
        case (_, 0): return nil
        case (_, -1): return "max"
        case (-1, let swap): return "\(swap)"
        case (0, let swap):
            throw CgroupError(
                .invalid, "set", "memory and swap limit to \(swap)", "it needs a memory limit beside it")
        case (let memory, let swap):
            let (difference, overflow) = swap.subtractingReportingOverflow(memory)
            if overflow || difference < 0 || memory < 0 {
                throw CgroupError(
                    .invalid, "set", "memory and swap limit to \(swap)", "it is below the memory limit of \(memory)")
            }
            return "\(difference)"
        }
    }

    /// -1 as `max`, 0 as nil (not set).
    static func limit(_ value: Int64?) -> String? {
        guard let value, value != 0 else { return nil }
        return value < 0 ? "max" : "\(value)"
    }

    /// `pids.max`: negative is no limit; 0 becomes 1, as systemd cannot set 0 and both forbid any fork.
    static func pids(_ limit: Int64) -> String { limit < 0 ? "max" : "\(max(limit, 1))" }
}
