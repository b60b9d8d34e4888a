/// How many operands a command accepts.
public enum Arity: Sendable, Equatable {
    case any
    case none
    case exactly(Int)
    case atLeast(Int)
    /// None with this flag, which means all there are; otherwise at least one.
    case someUnless(flag: String)
    /// At least so many; one fewer with any of these flags, which stand for it.
    case oneFewerWith(flags: [String], Int)
    case atMost(Int)
    case range(Int, Int)

    /// The same where the command's flags are known.
    func given(_ flags: some Sequence<String>) -> Arity {
        switch self {
        case .someUnless(let flag): return flags.contains(flag) ? .none : .atLeast(1)
        case .oneFewerWith(let instead, let least):
            return .atLeast(flags.contains(where: instead.contains) ? least - 1 : least)
        default: return self
        }
    }

    /// The complaint for `count` operands, without the command's name, or nil when the count is accepted.
    func complaint(count: Int) -> String? {
        switch self {
        case .any:
            return nil
        case .none:
            return count == 0 ? nil : "accepts no arguments"
        case .exactly(let wanted):
            return count == wanted ? nil : "requires \(wanted) \(Arity.noun(wanted))"
        case .someUnless, .oneFewerWith:
            return nil
        case .atLeast(let least):
            return count >= least ? nil : "requires at least \(least) \(Arity.noun(least))"
        case .atMost(let most):
            return count <= most ? nil : "requires at most \(most) \(Arity.noun(most))"
        case .range(let least, let most):
            if count >= least && count <= most { return nil }
            return "requires at least \(least) and at most \(most) \(Arity.noun(most))"
        }
    }

    private static func noun(_ count: Int) -> String {
        count == 1 ? "argument" : "arguments"
    }
}
