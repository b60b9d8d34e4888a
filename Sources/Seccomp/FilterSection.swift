/// The part of a filter for one `seccomp_data.arch`: a search over the numbers of its one or two ABIs.
struct FilterSection {
    /// What stands at the end of the search.
    private enum Outcome: Hashable {
        case action(UInt32)
        /// Index of `chainLists`.
        case chains(Int)
    }

    /// Numbers from `start` up to the next range.
    private struct Range {
        var start: UInt32
        var outcome: Outcome
        var layout: Emitter.ArgumentLayout
    }

    private let audit: UInt32
    private let defaultAction: UInt32
    private var ranges: [Range] = []
    private var chainLists: [[Chain]] = []

    init(rules: RuleSet, architectures: [SeccompArchitecture]) {
        audit = architectures.first?.facts.audit ?? 0
        defaultAction = rules.defaultAction
        // ABIs that share an audit value lie one above the other: x32 is bit 30.
        for architecture in architectures.sorted(by: { $0.facts.base < $1.facts.base }) {
            let first = architecture == .x32 ? architecture.facts.base : 0
            appendRanges(of: architecture, rules: rules, from: first)
        }
        rejectUnlistedX32(architectures, rules: rules)
        mergeRanges()
    }

    /// Kills on an ABI of the same audit value that is not listed.
    private mutating func rejectUnlistedX32(_ architectures: [SeccompArchitecture], rules: RuleSet) {
        guard audit == SeccompArchitecture.x86_64.facts.audit else { return }
        let layout = Emitter.ArgumentLayout(narrow: false, bigEndian: false)
        let kill = Outcome.action(SeccompReturn.killProcess)
        if !architectures.contains(.x86_64) {
            // x32 alone: its numbers start at bit 30.
            ranges.insert(Range(start: 0, outcome: kill, layout: layout), at: 0)
        }
        if !architectures.contains(.x32) {
            let unknown = rules.coversNewCalls ? SeccompReturn.noSuchCall : rules.defaultAction
            ranges.append(Range(start: 0x4000_0000, outcome: kill, layout: layout))
            // -1 has bit 30 too, but is what a tracer sets to skip a call and what probes call on purpose.
            ranges.append(Range(start: .max, outcome: .action(unknown), layout: layout))
        }
    }

    /// Appends the ranges of one ABI, ascending.
    private mutating func appendRanges(of architecture: SeccompArchitecture, rules: RuleSet, from first: UInt32) {
        let facts = architecture.facts
        let numbers = architecture.numbers
        let layout = Emitter.ArgumentLayout(narrow: facts.narrow, bigEndian: facts.bigEndian)
        var calls = CallList(base: facts.base)
        var newest: UInt32?
        for (position, policy) in rules.policyOfName.enumerated() where policy != 0 {
            guard let number = SyscallTable.number(at: position, in: numbers, base: facts.base) else { continue }
            calls.set(number, Int(policy) - 1)
            if architecture.privateNumbers?.contains(number) != true { newest = max(newest ?? 0, number) }
        }
        // `socketcall` and `ipc` replace what the profile says of them by name: their chains hold that too.
        let multiplexed = multiplexedChains(architecture, rules: rules)
        for (index, multiplexer) in multiplexed.enumerated() {
            calls.set(multiplexer.number, rules.policies.count + index)
        }

        var next = first
        calls.forEach { number, index in
            if number > next { appendUndecided(from: next, to: number, newest, architecture, rules, layout) }
            let outcome: Outcome
            if index >= rules.policies.count {
                outcome = self.outcome(multiplexed[index - rules.policies.count].chains)
            } else if let action = rules.policies[index].unconditional {
                outcome = .action(action)
            } else {
                outcome = self.outcome(rules.policies[index].chains)
            }
            ranges.append(Range(start: number, outcome: outcome, layout: layout))
            next = number + 1
        }
        appendUndecided(from: next, to: nil, newest, architecture, rules, layout)
    }

    /// Small numbers by system call number, ascending, without sorting: nearly all numbers are below 1024.
    private struct CallList {
        let base: UInt32
        private var dense = [Int](repeating: -1, count: 1024)
        private var sparse: [Int] = []  // number and index, number and index ...

        init(base: UInt32) { self.base = base }

        mutating func set(_ number: UInt32, _ index: Int) {
            let offset = Int(number) - Int(base)
            if dense.indices.contains(offset) {
                dense[offset] = index
                return
            }
            // Arm's six private calls.
            var place = 0
            while place < sparse.count && sparse[place] < Int(number) { place += 2 }
            sparse.insert(index, at: place)
            sparse.insert(Int(number), at: place)
        }

        func forEach(_ body: (UInt32, Int) -> Void) {
            for offset in dense.indices where dense[offset] >= 0 { body(base + UInt32(offset), dense[offset]) }
            for place in stride(from: 0, to: sparse.count, by: 2) {
                body(UInt32(truncatingIfNeeded: sparse[place]), sparse[place + 1])
            }
        }
    }

    private mutating func outcome(_ chains: [Chain]) -> Outcome {
        if chains.isEmpty { return .action(defaultAction) }
        chainLists.append(chains)
        return .chains(chainLists.count - 1)
    }

