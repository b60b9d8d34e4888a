/// Expands the words of one instruction and remembers which variables they had.
struct WordScope {
    let expander: WordExpander
    let environment: BuildEnvironment
    private var usedNames = OrderedNames()
    private var unsetNames = OrderedNames()
    /// Those that are not set, each with the word that has it first.
    private(set) var unsetWords: [Word] = []
    /// What all words came to so far, in bytes.
    private var length = 0

    /// The most that the words of one instruction, and the variables of a stage, may come to: `LABEL a=$x b=$x …`.
    static let lengthLimit = 16 << 20

    var used: [String] { usedNames.list }
    var unset: [String] { unsetNames.list }

    init(escape: Unicode.Scalar, _ environment: BuildEnvironment) {
        expander = WordExpander(escape: escape)
        self.environment = environment
    }

    mutating func expand(_ word: Word) throws(InstructionFailure) -> Word { word.with(try expansion(of: word, expander).text) }

    mutating func expand(_ word: Word?) throws(InstructionFailure) -> Word? {
        guard let word else { return nil }
        return try expand(word) as Word
    }

    mutating func expand(_ words: [Word]) throws(InstructionFailure) -> [Word] {
        var expanded: [Word] = []
        for word in words { expanded.append(try expand(word)) }
        return expanded
    }

    mutating func expand(_ pairs: [NameValue]) throws(InstructionFailure) -> [NameValue] {
        var expanded: [NameValue] = []
        for pair in pairs {
            expanded.append(NameValue(try expand(pair.name), try expand(pair.value), hasEquals: pair.hasEquals))
        }
        return expanded
    }

    /// The words that one word becomes.
    mutating func split(_ word: Word) throws(InstructionFailure) -> [Word] {
        try expansion(of: word, expander, splits: true).words.map { word.with($0) }
    }

    /// A here-document: quotes are characters as others, and the escape character is always a backslash.
    mutating func expand(document text: String, _ range: SourceRange) throws(InstructionFailure) -> String {
        var expander = WordExpander(escape: "\\")
        expander.ignoresQuotes = true
        return try expansion(of: Word(text, range), expander).text
    }

    private mutating func expansion(
        of word: Word, _ expander: WordExpander, splits: Bool = false
    ) throws(InstructionFailure) -> Expansion {
        do throws(ExpansionError) {
            let expansion = try expander.expand(word.text, in: environment, splits: splits)
            usedNames.add(expansion.used)
            for name in expansion.unset where unsetNames.add(name) { unsetWords.append(word.with(name)) }
            length += expansion.text.utf8.count
            guard length <= Self.lengthLimit else {
                throw ExpansionError("the instruction's words are longer than \(Self.lengthLimit) bytes with their variables replaced")
            }
            return expansion
        } catch { throw InstructionFailure(error.message, word.range) }
    }
}
