/// Why a word could not be expanded.
public struct ExpansionError: Error, Sendable, Hashable, CustomStringConvertible {
    public var message: String
    public var description: String { message }

    init(_ message: String) { self.message = message }
}

/// What became of a word.
public struct Expansion: Sendable, Hashable {
    /// With variables replaced; quotes and escapes are gone.
    public var text: String
    /// The same cut at white space that is not quoted, where that was asked for.
    public var words: [String]
    /// The variables that were looked up and were set, each once: they belong into a cache key.
    public var used: [String]
    /// Those that were not set.
    public var unset: [String]
}

/// Replaces variables in a word and takes its quotes away, as a shell does, but runs nothing.
///
/// Understands `$x`, `${x}`, `${x-w}`, `${x+w}`, `${x?w}` and the three with `:`, which take empty for unset, `${x#p}`, `${x##p}`,
/// `${x%p}`, `${x%%p}`, `${x/p/r}`, `${x//p/r}`, with words in words, and single and double quotes.
///
/// Spec: Dockerfile reference, "Environment replacement"; POSIX.1-2024, XCU 2.6.2.
public struct WordExpander: Sendable {
    /// What takes the meaning of the next character.
    public var escape: Unicode.Scalar
    /// Whether quotes stay in the text.
    public var keepsQuotes = false
    /// Whether escapes stay in the text.
    public var keepsEscapes = false
    /// Whether quotes are ordinary characters, as in here-documents.
    public var ignoresQuotes = false
    /// Whether `$x` stays as it is where x is not set.
    public var keepsUnset = false

    /// The longest result, in Unicode scalars: `ENV a=$a$a` doubles with every line.
    static let lengthLimit = 1 << 20
    /// How deep `${a:-${b:-…}}` may go.
    static let depthLimit = 32

    public init(escape: Unicode.Scalar = "\\") { self.escape = escape }

    /// Expands a word.
    ///
    /// - Parameter splits: whether the result is also cut into words.
    /// - Throws: for syntax errors, for `${x?}` with an unset variable, and where the result is longer than a million characters.
    public func expand(
        _ word: String, in variables: some VariableLookup, splits: Bool = false
    ) throws(ExpansionError) -> Expansion {
        if isPlain(word) { return Expansion(text: word, words: splits ? Self.fields(word) : [], used: [], unset: []) }
        var run = ExpansionRun(word, self, variables, splits: splits)
        return try run.whole()
    }

    /// Expands a word and cuts it at white space that is not quoted.
    public func split(_ word: String, in variables: some VariableLookup) throws(ExpansionError) -> [String] {
        try expand(word, in: variables, splits: true).words
    }

    /// Most words have nothing that means anything.
    private func isPlain(_ word: String) -> Bool {
        guard escape.isASCII else { return false }
        let escape = UInt8(truncatingIfNeeded: escape.value)
        return word.utf8.allSatisfy {
            $0 != Byte.dollar && $0 != Byte.less && $0 != Byte.quote && $0 != Byte.apostrophe && $0 != escape && $0 < 0x80
        }
    }

    private static func fields(_ word: String) -> [String] {
        if !word.utf8.contains(where: Byte.isSpace) { return word.isEmpty ? [] : [word] }
        return word.utf8.split(whereSeparator: Byte.isSpace).map(\.text)
    }
}

/// One expansion under way.
struct ExpansionRun {
    typealias Scalar = Unicode.Scalar

    let options: WordExpander
    private let variables: any VariableLookup
    private let source: String
    private let scalars: [Scalar]
    private var position = 0
    private var depth = 0
    private var length = 0
    var keepsEscapes: Bool
    private let splits: Bool
    private var used = OrderedNames()
    private var unset = OrderedNames()

    /// A result that is being put together: the text, and its words.
    struct Output {
        var text = String.UnicodeScalarView()
        var words: [String] = []
        private var word = String.UnicodeScalarView()
        private let splits: Bool

        init(splits: Bool) { self.splits = splits }

        /// A character that ends a word if it is white space.
        mutating func add(_ scalar: Scalar) {
            text.append(scalar)
            guard splits else { return }
            if scalar.properties.isWhitespace { endWord() } else { word.append(scalar) }
        }

        /// A character that is part of a word whatever it is.
        mutating func addQuoted(_ scalar: Scalar) {
            text.append(scalar)
            if splits { word.append(scalar) }
        }

        mutating func add(_ string: String.UnicodeScalarView, quoted: Bool) {
            guard splits else {
                text.append(contentsOf: string)
                return
            }
            for scalar in string { if quoted { addQuoted(scalar) } else { add(scalar) } }
        }

        mutating func endWord() {
            guard !word.isEmpty else { return }
            words.append(String(word))
            word = String.UnicodeScalarView()
        }
    }

