import CLinux
import Glibc
import Linux

/// What a bind mount shows, from the path in config.json to a detached mount.
struct BindSource {
    let path: String
    let options: MountOptions
    /// The caller's capabilities do not reach the mounts of other user namespaces.
    let entersUserNamespace: Bool

    init(_ path: String, _ options: MountOptions, entersUserNamespace: Bool = false) {
        self.path = path
        self.options = options
        self.entersUserNamespace = entersUserNamespace
    }

    /// `/proc/PID/root/…`: a mount of another process's mount namespace, which cannot be cloned from outside of it.
    var isForeign: Bool { foreign != nil }

    private var foreign: (pid: Int32, path: String)? {
        guard path.utf8.starts(with: "/proc/".utf8) else { return nil }
        let parts = path.split(separator: "/", maxSplits: 3, omittingEmptySubsequences: false).dropFirst(2)
        guard let pid = parts.first.flatMap({ Int32($0) }), pid > 0, let rest = parts.last,
            rest.utf8.starts(with: "root/".utf8)
        else { return nil }
        return (pid, String(rest.dropFirst(4)))
    }

    /// A detached copy of the mount.
    ///
    /// A subpath is resolved by the kernel in one step below the opened source: no `..` and no link in it leads out, and
    /// whatever is renamed meanwhile, what was opened is what gets mounted (CVE-2017-1002101 class).
    func clone() throws(SystemError) -> OwnedFD {
        if let foreign { return try cloneForeign(foreign.pid, foreign.path) }
        let source = try FD.cwd.open(path, .path)
        if options.subpath.isEmpty { return try cloneMount(source.fd, recursive: options.recursiveBind) }
        let below = try source.fd.open(options.subpath, .path, resolve: [.beneath, .noMagicLinks])
        return try cloneMount(below.fd, recursive: options.recursiveBind)
    }

    /// Without privilege here the caller must have that of the user namespace which owns those mounts.
    private func cloneForeign(_ pid: Int32, _ path: String) throws(SystemError) -> OwnedFD {
        let process = try openProcess(pid)
        let isPrivileged = !entersUserNamespace && hasCapability(21 /* CAP_SYS_ADMIN */)
        return try cloneMount(
            ofProcess: process.fd, path, enteringUserNamespace: !isPrivileged, recursive: options.recursiveBind)
    }
}
