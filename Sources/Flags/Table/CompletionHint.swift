/// What a shell may offer for an operand or for the value of a flag.
public enum CompletionHint: Sendable {
    /// Nothing, and no file names either.
    case nothing
    case file
    case directory
    /// A fixed set of words.
    case values([String])
    /// Names only the program knows; `Program.candidates` is asked.
    case names(CompletionSource)
}

/// A kind of name that exists only at run time. Open: programs add their own.
public struct CompletionSource: RawRepresentable, Sendable, Hashable {
    public let rawValue: String

    public init(rawValue: String) {
        self.rawValue = rawValue
    }

    public static let containers = CompletionSource(rawValue: "containers")
    public static let runningContainers = CompletionSource(rawValue: "running-containers")
    public static let stoppedContainers = CompletionSource(rawValue: "stopped-containers")
    public static let images = CompletionSource(rawValue: "images")
    public static let volumes = CompletionSource(rawValue: "volumes")
    public static let networks = CompletionSource(rawValue: "networks")
    public static let environment = CompletionSource(rawValue: "environment")
    public static let signals = CompletionSource(rawValue: "signals")
    public static let capabilities = CompletionSource(rawValue: "capabilities")
}

/// One word a shell may insert, with an optional explanation.
public struct Candidate: Sendable, Equatable {
    public var word: String
    public var explanation: String

    public init(_ word: String, _ explanation: String = "") {
        self.word = word
        self.explanation = explanation
    }
}
