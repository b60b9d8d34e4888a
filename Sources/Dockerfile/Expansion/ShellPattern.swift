/// The pattern of `${x#p}` and `${x/p/r}`: `*` is any text, `?` any character, a backslash takes their meaning.
///
/// It is run as a set of states, so that no pattern makes it slow by the power of its stars.
struct ShellPattern {
    enum Token: Equatable {
        case scalar(Unicode.Scalar)
        case any
        case star
    }

    private(set) var tokens: [Token] = []

    /// Steps of one replacement: the product of value, pattern and starts.
    private static let stepLimit = 5_000_000

    init(_ text: String) throws(ExpansionError) {
        let scalars = Array(text.unicodeScalars)
        var index = 0
        while index < scalars.count {
            let scalar = scalars[index]
            index += 1
            switch scalar {
            case "*": if tokens.last != .star { tokens.append(.star) }
            case "?": tokens.append(.any)
            case "\\":
                let escaped = index < scalars.count ? scalars[index] : "\u{FFFD}"
                // `}` and `/` had to be escaped to come here at all.
                guard ["*", "?", "\\", "}", "/"].contains(escaped) else {
                    throw ExpansionError("invalid pattern (\(text)) in substitution: invalid escape '\\\(escaped)'")
                }
                tokens.append(.scalar(escaped))
                index += 1
            default: tokens.append(.scalar(scalar))
            }
        }
    }

    mutating func reverse() { tokens.reverse() }

    /// Where the shortest or longest text ends that begins at a place and matches; nil where none does.
    func end(in value: [Unicode.Scalar], from start: Int, longest: Bool) throws(ExpansionError) -> Int? {
        var steps = 0
        return try end(in: value, from: start, longest: longest, &steps)
    }

    private func end(
        in value: [Unicode.Scalar], from start: Int, longest: Bool, _ steps: inout Int
    ) throws(ExpansionError) -> Int? {
        var states = [Bool](repeating: false, count: tokens.count + 1)
        var after = states
        enter(0, &states)
        var found: Int?
        var position = start
        while true {
            if states[tokens.count] {
                found = position
                if !longest { return found }
            }
            guard position < value.count, states.contains(true) else { return found }
            steps += tokens.count + 1
            guard steps <= Self.stepLimit else { throw ExpansionError("the pattern in a substitution takes too long") }
            for index in after.indices { after[index] = false }
            for index in tokens.indices where states[index] {
                switch tokens[index] {
                case .star: enter(index, &after)
                case .any: enter(index + 1, &after)
                case .scalar(let scalar): if scalar == value[position] { enter(index + 1, &after) }
                }
            }
            swap(&states, &after)
            position += 1
        }
    }

    /// A star may also match nothing.
    private func enter(_ index: Int, _ states: inout [Bool]) {
        var index = index
        states[index] = true
        while index < tokens.count, tokens[index] == .star {
            index += 1
            states[index] = true
        }
    }

    /// Replaces the first or every longest match. A match of nothing directly behind another one is none.
    func replace(in text: String, with new: String, all: Bool) throws(ExpansionError) -> String {
        let value = Array(text.unicodeScalars)
        var result = String.UnicodeScalarView()
        var steps = 0
        var position = 0
        var lastEnd = -1
        while position <= value.count {
            let end = try end(in: value, from: position, longest: true, &steps)
            if let end, !(end == position && position == lastEnd) {
                result.append(contentsOf: new.unicodeScalars)
                guard result.count <= WordExpander.lengthLimit else {
                    throw ExpansionError("the result is longer than \(WordExpander.lengthLimit) characters")
                }
                lastEnd = end
                if !all {
                    result.append(contentsOf: value[end...])
                    return String(result)
                }
                if end > position {
                    position = end
                    continue
                }
            }
            if position < value.count { result.append(value[position]) }
            position += 1
        }
        return String(result)
    }
}
