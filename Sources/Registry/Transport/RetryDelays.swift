/// How long to wait before the next attempt: doubled each time, with jitter, and within a budget.
struct RetryDelays {
    private let limits: RegistryOptions.Limits
    private let attempts: Int
    private var made = 1
    private var spent = 0.0

    /// A refused connection is tried once more and no more: nobody listens there.
    private static let attemptsWhenRefused = 2

    init(_ limits: RegistryOptions.Limits, attempts: Int) {
        self.limits = limits
        self.attempts = attempts
    }

    /// Seconds until the next attempt; nil when there is none.
    ///
    /// `Retry-After` is obeyed up to the longest delay: a registry cannot make a client sleep for years.
    mutating func next(after error: RegistryError) -> Double? {
        let most = error.isRefused ? min(attempts, RetryDelays.attemptsWhenRefused) : attempts
        guard made < most else { return nil }
        let power = limits.firstDelay * Double(1 << min(made - 1, 20))
        var seconds = min(power, limits.longestDelay) * Double.random(in: 0.5...1)
        if let asked = error.retryAfter { seconds = max(seconds, min(max(0, asked), limits.longestDelay)) }
        guard spent + seconds <= limits.delayBudget else { return nil }
        made += 1
        spent += seconds
        return seconds
    }

    static func shown(_ seconds: Double) -> String {
        let tenths = Int((seconds * 10).rounded())
        return "\(tenths / 10).\(tenths % 10) s"
    }
}
