import CLinux
import Glibc
import Linux

extension Supervisor {
    /// Children that end wake the loop; all other signals are read and forgotten.
    package func watchSignals(_ signals: SharedFD) throws(SystemError) {
        _ = try loop.add(signals.fd, .readable) { [unowned self] _ in
            // struct signalfd_siginfo has 128 bytes. Several children may hide behind one SIGCHLD.
            withUnsafeTemporaryAllocation(byteCount: 128 * 8, alignment: 8) { buffer in
                while cl_read(signals.raw, buffer.baseAddress, buffer.count) == buffer.count {}
            }
            reap()
        }
    }
}
