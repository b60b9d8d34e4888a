/// A line of a Dockerfile, cut into words but not yet understood.
public struct Statement: Sendable, Hashable {
    /// The instruction's name as it is written.
    public var keyword: Word
    /// The words with `--` before the arguments, without their quotes.
    public var flags: [Word]
    /// What follows: words, elements of a JSON array, or the rest of the line as one word.
    public var arguments: [Word]
    /// Whether the arguments stood in a JSON array: the exec form.
    public var isJSON: Bool
    /// Whether the arguments begin like a JSON array and are none, so that a shell gets them.
    public var isBrokenJSON: Bool
    /// Names and values of ENV and LABEL.
    public var pairs: [NameValue]
    /// The instruction behind ONBUILD.
    public var trigger: [Statement]
    public var heredocs: [Heredoc]
    /// The line with its continuations joined, without the here-documents.
    public var text: String
    /// From its name to its last byte, here-documents included.
    public var range: SourceRange
    /// The comments directly above it, without `#`.
    public var comments: [String]

    /// The name in lower case.
    public var name: String { keyword.text.loweredASCII }
}

/// A name with a value, as ENV and LABEL have them.
public struct NameValue: Sendable, Hashable {
    public var name: Word
    public var value: Word
    /// False for the old form with a blank instead of `=`.
    public var hasEquals: Bool

    public init(_ name: Word, _ value: Word, hasEquals: Bool = true) {
        self.name = name
        self.value = value
        self.hasEquals = hasEquals
    }
}

/// A Dockerfile cut into statements.
public struct SyntaxTree: Sendable {
    public var source: SourceText
    public var directives: [Directive]
    /// A backslash, or what `# escape=` says.
    public var escape: Unicode.Scalar
    public var statements: [Statement]
    /// Instructions with an empty line among their continuations: the line on which they end.
    public var emptyContinuations: [SourceRange]
}
