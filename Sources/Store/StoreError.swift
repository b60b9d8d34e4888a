import Archive
import Linux
import OCI

/// Why the store could not do what was asked.
///
/// Text form: `operation "object": cause`, lower-case, no full stop.
public struct StoreError: Error, Sendable, CustomStringConvertible {
    /// What kind of failure it is; open, so that a caller's `switch` has a default.
    public struct Code: RawRepresentable, Hashable, Sendable {
        public let rawValue: String
        public init(rawValue: String) { self.rawValue = rawValue }

        public static let notFound = Code(rawValue: "not found")
        /// A short id fits several objects.
        public static let ambiguous = Code(rawValue: "ambiguous")
        /// `holders` has the id of the container (or the name of the volume) that has the name.
        public static let nameInUse = Code(rawValue: "name in use")
        /// `holders` has the ids of the containers, or the names, that keep the object.
        public static let inUse = Code(rawValue: "in use")
        public static let invalid = Code(rawValue: "invalid")
        /// The store was written by a newer version.
        public static let newerSchema = Code(rawValue: "newer schema")
        /// What is on disk or in an archive contradicts itself.
        public static let corrupt = Code(rawValue: "corrupt")
        /// Content does not have the digest it should have.
        public static let digestMismatch = Code(rawValue: "digest mismatch")
        public static let unsupported = Code(rawValue: "unsupported")
        /// A limit against hostile input was reached.
        public static let tooLarge = Code(rawValue: "too large")
        public static let noSpace = Code(rawValue: "no space")
        public static let cancelled = Code(rawValue: "cancelled")
        /// Where content comes from could not give it; `cause` is a whole sentence.
        public static let remote = Code(rawValue: "remote")
        /// A system call failed; `systemError` has its number.
        public static let system = Code(rawValue: "system")
        /// SQLite failed in a way that no other code describes.
        public static let database = Code(rawValue: "database")
    }

    public var code: Code
    public var operation: String
    public var object: String
    public var cause: String
    /// Ids or names of whatever stands in the way.
    public var holders: [String]
    /// errno of the failed call, 0 where there was none.
    public var systemError: Errno

    public init(
        _ code: Code, _ operation: String, _ object: String = "", cause: String, holders: [String] = [],
        systemError: Errno = Errno(rawValue: 0)
    ) {
        self.code = code
        self.operation = operation
        self.object = object
        self.cause = cause
        self.holders = holders
        self.systemError = systemError
    }

    public init(_ error: SystemError) {
        self.init(
            error.errno == .noSpace ? .noSpace : .system, error.operation, error.object ?? "",
            cause: error.errno.description, systemError: error.errno)
    }

    public init(_ error: ArchiveError) {
        let number = Errno(rawValue: error.systemError)
        let code: Code =
            switch error.code {
            case .cancelled: .cancelled
            case .tooLarge: .tooLarge
            case .unsupported: .unsupported
            case .system: number == .noSpace ? .noSpace : .system
            default: .corrupt
            }
        self.init(code, error.operation, error.object, cause: error.cause, systemError: number)
    }

    public init(_ error: OCIError) {
        let code: Code =
            switch error.code {
            case .tooLarge: .tooLarge
            case .unsupported: .unsupported
            case .invalidReference, .invalidDigest, .invalidPlatform: .invalid
            default: .corrupt
            }
        self.init(code, error.operation, error.object, cause: error.cause)
    }

    /// The same error about another object.
    func naming(_ object: String) -> StoreError {
        var named = self
        named.object = object
        return named
    }

    public var description: String {
        object.isEmpty ? "\(operation): \(cause)" : "\(operation) \"\(object)\": \(cause)"
    }
}

/// Runs kernel calls and gives their errors as this library's.
@inline(__always)
func system<T: ~Copyable>(_ body: () throws(SystemError) -> T) throws(StoreError) -> T {
    do { return try body() } catch { throw StoreError(error) }
}

@inline(__always)
func archive<T: ~Copyable>(_ body: () throws(ArchiveError) -> T) throws(StoreError) -> T {
    do { return try body() } catch { throw StoreError(error) }
}

@inline(__always)
func document<T>(_ object: String = "", _ body: () throws(OCIError) -> T) throws(StoreError) -> T {
    do { return try body() } catch {
        let failure = StoreError(error)
        throw failure.object.isEmpty ? failure.naming(object) : failure
    }
}
