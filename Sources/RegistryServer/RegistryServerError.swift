import Linux
import Store

/// Why the registry could not be started.
///
/// Text form: `operation "object": cause`, lower-case, no full stop.
public struct RegistryServerError: Error, Sendable, CustomStringConvertible {
    /// What went wrong, as an open set.
    public struct Code: RawRepresentable, Sendable, Hashable {
        public let rawValue: String
        public init(rawValue: String) { self.rawValue = rawValue }

        /// A value or file that cannot be used as it is.
        public static let invalid = Code(rawValue: "invalid")
        /// The address is taken, or is none of this machine.
        public static let address = Code(rawValue: "address")
        /// Another server has the directory.
        public static let inUse = Code(rawValue: "in use")
        /// The directory or its database.
        public static let storage = Code(rawValue: "storage")
    }

    public var code: Code
    public var operation: String
    public var object: String
    public var cause: String

    public init(_ code: Code, _ operation: String, _ object: String = "", cause: String) {
        self.code = code
        self.operation = operation
        self.object = object
        self.cause = cause
    }

    init(_ error: StoreError) {
        self.init(.storage, error.operation, error.object, cause: error.cause)
    }

    init(_ error: SystemError) {
        self.init(.storage, error.operation, error.object ?? "", cause: error.errno.description)
    }

    public var description: String {
        object.isEmpty ? "\(operation): \(cause)" : "\(operation) \"\(object)\": \(cause)"
    }
}
