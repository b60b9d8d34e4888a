/// What is wrong, or not as it should be, in a Dockerfile, and where.
///
/// `description` is one line with BuildKit's wording; `rendered(in:)` adds the lines it is about.
public struct Diagnostic: Error, Sendable, Hashable, CustomStringConvertible {
    public enum Severity: Sendable, Hashable { case error, warning }

    /// Who found it. BuildKit puts the line before what the second finds.
    public enum Phase: Sendable, Hashable {
        /// The text could not be cut into instructions, or instructions do not fit together.
        case file
        /// An instruction is not one.
        case instruction
        /// An instruction cannot be carried out with the values its variables have.
        case evaluation
        case lint
    }

    public var severity: Severity
    public var phase: Phase
    /// The lint rule; nil for errors.
    public var rule: LintRule?
    /// Without the line's number.
    public var message: String
    /// The instruction it is about: its lines are marked in the excerpt.
    public var range: SourceRange?
    /// The words it is about, where that is known: they get the carets.
    public var focus: SourceRange?

    public init(
        _ severity: Severity, _ phase: Phase, rule: LintRule? = nil, _ message: String, _ range: SourceRange?,
        focus: SourceRange? = nil
    ) {
        self.severity = severity
        self.phase = phase
        self.rule = rule
        self.message = Self.printable(message)
        self.range = range
        self.focus = focus
    }

    static func error(_ message: String, _ range: SourceRange?) -> Diagnostic { Diagnostic(.error, .file, message, range) }

    /// The most lines of an instruction in an excerpt.
    static let excerptLimit = 100

    /// One line: `dockerfile parse error on line 2: unknown instruction: RUM (did you mean RUN?)`.
    public var description: String {
        switch phase {
        case .instruction: "dockerfile parse error on line \(range?.start.line ?? 0): \(message)"
        case .lint: rule.map { "\($0.name): \(message)" + (range.map { " (line \($0.start.line))" } ?? "") } ?? message
        case .file, .evaluation: message
        }
    }

    /// The excerpt of the source, as BuildKit prints it, and below it carets for the words that are meant.
    ///
    /// ```
    /// Dockerfile:2
    /// --------------------
    ///    1 |     FROM scratch
    ///    2 | >>> RUM true
    ///      |     ^^^
    /// --------------------
    /// ```
    /// - Parameter carets: false for exactly BuildKit's excerpt.
    /// - Returns: lines that each end in a newline; nothing when the place is not known.
    public func excerpt(of source: SourceText, carets: Bool = true) -> String {
        guard let range, range.start.line >= 1, range.start.line <= source.lineCount else { return "" }
        let marked = range.start.line...min(range.lines.upperBound, source.lineCount)
        var (first, last) = (marked.lowerBound, marked.upperBound)
        // Two lines of context on both sides; one more round for an instruction of one line.
        var rounds = 0
        while rounds < (marked.count == 1 ? 4 : 2) {
            if first > 1 {
                first -= 1
                rounds += 1
            }
            if last < source.lineCount {
                last += 1
                rounds += 1
            }
            rounds += 1
        }
        var text = "\(source.name):\(marked.lowerBound)\n--------------------\n"
        for number in first...last {
            // A here-document of a thousand lines is not what anybody wants to see.
            if number == marked.lowerBound + Self.excerptLimit, number < marked.upperBound { text += "     | >>> ...\n" }
            if number >= marked.lowerBound + Self.excerptLimit, number < marked.upperBound { continue }
            let mark = marked.contains(number) ? ">>>" : "   "
            text += " \(Self.padded(number)) | \(mark) \(Self.printable(source.line(number)))\n"
            if carets, let line = caretLine(number, source) { text += line }
        }
        return text + "--------------------\n"
    }

    /// A warning as `build --check` prints it, or an error: what it is, then the excerpt.
    public func rendered(in source: SourceText, carets: Bool = true) -> String {
        guard severity == .warning, let rule else { return description + "\n" + excerpt(of: source, carets: carets) }
        var text = "WARNING: \(rule.name)"
        if !rule.url.isEmpty { text += " - \(rule.url)" }
        return text + "\n\(message)\n" + excerpt(of: source, carets: carets)
    }

    private func caretLine(_ number: Int, _ source: SourceText) -> String? {
        guard let focus, focus.start.line == number, focus.end.line == number, focus.end.column > focus.start.column else { return nil }
        let line = source.line(number)
        let start = min(focus.start.column - 1, line.count)
        let end = min(focus.end.column - 1, line.count)
        guard start < end else { return nil }
        let before = line.dropFirst(start).startIndex
        // A tab stays a tab, so that the caret stands below what it means.
        var blank = ""
        for scalar in line[..<before].text.unicodeScalars { blank += scalar == "\t" ? "\t" : " " }
        let count = line[before..<(before + end - start)].text.unicodeScalars.count
        return "     |     " + blank + String(repeating: "^", count: count) + "\n"
    }

    private static func padded(_ number: Int) -> String {
        let digits = String(number)
        return String(repeating: " ", count: max(0, 3 - digits.utf8.count)) + digits
    }

    /// A line may hold what a terminal would obey.
    private static func printable(_ line: ArraySlice<UInt8>) -> String {
        var bytes = line
        while bytes.last == Byte.carriageReturn { bytes.removeLast() }
        return printable(bytes.text)
    }

    private static func printable(_ text: String) -> String {
        if text.utf8.allSatisfy({ $0 >= 0x20 && $0 < 0x7F || $0 == Byte.tab }) { return text }
        var printable = ""
        for scalar in text.unicodeScalars {
            let isControl = scalar.properties.generalCategory == .control && scalar != "\t"
            printable.unicodeScalars.append(isControl ? "\u{FFFD}" : scalar)
        }
        return printable
    }
}

/// Why an instruction or a word was refused, before it is known whose.
struct InstructionFailure: Error {
    var message: String
    var focus: SourceRange?

    init(_ message: String, _ focus: SourceRange? = nil) {
        self.message = message
        self.focus = focus
    }
}
