/// Why a registry could not be asked, or what it refused.
public struct RegistryError: Error, Sendable, CustomStringConvertible {
    /// What went wrong, as an open set: new codes may appear.
    public struct Code: RawRepresentable, Sendable, Hashable {
        public let rawValue: String
        public init(rawValue: String) { self.rawValue = rawValue }

        /// Neither the registry nor a mirror has it.
        public static let notFound = Code(rawValue: "not found")
        /// No credentials, or wrong ones.
        public static let unauthorized = Code(rawValue: "unauthorized")
        /// Credentials are right and do not allow it.
        public static let denied = Code(rawValue: "denied")
        /// registries.conf or the signature policy forbids it.
        public static let blocked = Code(rawValue: "blocked")
        /// No connection, or one that broke and did not come back.
        public static let network = Code(rawValue: "network")
        /// The certificate is not trusted, or the other side does not speak TLS.
        public static let tls = Code(rawValue: "tls")
        /// The registry asks to come back later, and patience has ended.
        public static let tooManyRequests = Code(rawValue: "too many requests")
        /// Bytes that are not what their digest or size says.
        public static let digestMismatch = Code(rawValue: "digest mismatch")
        /// An answer that the specification does not allow.
        public static let `protocol` = Code(rawValue: "protocol")
        /// A configuration file or value that cannot be read.
        public static let configuration = Code(rawValue: "configuration")
        /// Larger than what is accepted.
        public static let tooLarge = Code(rawValue: "too large")
        /// The registry says that it fails, and goes on saying so.
        public static let unavailable = Code(rawValue: "unavailable")
        /// The user stopped it.
        public static let cancelled = Code(rawValue: "cancelled")
    }

    public var code: Code
    /// One clause, without a full stop, that names the host or file concerned.
    public var cause: String
    /// The HTTP status, where one was the reason.
    public var status: Int?
    /// Whether the same request may succeed a little later.
    var isTransient = false
    /// Whether nobody listens there or the name is unknown: one more attempt, not many.
    var isRefused = false
    /// Whether the other side does not speak TLS at all, so that plain HTTP may be meant.
    var isPlain = false
    /// Seconds that the registry asks to wait.
    var retryAfter: Double?

    public init(_ code: Code, _ cause: String, status: Int? = nil) {
        self.code = code
        self.cause = cause
        self.status = status
    }

    public var description: String { cause }

    static func transient(_ code: Code, _ cause: String, status: Int? = nil) -> RegistryError {
        var error = RegistryError(code, cause, status: status)
        error.isTransient = true
        return error
    }
}
