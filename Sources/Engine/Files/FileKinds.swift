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
}
