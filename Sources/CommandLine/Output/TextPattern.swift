/// A regular expression as `--filter name=` takes it: letters, `.`, `[a-z]`, `( | )`, `* + ? {n,m}`, `^`, `$` and `\d \w \s`.
///
/// Finds a part of the text, as Docker does. Matches by trying; patterns and names are short, and the steps are bounded.
struct TextPattern {
    private indirect enum Node {
        case any
        case scalars([ClosedRange<Unicode.Scalar>], negated: Bool)
        case start, end
        case sequence([Node])
        case either([Node])
        case repeated(Node, Int, Int)
    }

    private let root: Node

    init(_ pattern: String) throws(CommandError) {
        var reader = Reader(Array(pattern.unicodeScalars))
        root = try reader.alternatives(pattern)
        if reader.index < reader.scalars.count { throw Self.bad(pattern, "unexpected )") }
    }

    private static func bad(_ pattern: String, _ why: String) -> CommandError {
        .invalid("invalid filter 'name=\(pattern)': error parsing regexp: \(why)")
    }

    func matches(_ text: String) -> Bool {
        let scalars = Array(text.unicodeScalars)
        var steps = 100_000
        for start in 0...scalars.count {
            if Self.match(root, scalars, start, &steps, { _, _ in true }) { return true }
        }
        return false
    }

    private static func match(
        _ node: Node, _ text: [Unicode.Scalar], _ at: Int, _ steps: inout Int, _ rest: (Int, inout Int) -> Bool
    ) -> Bool {
        steps -= 1
        if steps <= 0 { return false }
        switch node {
        case .any: return at < text.count && rest(at + 1, &steps)
        case .scalars(let ranges, let negated):
            guard at < text.count, ranges.contains(where: { $0.contains(text[at]) }) != negated else { return false }
            return rest(at + 1, &steps)
        case .start: return at == 0 && rest(at, &steps)
        case .end: return at == text.count && rest(at, &steps)
        case .sequence(let nodes):
            guard let first = nodes.first else { return rest(at, &steps) }
            let others = Node.sequence(Array(nodes.dropFirst()))
            return match(first, text, at, &steps) { next, steps in match(others, text, next, &steps, rest) }
        case .either(let nodes):
            for node in nodes where match(node, text, at, &steps, rest) { return true }
            return false
        case .repeated(let inner, let least, let most):
            if most > 0 {
                let fewer = Node.repeated(inner, max(0, least - 1), most - 1)
                // A turn that reads nothing could go on for ever.
                if match(
                    inner, text, at, &steps,
                    { next, steps in
                        (next > at || least > 0) && match(fewer, text, next, &steps, rest)
                    })
                {
                    return true
                }
            }
            return least == 0 && rest(at, &steps)
        }
    }

    private struct Reader {
        let scalars: [Unicode.Scalar]
        var index = 0
        private var depth = 0

        init(_ scalars: [Unicode.Scalar]) { self.scalars = scalars }

        private var current: Unicode.Scalar? { index < scalars.count ? scalars[index] : nil }

        mutating func alternatives(_ pattern: String) throws(CommandError) -> Node {
            depth += 1
            defer { depth -= 1 }
            if depth > 50 { throw TextPattern.bad(pattern, "expression nests too deeply") }
            var choices: [Node] = []
            while true {
                var nodes: [Node] = []
                while let current, current != "|", current != ")" { nodes.append(try counted(pattern)) }
                choices.append(.sequence(nodes))
                guard current == "|" else { break }
                index += 1
            }
            return choices.count == 1 ? choices[0] : .either(choices)
        }

        private mutating func counted(_ pattern: String) throws(CommandError) -> Node {
            var node = try single(pattern)
            while let current {
                switch current {
                case "*": node = .repeated(node, 0, 1000)
                case "+": node = .repeated(node, 1, 1000)
                case "?": node = .repeated(node, 0, 1)
                case "{":
                    guard let (least, most, end) = bounds() else { return node }
                    guard least <= most, most <= 1000 else { throw TextPattern.bad(pattern, "invalid repeat count") }
                    node = .repeated(node, least, most)
                    index = end
                    continue
                default: return node
                }
                index += 1
            }
            return node
        }

        /// `{2}`, `{2,}`, `{2,5}`; anything else is text.
        private func bounds() -> (Int, Int, Int)? {
            guard let close = scalars[index...].firstIndex(of: "}") else { return nil }
            var text = ""
            for scalar in scalars[(index + 1)..<close] { text.unicodeScalars.append(scalar) }
            let parts = text.split(separator: ",", omittingEmptySubsequences: false)
            guard let first = parts.first, let least = Int(first), parts.count <= 2 else { return nil }
            if parts.count == 1 { return (least, least, close + 1) }
            if parts[1].isEmpty { return (least, 1000, close + 1) }
            return Int(parts[1]).map { (least, $0, close + 1) }
        }

        private mutating func single(_ pattern: String) throws(CommandError) -> Node {
            guard let scalar = current else { return .sequence([]) }
            index += 1
            switch scalar {
            case ".": return .any
            case "^": return .start
            case "$": return .end
            case "*", "+", "?": throw TextPattern.bad(pattern, "missing argument to repetition operator: `\(scalar)`")
            case "(":
                if scalars[index...].starts(with: ["?", ":"]) { index += 2 }
                let inner = try alternatives(pattern)
                guard current == ")" else { throw TextPattern.bad(pattern, "missing closing )") }
                index += 1
                return inner
            case "[": return try characterClass(pattern)
            case "\\":
                guard let escaped = current else { throw TextPattern.bad(pattern, "trailing backslash at end of expression") }
                index += 1
                return Self.escape(escaped)
            default: return .scalars([scalar...scalar], negated: false)
            }
        }

        private static let word: [ClosedRange<Unicode.Scalar>] = ["0"..."9", "A"..."Z", "_"..."_", "a"..."z"]

        private static func escape(_ scalar: Unicode.Scalar) -> Node {
            switch scalar {
            case "d": .scalars(["0"..."9"], negated: false)
            case "D": .scalars(["0"..."9"], negated: true)
            case "w": .scalars(word, negated: false)
            case "W": .scalars(word, negated: true)
            case "s": .scalars([" "..." ", "\t"..."\r"], negated: false)
            case "S": .scalars([" "..." ", "\t"..."\r"], negated: true)
            default: .scalars([scalar...scalar], negated: false)
            }
        }

        private mutating func characterClass(_ pattern: String) throws(CommandError) -> Node {
            let negated = current == "^"
            if negated { index += 1 }
            var ranges: [ClosedRange<Unicode.Scalar>] = []
            let first = index
            while let scalar = current, scalar != "]" || index == first {
                index += 1
                var low = scalar
                if scalar == "\\", let escaped = current {
                    index += 1
                    if case .scalars(let known, false) = Self.escape(escaped), known.count > 1 || known[0].lowerBound != known[0].upperBound
                    {
                        ranges += known
                        continue
                    }
                    low = escaped
                }
                guard current == "-", index + 1 < scalars.count, scalars[index + 1] != "]" else {
                    ranges.append(low...low)
                    continue
                }
                let high = scalars[index + 1]
                guard low <= high else { throw TextPattern.bad(pattern, "invalid character class range") }
                ranges.append(low...high)
                index += 2
            }
            guard current == "]" else { throw TextPattern.bad(pattern, "missing closing ]") }
            index += 1
            return .scalars(ranges, negated: negated)
        }
    }
}
