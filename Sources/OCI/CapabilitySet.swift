/// A set of capabilities as the kernel's 64-bit mask.
public struct CapabilitySet: SetAlgebra, Sendable, Hashable, ExpressibleByArrayLiteral, Sequence {
    /// Bit n is the capability numbered n, as in `/proc/PID/status` `CapBnd`.
    public var mask: UInt64

    public init() { mask = 0 }
    public init(mask: UInt64) { self.mask = mask }
    public init(arrayLiteral elements: Capability...) { self.init(elements) }

    public init(_ elements: some Sequence<Capability>) {
        mask = 0
        for element in elements { mask |= 1 << UInt64(element.rawValue) }
    }

    /// Every capability that has a name here.
    ///
    /// A caller that sets them cuts this to the kernel's own (`/proc/sys/kernel/cap_last_cap`).
    public static let all = CapabilitySet(mask: (2 << UInt64(Capability.last.rawValue)) - 1)

    /// What a container gets by default: Podman's eleven (Docker's without MKNOD, NET_RAW, AUDIT_WRITE).
    public static let `default`: CapabilitySet = [
        .chown, .dacOverride, .fowner, .fsetid, .kill, .netBindService, .setfcap, .setgid, .setpcap, .setuid,
        .sysChroot,
    ]

    /// What a CRI container gets by default: CRI-O's nine.
    public static let criDefault = CapabilitySet.default.subtracting([.setfcap, .sysChroot])

    /// Docker's fourteen, for `--cap-add` of what a Docker user takes for granted and for comparison.
    public static let docker = CapabilitySet.default.union([.mknod, .netRaw, .auditWrite])

    public func contains(_ member: Capability) -> Bool { mask & (1 << UInt64(member.rawValue)) != 0 }
    public func union(_ other: CapabilitySet) -> CapabilitySet { CapabilitySet(mask: mask | other.mask) }
    public func intersection(_ other: CapabilitySet) -> CapabilitySet { CapabilitySet(mask: mask & other.mask) }
    public func symmetricDifference(_ other: CapabilitySet) -> CapabilitySet {
        CapabilitySet(mask: mask ^ other.mask)
    }
    public mutating func formUnion(_ other: CapabilitySet) { mask |= other.mask }
    public mutating func formIntersection(_ other: CapabilitySet) { mask &= other.mask }
    public mutating func formSymmetricDifference(_ other: CapabilitySet) { mask ^= other.mask }
    public var isEmpty: Bool { mask == 0 }

    @discardableResult
    public mutating func insert(_ member: Capability) -> (inserted: Bool, memberAfterInsert: Capability) {
        let inserted = !contains(member)
        mask |= 1 << UInt64(member.rawValue)
        return (inserted, member)
    }

    @discardableResult
    public mutating func remove(_ member: Capability) -> Capability? {
        guard contains(member) else { return nil }
        mask &= ~(1 << UInt64(member.rawValue))
        return member
    }

    @discardableResult
    public mutating func update(with member: Capability) -> Capability? {
        let old = contains(member) ? member : nil
        mask |= 1 << UInt64(member.rawValue)
        return old
    }

    /// The members, lowest bit first.
    public func makeIterator() -> AnyIterator<Capability> {
        var rest = mask
        return AnyIterator {
            guard rest != 0 else { return nil }
            let bit = rest.trailingZeroBitCount
            rest &= rest - 1
            return Capability(rawValue: UInt8(bit))
        }
    }

    /// The names as the OCI runtime specification wants them, in bit order.
    public var names: [String] { map { $0.description } }
}

extension OCIError.Code {
    /// A capability name that `Capability` does not know.
    public static let unknownCapability = OCIError.Code(rawValue: "unknown capability")
}

extension CapabilitySet {
    /// The set of a list of names, as in an OCI configuration or on a command line.
    ///
    /// - Parameter names: with or without `CAP_`, in any case; `ALL` is every capability.
    /// - Throws: `.unknownCapability` for the first name not known.
    public init(names: [String]) throws(OCIError) {
        self.init()
        for name in names {
            if Self.isAll(name) {
                formUnion(.all)
            } else if let capability = Capability(name: name) {
                insert(capability)
            } else {
                throw OCIError(
                    code: .unknownCapability, operation: "parse capability", object: name, cause: "unknown capability")
            }
        }
    }

    /// This set changed by `--cap-add` and `--cap-drop`, by Docker's rules.
    ///
    /// `--cap-add ALL` starts from every capability and then drops; otherwise `--cap-drop ALL` starts from none;
    /// a name that is both added and dropped is added.
    /// - Throws: `.unknownCapability` for the first name not known.
    public func changed(adding: [String], dropping: [String]) throws(OCIError) -> CapabilitySet {
        let dropped = try CapabilitySet(names: dropping.filter { !Self.isAll($0) })
        if adding.contains(where: Self.isAll) {
            _ = try CapabilitySet(names: adding)
            return CapabilitySet.all.subtracting(dropped)
        }
        let added = try CapabilitySet(names: adding)
        return dropping.contains(where: Self.isAll) ? added : subtracting(dropped).union(added)
    }

    private static func isAll(_ name: String) -> Bool {
        let upper = name.uppercased()
        return upper == "ALL" || upper == "CAP_ALL"
    }
}
