import CLinux
import Glibc
import Linux

/// Visits all cgroups below a directory.
///
/// The container may have made them, so depth and number are its choice: there is no recursion, only one descriptor is
/// open at a time, and no path grows with the depth (a path longer than 4096 bytes would be out of reach).
enum CgroupWalk {
    /// - Parameters:
    ///   - enter: given each cgroup below `root`, before those below it.
    ///   - leave: given its parent and its name, after those below it.
    static func run(_ root: FD, enter: (FD) -> Void = { _ in }, leave: (FD, String) -> Void = { _, _ in }) {
        guard var current = openDirectory(root, ".") else { return }
        var levels = [names(current.fd)]
        var path: [String] = []
        while let level = levels.indices.last {
            if let name = levels[level].popLast() {
                guard let child = openDirectory(current.fd, name) else { continue }
                enter(child.fd)
                levels.append(names(child.fd))
                path.append(name)
                current = child
            } else {
                levels.removeLast()
                guard let name = path.popLast(), let parent = openDirectory(current.fd, "..") else { return }
                current = parent
                leave(parent.fd, name)
            }
        }
    }

    private static func openDirectory(_ parent: FD, _ name: String) -> SharedFD? {
        let opened = cl_openat(parent.rawValue, name, O_RDONLY | O_DIRECTORY | OpenFlags.noFollow.rawValue, 0)
        return opened < 0 ? nil : SharedFD(owning: opened)
    }

    private static func names(_ directory: FD) -> [String] {
        let entries = (try? directoryEntries(directory)) ?? []
        return entries.filter { $0.type == UInt8(DT_DIR) }.map(\.name)
    }
}
