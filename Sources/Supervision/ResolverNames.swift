import Control
import Linux
import Networks

/// What the resolver knows by itself: names that the plan fixes, and the networks'.
final class ResolverNames {
    private struct Fixed {
        var name: [UInt8]
        var addresses: [[UInt8]]
    }

    private let fixed: [Fixed]
    private let directories: [NameDirectory]
    private let hasUpstreams: Bool

    init(_ plan: ResolverPlan) {
        fixed = plan.fixed.compactMap { entry in
            DNSName(entry.name)?.folded.map { Fixed(name: $0, addresses: entry.addresses.compactMap { IPAddress($0)?.bytes }) }
        }
        directories = plan.directories.map { NameDirectory(path: $0) }
        hasUpstreams = !plan.upstreams.isEmpty
    }

    func forget() {
        for directory in directories { directory.forget() }
    }

    /// - Parameters:
    ///   - limit: bytes of the answer.
    ///   - round: of questions that had all come before the first of them is answered; see ``NameDirectory``.
    /// - Returns: nil where upstreams are to be asked.
    func answer(_ query: DNSQuery, limit: Int, round: UInt64) -> [UInt8]? {
        guard query.questionClass == 1 else { return query.answer(.notImplemented) }
        guard let name = query.name.folded else { return unknown(query, isSingle: false) }
        let length = query.type == .aaaa ? 16 : 4
        // Any other type: the name is looked for, and has no records of it.
        let hasAddresses = query.type == .a || query.type == .aaaa
        if let entry = fixed.first(where: { $0.name == name }) {
            return query.answer(addresses: hasAddresses ? entry.addresses.filter { $0.count == length } : [], limit: limit)
        }
        if isSpecial(name) { return special(query, name, limit) }
        if query.type == .pointer, let address = DNSName.address(reverse: name) {
            let names = directories.flatMap { $0.names(of: address, round: round) }
            return names.isEmpty ? unknown(query, isSingle: false) : query.answer(names: names, limit: limit)
        }
        var exists = false
        for directory in directories {
            let found = directory.find(name, length: length, limit: hasAddresses ? query.addressLimit(limit) : 1, round: round)
            exists = exists || found.exists
            // Of several networks the first that has an address of the family; Docker's rule as well.
            if hasAddresses, !found.addresses.isEmpty { return query.answer(addresses: found.addresses, limit: limit) }
        }
        // A name of ours without an address of that family has none: an upstream that says "no such name" instead would make
        // musl give up on the other family's address too.
        if exists { return query.answer(.noError) }
        return unknown(query, isSingle: !name.contains(UInt8(ascii: ".")))
    }

    /// Without upstreams, a name of one label is known not to exist: only the networks have such. Of others nobody knows.
    private func unknown(_ query: DNSQuery, isSingle: Bool) -> [UInt8]? {
        hasUpstreams ? nil : query.answer(isSingle ? .noSuchName : .serverFailure)
    }

    /// `localhost` and `invalid`, and what is below, are never asked for elsewhere (RFC 6761 section 6.3 and 6.4).
    private func isSpecial(_ name: [UInt8]) -> Bool {
        ResolverNames.isBelow(name, ResolverNames.localhost) || ResolverNames.isBelow(name, ResolverNames.invalid)
    }

    private static func isBelow(_ name: [UInt8], _ zone: [UInt8]) -> Bool {
        let start = name.count - zone.count
        guard start >= 0, start == 0 || name[start - 1] == UInt8(ascii: ".") else { return false }
        return name[start...] == zone[...]
    }

    private func special(_ query: DNSQuery, _ name: [UInt8], _ limit: Int) -> [UInt8] {
        guard ResolverNames.isBelow(name, ResolverNames.localhost) else { return query.answer(.noSuchName) }
        switch query.type {
        case .a: return query.answer(addresses: [[127, 0, 0, 1]], limit: limit)
        case .aaaa: return query.answer(addresses: [[UInt8](repeating: 0, count: 15) + [1]], limit: limit)
        default: return query.answer(.noError)
        }
    }

    private static let localhost = Array("localhost".utf8)
    private static let invalid = Array("invalid".utf8)
}
