import CLinux
import Glibc

/// A user namespace that exists only as a descriptor: its one process ends once the maps are written.
public func makeMappingNamespace(users: [IDMapping], groups: [IDMapping]) throws(SystemError) -> SharedFD {
    let pipe = try makePipe().take()
    let writer = SharedFD(owning: pipe.second)
    let reader = SharedFD(owning: pipe.first)
    let pid = try check(cl_clone3(0x1000_0000 /* CLONE_NEWUSER */, UInt64(SIGCHLD), nil, -1), "clone")
    if pid == 0 {
        // Ends when the creator closes its side, or ends.
        _ = cl_close(writer.raw)
        var byte: UInt8 = 0
        _ = cl_read(reader.raw, &byte, 1)
        _exit(0)
    }
    defer {
        _ = cl_kill(pid, 9)
        _ = try? waitForProcess(pid)
    }
    try writeIDMaps(pid, users: users, groups: groups)
    return SharedFD(try FD.cwd.open("/proc/\(pid)/ns/user", .readOnly))
}
