import Archive

/// How one command wants to talk to registries: what its flags say.
public struct RegistryOptions: Sendable {
    /// Waits and limits. The defaults are for people; tests make them short.
    public struct Limits: Sendable {
        /// Seconds until a connection must stand, name resolution and TLS included.
        public var connect: Double = 30
        /// Seconds until the head of an answer must have come.
        public var head: Double = 120
        /// Seconds in which a body must make progress (see ``minimumRate``).
        public var progress: Double = 60
        /// Bytes per second that count as progress, averaged over ``progress`` seconds.
        public var minimumRate: Double = 16
        /// How often one request is sent when the network or the server fails.
        public var attempts = 6
        /// Seconds before the second attempt; doubled each time, with jitter.
        public var firstDelay: Double = 0.5
        /// Seconds that a delay never exceeds, whatever `Retry-After` says.
        public var longestDelay: Double = 30
        /// Seconds that all delays of one request may sum up to.
        public var delayBudget: Double = 120

        public init() {}
    }

    /// The `User-Agent` header.
    public var userAgent = "berth"
    /// Whether certificates are verified; nil asks registries.conf. False also allows plain HTTP.
    public var tlsVerify: Bool?
    /// `--creds`: used for every registry instead of what the files say.
    public var credentials: Credentials?
    /// `--cert-dir`: `*.crt`, `*.cert` and `*.key` files used for every registry.
    public var certificateDirectory: String?
    /// How many blobs the caller moves at once; sizes the pools of connections.
    public var maxParallel = 3
    public var limits = Limits()
    /// Gets lines that explain what happens (a mirror that failed, a token service on another host). Called from any thread.
    public var notice: (@Sendable (String) -> Void)?
    /// Stops everything within a second when it is cancelled.
    public var cancellation: Cancellation?

    public init() {}
}
