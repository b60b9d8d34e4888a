/// Why talking to a supervisor, or reading what one left behind, failed.
///
/// `description` reads as one clause: `start "3f…": exec: no such file or directory`.
public struct ControlError: Error, Sendable, CustomStringConvertible {
    /// What went wrong, as an open set: new codes may appear.
    public struct Code: RawRepresentable, Sendable, Hashable {
        public let rawValue: UInt16
        public init(rawValue: UInt16) { self.rawValue = rawValue }

        /// A system call failed; `cause` names it.
        public static let system = Code(rawValue: 1)
        /// Nobody supervises the container now.
        public static let notRunning = Code(rawValue: 2)
        /// A supervisor holds the container's lock already.
        public static let alreadyRunning = Code(rawValue: 3)
        /// A message that this side does not understand, or out of order.
        public static let `protocol` = Code(rawValue: 4)
        /// The other side speaks a version that this side does not.
        public static let version = Code(rawValue: 5)
        /// The container did not start; `exitCode` is docker's 125, 126 or 127.
        public static let startFailed = Code(rawValue: 6)
        /// The supervisor understood and refused.
        public static let refused = Code(rawValue: 7)
        /// The connection ended where an answer was due.
        public static let disconnected = Code(rawValue: 8)
        /// A value that its type or place does not allow.
        public static let invalid = Code(rawValue: 9)
        /// Nothing came in the given time.
        public static let timedOut = Code(rawValue: 10)
    }

    public var code: Code
    /// The verb: `start`, `attach to`, `parse`.
    public var operation: String
    /// What it was done to; empty when there is nothing to name.
    public var object: String
    /// The reason, with no full stop.
    public var cause: String
    /// The exit code a command that fails with this should have.
    public var exitCode: Int32

    public init(_ code: Code, _ operation: String, _ object: String = "", cause: String, exitCode: Int32 = 125) {
        self.code = code
        self.operation = operation
        self.object = object
        self.cause = cause
        self.exitCode = exitCode
    }

    public var description: String {
        object.isEmpty ? "\(operation): \(cause)" : "\(operation) \"\(object)\": \(cause)"
    }
}
