/// Why a command line was refused.
public struct FlagError: Error, Sendable, Equatable {
    /// The kind of mistake. Open: a program may add its own.
    public struct Code: RawRepresentable, Sendable, Hashable {
        public let rawValue: String

        public init(rawValue: String) {
            self.rawValue = rawValue
        }

        public static let unknownFlag = Code(rawValue: "unknown-flag")
        public static let badSyntax = Code(rawValue: "bad-syntax")
        public static let missingValue = Code(rawValue: "missing-value")
        public static let invalidValue = Code(rawValue: "invalid-value")
        public static let notSupported = Code(rawValue: "not-supported")
        public static let unknownCommand = Code(rawValue: "unknown-command")
        public static let unknownTopic = Code(rawValue: "unknown-topic")
        public static let wrongArity = Code(rawValue: "wrong-arity")
    }

    public var code: Code
    /// The command as it was spelled: `berth container ls`.
    public var operation: String
    /// The argument at fault.
    public var object: String
    /// The sentence.
    public var cause: String
    /// Usage lines to show, without the word `Usage:`; empty for none.
    public var usage: String = ""
    /// Full spellings the person may have meant.
    public var suggestions: [String] = []

    /// What to print on standard error, in Docker's layout, with a final newline.
    public var text: String {
        var result = cause + "\n"
        if code == .unknownTopic { return result }
        if !suggestions.isEmpty {
            result += "\nDid you mean this?\n"
            for suggestion in suggestions { result += "  \(suggestion)\n" }
        }
        if !usage.isEmpty { result += "\nUsage:  \(usage)\n" }
        return result + "\nRun '\(operation) --help' for more information\n"
    }
}
