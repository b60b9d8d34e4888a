import JSON

/// Why a document, digest, reference or platform was refused.
///
/// `description` reads as one clause: `parse reference "a//b": invalid repository name`.
public struct OCIError: Error, Sendable, Hashable, CustomStringConvertible {
    /// What went wrong, as an open set: new codes may appear.
    public struct Code: RawRepresentable, Sendable, Hashable {
        public let rawValue: String
        public init(rawValue: String) { self.rawValue = rawValue }

        /// The document is no JSON, or has a value of the wrong type; see `json`.
        public static let invalidJSON = Code(rawValue: "invalid json")
        /// The document could be read as two kinds of document (CVE-2021-41190).
        public static let ambiguous = Code(rawValue: "ambiguous document")
        /// A required member is missing or a value is not allowed.
        public static let invalidDocument = Code(rawValue: "invalid document")
        /// The document is of a kind that is not read any more, such as Docker's schema 1.
        public static let unsupported = Code(rawValue: "unsupported")
        /// The document is larger than the limit.
        public static let tooLarge = Code(rawValue: "too large")
        public static let invalidDigest = Code(rawValue: "invalid digest")
        public static let invalidReference = Code(rawValue: "invalid reference")
        public static let invalidPlatform = Code(rawValue: "invalid platform")
    }

    public var code: Code
    /// The verb: `parse manifest`.
    public var operation: String
    /// What was read; empty when it has no name.
    public var object: String
    /// The reason, with no full stop.
    public var cause: String
    /// The parser's error behind `.invalidJSON` and `.tooLarge`.
    public var json: JSONError?

    public init(code: Code, operation: String, object: String = "", cause: String, json: JSONError? = nil) {
        self.code = code
        self.operation = operation
        self.object = object
        self.cause = cause
        self.json = json
    }

    init(_ operation: String, _ error: JSONError) {
        self.init(
            code: error.code == .tooLarge ? .tooLarge : .invalidJSON, operation: operation, object: error.object,
            cause: error.reason, json: error)
    }

    /// The same error with the name of what was read.
    public func naming(_ object: String) -> OCIError {
        var named = self
        named.object = object
        return named
    }

    public var description: String {
        var text = operation
        if !object.isEmpty { text += " \"" + object + "\"" }
        text += ": "
        text += cause
        return text
    }
}
