import Archive
import CLinux
import Glibc
import Linux

/// Ctrl-C as a request to stop, so that what was staged is taken away.
///
/// While it lives SIGINT, SIGTERM and SIGHUP are blocked in this thread and in those it starts, and a thread waits for them. A
/// second signal ends the process at once, and so does whoever does not stop in time: a read of a pipe that nobody writes to.
public final class Interruption {
    public let cancellation = Cancellation()
    private let signals: SharedFD
    /// Written to when the thread shall end.
    private let writer: SharedFD
    private let reader: SharedFD
    private let saved: UInt64
    private var watcher: Worker?

    /// Nil where the kernel has no descriptors left: signals then end the process as ever.
    public init?() {
        var mask: UInt64 = 0
        for signal in [SIGINT, SIGTERM, SIGHUP] { mask |= 1 << UInt64(signal - 1) }
        let signals = cl_signalfd(-1, mask, 0)
        var ends: [Int32] = [-1, -1]
        guard signals >= 0, cl_pipe2(&ends, 0) == 0 else { return nil }
        self.signals = SharedFD(owning: signals)
        let gate = ends[0]
        reader = SharedFD(owning: gate)
        writer = SharedFD(owning: ends[1])
        var current = sigset_t()
        sigprocmask(SIG_BLOCK, nil, &current)
        saved = withUnsafeBytes(of: &current) { $0.load(as: UInt64.self) }
        _ = cl_signal_mask(saved | mask, nil)
        let cancellation = self.cancellation
        watcher = try? Worker { Interruption.watch(signals, gate, cancellation) }
        if watcher == nil { _ = cl_signal_mask(saved, nil) }
    }

    /// Milliseconds until the process is ended, after it was asked.
    private static let patience: Int32 = 900

    private static func watch(_ signals: Int32, _ gate: Int32, _ cancellation: Cancellation) {
        var timeout: Int32 = -1
        while true {
            var files: [Int32] = [signals, gate]
            var wanted: [Int16] = [Int16(POLLIN), Int16(POLLIN)]
            var found: [Int16] = [0, 0]
            let ready = cl_poll(&files, &wanted, &found, 2, timeout)
            guard ready >= 0, found[1] == 0 else { return }
            if ready == 0 || cancellation.isCancelled { _exit(130) }
            guard (try? FD(signals).readSome(128)) != nil else { return }
            cancellation.cancel()
            timeout = patience
        }
    }

    deinit {
        try? writer.fd.writeAll([1])
        watcher?.join()
        _ = cl_signal_mask(saved, nil)
    }
}

extension FD {
    /// One `read(2)`.
    fileprivate func readSome(_ count: Int) throws(SystemError) -> Int {
        var buffer = [UInt8](repeating: 0, count: count)
        let result = buffer.withUnsafeMutableBytes { bytes in
            Result { () throws(SystemError) in try read(into: bytes) }
        }
        return try result.get()
    }
}
