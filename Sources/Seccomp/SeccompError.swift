/// Why a seccomp profile could not be read or compiled.
///
/// `description` reads as one clause: `compile seccomp profile "SCMP_ACT_FOO": unknown action`.
public struct SeccompError: Error, Sendable, Hashable, CustomStringConvertible {
    /// What went wrong, as an open set: new codes may appear.
    public struct Code: RawRepresentable, Sendable, Hashable {
        public let rawValue: String
        public init(rawValue: String) { self.rawValue = rawValue }

        public static let unknownAction = Code(rawValue: "unknown action")
        public static let unknownOperator = Code(rawValue: "unknown operator")
        public static let unknownArchitecture = Code(rawValue: "unknown architecture")
        public static let unknownFlag = Code(rawValue: "unknown flag")
        /// An argument index above 5.
        public static let invalidArgument = Code(rawValue: "invalid argument")
        /// An errno above 4095, or one for an action that returns none.
        public static let invalidErrno = Code(rawValue: "invalid errno")
        /// `SCMP_ACT_NOTIFY` where no listener could ever answer.
        public static let invalidNotify = Code(rawValue: "invalid notify")
        /// The filter has more than 4096 instructions (`BPF_MAXINSNS`).
        public static let tooLong = Code(rawValue: "too long")
        /// The profile document is malformed or contradicts itself.
        public static let invalidProfile = Code(rawValue: "invalid profile")
        /// The bytes are no serialised program of this version.
        public static let invalidProgram = Code(rawValue: "invalid program")
    }

    public var code: Code
    /// The verb, `compile seccomp profile`.
    public var operation: String
    /// The name, value or system call that was refused; empty when there is none.
    public var object: String
    /// The reason, with no full stop.
    public var cause: String

    public init(code: Code, operation: String = "compile seccomp profile", object: String, cause: String) {
        self.code = code
        self.operation = operation
        self.object = object
        self.cause = cause
    }

    public var description: String {
        operation + (object.isEmpty ? "" : " \"" + object + "\"") + ": " + cause
    }
}
