import Linux

/// What went wrong with a control group: what was tried, on what, why, and the command that fixes it where there is one.
///
/// Text: `write "50000" to memory.max: device or resource busy`.
public struct CgroupError: Error, Sendable, CustomStringConvertible {
    /// The kind of failure, for callers that act on it. Open: new kinds may appear.
    public struct Code: RawRepresentable, Hashable, Sendable {
        public let rawValue: String
        public init(rawValue: String) { self.rawValue = rawValue }

        /// The cgroup (or the process) is not there any more.
        public static let notFound = Code(rawValue: "not-found")
        public static let permissionDenied = Code(rawValue: "permission-denied")
        /// Rootless, and nobody delegated a cgroup in which the asked limits could be set.
        public static let notDelegated = Code(rawValue: "not-delegated")
        /// A limit was asked whose controller this host does not offer.
        public static let controllerMissing = Code(rawValue: "controller-missing")
        /// A value that no kernel would take, or a malformed path.
        public static let invalid = Code(rawValue: "invalid")
        /// The cgroup exists already and holds processes.
        public static let notEmpty = Code(rawValue: "not-empty")
        public static let busy = Code(rawValue: "busy")
        /// The systemd driver was asked for and systemd is not PID 1 here.
        public static let systemdMissing = Code(rawValue: "systemd-missing")
        /// systemd refused, in its own words.
        public static let systemd = Code(rawValue: "systemd")
        /// Known, and not possible on this kernel or not written yet.
        public static let unsupported = Code(rawValue: "unsupported")
        public static let timedOut = Code(rawValue: "timed-out")
        /// Any other refusal of the kernel: see ``CgroupError/errno``.
        public static let kernel = Code(rawValue: "kernel")
    }

    public let code: Code
    /// What was tried, e.g. `write "50000" to`.
    public let operation: String
    /// On what, e.g. `memory.max`.
    public let object: String
    public let cause: String
    /// The kernel's error number, 0 when the kernel was not asked.
    public let errno: Errno
    /// One command line that fixes it, or nil.
    public let fix: String?

    public init(
        _ code: Code, _ operation: String, _ object: String, _ cause: String, errno: Errno = Errno(rawValue: 0),
        fix: String? = nil
    ) {
        self.code = code
        self.operation = operation
        self.object = object
        self.cause = cause
        self.errno = errno
        self.fix = fix
    }

    /// Wraps the kernel's answer. The code follows from the number.
    init(_ errno: Errno, _ operation: String, _ object: String, fix: String? = nil) {
        self.init(Code(errno), operation, object, errno.description, errno: errno, fix: fix)
    }

    init(_ error: SystemError) {
        self.init(error.errno, error.operation, error.object.map { "\"\($0)\"" } ?? "cgroup")
    }

    public var description: String {
        let text = "\(operation) \(object): \(cause)"
        guard let fix else { return text }
        return "\(text); to fix it: \(fix)"
    }
}

extension CgroupError.Code {
    init(_ errno: Errno) {
        switch errno {
        case .noEntry, .noDevice, .noProcess: self = .notFound
        case .accessDenied, .notPermitted, .readOnly: self = .permissionDenied
        case .busy: self = .busy
        case .invalid: self = .invalid
        default: self = .kernel
        }
    }
}

/// Runs a call of the `Linux` library and rewords its error.
@inline(__always)
func rewording<T: ~Copyable>(_ body: () throws(SystemError) -> T) throws(CgroupError) -> T {
    do throws(SystemError) { return try body() } catch { throw CgroupError(error) }
}
