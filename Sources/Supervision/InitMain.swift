import CLinux
import Glibc
import Linux

/// `berth-runtime init -- PROGRAM ARGUMENT…`: PID 1 of a container with `--init`.
///
/// Starts the program as its child in a process group of its own, passes signals on to it, reaps orphans, and ends as the
/// program ends. - Parameter arguments: what follows `init`; a leading `--` is dropped.
/// - Returns: the program's exit code, 128 + its signal, 127 or 126 when it cannot be started.
public func initMain(arguments: [String]) -> Int32 {
    let command = arguments.first == "--" ? Array(arguments.dropFirst()) : arguments
    guard let name = command.first else {
        try? FD.standardError.writeAll("init: a program is needed\n")
        return 125
    }
    // Orphans come to us also where we are not PID 1 (the host's pid namespace).
    _ = cl_prctl(36 /* PR_SET_CHILD_SUBREAPER */, 1, 0, 0, 0)
    // Blocked before the child exists: none that is meant for it is lost.
    var mask = UInt64.max
    for signal in [SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS] { mask &= ~(1 << UInt64(signal - 1)) }
    _ = cl_signal_mask(mask, nil)
    guard let path = findProgram(name) else {
        // There, but not for us to execute: 126 as without an init.
        let isThere = name.utf8.contains(UInt8(ascii: "/")) && FD.cwd.exists(name)
        let cause = Errno(rawValue: isThere ? EACCES : ENOENT).description
        try? FD.standardError.writeAll("init: execute \"\(name)\": \(cause)\n")
        return isThere ? 126 : 127
    }
    let argv = CStringArray(command)
    let envp = CStringArray(currentEnvironment())
    let child = cl_fork()
    if child == 0 { becomeProgram(path, argv, envp) }
    guard child > 0 else {
        try? FD.standardError.writeAll("init: start \"\(name)\": \(Errno(rawValue: -child).description)\n")
        return 126
    }
    return serve(child, mask)
}

/// In the child: default signals, own process group in the foreground of the terminal, execve.
private func becomeProgram(_ path: String, _ argv: CStringArray, _ envp: CStringArray) -> Never {
    setpgid(0, 0)
    // While SIGTTOU is still blocked: a background group may not take the terminal.
    if cl_isatty(0) == 1 { tcsetpgrp(0, getpid()) }
    cl_signal_default_all()
    let result = cl_execve(path, argv.pointer, envp.pointer)
    try? FD.standardError.writeAll("init: execute \"\(path)\": \(Errno(rawValue: -result).description)\n")
    _exit(result == -ENOENT ? 127 : 126)
}

private func serve(_ child: Int32, _ mask: UInt64) -> Int32 {
    let signals = cl_signalfd(-1, mask, 0)
    var code: Int32?
    cl_release_idle_memory()
    while true {
        let signal = withUnsafeTemporaryAllocation(byteCount: 128, alignment: 8) { buffer -> Int32 in
            guard cl_read(signals, buffer.baseAddress, 128) == 128 else { return SIGCHLD }
            return Int32(bitPattern: buffer.load(as: UInt32.self))
        }
        if signal != SIGCHLD {
            _ = cl_kill(child, signal)
            continue
        }
        while let ended = try? waitForProcess(-1, options: WNOHANG) {
            if ended.pid == child { code = ended.status.code }
        }
        // The kernel ends whoever is left when PID 1 goes.
        if let code { return code }
    }
}
