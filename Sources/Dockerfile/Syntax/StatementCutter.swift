import JSON

/// Cuts an instruction's line into its name, its flags and its arguments.
struct StatementCutter {
    let line: LogicalLine
    let escape: UInt8
    private let bytes: [UInt8]

    init(_ line: LogicalLine, escape: UInt8) {
        self.line = line
        bytes = line.bytes
        self.escape = escape
    }

    /// How the arguments of an instruction are written.
    private enum Shape { case words, quotedWords, pairs, text, textOrJSON, wordsOrJSON, healthcheck, trigger, ignored }

    private static func shape(_ name: String) -> Shape {
        switch name {
        case "from", "expose": .words
        case "arg": .quotedWords
        case "env", "label": .pairs
        case "maintainer", "stopsignal", "user", "workdir": .text
        case "run", "cmd", "entrypoint", "shell": .textOrJSON
        case "add", "copy", "volume": .wordsOrJSON
        case "healthcheck": .healthcheck
        case "onbuild": .trigger
        default: .ignored
        }
    }

    /// - Parameter start: where in the line the instruction begins; not 0 behind ONBUILD.
    func statement(from start: Int = 0, depth: Int = 0) throws(InstructionFailure) -> Statement {
        let whole = bytes[start...].trimmed
        let keywordEnd = whole.firstIndex(where: Byte.isBlank) ?? whole.endIndex
        let keyword = line.word(whole.startIndex..<keywordEnd)
        var statement = Statement(
            keyword: keyword, flags: [], arguments: [], isJSON: false, isBrokenJSON: false, pairs: [], trigger: [], heredocs: [],
            text: bytes[start...].text, range: line.range(whole.startIndex..<whole.endIndex), comments: [])
        guard keywordEnd < whole.endIndex else {
            try arguments(of: &statement, keywordEnd..<keywordEnd, depth)
            return statement
        }
        let (flags, rest) = flags(keywordEnd..<whole.endIndex)
        statement.flags = flags
        let trimmed = bytes[rest..<whole.endIndex].trimmed
        try arguments(of: &statement, trimmed.startIndex..<trimmed.endIndex, depth)
        return statement
    }

    private func arguments(of statement: inout Statement, _ rest: Range<Int>, _ depth: Int) throws(InstructionFailure) {
        let name = statement.name
        switch Self.shape(name) {
        case .ignored: break
        case .words: statement.arguments = blankSeparated(rest)
        case .quotedWords: statement.arguments = quotedWords(rest).map(line.word)
        case .pairs: statement.pairs = try pairs(rest, name.upperedASCII)
        case .text: if !rest.isEmpty { statement.arguments = [line.word(rest)] }
        case .textOrJSON: try textOrJSON(of: &statement, rest)
        case .wordsOrJSON:
            if !(try takeJSON(into: &statement, rest)) { statement.arguments = blankSeparated(rest) }
        case .healthcheck:
            guard !rest.isEmpty else { return }
            let kindEnd = bytes[rest].firstIndex(where: Byte.isSpace) ?? rest.upperBound
            let next = bytes[kindEnd..<rest.upperBound].drop(while: Byte.isSpace).startIndex
            try textOrJSON(of: &statement, next..<rest.upperBound)
            statement.arguments.insert(line.word(rest.lowerBound..<kindEnd), at: 0)
        case .trigger:
            guard !rest.isEmpty else { return }
            // ONBUILD ONBUILD is refused, but first it has to be read, and it may go on.
            statement.trigger = depth < 2 ? [try self.statement(from: rest.lowerBound, depth: depth + 1)] : []
        }
    }

    private func textOrJSON(of statement: inout Statement, _ rest: Range<Int>) throws(InstructionFailure) {
        if rest.isEmpty { return }
        if !(try takeJSON(into: &statement, rest)) { statement.arguments = [line.word(rest)] }
    }

    // MARK: Flags

    /// The words with `--` at the beginning; a lone `--` ends them.
    /// - Returns: also where the arguments begin.
    private func flags(_ piece: Range<Int>) -> ([Word], Int) {
        var found: [Word] = []
        var position = piece.lowerBound
        while true {
            while position < piece.upperBound, Byte.isSpace(bytes[position]) { position += 1 }
            guard position + 1 < piece.upperBound, bytes[position] == Byte.dash, bytes[position + 1] == Byte.dash else {
                return (found, position)
            }
            let start = position
            let text = flagWord(&position, piece.upperBound)
            if text == [Byte.dash, Byte.dash] { return (found, position) }
            found.append(Word(text.text, line.range(start..<position)))
        }
    }

