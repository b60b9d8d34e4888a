/// Finds what a mistyped command may have meant.
enum Suggestion {
    /// Words this long are not typing mistakes, and the distance costs their product.
    private static let longest = 32

    static func names(for word: String, among commands: [Command]) -> [String] {
        let typed = Array(word.utf8)
        guard !typed.isEmpty, typed.count <= longest else { return [] }
        var found: [(distance: Int, name: String)] = []
        for command in commands where !command.hidden {
            let words = [command.name] + command.aliases
            let nearest = words.map { distance(typed, Array($0.utf8)) }.min() ?? .max
            let begun = typed.count > 1 && command.name.utf8.starts(with: typed)
            // Two changes turn any two-letter word into any other.
            if nearest <= min(2, typed.count - 1) || begun { found.append((nearest, command.name)) }
        }
        found.sort { ($0.distance, $0.name) < ($1.distance, $1.name) }
        return found.prefix(3).map(\.name)
    }

    /// Optimal string alignment: insertions, deletions, substitutions and swapped neighbours each cost one.
    static func distance(_ left: [UInt8], _ right: [UInt8]) -> Int {
        var beforePrevious: [Int] = []
        var previous = Array(0...right.count)
        for (row, leftByte) in left.enumerated() {
            var current = [row + 1]
            current.reserveCapacity(right.count + 1)
            for (column, rightByte) in right.enumerated() {
                let substitution = previous[column] + (leftByte == rightByte ? 0 : 1)
                var best = min(substitution, previous[column + 1] + 1, current[column] + 1)
                if row > 0, column > 0, leftByte == right[column - 1], left[row - 1] == rightByte {
                    best = min(best, beforePrevious[column - 1] + 1)
                }
                current.append(best)
            }
            (beforePrevious, previous) = (previous, current)
        }
        return previous[right.count]
    }
}
