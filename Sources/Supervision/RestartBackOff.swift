import Control

/// Decides whether and when a container that ended is started again; docker's rules.
///
/// The first wait is 100 ms, each further one twice as long, up to a minute; ten seconds of run begin anew.
package struct RestartBackOff: Sendable {
    package static let first: Int64 = 100_000_000
    package static let longest: Int64 = 60_000_000_000
    /// Nanoseconds of run after which the next wait is the first again.
    package static let reset: Int64 = 10_000_000_000

    package var policy: RestartPolicy
    /// How often it has been started again.
    package private(set) var count: UInt32
    private var wait: Int64 = 0

    package init(_ policy: RestartPolicy, count: UInt32 = 0) {
        self.policy = policy
        self.count = count
    }

    /// - Parameters:
    ///   - exitCode: of the run that ended.
    ///   - isStopped: somebody asked for the end: no policy starts it again then.
    ///   - duration: nanoseconds of the run.
    /// - Returns: nanoseconds to wait before the next run; nil when there is none.
    package mutating func next(exitCode: Int, isStopped: Bool, duration: Int64) -> Int64? {
        if isStopped { return nil }
        switch policy.name {
        case .no: return nil
        case .always, .unlessStopped: break
        case .onFailure:
            if exitCode == 0 || (policy.maximumRetries > 0 && count >= policy.maximumRetries) { return nil }
        }
        return again(duration: duration)
    }

    /// The next run whatever the policy says.
    package mutating func again(duration: Int64) -> Int64 {
        wait = duration >= RestartBackOff.reset || wait == 0 ? RestartBackOff.first : min(wait * 2, RestartBackOff.longest)
        count &+= 1
        return wait
    }
}
