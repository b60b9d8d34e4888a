/// What a person may have meant.
enum Suggestion {
    /// The most words to choose from.
    static let optionLimit = 200

    /// The nearest of some words, at most two changes away.
    ///
    /// - Returns: nil also where the word itself is among them: then it is not what is wrong.
    static func nearest(_ word: String, _ options: [String], ignoringCase: Bool = false) -> String? {
        let wanted = ignoringCase ? word.loweredASCII : word
        // A long word is near to none of ours, and comparing costs its square.
        guard wanted.utf8.count <= 64, options.count <= optionLimit else { return nil }
        var best: String?
        var least = 3
        for option in options {
            let candidate = ignoringCase ? option.loweredASCII : option
            if candidate == wanted { return nil }
            guard abs(candidate.utf8.count - wanted.utf8.count) < 3 else { continue }
            let distance = distance(Array(wanted.utf8), Array(candidate.utf8))
            if distance < least { (best, least) = (candidate, distance) }
        }
        guard let best, ignoringCase else { return best }
        return word == word.upperedASCII ? best.upperedASCII : best
    }

    /// Behind a message; nothing where nothing is near.
    static func hint(_ word: String, _ options: [String], ignoringCase: Bool = false) -> String {
        nearest(word, options, ignoringCase: ignoringCase).map { " (did you mean \($0)?)" } ?? ""
    }

    /// Levenshtein's distance.
    private static func distance(_ one: [UInt8], _ other: [UInt8]) -> Int {
        var row = Array(0...other.count)
        for (i, a) in one.enumerated() {
            var diagonal = row[0]
            row[0] = i + 1
            for (j, b) in other.enumerated() {
                let above = row[j + 1]
                row[j + 1] = min(row[j] + 1, above + 1, diagonal + (a == b ? 0 : 1))
                diagonal = above
            }
        }
        return row[other.count]
    }
}
