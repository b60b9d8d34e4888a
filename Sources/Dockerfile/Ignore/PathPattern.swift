/// Why a pattern was refused.
public struct PatternError: Error, Sendable, Hashable, CustomStringConvertible {
    public var message: String
    public var description: String { message }

    init(_ message: String) { self.message = message }
}

/// A pattern for paths: `*`, `?`, `[a-z]`, and where wanted `**` for any number of directories.
///
/// Run as a set of states: a path of n bytes and a pattern of m take n·m steps, whatever the stars are.
/// Spec: Go's `filepath.Match`; Dockerfile reference, ".dockerignore file".
public struct PathPattern: Sendable, Hashable {
    enum Token: Sendable, Hashable {
        case scalar(Unicode.Scalar)
        /// `?`: anything but a slash.
        case any
        /// `*`: any number of characters but slashes.
        case star
        /// `**` before more: nothing, or anything that ends in a slash.
        case directories
        /// `**` at the end: anything.
        case everything
        case set(negated: Bool, [ClosedRange<Unicode.Scalar>])
    }

    public let text: String
    let tokens: [Token]
    /// What it stands for where it is nothing but characters that mean themselves; most patterns are.
    private let literal: String?

    /// - Parameters:
    ///   - text: with `/` between directories.
    ///   - spansDirectories: whether `**` means more than `*`.
    /// - Throws: `syntax error in pattern`, for open brackets and a backslash at the end.
    public init(_ text: String, spansDirectories: Bool) throws(PatternError) {
        self.text = text
        var tokens: [Token] = []
        let scalars = Array(text.unicodeScalars)
        var position = 0
        while position < scalars.count {
            let scalar = scalars[position]
            position += 1
            switch scalar {
            case "*":
                guard spansDirectories, position < scalars.count, scalars[position] == "*" else {
                    if tokens.last != .star { tokens.append(.star) }
                    continue
                }
                position += 1
                if position < scalars.count, scalars[position] == "/" { position += 1 }
                // As moby: `**.log` without further wildcards is any name that ends so, and not only a whole one.
                let isSuffix = position == 2 && scalars[1] == "*" && !scalars[2...].contains(where: Self.isSpecial)
                let token: Token = position == scalars.count || isSuffix ? .everything : .directories
                if tokens.last != token { tokens.append(token) }
            case "?": tokens.append(.any)
            case "[": tokens.append(try Self.set(scalars, &position))
            case "\\":
                guard position < scalars.count else { throw Self.bad }
                tokens.append(.scalar(scalars[position]))
                position += 1
            default: tokens.append(.scalar(scalar))
            }
        }
        self.tokens = tokens
        let characters = tokens.compactMap { if case .scalar(let scalar) = $0 { scalar } else { nil } }
        literal = characters.count == tokens.count ? String(String.UnicodeScalarView(characters)) : nil
    }

    private static func isSpecial(_ scalar: Unicode.Scalar) -> Bool { ["*", "?", "[", "]", "\\"].contains(scalar) }

    private static let bad = PatternError("syntax error in pattern")

    /// What stands between brackets.
    private static func set(_ scalars: [Unicode.Scalar], _ position: inout Int) throws(PatternError) -> Token {
        func element() throws(PatternError) -> Unicode.Scalar {
            guard position < scalars.count, scalars[position] != "-", scalars[position] != "]" else { throw bad }
            if scalars[position] == "\\" { position += 1 }
            guard position < scalars.count else { throw bad }
            position += 1
            return scalars[position - 1]
        }
        var ranges: [ClosedRange<Unicode.Scalar>] = []
        let isNegated = position < scalars.count && scalars[position] == "^"
        if isNegated { position += 1 }
        while true {
            if position < scalars.count, scalars[position] == "]", !ranges.isEmpty {
                position += 1
                return .set(negated: isNegated, ranges)
            }
            let low = try element()
            var high = low
            if position < scalars.count, scalars[position] == "-" {
                position += 1
                high = try element()
            }
            // A range from high to low has nothing in it; it only must not trap.
            ranges.append(low <= high ? low...high : low...low)
        }
    }

    // MARK: Matching

    /// Whether the whole of a path matches.
    public func matches(_ path: String) -> Bool {
        if let literal { return path.utf8.elementsEqual(literal.utf8) }
        var states = States(tokens)
        for scalar in path.unicodeScalars {
            states.step(scalar)
            if states.isDead { return false }
        }
        return states.isAccepting
    }

    /// Whether a path matches, or a directory that it is in: one pass for all of them.
    func matchesWithin(_ path: String) -> Bool {
        var states = States(tokens)
        for scalar in path.unicodeScalars {
            if scalar == "/", states.isAccepting { return true }
            states.step(scalar)
            if states.isDead { return false }
        }
        return states.isAccepting
    }

    /// Whether some path below a directory may match.
    /// - Parameter directory: without a slash at its end.
    public func mayMatch(below directory: String) -> Bool {
        var states = States(tokens)
        for scalar in directory.unicodeScalars {
            states.step(scalar)
            if states.isDead { return false }
        }
        states.step("/")
        return states.hasMore
    }

    /// The places in the pattern that have been reached.
    private struct States {
        private let tokens: [Token]
        private var reached: [Bool]
        /// Those of the next step; kept so that no step allocates.
        private var after: [Bool]
        private(set) var isDead = false

        init(_ tokens: [Token]) {
            self.tokens = tokens
            reached = [Bool](repeating: false, count: tokens.count + 1)
            after = reached
            enter(0)
            swap(&reached, &after)
        }

        var isAccepting: Bool { reached[tokens.count] }

        /// Whether a further character could lead to a match.
        var hasMore: Bool { reached.dropLast().contains(true) }

        mutating func step(_ scalar: Unicode.Scalar) {
            isDead = true
            for index in after.indices { after[index] = false }
            for index in tokens.indices where reached[index] {
                switch tokens[index] {
                case .scalar(let wanted): if wanted == scalar { enter(index + 1) }
                case .any: if scalar != "/" { enter(index + 1) }
                case .star: if scalar != "/" { enter(index) }
                case .everything: enter(index)
                case .directories:
                    after[index] = true
                    isDead = false
                    if scalar == "/" { enter(index + 1) }
                case .set(let isNegated, let ranges):
                    if ranges.contains(where: { $0.contains(scalar) }) != isNegated { enter(index + 1) }
                }
            }
            swap(&reached, &after)
        }

        /// Reaches a place, and those behind it that need no character.
        private mutating func enter(_ place: Int) {
            var index = place
            after[index] = true
            isDead = false
            while index < tokens.count {
                switch tokens[index] {
                case .star, .everything, .directories: break
                default: return
                }
                index += 1
                after[index] = true
            }
        }
    }
}
