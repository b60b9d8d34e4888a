import CLinux
import Glibc

/// The network namespace of the calling thread, to come back to and to give to others.
public func currentNetworkNamespace() throws(SystemError) -> OwnedFD {
    try FD.cwd.open("/proc/thread-self/ns/net", .readOnly)
}

/// A namespace of a process.
///
/// - Parameter name: as in `/proc/PID/ns`: `net`, `mnt`, `user`.
/// - Throws: EACCES for a process whose credentials are not the caller's (ptrace(2), access mode checking).
public func openNamespace(_ name: String, of pid: Int32) throws(SystemError) -> SharedFD {
    SharedFD(try FD.cwd.open("/proc/\(pid)/ns/\(name)", .readOnly))
}

/// Does something in another network namespace and comes back, whatever happens there. What is opened meanwhile (sockets, files
/// of /proc/sys/net) stays in that namespace.
///
/// Only for the calling thread. Needs CAP_SYS_ADMIN in the user namespaces that own both. C function: `setns(2)`.
/// - Parameter home: the namespace the thread is in, as ``currentNetworkNamespace()`` gave it.
public func withNetworkNamespace<T: ~Copyable>(
    _ namespace: FD, home: FD, _ body: () throws(SystemError) -> T
) throws(SystemError) -> T {
    // First to where we are: if that is forbidden, the way back would be too.
    try check(cl_setns(home.rawValue, 0x4000_0000 /* CLONE_NEWNET */), "enter network namespace", "of this process")
    try check(cl_setns(namespace.rawValue, 0x4000_0000), "enter network namespace")
    defer {
        // A process that would go on in the wrong namespace would do its work to somebody else's network.
        if cl_setns(home.rawValue, 0x4000_0000) < 0 { abort() }
    }
    return try body()
}
