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

    /// The kernel clones only mounts of the caller's own mount namespace: a child enters the other's and hands over the
    /// descriptor. Without privilege here it must have that of the user namespace which owns those mounts.
    private func cloneForeign(_ pid: Int32, _ path: String) throws(SystemError) -> OwnedFD {
        let process = try openProcess(pid)
        let pair = try makeSocketPair(.sequencedPacket).take()
        let ours = OwnedFD(owning: pair.first)
        let theirs = OwnedFD(owning: pair.second)
        let child = try check(cl_clone3(0, UInt64(SIGCHLD), nil, -1), "clone")
        if child == 0 {
            do throws(SystemError) {
                // Not to be traced by what runs there.
                try check(cl_prctl(4 /* PR_SET_DUMPABLE */, 0, 0, 0, 0), "forbid tracing")
                let isPrivileged = !entersUserNamespace && hasCapability(21 /* CAP_SYS_ADMIN */)
                let kinds: Int32 = 0x0002_0000 | (isPrivileged ? 0 : 0x1000_0000)
                try check(cl_setns(process.raw, kinds), "enter mount namespace of process", "\(pid)")
                let root = try FD.cwd.open("/", [.path, .directory])
                // The container could have put a link there.
                let source = try root.fd.open(inRoot: path, .path, resolve: .noSymlinks)
                let copy = try cloneMount(source.fd, recursive: options.recursiveBind)
                try theirs.fd.send([0], descriptors: [copy.fd])
                _exit(0)
            } catch {
                try? theirs.fd.send([UInt8(truncatingIfNeeded: error.errno.rawValue)])
                _exit(1)
            }
        }
        close(theirs)
        let answer = try? ours.fd.receive(limit: 16)
        _ = try? waitForProcess(child)
        if let number = answer?.bytes.first, number != 0 {
            throw SystemError(Errno(rawValue: Int32(number)), "clone mount of process \(pid)", path)
        }
        guard let copy = answer?.descriptors.first else { throw SystemError(.io, "clone mount of process \(pid)", path) }
        return try copy.fd.duplicate()
    }
}
