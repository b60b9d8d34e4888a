/// Why a YAML document was refused.
///
/// `description` reads as one clause: `parse "compose.yaml": line 3, column 5: mapping values are not allowed in this context`.
public struct YAMLError: Error, Sendable, Hashable, CustomStringConvertible {
    /// What went wrong, as an open set: new codes may appear.
    public struct Code: RawRepresentable, Sendable, Hashable {
        public let rawValue: String
        public init(rawValue: String) { self.rawValue = rawValue }

        /// The bytes are no YAML text.
        public static let syntax = Code(rawValue: "syntax")
        /// Collections are nested deeper than ``YAMLLimits/depth``, aliases followed.
        public static let tooDeep = Code(rawValue: "too deep")
        /// The document is longer than ``YAMLLimits/size``, or has more nodes than ``YAMLLimits/nodes``, aliases followed.
        public static let tooLarge = Code(rawValue: "too large")
        /// A mapping has the same key twice, so two readers could see two documents.
        public static let duplicateKey = Code(rawValue: "duplicate key")
        /// An alias names an anchor that is not there, or one that it is itself part of.
        public static let unknownAnchor = Code(rawValue: "unknown anchor")
        /// The value is well-formed but not allowed where it stands.
        public static let invalidValue = Code(rawValue: "invalid value")
    }

    public var code: Code
    /// What was read, usually a file name; empty when the caller did not say.
    public var object: String
    /// The reason, with no full stop.
    public var cause: String
    /// From 1; 0 when there is no place.
    public var line: Int
    /// In characters, from 1; 0 when there is no place.
    public var column: Int

    public init(_ code: Code, cause: String, line: Int = 0, column: Int = 0, object: String = "") {
        self.code = code
        self.object = object
        self.cause = cause
        self.line = line
        self.column = column
    }

    /// The same error with the name of what was read.
    public func naming(_ object: String) -> YAMLError {
        var named = self
        named.object = object
        return named
    }

    /// The reason with its place: `line 3, column 5: duplicate key "image"`.
    public var reason: String {
        line > 0 ? "line \(line), column \(column): \(cause)" : cause
    }

    public var description: String {
        "parse " + (object.isEmpty ? "yaml" : "\"\(object)\"") + ": " + reason
    }
}
