import Archive
import Glibc
import Linux

/// State that several threads share and wait on.
///
/// C functions: `pthread_mutex_lock(3)`, `pthread_cond_timedwait(3)` on the monotonic clock.
final class Monitor<State>: @unchecked Sendable {
    // SAFETY: `state` is only touched between lock and unlock. Both objects have one address from init to deinit.
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let condition: UnsafeMutablePointer<pthread_cond_t>
    private var state: State

    /// Longest sleep between two looks at a cancellation, which wakes nobody: Ctrl-C must be felt within a second.
    private static var slice: Int64 { 100_000_000 }

    init(_ state: sending State) {
        self.state = state
        mutex = .allocate(capacity: 1)
        condition = .allocate(capacity: 1)
        mutex.initialize(to: pthread_mutex_t())
        condition.initialize(to: pthread_cond_t())
        pthread_mutex_init(mutex, nil)
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(condition, &attributes)
        pthread_condattr_destroy(&attributes)
    }

    deinit {
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(mutex)
        condition.deallocate()
        mutex.deallocate()
    }

    /// Looks at the state or changes it, and wakes everybody who waits.
    func withLock<R>(_ body: (inout State) -> R) -> R {
        pthread_mutex_lock(mutex)
        defer {
            pthread_cond_broadcast(condition)
            pthread_mutex_unlock(mutex)
        }
        return body(&state)
    }

    /// Waits until `body` gives something.
    ///
    /// - Parameters:
    ///   - deadline: on the monotonic clock, in nanoseconds; `.max` for none.
    ///   - cancellation: looked at ten times a second.
    /// - Returns: nil when the deadline has passed.
    /// - Throws: `.cancelled`.
    func wait<R>(
        until deadline: Int64, _ cancellation: Cancellation?, _ body: (inout State) -> R?
    ) throws(RegistryError) -> R? {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while true {
            if let result = body(&state) {
                pthread_cond_broadcast(condition)
                return result
            }
            if let cancellation, cancellation.isCancelled { throw .cancelled }
            let now = monotonicNanoseconds()
            if now >= deadline { return nil }
            let wake = cancellation == nil ? deadline : min(deadline, now + Self.slice)
            if wake == .max {
                pthread_cond_wait(condition, mutex)
                continue
            }
            var time = timespec(tv_sec: Int(wake / 1_000_000_000), tv_nsec: Int(wake % 1_000_000_000))
            pthread_cond_timedwait(condition, mutex, &time)
        }
    }
}

extension RegistryError {
    static let cancelled = RegistryError(.cancelled, "interrupted")
}

/// Sleeps unless cancelled.
///
/// - Throws: `.cancelled`.
func pause(seconds: Double, _ cancellation: Cancellation?) throws(RegistryError) {
    let nothing = Monitor<Void>(())
    let _: Never? = try nothing.wait(until: deadline(in: seconds), cancellation) { _ in nil }
}

/// A moment in the future on the monotonic clock, in nanoseconds.
func deadline(in seconds: Double) -> Int64 {
    let nanoseconds = max(0, min(seconds, 1e9)) * 1e9
    return monotonicNanoseconds() + Int64(nanoseconds)
}
