import OCI

/// A device policy in its canonical form: a default, and the exceptions from it.
///
/// That is how the kernel's v1 controller keeps it. Both versions are made from it, so that the same list of OCI rules
/// means the same under v1 and under v2's BPF programs.
public struct DeviceRules: Sendable, Equatable {
    public struct Access: OptionSet, Sendable, Hashable {
        public let rawValue: UInt32
        public init(rawValue: UInt32) { self.rawValue = rawValue }
        // The kernel's BPF_DEVCG_ACC_* values.
        public static let mknod = Access(rawValue: 1)
        public static let read = Access(rawValue: 2)
        public static let write = Access(rawValue: 4)
        public static let all: Access = [.mknod, .read, .write]

        var letters: String {
            (contains(.read) ? "r" : "") + (contains(.write) ? "w" : "") + (contains(.mknod) ? "m" : "")
        }
    }

    /// The kernel's BPF_DEVCG_DEV_* values.
    public enum Kind: UInt32, Sendable {
        case block = 1
        case character = 2
    }

    /// One exception; nil numbers are wildcards.
    public struct Exception: Sendable, Equatable {
        public var kind: Kind
        public var major: UInt32?
        public var minor: UInt32?
        public var access: Access

        func isSameDevice(as other: Exception) -> Bool {
            kind == other.kind && major == other.major && minor == other.minor
        }

        /// As v1's files and `devices.list` spell it: `c 1:3 rwm`.
        var line: String {
            let numbers = [major, minor].map { $0.map { "\($0)" } ?? "*" }.joined(separator: ":")
            return "\(kind == .block ? "b" : "c") \(numbers) \(access.letters)"
        }
    }

    /// True: exceptions are forbidden, everything else is allowed. False, the start: the reverse.
    public private(set) var allowsByDefault = false
    /// Sorted, each device once.
    public private(set) var exceptions: [Exception] = []

    public init() {}

    /// Plays a list of OCI rules in order, starting from "nothing is allowed".
    ///
    /// - Throws: `.invalid` for an unknown type or access letter, empty access, numbers out of range, and for taking
    ///   a part out of a wildcard exception, which v1 ignores silently.
    public init(_ rules: [LinuxDeviceCgroup]) throws(CgroupError) {
        for rule in rules { try play(rule) }
        sort()
    }

    /// True when no check is needed at all.
    public var allowsEverything: Bool { allowsByDefault && exceptions.isEmpty }

    private mutating func play(_ rule: LinuxDeviceCgroup) throws(CgroupError) {
        func refuse(_ cause: String) -> CgroupError {
            let text = "\(rule.type) \(rule.major ?? -1):\(rule.minor ?? -1) \(rule.access)"
            return CgroupError(.invalid, "use device rule", "\"\(text)\"", cause)
        }
        var access: Access = []
        for letter in rule.access.utf8 {
            switch letter {
            case UInt8(ascii: "r"): access.insert(.read)
            case UInt8(ascii: "w"): access.insert(.write)
            case UInt8(ascii: "m"): access.insert(.mknod)
            default: throw refuse("access is made of r, w and m")
            }
        }
        if access.isEmpty { throw refuse("access is empty") }
        let numbers = [rule.major, rule.minor].map { $0.flatMap { $0 < 0 ? nil : $0 } }
        for number in numbers { if let number, number > Int64(UInt32.max) { throw refuse("the number is too large") } }
        let kinds: [Kind]
        switch rule.type {
        case "c": kinds = [.character]
        case "b": kinds = [.block]
        case "a", "":
            if access == .all, numbers == [nil, nil] {
                allowsByDefault = rule.allow
                exceptions = []
                return
            }
            // v1 reads every rule of type `a` as "all of everything". Narrower is what was written, and safer.
            kinds = [.block, .character]
        default: throw refuse("the type is one of a, b and c")
        }
        for kind in kinds {
            let exception = Exception(
                kind: kind, major: numbers[0].map { UInt32($0) }, minor: numbers[1].map { UInt32($0) }, access: access)
            if rule.allow != allowsByDefault {
                add(exception)
            } else if let wildcard = remove(exception) {
                throw refuse("it would cut a hole into \"\(wildcard.line)\", which cgroup v1 cannot do")
            }
        }
    }

    private mutating func add(_ exception: Exception) {
        if let index = exceptions.firstIndex(where: { $0.isSameDevice(as: exception) }) {
            exceptions[index].access.formUnion(exception.access)
        } else {
            exceptions.append(exception)
        }
    }