    /// Appends numbers that no rule decides: the default action, or `ENOSYS` above the newest call the profile names.
    private mutating func appendUndecided(
        from start: UInt32, to end: UInt32?, _ newest: UInt32?, _ architecture: SeccompArchitecture,
        _ rules: RuleSet, _ layout: Emitter.ArgumentLayout
    ) {
        func add(_ start: UInt32, _ action: UInt32) {
            ranges.append(Range(start: start, outcome: .action(action), layout: layout))
        }
        guard rules.coversNewCalls, let newest else { return add(start, rules.defaultAction) }
        var start = start
        if start == 0, architecture == .s390 || architecture == .s390x {
            // setup(2) is long gone; the kernel passes 0 for numbers it has no call for.
            add(0, SeccompReturn.noSuchCall)
            start = 1
            if let end, end == 1 { return }
        }
        if start <= newest { add(start, rules.defaultAction) }
        let firstNew = max(start, newest + 1)
        if let end, firstNew >= end { return }
        guard let ownCalls = architecture.privateNumbers, ownCalls.upperBound >= firstNew else {
            return add(firstNew, SeccompReturn.noSuchCall)
        }
        if firstNew < ownCalls.lowerBound { add(firstNew, SeccompReturn.noSuchCall) }
        if end.map({ ownCalls.lowerBound < $0 }) ?? true {
            add(max(firstNew, ownCalls.lowerBound), rules.defaultAction)
        }
        let afterOwn = ownCalls.upperBound + 1
        if end.map({ afterOwn < $0 }) ?? true { add(afterOwn, SeccompReturn.noSuchCall) }
    }

    /// Joins neighbours with the same outcome.
    private mutating func mergeRanges() {
        var merged: [Range] = []
        merged.reserveCapacity(ranges.count)
        for range in ranges {
            if let last = merged.last, last.outcome == range.outcome, case .action = range.outcome { continue }
            merged.append(range)
        }
        ranges = merged
    }
}

// MARK: Multiplexed calls

extension FilterSection {
    /// `socketcall` and `ipc` where the ABI has them and no rule without conditions decides them: one chain for each
    /// call behind them that the profile decides without looking at arguments, which lie in memory here.
    ///
    /// Facts: `linux/net.h` (`SYS_SOCKET` ...), `linux/ipc.h` (`SEMOP` ...).
    private func multiplexedChains(
        _ architecture: SeccompArchitecture, rules: RuleSet
    ) -> [(number: UInt32, chains: [Chain])] {
        // None of the architectures most containers run on has them.
        if [.x86_64, .x32, .aarch64, .arm, .riscv64, .loongarch64].contains(architecture) { return [] }
        let facts = architecture.facts
        var found: [(number: UInt32, chains: [Chain])] = []
        for (name, calls) in [("socketcall", Self.socketCalls), ("ipc", Self.ipcCalls)] {
            guard
                let position = SyscallTable.position(of: name),
                let number = SyscallTable.number(at: position, in: architecture.numbers, base: facts.base)
            else { continue }
            let own = rules.policyOfName[position]
            let policy = own == 0 ? RuleSet.Policy() : rules.policies[Int(own) - 1]
            if policy.unconditional != nil { continue }
            var chains = policy.chains
            for (call, value) in calls {
                guard let position = SyscallTable.position(of: call) else { continue }
                let index = rules.policyOfName[position]
                guard index != 0, let action = rules.policies[Int(index) - 1].unconditional else { continue }
                chains.append(Chain(conditions: [Condition(index: 0, equals: value)], action: action))
            }
            if !chains.isEmpty { found.append((number, chains)) }
        }
        return found
    }

    private static let socketCalls: [(String, UInt64)] = [
        ("socket", 1), ("bind", 2), ("connect", 3), ("listen", 4), ("accept", 5), ("getsockname", 6),
        ("getpeername", 7), ("socketpair", 8), ("send", 9), ("recv", 10), ("sendto", 11), ("recvfrom", 12),
        ("shutdown", 13), ("setsockopt", 14), ("getsockopt", 15), ("sendmsg", 16), ("recvmsg", 17), ("accept4", 18),
        ("recvmmsg", 19), ("sendmmsg", 20),
    ]

    private static let ipcCalls: [(String, UInt64)] = [
        ("semop", 1), ("semget", 2), ("semctl", 3), ("semtimedop", 4), ("msgsnd", 11), ("msgrcv", 12), ("msgget", 13),
        ("msgctl", 14), ("shmat", 21), ("shmdt", 22), ("shmget", 23), ("shmctl", 24),
    ]
}

// MARK: Instructions

extension FilterSection {
    /// Appends the section: it is skipped when `seccomp_data.arch`, which must be loaded, is another.
    func emit(into emitter: inout Emitter) throws(SeccompError) {
        try emitter.skip(BPF.jumpIfEqual, audit, skipsWhen: false) { (emitter: inout Emitter) throws(SeccompError) in
            try emitter.emit(BPF.loadAbsolute, BPF.numberOffset)
            try search(0, ranges.count, into: &emitter)
        }
    }

    /// Appends the search of `ranges[low..<high]`, at least one.
    private func search(_ low: Int, _ high: Int, into emitter: inout Emitter) throws(SeccompError) {
        if high - low > 1 {
            let middle = (low + high) / 2
            let pivot = ranges[middle].start
            try emitter.skip(BPF.jumpIfAtLeast, pivot, skipsWhen: true) {
                (emitter: inout Emitter) throws(SeccompError) in
                try search(low, middle, into: &emitter)
            }
            return try search(middle, high, into: &emitter)
        }
        switch ranges[low].outcome {
        case .action(let action): try emitter.emit(BPF.ret, action)
        case .chains(let index):
            try emitter.emit(chainLists[index], fallback: defaultAction, layout: ranges[low].layout)
        }
    }
}