    /// One word without its quotes and escapes.
    private func flagWord(_ position: inout Int, _ end: Int) -> [UInt8] {
        var word: [UInt8] = []
        var quote: UInt8?
        while position < end {
            let byte = bytes[position]
            if quote == nil, Byte.isSpace(byte) { break }
            position += 1
            if byte == quote {
                quote = nil
            } else if quote == nil, byte == Byte.quote || byte == Byte.apostrophe {
                quote = byte
            } else if byte == escape {
                guard position < end else { break }
                word.append(bytes[position])
                position += 1
            } else {
                word.append(byte)
            }
        }
        return word
    }

    // MARK: Arguments

    private func blankSeparated(_ piece: Range<Int>) -> [Word] {
        bytes[piece].split(whereSeparator: Byte.isBlank).map { line.word($0.startIndex..<$0.endIndex) }
    }

    /// Words that may have blanks in quotes; the quotes stay.
    private func quotedWords(_ piece: Range<Int>) -> [Range<Int>] {
        var found: [Range<Int>] = []
        var start: Int?
        var quote: UInt8?
        var position = piece.lowerBound
        var end = piece.upperBound
        while position < end {
            let byte = bytes[position]
            if let begun = start, quote == nil, Byte.isSpace(byte) {
                found.append(begun..<position)
                start = nil
            } else if start != nil || !Byte.isSpace(byte) {
                if start == nil { start = position }
                if byte == escape, quote != Byte.apostrophe {
                    // It takes the next byte with it; at the end it is nothing.
                    if position + 1 == end { end = position } else { position += 1 }
                } else if byte == quote {
                    quote = nil
                } else if quote == nil, byte == Byte.quote || byte == Byte.apostrophe {
                    quote = byte
                }
            }
            position += 1
        }
        if let start, start < end { found.append(start..<end) }
        return found
    }

    private func pairs(_ piece: Range<Int>, _ instruction: String) throws(InstructionFailure) -> [NameValue] {
        let words = quotedWords(piece)
        guard let first = words.first else { return [] }
        guard bytes[first].contains(Byte.equals) else {
            // The old form: the first blank ends the name, and all the rest is the value.
            guard let blank = bytes[piece].firstIndex(where: Byte.isBlank) else {
                throw InstructionFailure("\(instruction) must have two arguments", line.range(piece))
            }
            let value = bytes[blank..<piece.upperBound].drop(while: Byte.isBlank).startIndex
            return [NameValue(line.word(piece.lowerBound..<blank), line.word(value..<piece.upperBound), hasEquals: false)]
        }
        var found: [NameValue] = []
        for word in words {
            guard let equals = bytes[word].firstIndex(of: Byte.equals) else {
                let text = Quoted.text(bytes[word].text)
                throw InstructionFailure(
                    "Syntax error - can't find = in \(text). Must be of the form: name=value", line.range(word))
            }
            found.append(NameValue(line.word(word.lowerBound..<equals), line.word(equals + 1..<word.upperBound)))
        }
        return found
    }

    /// Takes the elements of a JSON array of strings.
    ///
    /// - Returns: false where the text is no JSON array: then it has another form.
    private func takeJSON(into statement: inout Statement, _ piece: Range<Int>) throws(InstructionFailure) -> Bool {
        let text = bytes[piece].drop(while: Byte.isSpace)
        guard text.first == Byte.bracket else { return false }
        guard let elements = try? JSONValue.parse(Array(text)).array else {
            statement.isBrokenJSON = true
            return false
        }
        let ranges = stringLiterals(text)
        var words: [Word] = []
        for (index, element) in elements.enumerated() {
            guard let string = element.string, index < ranges.count else {
                throw InstructionFailure(
                    "when using JSON array syntax, arrays must be comprised of strings only", line.range(piece))
            }
            words.append(Word(string, line.range(ranges[index])))
        }
        statement.arguments = words
        statement.isJSON = true
        return true
    }

    /// Where the strings of an array stand that is known to be JSON.
    private func stringLiterals(_ text: ArraySlice<UInt8>) -> [Range<Int>] {
        var found: [Range<Int>] = []
        var start: Int?
        var position = text.startIndex
        while position < text.endIndex {
            let byte = text[position]
            if byte == Byte.backslash, start != nil {
                position += 1
            } else if byte == Byte.quote {
                if let begun = start {
                    found.append(begun..<position + 1)
                    start = nil
                } else {
                    start = position
                }
            }
            position += 1
        }
        return found
    }
}
