import CLinux
import Glibc

/// The mounts in this process's mount namespace that are attached below a directory, in the order of `/proc/self/mountinfo`.
///
/// - Parameter directory: without links in it, and without a slash at its end.
/// - Returns: a path for each mount; of mounts on top of each other, the same path again.
public func mountPoints(below directory: String) throws(SystemError) -> [String] {
    let text = try FD.cwd.readFile("/proc/self/mountinfo", limit: 64 << 20)
    let prefix = Array(directory.utf8) + [UInt8(ascii: "/")]
    var result: [String] = []
    for line in text.split(separator: 10) {
        // proc_pid_mountinfo(5): id parent major:minor root mountpoint …
        let fields = line.split(separator: 32, maxSplits: 5)
        guard fields.count > 5 else { continue }
        let point = unescapeMountField(fields[4])
        if point.starts(with: prefix) { result.append(String(decoding: point, as: UTF8.self)) }
    }
    return result
}

/// Undoes mountinfo's octal escapes (`\040` is a blank).
public func unescapeMountField(_ field: ArraySlice<UInt8>) -> [UInt8] {
    var out: [UInt8] = []
    var index = field.startIndex
    while index < field.endIndex {
        let digits = field[(index + 1)...].prefix(3)
        if field[index] == 92, digits.count == 3, digits.allSatisfy({ $0 >= 48 && $0 < 56 }) {
            out.append(digits.reduce(0) { $0 &* 8 &+ ($1 - 48) })
            index += 4
        } else {
            out.append(field[index])
            index += 1
        }
    }
    return out
}

extension FD {
    /// Which mount the file is reached by. From procfs, as older kernels have no other way (statx(2) since 5.8).
    public func mountID() throws(SystemError) -> Int {
        let text = try FD.cwd.readText("/proc/self/fdinfo/\(rawValue)", limit: 65536)
        for line in text.split(separator: "\n") where line.hasPrefix("mnt_id:") {
            if let number = Int(line.dropFirst(7).filter { $0 != " " && $0 != "\t" }) { return number }
        }
        throw SystemError(.io, "read mount of descriptor")
    }
}

/// The root of what is mounted at a path; nil where there is no mount, or nothing at all.
public func openMountRoot(_ path: String) throws(SystemError) -> OwnedFD? {
    let root: OwnedFD
    do throws(SystemError) { root = try FD.cwd.open(path, [.path, .directory, .noFollow]) } catch {
        if error.errno == .noEntry || error.errno == .notDirectory { return nil }
        throw error
    }
    let parent = try root.fd.open("..", [.path, .directory])
    if try root.fd.mountID() == parent.fd.mountID() { return nil }
    return root
}

/// Detaches the topmost mount at a path, which is not followed where it is a link. The C function is `umount2(2)`.
///
/// - Parameter lazily: also while files of it are in use (MNT_DETACH).
/// - Throws: `.busy` while they are; `.invalid` where nothing is mounted.
public func unmount(_ path: String, lazily: Bool) throws(SystemError) {
    try check(cl_umount2(path, 8 /* UMOUNT_NOFOLLOW */ | (lazily ? 2 : 0)), "unmount", path)
}
