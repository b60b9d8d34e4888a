import Linux

/// What went wrong in an engine call: told once, with what fixes it where something does.
///
/// Text: `operation "object": cause`, or the cause alone when it is already a whole sentence of Docker's catalogue
/// (`No such container: x`).
public struct EngineError: Error, Sendable, CustomStringConvertible {
    /// The class of the failure: doors map it to their own codes (HTTP status, gRPC code). Open: new ones may appear.
    public struct Code: RawRepresentable, Hashable, Sendable {
        public let rawValue: String
        public init(rawValue: String) { self.rawValue = rawValue }

        public static let notFound = Code(rawValue: "not found")
        /// The image that a container is to be made from is not here; it may be pulled.
        public static let imageMissing = Code(rawValue: "image missing")
        public static let conflict = Code(rawValue: "conflict")
        public static let invalid = Code(rawValue: "invalid argument")
        public static let notSupported = Code(rawValue: "not supported")
        public static let notModified = Code(rawValue: "not modified")
        public static let permission = Code(rawValue: "permission denied")
        public static let system = Code(rawValue: "system")
        /// The signature policy or registries.conf forbids it.
        public static let blocked = Code(rawValue: "blocked")
        /// The user stopped it.
        public static let cancelled = Code(rawValue: "cancelled")
        public static let runtime = Code(rawValue: "runtime")
        /// A container was started after its command had gone into the user namespace, from where its files cannot be reached:
        /// the command begins again outside.
        public static let startedMeanwhile = Code(rawValue: "started meanwhile")
    }

    public var code: Code
    public var operation: String
    public var object: String
    public var cause: String
    /// Docker's exit code for `run`, `create` and `start`: 125 engine, 126 cannot invoke, 127 not found.
    public var exitCode: Int32

    public init(
        _ code: Code, _ operation: String, _ object: String = "", cause: String, exitCode: Int32 = 125
    ) {
        self.code = code
        self.operation = operation
        self.object = object
        self.cause = cause
        self.exitCode = exitCode
    }

    /// A whole sentence, from Docker's catalogue.
    public init(_ code: Code, sentence: String, exitCode: Int32 = 125) {
        self.init(code, "", cause: sentence, exitCode: exitCode)
    }

    /// A system call that failed while `operation` was under way.
    public init(_ operation: String, _ object: String, _ error: SystemError) {
        let code: Code =
            switch error.errno {
            case .accessDenied, .notPermitted: .permission
            case .noEntry: .notFound
            default: .system
            }
        self.init(code, operation, object, cause: error.description)
    }

    public var description: String {
        if operation.isEmpty { return cause }
        if object.isEmpty { return "\(operation): \(cause)" }
        return "\(operation) \"\(object)\": \(cause)"
    }

    /// A value a person typed that cannot be read.
    static func invalid(_ cause: String) -> EngineError { EngineError(.invalid, sentence: cause) }
    /// Something that a later version will do.
    static func notSupported(_ what: String) -> EngineError {
        EngineError(.notSupported, sentence: "not supported yet: \(what)")
    }

    public static func noSuchContainer(_ name: String) -> EngineError {
        EngineError(.notFound, sentence: "no such container: \(name)")
    }
    public static func noSuchImage(_ name: String) -> EngineError {
        EngineError(.notFound, sentence: "no such image: \(name)")
    }
}

/// Runs `body` and tells a failed system call as an ``EngineError``.
@inline(__always)
func during<R: ~Copyable>(
    _ operation: @autoclosure () -> String, _ object: @autoclosure () -> String = "",
    _ body: () throws(SystemError) -> R
) throws(EngineError) -> R {
    do throws(SystemError) {
        return try body()
    } catch {
        throw EngineError(operation(), object(), error)
    }
}