    init(_ word: String, _ options: WordExpander, _ variables: any VariableLookup, splits: Bool) {
        self.splits = splits
        self.options = options
        self.variables = variables
        source = word
        scalars = Array(word.unicodeScalars)
        keepsEscapes = options.keepsEscapes
    }

    mutating func whole() throws(ExpansionError) -> Expansion {
        do throws(ExpansionError) {
            var output = try until(nil)
            output.endWord()
            return Expansion(text: String(output.text), words: output.words, used: used.list, unset: unset.list)
        } catch { throw ExpansionError("failed to process \(Quoted.short(source)): \(error.message)") }
    }

    // MARK: Characters

    var peek: Scalar? { position < scalars.count ? scalars[position] : nil }

    mutating func next() -> Scalar? {
        guard position < scalars.count else { return nil }
        position += 1
        return scalars[position - 1]
    }

    /// Looks a variable up, and remembers that it was.
    mutating func lookUp(_ name: String) throws(ExpansionError) -> String? {
        guard let value = variables.value(of: name) else {
            unset.add(name)
            return nil
        }
        used.add(name)
        try grow(by: value.utf8.count)
        return value
    }

    /// Counts what was put out, in all nested words together.
    private mutating func grow(by count: Int) throws(ExpansionError) {
        length += count
        guard length <= WordExpander.lengthLimit else {
            throw ExpansionError("the result is longer than \(WordExpander.lengthLimit) characters")
        }
    }

    // MARK: Words

    /// Expands up to the end, or up to a character, which is taken.
    mutating func until(_ stop: Scalar?, keepsEscapes: Bool? = nil) throws(ExpansionError) -> Output {
        depth += 1
        defer { depth -= 1 }
        guard depth <= WordExpander.depthLimit else {
            throw ExpansionError("substitutions are nested more than \(WordExpander.depthLimit) deep")
        }
        let before = self.keepsEscapes
        if let keepsEscapes { self.keepsEscapes = keepsEscapes }
        defer { self.keepsEscapes = before }
        // Nested words are put together before anything is cut.
        var output = Output(splits: splits && depth == 1)
        while let scalar = peek {
            if scalar == stop {
                position += 1
                output.endWord()
                return output
            }
            switch scalar {
            case "$": output.add(try dollar(), quoted: false)
            case "'" where !options.ignoresQuotes: output.add(try singleQuoted(), quoted: true)
            case "\"" where !options.ignoresQuotes: output.add(try doubleQuoted(), quoted: true)
            case "<": output.add(heredocMark(), quoted: true)
            case options.escape: escaped(&output)
            default:
                position += 1
                output.add(scalar)
            }
        }
        if let stop { throw ExpansionError("unexpected end of statement while looking for matching \(stop)") }
        return output
    }

    private mutating func escaped(_ output: inout Output) {
        position += 1
        if keepsEscapes { output.addQuoted(options.escape) }
        if let scalar = next() { output.addQuoted(scalar) }
    }

    /// `<<`, and blanks behind it, which do not part it from its word.
    private mutating func heredocMark() -> String.UnicodeScalarView {
        var text = String.UnicodeScalarView("<".unicodeScalars)
        position += 1
        guard peek == "<" else { return text }
        text.append("<")
        position += 1
        while let scalar = peek, scalar == " " || scalar == "\t" || scalar == "\r" {
            text.append(scalar)
            position += 1
        }
        return text
    }

    private mutating func singleQuoted() throws(ExpansionError) -> String.UnicodeScalarView {
        var text = String.UnicodeScalarView()
        position += 1
        if options.keepsQuotes { text.append("'") }
        while let scalar = next() {
            if scalar == "'" {
                if options.keepsQuotes { text.append("'") }
                return text
            }
            text.append(scalar)
        }
        throw ExpansionError("unexpected end of statement while looking for matching single-quote")
    }

    private mutating func doubleQuoted() throws(ExpansionError) -> String.UnicodeScalarView {
        var text = String.UnicodeScalarView()
        position += 1
        if options.keepsQuotes { text.append("\"") }
        while let scalar = peek {
            if scalar == "\"" {
                position += 1
                if options.keepsQuotes { text.append("\"") }
                return text
            }
            if scalar == "$" {
                text.append(contentsOf: try dollar())
                continue
            }
            position += 1
            guard scalar == options.escape else {
                text.append(scalar)
                continue
            }
            if keepsEscapes { text.append(scalar) }
            // In double quotes only these lose their meaning; before anything else the escape character is itself.
            switch peek {
            case nil: break
            case "\"", "$", options.escape: if let escaped = next() { text.append(escaped) }
            default: text.append(scalar)
            }
        }
        throw ExpansionError("unexpected end of statement while looking for matching double-quote")
    }
}
