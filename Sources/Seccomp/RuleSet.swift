import OCI

/// The rules of a profile by system call name, the same for every architecture.
struct RuleSet {
    /// What happens to one system call.
    struct Policy: Hashable {
        /// The action of the first rule without conditions.
        var unconditional: UInt32?
        /// Rules with conditions, in the order they are asked.
        var chains: [Chain] = []
    }

    let defaultAction: UInt32
    /// Numbers above the newest one named return `ENOSYS`.
    let coversNewCalls: Bool
    /// Distinct policies; the first is that of calls which no rule decides.
    private(set) var policies: [Policy] = [Policy()]
    /// Per position of `SyscallNames.all`: 0 for a name no rule names, otherwise 1 + an index of `policies`.
    private(set) var policyOfName: [Int32]
    /// Those of `policies` that are rules without conditions, as numbered in `policyOfName`.
    private var plainPolicies: [Int32] = []
    /// Some rule notifies.
    private(set) var notifies = false

    init(_ profile: LinuxSeccomp) throws(SeccompError) {
        defaultAction = try Self.action(profile.defaultAction, errno: profile.defaultErrnoRet)
        if defaultAction == SeccompReturn.notify {
            throw SeccompError(
                code: .invalidNotify, object: profile.defaultAction,
                cause: "the default action cannot notify: the agent would never receive the listener")
        }
        let kind = defaultAction & 0xFFFF_0000
        coversNewCalls =
            ![SeccompReturn.allow, SeccompReturn.log, SeccompReturn.trace].contains(kind)
            && defaultAction != SeccompReturn.noSuchCall
        policyOfName = [Int32](repeating: 0, count: SyscallNames.all.count)
        for rule in profile.syscalls { try add(rule) }
        for index in policies.indices { policies[index].sortChains(fallback: defaultAction) }
    }

    private mutating func add(_ rule: LinuxSyscall) throws(SeccompError) {
        let action = try Self.action(rule.action, errno: rule.errnoRet)
        let chains = try Self.chains(rule.args, action: action)
        if action == SeccompReturn.notify {
            notifies = true
            // What a runtime calls between loading the filter and handing its listener to the agent would wait for ever.
            for name in ["write", "sendmsg"] where rule.names.contains(name) {
                throw SeccompError(
                    code: .invalidNotify, object: name,
                    cause: "\(name) cannot notify: the container's start itself calls it before an agent listens")
            }
        }
        for name in rule.names {
            guard let position = SyscallTable.position(of: name) else { continue }
            let old = policyOfName[position]
            // A rule that only repeats the default action decides nothing, but its names count as known.
            if rule.args.isEmpty && action == defaultAction {
                if old == 0 { policyOfName[position] = 1 }
                continue
            }
            if rule.args.isEmpty && old <= 1 {
                policyOfName[position] = plainPolicy(action)
                continue
            }
            var policy = old == 0 ? Policy() : policies[Int(old) - 1]
            if policy.unconditional != nil { continue }
            if rule.args.isEmpty {
                policyOfName[position] = plainPolicy(action)
                continue
            }
            policy.chains += chains
            // Policies with conditions belong to one name each, so a second rule may extend them in place.
            if old > 1 {
                policies[Int(old) - 1] = policy
            } else {
                policies.append(policy)
                policyOfName[position] = Int32(policies.count)
            }
        }
    }

    /// The policy of a rule without conditions: one per action, so the usual profile has a handful of policies.
    private mutating func plainPolicy(_ action: UInt32) -> Int32 {
        if let known = plainPolicies.first(where: { policies[Int($0) - 1].unconditional == action }) { return known }
        policies.append(Policy(unconditional: action))
        plainPolicies.append(Int32(policies.count))
        return Int32(policies.count)
    }

    private static func chains(_ arguments: [LinuxSeccompArg], action: UInt32) throws(SeccompError) -> [Chain] {
        var conditions: [Condition] = []
        var seen: UInt8 = 0
        var repeated = false
        for argument in arguments {
            let condition = try Condition(argument)
            repeated = repeated || seen & (1 << condition.index) != 0
            seen |= 1 << condition.index
            conditions.append(condition)
        }
        if repeated { return conditions.map { Chain(conditions: [$0], action: action) } }
        conditions.sort { $0.index < $1.index }
        return conditions.isEmpty ? [] : [Chain(conditions: conditions, action: action)]
    }

    /// The filter's return value for an OCI action.
    ///
    /// - Throws: `.unknownAction`; `.invalidErrno` for an errno above 4095 or one that the action cannot return.
    private static func action(_ name: String, errno: UInt32?) throws(SeccompError) -> UInt32 {
        switch name {
        case "SCMP_ACT_ERRNO", "SCMP_ACT_TRACE":
            let errno = errno ?? SeccompReturn.notPermitted
            // The kernel cuts an errno to MAX_ERRNO; the 16 bits of a trace message are the tracer's own.
            guard errno <= (name == "SCMP_ACT_ERRNO" ? 4095 : 0xFFFF) else {
                throw SeccompError(code: .invalidErrno, object: errno.description, cause: "errno out of range")
            }
            return (name == "SCMP_ACT_ERRNO" ? SeccompReturn.errno : SeccompReturn.trace) | errno
        default: break
        }
        guard let action = plainAction(name) else {
            throw SeccompError(code: .unknownAction, object: name, cause: "unknown action")
        }
        // Spec: "When the action doesn't support an errno, the runtime MUST print and error and fail."
        if errno != nil {
            throw SeccompError(code: .invalidErrno, object: name, cause: "this action returns no errno")
        }
        return action
    }

    private static func plainAction(_ name: String) -> UInt32? {
        switch name {
        case "SCMP_ACT_ALLOW": SeccompReturn.allow
        case "SCMP_ACT_KILL", "SCMP_ACT_KILL_THREAD": SeccompReturn.killThread
        case "SCMP_ACT_KILL_PROCESS": SeccompReturn.killProcess
        case "SCMP_ACT_TRAP": SeccompReturn.trap
        case "SCMP_ACT_LOG": SeccompReturn.log
        case "SCMP_ACT_NOTIFY": SeccompReturn.notify
        default: nil
        }
    }
}

extension RuleSet.Policy {
    /// Puts the chains into the order they are asked and drops those that cannot change the result.
    mutating func sortChains(fallback: UInt32) {
        if chains.isEmpty { return }
        for index in chains.indices { chains[index].order = index }
        chains.removeAll { chain in chain.conditions.contains { $0.matches == nil } }
        chains.sort { $0.precedes($1) }
        let sorted = chains
        // A set only for long lists: its generic types are made at first use, which every start would pay.
        var seen: Set<[Condition]> = []
        chains = []
        for chain in sorted {
            let repeated =
                sorted.count > 32
                ? !seen.insert(chain.conditions).inserted : chains.contains { $0.conditions == chain.conditions }
            if !repeated { chains.append(chain) }
        }
        // What stands last and agrees with the default says nothing.
        while let last = chains.last, last.action == fallback { chains.removeLast() }
    }
}
