/// A here-document: `<<EOF` and the lines up to one with that word.
///
/// Spec: Dockerfile reference, "Here-Documents".
public struct Heredoc: Sendable, Hashable {
    /// The word that ends it, without quotes. COPY and ADD make a file of that name.
    public var name: String
    /// `<<-`: tabs at the beginning of its lines are not part of it.
    public var stripsTabs: Bool
    /// Whether variables in it are replaced: not where a part of its word is quoted.
    public var expands: Bool
    /// The number before `<<`; 0 without one. A shell would open that descriptor.
    public var descriptor: UInt
    /// The lines with their ends, with the tabs too.
    public var raw: String
    /// Its lines with the one that ends it.
    public var range: SourceRange

    /// What is in it.
    public var content: String { stripsTabs ? Self.withoutLeadingTabs(raw) : raw }

    /// Tabs at the beginning of each line removed.
    static func withoutLeadingTabs(_ text: String) -> String {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.utf8.count)
        var atStart = true
        for byte in text.utf8 {
            if atStart, byte == Byte.tab { continue }
            atStart = byte == Byte.newline
            bytes.append(byte)
        }
        return bytes.text
    }

    /// What introduces a here-document.
    struct Mark: Equatable {
        var name: String
        var stripsTabs: Bool
        var expands: Bool
        var descriptor: UInt
    }

    /// Reads `<<EOF`, `3<<-'EOF'`.
    ///
    /// - Parameter word: with its quotes.
    /// - Returns: nil where it is an ordinary word.
    static func mark(_ word: String) throws(ExpansionError) -> Mark? {
        let bytes = Array(word.utf8)
        let digits = bytes.prefix(while: Byte.isDigit)
        var rest = bytes[digits.endIndex...]
        guard rest.starts(with: [Byte.less, Byte.less]) else { return nil }
        rest = rest.dropFirst(2)
        let strips = rest.first == Byte.dash
        if strips { rest = rest.dropFirst() }
        rest = rest.drop(while: Byte.isSpace)
        guard !rest.isEmpty, !rest.contains(Byte.less) else { return nil }
        var lexer = WordExpander(escape: "\\")
        lexer.keepsUnset = true
        let plain = try lexer.split(rest.text, in: BuildEnvironment())
        guard plain.count == 1 else { return nil }
        lexer.keepsQuotes = true
        let quoted = try lexer.split(rest.text, in: BuildEnvironment())
        let isQuoted = quotes(quoted) != quotes(plain)
        return Mark(name: plain[0], stripsTabs: strips, expands: !isQuoted, descriptor: UInt(digits.text) ?? 0)
    }

    private static func quotes(_ words: [String]) -> Int {
        words.reduce(0) { $0 + $1.utf8.count { $0 == Byte.quote || $0 == Byte.apostrophe } }
    }

    /// The here-documents that an instruction's line introduces, in order.
    static func marks(_ line: String) throws(ExpansionError) -> [Mark] {
        var lexer = WordExpander(escape: "\\")
        lexer.keepsQuotes = true
        lexer.keepsEscapes = true
        lexer.keepsUnset = true
        // What is no shell word has no here-documents: the shell will say what is wrong with it.
        guard let words = try? lexer.split(line, in: BuildEnvironment()) else { return [] }
        var found: [Mark] = []
        for word in words where word.has(Byte.less) {
            if let mark = try mark(word) { found.append(mark) }
        }
        return found
    }
}
