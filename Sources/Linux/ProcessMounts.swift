import CLinux
import Glibc

/// A detached copy of a mount that another process sees: the kernel clones only mounts of the caller's own mount namespace, so
/// a child enters the other's and hands over the descriptor.
///
/// The child makes system calls only, and cannot be traced by what runs there. The caller has one thread.
/// - Parameters:
///   - process: a pidfd.
///   - path: absolute, in the root of that process's mount namespace, without symbolic links: whoever is in there could have
///     put one in its place. `/` is the root.
///   - enteringUserNamespace: without privilege over that mount namespace: enter the user namespace that owns it first.
///   - recursive: take the mounts below along.
public func cloneMount(
    ofProcess process: FD, _ path: String, enteringUserNamespace: Bool, recursive: Bool
) throws(SystemError) -> OwnedFD {
    let pair = try makeSocketPair(.sequencedPacket).take()
    let ours = OwnedFD(owning: pair.first)
    let theirs = OwnedFD(owning: pair.second)
    let name = CStringArray([path])
    let kinds: Int32 = 0x0002_0000 /* CLONE_NEWNS */ | (enteringUserNamespace ? 0x1000_0000 /* CLONE_NEWUSER */ : 0)
    // O_PATH; RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS
    let (flags, resolve): (UInt64, UInt64) = (0o10000000, 0x10 | 0x02 | 0x04)
    // OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH (| AT_RECURSIVE)
    let cloning: UInt32 = 1 | 0o2000000 | 0x1000 | (recursive ? 0x8000 : 0)
    let child = try check(cl_clone3(0, UInt64(SIGCHLD), nil, -1), "clone")
    if child == 0 {
        // Only system calls from here on.
        _ = cl_prctl(4 /* PR_SET_DUMPABLE */, 0, 0, 0, 0)
        var number = cl_setns(process.rawValue, kinds)
        if number >= 0 { number = cl_openat(AT_FDCWD, "/", 0o10000000, 0) }
        if number >= 0 { number = cl_openat2(number, name.pointer[0], flags, 0, resolve) }
        if number >= 0 { number = cl_open_tree(number, "", cloning) }
        var answer = UInt8(truncatingIfNeeded: number < 0 ? -number : 0)
        _ = cl_sendmsg_fds(theirs.raw, &answer, 1, &number, answer == 0 ? 1 : 0, 0)
        _exit(0)
    }
    close(theirs)
    let answer = try? ours.fd.receive(limit: 16)
    _ = try? waitForProcess(child)
    if let number = answer?.bytes.first, number != 0 {
        throw SystemError(Errno(rawValue: Int32(number)), "clone mount of process", path)
    }
    guard let copy = answer?.descriptors.first else { throw SystemError(.io, "clone mount of process", path) }
    return try copy.fd.duplicate()
}
