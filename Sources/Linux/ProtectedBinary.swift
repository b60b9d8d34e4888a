import CLinux

/// Opens a program on a read-only clone of the mount it lies on, for `execveat(2)`.
///
/// A container that gets hold of the running program's inode through `/proc/PID/exe` cannot write to it: the mount is
/// read-only and belongs to no mount namespace in which anybody could change that (CVE-2019-5736).
/// - Throws: `.notPermitted` without CAP_SYS_ADMIN.
public func openProtected(_ path: String) throws(SystemError) -> ProtectedBinary {
    guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { throw SystemError(.invalid, "open", path) }
    // The directory, not the file: a mount whose root is the file itself could be named by a descriptor of the file.
    let mount = try cloneMount(.cwd, slash == path.startIndex ? "/" : String(path[..<slash]))
    try setMountAttributes(mount.fd, set: .readOnly)
    // The last close of a detached mount waits for a grace period (6 ms); another process shall do that.
    let helper = cl_defer_close(mount.raw)
    return ProtectedBinary(
        file: try mount.fd.open(String(path[path.utf8.index(after: slash)...]), [.readOnly, .noFollow]), helper: helper)
}

/// What ``openProtected(_:)`` opens.
public struct ProtectedBinary: ~Copyable {
    /// For execveat(2).
    public let file: OwnedFD
    /// A child that gives the mount back after our execve or end; only `__WALL` waits for it. Negative: there is none.
    public let helper: Int32

    /// Only the file; its owner ends soon and leaves the helper to whoever reaps orphans.
    public consuming func takeFile() -> OwnedFD { file }
}

/// Reaps the helper of a ``ProtectedBinary``.
public func reapProtectionHelper(_ pid: Int32) {
    _ = try? waitForProcess(pid, options: 0x4000_0000 /* __WALL */)
}
