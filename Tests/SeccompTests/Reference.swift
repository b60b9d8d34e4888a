import OCI

@testable import Seccomp

/// What a profile says about one call, read rule by rule without any compilation.
struct Reference {
    let profile: LinuxSeccomp
    let architectures: [SeccompArchitecture]
    private let names: [SeccompArchitecture: [UInt32: String]]
    private let newest: [SeccompArchitecture: UInt32]
    private let rules: [String: [LinuxSyscall]]

    init(_ profile: LinuxSeccomp, native: SeccompArchitecture) {
        self.profile = profile
        var rules: [String: [LinuxSyscall]] = [:]
        for rule in profile.syscalls { for name in Set(rule.names) { rules[name, default: []].append(rule) } }
        self.rules = rules
        var architectures = [native]
        for name in profile.architectures {
            if let architecture = SeccompArchitecture(ociName: name), !architectures.contains(architecture) {
                architectures.append(architecture)
            }
        }
        self.architectures = architectures
        var names: [SeccompArchitecture: [UInt32: String]] = [:]
        var newest: [SeccompArchitecture: UInt32] = [:]
        for architecture in architectures {
            for name in SyscallNames.all {
                if let number = SyscallTable.number(of: name, on: architecture) {
                    names[architecture, default: [:]][number] = name
                }
            }
            for name in Set(profile.syscalls.flatMap(\.names)) {
                guard let number = SyscallTable.number(of: name, on: architecture),
                    architecture.privateNumbers?.contains(number) != true
                else { continue }
                newest[architecture] = max(newest[architecture] ?? 0, number)
            }
        }
        self.names = names
        self.newest = newest
    }

    static func action(_ name: String, _ errno: UInt32?) -> UInt32 {
        switch name {
        case "SCMP_ACT_KILL", "SCMP_ACT_KILL_THREAD": 0
        case "SCMP_ACT_KILL_PROCESS": 0x8000_0000
        case "SCMP_ACT_TRAP": 0x0003_0000
        case "SCMP_ACT_ERRNO": 0x0005_0000 | (errno ?? 1)
        case "SCMP_ACT_NOTIFY": 0x7FC0_0000
        case "SCMP_ACT_TRACE": 0x7FF0_0000 | (errno ?? 1)
        case "SCMP_ACT_LOG": 0x7FFC_0000
        default: 0x7FFF_0000
        }
    }

    static func holds(_ condition: LinuxSeccompArg, _ arguments: [UInt64], narrow: Bool) -> Bool {
        var argument = arguments[Int(condition.index)]
        var mask = condition.value
        if narrow {
            argument &= 0xFFFF_FFFF
            mask &= 0xFFFF_FFFF
        }
        switch condition.op {
        case "SCMP_CMP_EQ": return argument == condition.value
        case "SCMP_CMP_NE": return argument != condition.value
        case "SCMP_CMP_LT": return argument < condition.value
        case "SCMP_CMP_LE": return argument <= condition.value
        case "SCMP_CMP_GT": return argument > condition.value
        case "SCMP_CMP_GE": return argument >= condition.value
        default: return argument & mask == condition.valueTwo & condition.value
        }
    }

    func callAsFunction(_ call: Call) -> UInt32 {
        let fallback = Self.action(profile.defaultAction, profile.defaultErrnoRet)
        let candidates = architectures.filter { $0.facts.audit == call.architecture }
        if candidates.isEmpty { return 0x8000_0000 }
        var architecture = candidates[0]
        if architecture == .x86_64 || architecture == .x32 {
            let isX32 = call.number & 0x4000_0000 != 0 || call.number >= 0x8000_0000
            let wanted: SeccompArchitecture = isX32 ? .x32 : .x86_64
            if !candidates.contains(wanted) {
                if call.number != .max || !candidates.contains(.x86_64) { return 0x8000_0000 }
                architecture = .x86_64
            } else {
                architecture = wanted
            }
        }
        let letsThrough = [0x7FFF_0000, 0x7FFC_0000, 0x7FF0_0000].contains(fallback & 0xFFFF_0000)
        guard let name = names[architecture]?[call.number] else {
            return undecided(call.number, architecture, fallback, letsThrough)
        }
        if let result = decide(name, call, architecture, fallback) { return result }
        if name == "socketcall" || name == "ipc",
            let inner = Self.multiplexed[name]?[call.arguments[0] & (architecture.facts.narrow ? 0xFFFF_FFFF : .max)],
            let result = unconditional(inner, fallback)
        {
            return result
        }
        return rules[name] != nil
            ? fallback : undecided(call.number, architecture, fallback, letsThrough)
    }

