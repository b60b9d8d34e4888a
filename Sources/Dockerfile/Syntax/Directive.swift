import JSON

/// A comment at the top of a Dockerfile that says how to read it: `# escape=` and a character.
///
/// Spec: Dockerfile reference, "Parser directives".
public struct Directive: Sendable, Hashable {
    public enum Name: String, Sendable, Hashable, CaseIterable {
        /// The frontend image that shall read the file. It is not fetched here: docs/dockerfile.md.
        case syntax
        /// The character that joins lines and takes the meaning of others: a backslash or a backtick.
        case escape
        /// What `build --check` passes over, and whether warnings fail the build.
        case check
    }

    public var name: Name
    /// Everything behind `=`, without white space around it.
    public var value: String
    public var range: SourceRange
}

/// Reads directives line by line; the first line that is none ends them.
struct DirectiveReader {
    private(set) var found: [Directive] = []
    private(set) var isDone = false
    /// What lines begin with: `#`, and in files of other formats `//`.
    var comment: [UInt8] = [Byte.hash]

    /// - Parameter line: without the white space before it; `column` is where it begins, from 1.
    /// - Returns: whether the line is a directive.
    mutating func read(_ line: ArraySlice<UInt8>, number: Int, column: Int = 1) throws(Diagnostic) -> Bool {
        if isDone { return false }
        guard let (name, value) = Self.parts(line, comment) else {
            isDone = true
            return false
        }
        let range = SourceRange(
            SourcePosition(line: number, column: column), SourcePosition(line: number, column: column + line.count))
        if found.contains(where: { $0.name == name }) {
            throw .error("only one \(name.rawValue) parser directive can be used", range)
        }
        if name == .escape, value != "\\", value != "`" {
            throw .error("invalid escape token '\(value)' does not match ` or \\", range)
        }
        found.append(Directive(name: name, value: value, range: range))
        return true
    }

    /// `name = value` behind the comment's mark; nil where the line is none of ours.
    static func parts(_ line: ArraySlice<UInt8>, _ comment: [UInt8]) -> (Directive.Name, String)? {
        guard line.starts(with: comment) else { return nil }
        let rest = line.dropFirst(comment.count).drop(while: Byte.isSpace)
        guard let first = rest.first, Byte.isLetter(first) else { return nil }
        let name = rest.prefix { Byte.isLetter($0) || Byte.isDigit($0) }
        let behind = rest[name.endIndex...].drop(while: Byte.isSpace)
        guard behind.first == Byte.equals else { return nil }
        let value = behind.dropFirst().trimmed
        guard !value.isEmpty, let known = Directive.Name(rawValue: name.text.loweredASCII) else { return nil }
        return (known, value.text)
    }
}

/// Which frontend a file asks for, whatever its format is.
public enum SyntaxDetection {
    /// The frontend of `# syntax=`, of `// syntax=` and of `{"syntax": "…"}`; a first line with `#!` is passed over.
    ///
    /// - Returns: the image and everything behind `=`, with the place; nil where nothing is asked for.
    public static func syntax(of source: SourceText) -> (image: String, commandLine: String, range: SourceRange)? {
        let first = source.line(1).starts(with: [Byte.hash, Byte.bang]) ? 2 : 1
        for comment in [[Byte.hash], [Byte.slash, Byte.slash]] {
            var reader = DirectiveReader()
            reader.comment = comment
            var number = first
            while number <= source.lineCount, !reader.isDone {
                var line = source.line(number)
                while line.last == Byte.carriageReturn { line.removeLast() }
                guard (try? reader.read(line, number: number)) == true else { break }
                number += 1
            }
            if let directive = reader.found.first(where: { $0.name == .syntax }) {
                return (image(directive.value), directive.value, directive.range)
            }
        }
        let start = first == 1 ? 0 : source.lineWithEnd(1).count
        guard let value = try? JSONValue.parse(Array(source.bytes.dropFirst(start))), let syntax = value["syntax"]?.string else {
            return nil
        }
        return (syntax, syntax, source.range(ofLines: first...first))
    }

    private static func image(_ value: String) -> String { value.cut(Byte.space)?.0 ?? value }
}
