/// Cuts a Dockerfile into statements: directives, comments, continuations, here-documents.
struct SyntaxReader {
    private let source: SourceText
    private let limits: ParseLimits
    private var directives = DirectiveReader()
    private var escape = Byte.backslash
    private var statements: [Statement] = []
    private var comments: [String] = []
    private var emptyContinuations: [SourceRange] = []
    /// The next line to read, from 1.
    private var next = 1

    static func read(_ source: SourceText, limits: ParseLimits) throws(Diagnostic) -> SyntaxTree {
        guard source.bytes.count <= limits.fileSize else {
            throw .error("the Dockerfile has \(source.bytes.count) bytes, more than the limit of \(limits.fileSize)", nil)
        }
        guard !source.bytes.isEmpty else { throw .error("the Dockerfile cannot be empty", nil) }
        var reader = SyntaxReader(source: source, limits: limits)
        while reader.next <= source.writtenLines { try reader.readLine() }
        guard !reader.statements.isEmpty else {
            throw .error("file with no instructions", source.range(ofLines: max(source.writtenLines, 1)...max(source.writtenLines, 1)))
        }
        return SyntaxTree(
            source: source, directives: reader.directives.found, escape: Unicode.Scalar(reader.escape), statements: reader.statements,
            emptyContinuations: reader.emptyContinuations)
    }

    private init(source: SourceText, limits: ParseLimits) {
        self.source = source
        self.limits = limits
    }

    /// A directive, a comment, an empty line, or an instruction with all that belongs to it.
    private mutating func readLine() throws(Diagnostic) {
        let number = next
        let physical = try line(number)
        let text = physical.drop(while: Byte.isSpace)
        let column = text.startIndex - physical.startIndex + 1
        next += 1
        if try directives.read(text, number: number, column: column) {
            if let directive = directives.found.last, directive.name == .escape { escape = directive.value.utf8.first ?? escape }
            return
        }
        if text.first == Byte.hash {
            let comment = text.dropFirst().trimmed.text
            if comment.isEmpty { comments = [] } else { comments.append(comment) }
            return
        }
        if text.isEmpty {
            comments = []
            return
        }
        let joined = try joinContinuations(text, number: number, column: column)
        try add(joined, firstLine: number)
    }

    private mutating func add(_ line: LogicalLine, firstLine: Int) throws(Diagnostic) {
        let lines = source.range(ofLines: firstLine...line.lastLine)
        guard line.bytes.isUTF8 else { throw .error("the instruction is not valid UTF-8", lines) }
        guard statements.count < limits.instructions else {
            throw .error("the Dockerfile has more than \(limits.instructions) instructions", lines)
        }
        var statement: Statement
        do throws(InstructionFailure) {
            statement = try StatementCutter(line, escape: escape).statement()
        } catch { throw Diagnostic(.error, .file, error.message, lines, focus: error.focus) }
        statement.comments = comments
        comments = []
        if Self.takesHeredocs(statement), line.bytes.contains(Byte.less) {
            statement.heredocs = try heredocs(line, lines)
            if let last = statement.heredocs.last { statement.range = statement.range.joined(last.range) }
        }
        statements.append(statement)
    }

    /// A line without its end, within the limit.
    private func line(_ number: Int) throws(Diagnostic) -> ArraySlice<UInt8> {
        var line = source.line(number)
        guard line.count <= limits.lineLength else {
            throw .error("dockerfile line greater than max allowed size of \(limits.lineLength)", source.range(ofLines: number...number))
        }
        while line.last == Byte.carriageReturn { line.removeLast() }
        return line
    }

    // MARK: Continuations

    /// - Parameter first: the first line without the white space before it.
    private mutating func joinContinuations(
        _ first: ArraySlice<UInt8>, number: Int, column: Int
    ) throws(Diagnostic) -> LogicalLine {
        var joined = LogicalLine(firstLine: number)
        var (piece, goesOn) = withoutContinuation(first)
        joined.append(piece, line: number, column: column)
        var hasEmptyLine = false
        while goesOn, next <= source.writtenLines {
            let current = next
            let line = try line(current)
            next += 1
            let text = line.drop(while: Byte.isSpace)
            joined.lastLine = current
            // Comments among continuations are no part of the instruction; empty lines should not be there.
            if text.first == Byte.hash { continue }
            if text.isEmpty {
                hasEmptyLine = true
                continue
            }
            (piece, goesOn) = withoutContinuation(line)
            joined.append(piece, line: current, column: 1)
            guard joined.bytes.count <= limits.instructionLength else {
                throw .error(
                    "the instruction is longer than \(limits.instructionLength) bytes", source.range(ofLines: number...number))
            }
        }
        if hasEmptyLine { emptyContinuations.append(source.range(ofLines: joined.lastLine...joined.lastLine)) }
        return joined
    }

    /// Cuts the escape character at the end, and the blanks behind it. Two of them are one escaped character and no continuation.
    private func withoutContinuation(_ line: ArraySlice<UInt8>) -> (ArraySlice<UInt8>, Bool) {
        var end = line.endIndex
        while end > line.startIndex, line[end - 1] == Byte.space || line[end - 1] == Byte.tab { end -= 1 }
        guard end > line.startIndex, line[end - 1] == escape else { return (line, false) }
        if end - 1 > line.startIndex, line[end - 2] == escape { return (line, false) }
        return (line[..<(end - 1)], true)
    }

    // MARK: Here-documents

    private static func takesHeredocs(_ statement: Statement) -> Bool {
        if statement.name == "onbuild" { return statement.trigger.first.map(takesHeredocs) ?? false }
        return ["run", "copy", "add"].contains(statement.name) && !statement.isJSON
    }

    private mutating func heredocs(_ line: LogicalLine, _ lines: SourceRange) throws(Diagnostic) -> [Heredoc] {
        let marks: [Heredoc.Mark]
        do throws(ExpansionError) {
            marks = try Heredoc.marks(line.bytes.text)
        } catch { throw .error(error.message, lines) }
        guard marks.count <= limits.heredocs else {
            throw .error("the instruction has more than \(limits.heredocs) here-documents", lines)
        }
        var found: [Heredoc] = []
        for mark in marks { found.append(try heredoc(mark, lines)) }
        return found
    }

    private mutating func heredoc(_ mark: Heredoc.Mark, _ lines: SourceRange) throws(Diagnostic) -> Heredoc {
        let first = next
        var content: [UInt8] = []
        while next <= source.writtenLines {
            let current = next
            let line = try line(current)
            next += 1
            let candidate = mark.stripsTabs ? line.drop { $0 == Byte.tab } : line
            if candidate.elementsEqual(mark.name.utf8) {
                let range = source.range(ofLines: first...current)
                guard content.isUTF8 else { throw .error("the here-document is not valid UTF-8", lines.joined(range)) }
                return Heredoc(
                    name: mark.name, stripsTabs: mark.stripsTabs, expands: mark.expands, descriptor: mark.descriptor,
                    raw: content.text, range: range)
            }
            content.append(contentsOf: source.lineWithEnd(current))
        }
        let missing = next > first ? lines.joined(source.range(ofLines: first...(next - 1))) : lines
        throw Diagnostic(.error, .file, "unterminated heredoc", missing)
    }
}
