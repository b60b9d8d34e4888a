import Linux

extension FirewallSocket {
    /// What is wrong with the ruleset; under the lock of the networks.
    private enum State {
        case missing
        /// Ours or a newer one, with all its rules.
        case whole
        case older(chains: [String])
    }

    private func state() throws(SystemError) -> State {
        let chains = try chains()
        if chains.isEmpty { return .missing }
        let versions = chains.compactMap { name -> Int? in
            guard name.utf8.starts(with: Ruleset.versionPrefix.utf8) else { return nil }
            return Int(name.dropFirst(Ruleset.versionPrefix.count))
        }
        let newest = versions.max() ?? 0
        if newest > Ruleset.version { return .whole }
        // `nft flush table` takes the rules and leaves everything else.
        if newest == Ruleset.version, try ruleCount() == Ruleset.rules.count { return .whole }
        return .older(chains: chains)
    }

    /// Whether the ruleset stands with all of its rules.
    func isWhole() throws(SystemError) -> Bool {
        if case .whole = try state() { return true }
        return false
    }

    /// Writes the ruleset unless it stands, in one transaction. Elements of an older one stay: they belong to running containers.
    ///
    /// Only under the lock of the networks.
    func writeRuleset() throws(SystemError) {
        var batch = FirewallBatch()
        switch try state() {
        case .whole: return
        case .missing: Self.write(&batch, replacing: nil)
        case .older(let chains): Self.write(&batch, replacing: chains)
        }
        try commit(batch)
    }

    private static func write(_ batch: inout FirewallBatch, replacing chains: [String]?) {
        batch.addTable()
        if let chains {
            batch.removeRules()
            // Chains of another version may hang at other hooks under the same names.
            for name in chains { batch.removeChain(name) }
        }
        for (number, set) in Ruleset.sets.enumerated() { batch.addSet(set, id: UInt32(number + 1)) }
        for chain in Ruleset.chains { batch.addChain(chain) }
        for (chain, expressions) in Ruleset.rules { batch.addRule(chain, expressions) }
    }

    /// Removes elements and adds others, in one transaction: these keys have these values whatever was there before.
    ///
    /// - Parameter removals: must be there.
    func change(
        remove removals: [FirewallSet: [FirewallElement]] = [:], add additions: [FirewallSet: [FirewallElement]]
    ) throws(SystemError) {
        var batch = FirewallBatch()
        for (set, elements) in removals { batch.removeElements(elements, from: set) }
        for (set, elements) in additions { batch.addElements(elements, to: set) }
        do throws(SystemError) {
            return try commit(batch)
        } catch {
            // EBUSY: a killed supervisor's element has another value. EEXIST and ENOTEMPTY: a range overlaps another.
            guard [.busy, .exists, .notEmpty].contains(error.errno) else { throw error }
        }
        var again = FirewallBatch()
        for (set, elements) in removals { again.removeElements(elements, from: set) }
        for (set, elements) in additions {
            let gone = Set(removals[set] ?? [])
            again.removeElements(try conflicting(with: elements, in: set).filter { !gone.contains($0) }, from: set)
            again.addElements(elements, to: set)
        }
        try commit(again)
    }

    /// Elements with the same keys; of ranges, those that overlap.
    private func conflicting(with elements: [FirewallElement], in set: FirewallSet) throws(SystemError) -> [FirewallElement] {
        let present = try self.elements(of: set)
        if !set.isInterval {
            let keys = Set(elements.map(\.key))
            return present.filter { keys.contains($0.key) }
        }
        let wanted = Self.ranges(elements)
        return Self.ranges(present).filter { range in
            wanted.contains { less(range.first.key, $0.end?.key) && less($0.first.key, range.end?.key) }
        }.flatMap { [$0.first] + ($0.end.map { [$0] } ?? []) }
    }

    /// Elements with a comment that satisfies a condition, with the ends of their ranges.
    func elements(of set: FirewallSet, where isWanted: (String) -> Bool) throws(SystemError) -> [FirewallElement] {
        let present = try elements(of: set)
        if !set.isInterval { return present.filter { isWanted($0.comment) } }
        return Self.ranges(present).filter { isWanted($0.first.comment) }.flatMap { [$0.first] + ($0.end.map { [$0] } ?? []) }
    }

    /// Removes elements; those that are not there any more are no error.
    func remove(_ removals: [FirewallSet: [FirewallElement]]) throws(SystemError) {
        var batch = FirewallBatch()
        for (set, elements) in removals { batch.removeElements(elements, from: set) }
        do throws(SystemError) {
            return try commit(batch)
        } catch {
            if error.errno != .noEntry { throw error }
        }
        // Some are missing, and with them the whole transaction failed.
        var rest = FirewallBatch()
        for (set, elements) in removals {
            let there = Set(try self.elements(of: set).map { FirewallElement(key: $0.key, isEnd: $0.isEnd) })
            rest.removeElements(elements.filter { there.contains(FirewallElement(key: $0.key, isEnd: $0.isEnd)) }, from: set)
        }
        do throws(SystemError) {
            try commit(rest)
        } catch {
            // Flushed between the two.
            if error.errno != .noEntry { throw error }
        }
    }

    /// Removes all elements with a comment that satisfies a condition from sets.
    func remove(from sets: [FirewallSet], where isWanted: (String) -> Bool) throws(SystemError) {
        var removals: [FirewallSet: [FirewallElement]] = [:]
        for set in sets { removals[set] = try elements(of: set, where: isWanted) }
        try remove(removals)
    }

    /// The comments of ranges that have a key in common with one of these.
    func owners(in set: FirewallSet, overlapping elements: [FirewallElement]) throws(SystemError) -> [String] {
        let wanted = Self.ranges(elements)
        if wanted.isEmpty { return [] }
        return Self.ranges(try self.elements(of: set)).filter { range in
            wanted.contains { less(range.first.key, $0.end?.key) && less($0.first.key, range.end?.key) }
        }.map(\.first.comment)
    }

    private func less(_ left: [UInt8], _ right: [UInt8]?) -> Bool {
        guard let right else { return true }
        return left.lexicographicallyPrecedes(right)
    }

    private static func ranges(_ elements: [FirewallElement]) -> [(first: FirewallElement, end: FirewallElement?)] {
        // An end and a beginning may have the same key: the end comes first.
        let sorted = elements.sorted {
            $0.key == $1.key ? $0.isEnd && !$1.isEnd : $0.key.lexicographicallyPrecedes($1.key)
        }
        var result: [(first: FirewallElement, end: FirewallElement?)] = []
        var open: FirewallElement?
        for element in sorted {
            if element.isEnd {
                if let first = open { result.append((first, element)) }
                open = nil
            } else {
                open = element
            }
        }
        if let open { result.append((open, nil)) }
        return result
    }
}
