/// Why a JSON document was refused.
///
/// `description` reads as one clause: `parse "config.json": duplicate key at byte 17, in "args"`.
public struct JSONError: Error, Sendable, Hashable, CustomStringConvertible {
    /// What went wrong, as an open set: new codes may appear.
    public struct Code: RawRepresentable, Sendable, Hashable {
        public let rawValue: String
        public init(rawValue: String) { self.rawValue = rawValue }

        /// The bytes are no JSON text (RFC 8259).
        public static let syntax = Code(rawValue: "syntax")
        /// The document ends inside a value.
        public static let truncated = Code(rawValue: "truncated")
        /// Something other than white space follows the value.
        public static let trailingBytes = Code(rawValue: "trailing bytes")
        /// Objects and arrays are nested deeper than `JSONLimits.depth`.
        public static let tooDeep = Code(rawValue: "too deep")
        /// The document is longer than `JSONLimits.size`.
        public static let tooLarge = Code(rawValue: "too large")
        /// A value of another JSON type was asked for.
        public static let typeMismatch = Code(rawValue: "type mismatch")
        /// The number does not fit the asked type.
        public static let outOfRange = Code(rawValue: "out of range")
        /// A string holds bytes that are no UTF-8, a lone surrogate, a control character or a refused NUL.
        public static let invalidString = Code(rawValue: "invalid string")
        /// An object has the same key twice, so two readers could see two documents.
        public static let duplicateKey = Code(rawValue: "duplicate key")
        /// The value is well-formed but not allowed where it stands.
        public static let invalidValue = Code(rawValue: "invalid value")
    }

    public var code: Code
    /// The verb of `description`: `parse`.
    public var operation: String
    /// What was read, usually a file name; empty when the caller did not say.
    public var object: String
    /// The reason, with no full stop.
    public var cause: String
    /// Offset in bytes of the first byte that was not accepted.
    public var offset: Int
    /// The last key read before the failure; empty when there was none.
    public var key: String

    public init(
        code: Code, operation: String = "parse", object: String = "", cause: String, offset: Int = 0, key: String = ""
    ) {
        self.code = code
        self.operation = operation
        self.object = object
        self.cause = cause
        self.offset = offset
        self.key = key
    }

    /// The same error with the name of what was read.
    public func naming(_ object: String) -> JSONError {
        var named = self
        named.object = object
        return named
    }

    /// The reason with its place: `duplicate key at byte 17, in "args"`.
    public var reason: String {
        var text = cause
        text += " at byte "
        text += offset.description
        if !key.isEmpty {
            text += ", in \""
            text += key
            text += "\""
        }
        return text
    }

    public var description: String {
        var text = operation
        text += object.isEmpty ? " json" : " \"" + object + "\""
        text += ": "
        text += reason
        return text
    }
}