    /// - Returns: a wider exception that overlaps and makes the removal impossible.
    private mutating func remove(_ exception: Exception) -> Exception? {
        let wider = exceptions.first {
            $0.kind == exception.kind && !$0.isSameDevice(as: exception)
                && ($0.major == nil || $0.major == exception.major) && ($0.minor == nil || $0.minor == exception.minor)
                && !$0.access.isDisjoint(with: exception.access)
        }
        if let wider { return wider }
        for index in exceptions.indices where exceptions[index].isSameDevice(as: exception) {
            exceptions[index].access.subtract(exception.access)
        }
        exceptions.removeAll { $0.access.isEmpty }
        return nil
    }

    private mutating func sort() {
        exceptions.sort { a, b in
            let left = (a.kind.rawValue, a.major.map { Int64($0) } ?? -1, a.minor.map { Int64($0) } ?? -1)
            let right = (b.kind.rawValue, b.major.map { Int64($0) } ?? -1, b.minor.map { Int64($0) } ?? -1)
            return left < right
        }
    }

    // MARK: cgroup v1

    /// One write into `devices.allow` or `devices.deny`.
    public struct LegacyWrite: Sendable, Equatable {
        public var allow: Bool
        public var line: String
        var file: String { allow ? "devices.allow" : "devices.deny" }
    }

    /// The writes that turn a v1 cgroup's policy into this one, without a moment in which a kept device is forbidden.
    ///
    /// - Parameter old: what is in force; nil when unknown, e.g. in a fresh cgroup (which copied its parent's). A policy
    ///   that allows by default counts as unknown too: the kernel does not list its exceptions.
    public func legacyWrites(from old: DeviceRules?) -> [LegacyWrite] {
        var writes: [LegacyWrite] = []
        var known: [Exception] = []
        if let old, !old.allowsByDefault, !allowsByDefault {
            known = old.exceptions
        } else {
            writes.append(LegacyWrite(allow: allowsByDefault, line: "a"))
        }
        for exception in known {
            var dropped = exception
            let kept = exceptions.first { $0.isSameDevice(as: exception) }?.access ?? []
            dropped.access.subtract(kept)
            if !dropped.access.isEmpty { writes.append(LegacyWrite(allow: allowsByDefault, line: dropped.line)) }
        }
        for exception in exceptions {
            var gained = exception
            gained.access.subtract(known.first { $0.isSameDevice(as: exception) }?.access ?? [])
            if !gained.access.isEmpty { writes.append(LegacyWrite(allow: !allowsByDefault, line: gained.line)) }
        }
        return writes
    }

    /// Reads v1's `devices.list`. Lines that are not understood are left out: the rules are then written again.
    static func parse(legacyList bytes: [UInt8]) -> DeviceRules {
        var rules = DeviceRules()
        KeyedText(bytes).forEachLine { fields in
            if fields.first?.elementsEqual([UInt8(ascii: "a")]) == true { rules.allowsByDefault = true }
            guard fields.count == 3, let kind = fields[0].first else { return }
            let numbers = fields[1].split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
            guard numbers.count == 2, kind == UInt8(ascii: "b") || kind == UInt8(ascii: "c") else { return }
            var access: Access = []
            if fields[2].contains(UInt8(ascii: "r")) { access.insert(.read) }
            if fields[2].contains(UInt8(ascii: "w")) { access.insert(.write) }
            if fields[2].contains(UInt8(ascii: "m")) { access.insert(.mknod) }
            rules.add(
                Exception(
                    kind: kind == UInt8(ascii: "b") ? .block : .character,
                    major: number(numbers[0]).flatMap { UInt32(exactly: $0) },
                    minor: number(numbers[1]).flatMap { UInt32(exactly: $0) }, access: access))
        }
        rules.sort()
        return rules
    }

    // MARK: What every container has

    /// The rules to append to a container's own: the devices the runtime spec makes in every container, pseudo
    /// terminals, and making (not opening) any device node.
    ///
    /// Spec: OCI runtime-spec config-linux.md "Default Devices".
    public static let standard: [LinuxDeviceCgroup] =
        [
            LinuxDeviceCgroup(allow: true, type: "c", major: nil, minor: nil, access: "m"),
            LinuxDeviceCgroup(allow: true, type: "b", major: nil, minor: nil, access: "m"),
        ]
        + [
            (1, 3),  // null
            (1, 5),  // zero
            (1, 7),  // full
            (1, 8),  // random
            (1, 9),  // urandom
            (5, 0),  // tty
            (5, 1),  // console
            (5, 2),  // ptmx
        ].map { LinuxDeviceCgroup(allow: true, type: "c", major: $0.0, minor: $0.1, access: "rwm") } + [
            LinuxDeviceCgroup(allow: true, type: "c", major: 136, minor: nil, access: "rwm")  // pts
        ]
}