    static let multiplexed: [String: [UInt64: String]] = [
        "socketcall": [
            1: "socket", 2: "bind", 3: "connect", 4: "listen", 5: "accept", 6: "getsockname", 7: "getpeername",
            8: "socketpair", 9: "send", 10: "recv", 11: "sendto", 12: "recvfrom", 13: "shutdown", 14: "setsockopt",
            15: "getsockopt", 16: "sendmsg", 17: "recvmsg", 18: "accept4", 19: "recvmmsg", 20: "sendmmsg",
        ],
        "ipc": [
            1: "semop", 2: "semget", 3: "semctl", 4: "semtimedop", 11: "msgsnd", 12: "msgrcv", 13: "msgget",
            14: "msgctl", 21: "shmat", 22: "shmdt", 23: "shmget", 24: "shmctl",
        ],
    ]

    private func undecided(
        _ number: UInt32, _ architecture: SeccompArchitecture, _ fallback: UInt32, _ letsThrough: Bool
    ) -> UInt32 {
        guard !letsThrough, let newest = newest[architecture] else { return fallback }
        if number == 0, architecture == .s390 || architecture == .s390x { return 0x0005_0026 }
        if architecture.privateNumbers?.contains(number) == true { return fallback }
        return number > newest ? 0x0005_0026 : fallback
    }

    private func unconditional(_ name: String, _ fallback: UInt32) -> UInt32? {
        for rule in rules[name] ?? [] where rule.args.isEmpty {
            let action = Self.action(rule.action, rule.errnoRet)
            if action != fallback { return action }
        }
        return nil
    }

    private func decide(
        _ name: String, _ call: Call, _ architecture: SeccompArchitecture, _ fallback: UInt32
    ) -> UInt32? {
        if let action = unconditional(name, fallback) { return action }
        var best: (chain: [LinuxSeccompArg], action: UInt32)?
        for rule in rules[name] ?? [] where !rule.args.isEmpty {
            let repeats = Set(rule.args.map(\.index)).count < rule.args.count
            let chains = repeats ? rule.args.map { [$0] } : [rule.args.sorted { $0.index < $1.index }]
            for chain in chains {
                guard chain.allSatisfy({ Self.holds($0, call.arguments, narrow: architecture.facts.narrow) }) else {
                    continue
                }
                if let old = best, !Self.moreSpecific(chain, old.chain) { continue }
                best = (chain, Self.action(rule.action, rule.errnoRet))
            }
        }
        return best?.action
    }

    private static func moreSpecific(_ new: [LinuxSeccompArg], _ old: [LinuxSeccompArg]) -> Bool {
        if new.count != old.count { return new.count > old.count }
        for (mine, theirs) in zip(new, old) where size(mine) != size(theirs) { return size(mine) < size(theirs) }
        return false
    }

    /// How many values match.
    private static func size(_ condition: LinuxSeccompArg) -> UInt128 {
        let all: UInt128 = 1 << 64
        let value = UInt128(condition.value)
        return switch condition.op {
        case "SCMP_CMP_EQ": 1
        case "SCMP_CMP_NE": all - 1
        case "SCMP_CMP_LT": value
        case "SCMP_CMP_LE": value + 1
        case "SCMP_CMP_GT": all - value - 1
        case "SCMP_CMP_GE": all - value
        default: 1 << UInt128(64 - condition.value.nonzeroBitCount)
        }
    }
}
