import OCI

/// One comparison of a 64-bit system call argument.
struct Condition: Hashable {
    enum Operator: Hashable { case equal, notEqual, less, lessOrEqual, greater, greaterOrEqual, maskedEqual }

    var index: UInt8
    var op: Operator
    /// All ones except for `maskedEqual`.
    var mask: UInt64
    var value: UInt64

    /// - Throws: `.invalidArgument` for an index above 5, `.unknownOperator`.
    init(_ argument: LinuxSeccompArg) throws(SeccompError) {
        guard argument.index < 6 else {
            throw SeccompError(
                code: .invalidArgument, object: argument.index.description,
                cause: "system calls have arguments 0 to 5")
        }
        index = UInt8(argument.index)
        mask = .max
        value = argument.value
        switch argument.op {
        case "SCMP_CMP_EQ": op = .equal
        case "SCMP_CMP_NE": op = .notEqual
        case "SCMP_CMP_LT": op = .less
        case "SCMP_CMP_LE": op = .lessOrEqual
        case "SCMP_CMP_GT": op = .greater
        case "SCMP_CMP_GE": op = .greaterOrEqual
        case "SCMP_CMP_MASKED_EQ":
            op = .maskedEqual
            mask = argument.value
            // Bits outside the mask cannot match anything; libseccomp drops them, and so profiles rely on it.
            value = argument.valueTwo & argument.value
        default:
            throw SeccompError(code: .unknownOperator, object: argument.op, cause: "unknown operator")
        }
    }

    init(index: UInt8, equals value: UInt64) {
        self.index = index
        op = .equal
        mask = .max
        self.value = value
    }

    /// How many 64-bit values match, less one; nil when none does.
    var matches: UInt64? {
        switch op {
        case .equal: 0
        case .notEqual: .max - 1
        case .less: value == 0 ? nil : value - 1
        case .lessOrEqual: value
        case .greater: value == .max ? nil : .max - value - 1
        case .greaterOrEqual: .max - value
        case .maskedEqual: mask == 0 ? .max : (1 << UInt64(64 - mask.nonzeroBitCount)) - 1
        }
    }

    enum Constant { case always, never }

    /// Whether the comparison has the same result for every argument of an architecture.
    ///
    /// - Parameter narrow: only the low word of the argument counts.
    func constant(narrow: Bool) -> Constant? {
        let largest: UInt64 = narrow ? 0xFFFF_FFFF : .max
        switch op {
        case .equal: return value > largest ? .never : nil
        case .notEqual: return value > largest ? .always : nil
        case .less: return value == 0 ? .never : value > largest ? .always : nil
        case .lessOrEqual: return value >= largest ? .always : nil
        case .greater: return value >= largest ? .never : nil
        case .greaterOrEqual: return value == 0 ? .always : value > largest ? .never : nil
        case .maskedEqual:
            if value & ~largest != 0 { return .never }
            return mask & largest == 0 ? .always : nil
        }
    }
}

/// Conditions that must all hold for an action.
struct Chain: Hashable {
    var conditions: [Condition]
    var action: UInt32
    /// Its place among the rules of the profile.
    var order = 0

    /// Whether this chain is asked before another: the one with more conditions first, of two with equally many
    /// the one that leaves fewer values, compared from the lowest argument on, and of two such the earlier one.
    func precedes(_ other: Chain) -> Bool {
        if conditions.count != other.conditions.count { return conditions.count > other.conditions.count }
        for (mine, theirs) in zip(conditions, other.conditions) where mine.matches != theirs.matches {
            return (mine.matches ?? 0) < (theirs.matches ?? 0)
        }
        return order < other.order
    }
}
