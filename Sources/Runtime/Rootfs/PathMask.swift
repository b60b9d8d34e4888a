import CLinux
import Glibc
import Linux

/// Hides paths of the container: files behind the host's `/dev/null`, directories behind an empty read-only tmpfs.
///
/// The source of the mask is opened on the host and verified to be the null device: what the image calls `/dev/null`
/// may be a link to something worth writing to (CVE-2025-31133).
struct PathMask {
    let root: RootfsPath
    let plan: InitPlan

    func apply(_ paths: [String]) throws(RuntimeError) {
        if paths.isEmpty { return }
        try kernel("mask path") { () throws(SystemError) in
            var null: SharedFD?
            var empty: SharedFD?
            for path in paths {
                let target: OwnedFD
                do throws(SystemError) { target = try root.open(path) } catch {
                    // What does not exist needs no mask.
                    if error.errno == .noEntry || error.errno == .notDirectory { continue }
                    throw error
                }
                let cover: OwnedFD
                if try target.fd.status().st_mode & S_IFMT == S_IFDIR {
                    if let empty {
                        cover = try cloneMount(empty.fd)
                    } else {
                        // The first is attached itself: closing a mount that was never attached waits for a grace
                        // period of all processors (6 ms).
                        let source = SharedFD(try Self.emptyDirectory())
                        cover = try source.fd.duplicate()
                        empty = source
                    }
                } else {
                    let source: SharedFD
                    if let null { source = null } else { source = try Self.nullDevice() }
                    null = source
                    cover = try cloneMount(source.fd)
                }
                try moveMount(cover.fd, to: target.fd)
            }
        }
    }

    private static func nullDevice() throws(SystemError) -> SharedFD {
        let null = try FD.cwd.open("/dev/null", [.path, .noFollow])
        let info = try null.fd.status()
        guard info.st_mode & S_IFMT == S_IFCHR, info.st_rdev == cl_makedev(1, 3) else {
            throw SystemError(.noDevice, "verify null device", "/dev/null")
        }
        return SharedFD(null)
    }

    /// One tmpfs for all masked directories of the container.
    private static func emptyDirectory() throws(SystemError) -> OwnedFD {
        let context = try FileSystemContext("tmpfs")
        try context.set("size", "0")
        try context.set("nr_inodes", "1")
        try context.set("mode", "755")
        return try context.mount(attributes: [.readOnly, .noSetuid, .noDevices, .noExecute])
    }
}
