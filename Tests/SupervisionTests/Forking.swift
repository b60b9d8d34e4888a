import CLinux
import Glibc
import Linux

/// Swift hides fork(2). Tests need it: a supervisor takes over the signals and children of its whole process.
///
/// The test process has threads, so the child must not wait for anything they hold. glibc's fork keeps malloc usable, and
/// what the children here do has run without a hang in thousands of rounds.
private let fork: @convention(c) () -> Int32 = {
    // SAFETY: fork has this type.
    unsafeBitCast(dlsym(UnsafeMutableRawPointer(bitPattern: 0), "fork"), to: (@convention(c) () -> Int32).self)
}()

/// Runs `body` in a child, whose exit status it returns. - Returns: the child's pid.
func forkChild(_ body: () -> Int32) -> Int32 {
    let pid = fork()
    if pid == 0 {
        // A child that hangs is ended by the kernel.
        alarm(60)
        _exit(body())
    }
    return pid
}

func inChild(_ body: () -> Int32) -> Linux.ExitStatus? {
    let pid = forkChild(body)
    return (try? waitForProcess(pid))??.status
}
