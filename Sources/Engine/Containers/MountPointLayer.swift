import CLinux
import Glibc
import Linux

/// The lowest layer of every container: the directories and empty files that the engine mounts on.
///
/// Images rarely have `/etc/resolv.conf` or `/sys`. Made in the writable layer of each container they would cost it
/// eight file system operations at start and again at removal (0.8 ms of a `run --rm`), and show up as changes. Below
/// the image they are there once and whatever the image has wins.
struct MountPointLayer {
    /// Changes with the content: a store may be used by two versions at once.
    private static let name = "mountpoints-1"
    private static let directories = ["dev", "proc", "sys", "etc"]
    private static let files = ["etc/hosts", "etc/hostname", "etc/resolv.conf"]

    let store: String

    /// Makes the layer unless it is there; appears by rename, so a killed command leaves no half of it.
    /// - Returns: its absolute path.
    func prepare() throws(SystemError) -> String {
        let path = store + "/" + Self.name
        if FD.cwd.exists(path) { return path }
        let staging = "\(path).\(getpid())"
        try FD.cwd.makeDirectory(staging, mode: 0o755)
        let root = try FD.cwd.open(staging, [.readOnly, .directory, .noFollow])
        for name in Self.directories { try root.fd.makeDirectory(name, mode: 0o755) }
        for name in Self.files { try root.fd.writeFile(name, [], mode: 0o644) }
        do throws(SystemError) { try FD.cwd.rename(staging, to: path, flags: 1 /* RENAME_NOREPLACE */) } catch {
            for name in Self.files { try? root.fd.removeFile(name) }
            for name in Self.directories { try? root.fd.removeDirectory(name) }
            try? FD.cwd.removeDirectory(staging)
            if error.errno != .exists { throw error }
        }
        return path
    }
}
