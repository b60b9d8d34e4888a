import CLinux
import Glibc
import Linux

/// A terminal in raw mode, put back as it was when this is dropped.
package struct RawTerminal: ~Copyable {
    private let terminal: FD
    private var saved: termios

    /// - Returns: nil when `terminal` is none.
    package init?(_ terminal: FD) {
        guard cl_isatty(terminal.rawValue) == 1 else { return nil }
        var state = termios()
        guard tcgetattr(terminal.rawValue, &state) == 0 else { return nil }
        self.terminal = terminal
        saved = state
        enter()
    }

    /// Raw again, after a stop in between.
    func enter() {
        var raw = saved
        cfmakeraw(&raw)
        raw.c_cc.5 = 0  // VTIME
        raw.c_cc.6 = 1  // VMIN
        _ = tcsetattr(terminal.rawValue, TCSANOW, &raw)
    }

    /// As it was, until ``enter()``.
    func leave() {
        var state = saved
        // TCSADRAIN would wait for a terminal that ^S has stopped.
        _ = tcsetattr(terminal.rawValue, TCSANOW, &state)
    }

    deinit { leave() }
}

/// The size of a terminal; nil when it is none or does not know.
public func terminalSize(_ terminal: FD) -> (rows: UInt16, columns: UInt16)? {
    var rows: UInt16 = 0
    var columns: UInt16 = 0
    guard cl_winsize_get(terminal.rawValue, &rows, &columns) == 0, rows > 0, columns > 0 else { return nil }
    return (rows, columns)
}
