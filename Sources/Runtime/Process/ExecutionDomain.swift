import CLinux
import Glibc
import Linux
import OCI

/// `linux.personality`: the execution domain of personality(2).
enum Personality {
    static func apply(_ personality: LinuxPersonality) throws(RuntimeError) {
        let value = try number(personality)
        let result = cl_personality(value)
        try kernel { () throws(SystemError) in try check(result, "set personality", personality.domain) }
    }

    static func number(_ personality: LinuxPersonality) throws(RuntimeError) -> UInt {
        guard personality.flags.isEmpty else {
            throw .invalid("linux.personality.flags", "no flags are defined")
        }
        switch personality.domain {
        case "LINUX": return 0
        case "LINUX32": return 8
        default: throw .invalid("linux.personality.domain", "unknown domain \"\(personality.domain)\"")
        }
    }
}

/// `linux.memoryPolicy`: the NUMA policy of set_mempolicy(2).
enum MemoryPolicy {
    private static let modes: [(StaticString, Int32)] = [
        ("MPOL_DEFAULT", 0), ("MPOL_PREFERRED", 1), ("MPOL_BIND", 2), ("MPOL_INTERLEAVE", 3), ("MPOL_LOCAL", 4),
        ("MPOL_PREFERRED_MANY", 5), ("MPOL_WEIGHTED_INTERLEAVE", 6),
    ]
    private static let flags: [(StaticString, Int32)] = [
        ("MPOL_F_NUMA_BALANCING", 1 << 13), ("MPOL_F_RELATIVE_NODES", 1 << 14), ("MPOL_F_STATIC_NODES", 1 << 15),
    ]

    static func apply(_ policy: LinuxMemoryPolicy) throws(RuntimeError) {
        guard var mode = modes.first(where: { $0.0.matches(policy.mode) })?.1 else {
            throw .invalid("linux.memoryPolicy.mode", "unknown mode \"\(policy.mode)\"")
        }
        for name in policy.flags {
            guard let flag = flags.first(where: { $0.0.matches(name) })?.1 else {
                throw .invalid("linux.memoryPolicy.flags", "unknown flag \"\(name)\"")
            }
            mode |= flag
        }
        var mask = [UInt](repeating: 0, count: 16)  // 1024 nodes
        for part in policy.nodes.split(separator: ",") {
            let ends = part.split(separator: "-", omittingEmptySubsequences: false)
            guard (1...2).contains(ends.count), let first = Int(ends[0]), let last = Int(ends[ends.count - 1]),
                first >= 0, first <= last, last < 1024
            else { throw .invalid("linux.memoryPolicy.nodes", "\"\(policy.nodes)\" is not a node list") }
            for node in first...last { mask[node / 64] |= 1 << UInt(node % 64) }
        }
        let result = cl_set_mempolicy(mode, policy.nodes.isEmpty ? nil : mask, policy.nodes.isEmpty ? 0 : 1024)
        try kernel { () throws(SystemError) in try check(result, "set memory policy", policy.mode) }
    }
}
