import CLinux
import Control
import Glibc
import Linux
import Runtime

/// Stands beside a process in the foreground: passes signals on, carries its terminal, and ends with its exit status.
///
/// Single-threaded; signals arrive through a descriptor, so nothing is lost between a check and a wait.
struct Foreground {
    let pid: Int32
    let pidfd: FD
    let console: FD?
    /// Nil: no keys leave it alone.
    var detachable: DetachableTerminal.Side?
    /// Called when its user has typed them.
    var onDetach: () -> Void = {}

    /// Signals that must be blocked before the process starts, so that none is missed: everything that can be caught.
    static let blocked: UInt64 = ~0 & ~(1 << 10) & ~(1 << 6) & ~(1 << 3) & ~(1 << 7)  // not SEGV, BUS, ILL, FPE

    /// Blocks signals ahead of the process's start.
    static func prepare() { _ = cl_signal_mask(blocked, nil) }

    /// Returns when the process has ended and its terminal is drained.
    func wait() throws(SystemError) -> ExitStatus {
        let signals = OwnedFD(owning: try check(cl_signalfd(-1, Self.blocked, Int32(O_NONBLOCK)), "make signal descriptor"))
        var raw = console == nil ? nil : RawTerminal(.standardInput)
        var keys = detachable.map { DetachKeyMatcher($0.keys) }
        var isDetached = false
        if console != nil { copySize() }
        var inputOpen = console != nil
        var consoleOpen = console != nil
        while true {
            let parent = isDetached ? -1 : detachable?.parent.raw ?? -1
            var fds = [pidfd.rawValue, signals.raw, consoleOpen ? console?.rawValue ?? -1 : -1, inputOpen ? 0 : -1, parent]
            var events: [Int16] = [1, 1, 1, 1, 0]
            var ready: [Int16] = [0, 0, 0, 0, 0]
            let count = cl_poll(&fds, &events, &ready, 5, -1)
            if count == -EINTR { continue }
            try check(count, "wait")
            if ready[2] != 0, let console { consoleOpen = copy(from: console, to: .standardOutput) }
            var leaves = ready[4] != 0
            if ready[3] != 0, let console {
                if keys == nil {
                    inputOpen = copy(from: .standardInput, to: console)
                } else {
                    (inputOpen, leaves) = pass(to: console, &keys)
                }
            }
            if leaves, !isDetached, let detachable {
                isDetached = true
                inputOpen = false
                raw = nil
                detachable.leave()
                onDetach()
            }
            if ready[1] != 0 { forward(signals.fd, isDetached: isDetached) }
            if ready[0] != 0 {
                if consoleOpen, let console { drain(console) }
                _ = raw != nil
                guard let ended = try waitForProcess(pid) else { continue }
                return ended.status
            }
        }
    }

    /// - Parameter isDetached: signals are not the process's any more: they are for who stands beside it, and say nothing to that one.
    private func forward(_ signals: FD, isDetached: Bool) {
        var info = [UInt8](repeating: 0, count: 128)  // struct signalfd_siginfo
        while cl_read(signals.rawValue, &info, 128) == 128 {
            let number = info.withUnsafeBytes { Int32(bitPattern: $0.loadUnaligned(as: UInt32.self)) }
            if isDetached { continue }
            switch number {
            case SIGCHLD: break
            case SIGWINCH: copySize()
            case SIGURG, SIGPIPE: break
            default: try? pidfd.sendSignal(number)
            }
        }
    }

    private func copySize() {
        guard let console, let size = terminalSize(.standardInput) else { return }
        _ = cl_winsize_set(console.rawValue, size.rows, size.columns)
    }

    /// - Returns: false when the source has ended.
    private func copy(from source: FD, to target: FD) -> Bool {
        var buffer = [UInt8](repeating: 0, count: 32 << 10)
        let n = buffer.withUnsafeMutableBytes { cl_read(source.rawValue, $0.baseAddress, $0.count) }
        // EIO: the last holder of the slave has closed it.
        guard n > 0 else { return n == -Int(EAGAIN) }
        try? target.writeAll(Array(buffer[..<n]))
        return true
    }

    /// What is typed, but for the keys.
    ///
    /// - Returns: whether more may come, and whether the keys were typed.
    private func pass(to console: FD, _ keys: inout DetachKeyMatcher?) -> (isOpen: Bool, leaves: Bool) {
        var buffer = [UInt8](repeating: 0, count: 32 << 10)
        let n = buffer.withUnsafeMutableBytes { cl_read(0, $0.baseAddress, $0.count) }
        guard n > 0 else { return (n == -Int(EAGAIN), false) }
        guard let (output, detached) = keys?.feed(buffer[..<n]) else { return (true, false) }
        try? console.writeAll(output)
        return (true, detached)
    }

    private func drain(_ console: FD) {
        try? console.setNonBlocking(true)
        while copy(from: console, to: .standardOutput) {
            var fds = [console.rawValue]
            var events: [Int16] = [1]
            var ready: [Int16] = [0]
            if cl_poll(&fds, &events, &ready, 1, 0) <= 0 || ready[0] & 1 == 0 { return }
        }
    }
}
