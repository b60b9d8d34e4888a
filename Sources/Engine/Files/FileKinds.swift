import Glibc
import Linux

extension stat {
    public var isDirectory: Bool { st_mode & S_IFMT == S_IFDIR }
    var isSymbolicLink: Bool { st_mode & S_IFMT == S_IFLNK }
    var isDevice: Bool { st_mode & S_IFMT == S_IFCHR || st_mode & S_IFMT == S_IFBLK }
}

extension FD {
    func isDirectory() throws(SystemError) -> Bool { try status().isDirectory }
    func isSymbolicLink() throws(SystemError) -> Bool { try status().isSymbolicLink }

    /// Which mount the file is reached by. From procfs, as older kernels have no other way (statx(2) since 5.8).
    func mountID() throws(SystemError) -> Int {
        let text = try FD.cwd.readText("/proc/self/fdinfo/\(rawValue)", limit: 65536)
        for line in text.split(separator: "\n") where line.hasPrefix("mnt_id:") {
            if let number = Int(line.dropFirst(7).filter { $0 != " " && $0 != "\t" }) { return number }
        }
        throw SystemError(.io, "read mount of descriptor")
    }
}
