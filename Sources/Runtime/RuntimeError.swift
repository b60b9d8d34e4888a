import Linux

/// What went wrong in the runtime: what was tried, on what, and why.
///
/// Text: ``create container "web": mount "proc" on "/proc": operation not permitted``.
public struct RuntimeError: Error, Sendable, CustomStringConvertible {
    /// An open set: new codes may appear.
    public struct Code: RawRepresentable, Hashable, Sendable {
        public let rawValue: String
        public init(rawValue: String) { self.rawValue = rawValue }
        /// The bundle or an argument asks for something that is not allowed or not well formed.
        public static let invalid = Code(rawValue: "invalid")
        /// A system call failed.
        public static let system = Code(rawValue: "system")
        public static let notFound = Code(rawValue: "notFound")
        public static let exists = Code(rawValue: "exists")
        /// The container is not in the state that the operation needs.
        public static let wrongState = Code(rawValue: "wrongState")
        /// The kernel or host lacks something that was asked for.
        public static let unsupported = Code(rawValue: "unsupported")
        /// The program to run does not exist in the rootfs.
        public static let commandNotFound = Code(rawValue: "commandNotFound")
        /// The program to run cannot be executed.
        public static let commandNotExecutable = Code(rawValue: "commandNotExecutable")
        public static let hook = Code(rawValue: "hook")
    }

    public let code: Code
    public let operation: String
    public let object: String?
    public let cause: String

    public init(_ code: Code, _ operation: String, _ object: String? = nil, cause: String) {
        self.code = code
        self.operation = operation
        self.object = object
        self.cause = cause
    }

    /// A refused configuration: `field: why`.
    public static func invalid(_ field: String, _ why: String) -> RuntimeError {
        RuntimeError(.invalid, field, cause: why)
    }

    init(_ error: SystemError, during step: String? = nil) {
        self.init(
            .system, step ?? error.operation, step == nil ? error.object : nil,
            cause: step == nil ? error.errno.description : error.description)
    }

    public var description: String {
        if let object { return "\(operation) \"\(object)\": \(cause)" }
        return "\(operation): \(cause)"
    }

    /// Docker's exit code for a container that could not run: 127 not found, 126 cannot be invoked, 125 otherwise.
    public var exitCode: Int32 {
        switch code {
        case .commandNotFound: return 127
        case .commandNotExecutable: return 126
        default: return 125
        }
    }
}

/// Runs kernel calls and reports their failure as a ``RuntimeError``, with the step in progress when one is named.
@inline(__always) @discardableResult
func kernel<R: ~Copyable>(
    _ step: @autoclosure () -> String? = nil, _ body: () throws(SystemError) -> R
) throws(RuntimeError) -> R {
    do throws(SystemError) { return try body() } catch { throw RuntimeError(error, during: step()) }
}
