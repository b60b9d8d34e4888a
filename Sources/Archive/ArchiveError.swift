import Linux

/// Why an archive could not be read or written.
///
/// Text form: `operation "object": cause`, lower-case, no full stop.
public struct ArchiveError: Error, Sendable, CustomStringConvertible {
    /// What kind of failure it is; open, so that a caller's `switch` has a default.
    public struct Code: RawRepresentable, Hashable, Sendable {
        public let rawValue: String
        public init(rawValue: String) { self.rawValue = rawValue }

        /// The input ends in the middle of something.
        public static let truncated = Code(rawValue: "truncated")
        /// The input contradicts its format, or two readers could understand it differently.
        public static let corrupt = Code(rawValue: "corrupt")
        /// The format is known and not supported.
        public static let unsupported = Code(rawValue: "unsupported")
        /// A limit against hostile input was reached.
        public static let tooLarge = Code(rawValue: "too-large")
        /// A system call failed; `systemError` has its number.
        public static let system = Code(rawValue: "system")
        /// The other end of a pipeline stopped, or the caller asked to stop.
        public static let cancelled = Code(rawValue: "cancelled")
    }

    public var code: Code
    public var operation: String
    public var object: String
    public var cause: String
    /// errno of the failed call, 0 where there was none.
    public var systemError: Int32

    public init(_ code: Code, _ operation: String, _ object: String = "", cause: String, systemError: Int32 = 0) {
        self.code = code
        self.operation = operation
        self.object = object
        self.cause = cause
        self.systemError = systemError
    }

    /// A failed system call.
    ///
    /// - Parameter result: the negative return value of a `cl_` function.
    public static func system(_ operation: String, _ object: String = "", result: Int) -> ArchiveError {
        let number = Errno(rawValue: Int32(truncatingIfNeeded: -result))
        return ArchiveError(.system, operation, object, cause: number.description, systemError: number.rawValue)
    }

    public static func system(_ error: SystemError) -> ArchiveError {
        ArchiveError(
            .system, error.operation, error.object ?? "", cause: error.errno.description,
            systemError: error.errno.rawValue)
    }

    static func corrupt(_ cause: String, in object: [UInt8] = []) -> ArchiveError {
        ArchiveError(.corrupt, "read archive entry", printable(object), cause: cause)
    }

    static func truncated(_ operation: String, _ cause: String) -> ArchiveError {
        ArchiveError(.truncated, operation, cause: cause)
    }

    public var description: String {
        object.isEmpty ? "\(operation): \(cause)" : "\(operation) \"\(object)\": \(cause)"
    }
}

/// A name from outside, safe to show on a terminal: control bytes become `?`, long names are cut.
public func printable(_ bytes: [UInt8]) -> String {
    var shown = bytes.prefix(256).map { $0 < 0x20 || $0 == 0x7f ? UInt8(ascii: "?") : $0 }
    if bytes.count > 256 { shown += Array("...".utf8) }
    return String(decoding: shown, as: UTF8.self)
}
