/// How many operands a command accepts.
public enum Arity: Sendable, Equatable {
    case any
    case none
    case exactly(Int)
    case atLeast(Int)
    /// One where any of these flags is given, because they say what is meant; another where none is.
    indirect case when([String], Arity, otherwise: Arity)
    case atMost(Int)
    case range(Int, Int)

    /// None with this flag, which means all there are; otherwise at least one.
    public static func someUnless(flag: String) -> Arity { .when([flag], .none, otherwise: .atLeast(1)) }

    /// At least so many; one fewer with any of these flags, which stand for it.
    public static func oneFewerWith(flags: [String], _ least: Int) -> Arity {
        .when(flags, .atLeast(least - 1), otherwise: .atLeast(least))
    }

    /// The same where the command's flags are known.
    func given(_ flags: some Sequence<String>) -> Arity {
        guard case .when(let names, let one, let other) = self else { return self }
        return (flags.contains { names.contains($0) } ? one : other).given(flags)
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
        case .when:
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
