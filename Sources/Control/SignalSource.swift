import CLinux
import Glibc
import Linux

/// Signals of this process as a descriptor, while it lives; the mask is put back when it is dropped.
struct SignalSource: ~Copyable {
    private let file: OwnedFD
    private let saved: UInt64
    /// Whether what ``next()`` returns is meant for the container.
    let forwards: Bool

    var fd: FD { file.fd }

    /// - Parameters:
    ///   - forward: all signals that a process can be sent, but those of job control and of our own doing.
    ///   - raw: those that would leave a raw terminal behind.
    ///   - resize: SIGWINCH.
    init(forward: Bool, raw: Bool, resize: Bool) throws(SystemError) {
        var mask: UInt64 = bit(SIGPIPE)  // EPIPE is reported by the call; the signal would skip the restoring
        if forward { mask |= SignalSource.forwardable }
        if raw { mask |= bit(SIGINT) | bit(SIGTERM) | bit(SIGHUP) | bit(SIGQUIT) | bit(SIGTSTP) | bit(SIGCONT) }
        if resize { mask |= bit(SIGWINCH) }
        var old = sigset_t()
        sigprocmask(SIG_BLOCK, nil, &old)
        let before = withUnsafeBytes(of: &old) { $0.load(as: UInt64.self) }
        file = OwnedFD(owning: try check(cl_signalfd(-1, mask, Int32(O_NONBLOCK)), "make signal descriptor"))
        saved = before
        forwards = forward
        // Added to what the caller blocked.
        _ = cl_signal_mask(before | mask, nil)
    }

    /// The number of the next signal; nil when there is none now.
    func next() -> Int32? {
        withUnsafeTemporaryAllocation(byteCount: 128, alignment: 8) { buffer in
            // struct signalfd_siginfo begins with u32 ssi_signo.
            guard cl_read(file.raw, buffer.baseAddress, 128) == 128 else { return nil }
            return Int32(bitPattern: buffer.load(as: UInt32.self))
        }
    }

    deinit {
        // A SIGPIPE of our own writes must not come through when the mask is put back.
        while next() != nil {}
        _ = cl_signal_mask(saved, nil)
    }

    private static let forwardable: UInt64 = {
        var mask = UInt64.max
        let kept = [
            SIGKILL, SIGSTOP, SIGCHLD, SIGPIPE, SIGURG, SIGWINCH, SIGTSTP, SIGTTIN, SIGTTOU, SIGCONT,
            SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS, 32, 33, 34,
        ]
        for signal in kept { mask &= ~bit(signal) }
        return mask
    }()
}

private func bit(_ signal: Int32) -> UInt64 { 1 << UInt64(signal - 1) }
