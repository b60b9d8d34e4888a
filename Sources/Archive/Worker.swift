import CLinux
import Glibc
import Linux

/// One pthread that runs one closure.
///
/// All signals are blocked in it, so that they are delivered to the thread that waits for them. The owner must `join`.
/// C function: `pthread_create(3)`.
public final class Worker {
    private final class Start {
        let body: () -> Void
        init(_ body: @escaping () -> Void) { self.body = body }
    }

    private var thread = pthread_t()
    private var running = false

    /// - Parameter body: runs concurrently with the caller: what it captures must be safe for that.
    public init(_ body: @escaping () -> Void) throws(ArchiveError) {
        // SAFETY: the reference is handed to exactly one thread start, which takes it back; taken back here on failure.
        let start = Unmanaged.passRetained(Start(body))
        var old: UInt64 = 0
        cl_signal_mask(~0, &old)
        let result = pthread_create(
            &thread, nil,
            { raw in
                guard let raw else { return nil }
                Unmanaged<Start>.fromOpaque(raw).takeRetainedValue().body()
                return nil
            }, start.toOpaque())
        cl_signal_mask(old, nil)
        guard result == 0 else {
            start.release()
            throw .system("start thread", result: -Int(result))
        }
        running = true
    }

    /// Waits for the closure's end. Idempotent.
    public func join() {
        guard running else { return }
        running = false
        pthread_join(thread, nil)
    }

    deinit { join() }
}

/// A mutex and its condition. C functions: `pthread_mutex_lock(3)`, `pthread_cond_wait(3)`.
public final class Monitor: @unchecked Sendable {
    // SAFETY: both objects have one address for life and are only touched through their own functions.
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let condition: UnsafeMutablePointer<pthread_cond_t>

    public init() {
        mutex = .allocate(capacity: 1)
        condition = .allocate(capacity: 1)
        mutex.initialize(to: pthread_mutex_t())
        condition.initialize(to: pthread_cond_t())
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(condition, nil)
    }

    deinit {
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(mutex)
        condition.deallocate()
        mutex.deallocate()
    }

    public func lock() { pthread_mutex_lock(mutex) }
    public func unlock() { pthread_mutex_unlock(mutex) }
    /// Waits for ``wakeAll()``; the lock is given up meanwhile.
    public func wait() { pthread_cond_wait(condition, mutex) }

    /// As ``wait()``, for so many milliseconds at most.
    public func wait(milliseconds: Int) {
        var end = timespec()
        clock_gettime(CLOCK_REALTIME, &end)
        let nanoseconds = end.tv_nsec + milliseconds % 1000 * 1_000_000
        end.tv_sec += milliseconds / 1000 + nanoseconds / 1_000_000_000
        end.tv_nsec = nanoseconds % 1_000_000_000
        pthread_cond_timedwait(condition, mutex, &end)
    }

    /// Runs `body` with the lock held.
    public func locked<R, E: Error>(_ body: () throws(E) -> R) throws(E) -> R {
        lock()
        defer { unlock() }
        return try body()
    }
    public func wakeAll() { pthread_cond_broadcast(condition) }
}

/// Asks work on any thread to stop; checked between entries and buffers.
public final class Cancellation: @unchecked Sendable {
    // SAFETY: `requested` is only touched under the monitor's lock.
    private let monitor = Monitor()
    private var requested = false

    public init() {}

    public func cancel() {
        monitor.lock()
        requested = true
        monitor.wakeAll()
        monitor.unlock()
    }

    /// Sleeps, but no longer than until the request.
    public func sleep(milliseconds: Int) {
        let end = monotonicNanoseconds() + Int64(max(0, milliseconds)) * 1_000_000
        monitor.lock()
        defer { monitor.unlock() }
        while !requested {
            let left = end - monotonicNanoseconds()
            if left <= 0 { return }
            monitor.wait(milliseconds: Int(left / 1_000_000) + 1)
        }
    }

    public var isCancelled: Bool {
        monitor.lock()
        defer { monitor.unlock() }
        return requested
    }

    public func check(_ operation: String) throws(ArchiveError) {
        if isCancelled { throw ArchiveError(.cancelled, operation, cause: "interrupted") }
    }
}
