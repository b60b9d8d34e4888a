import Glibc

/// Adds up what trees take on disk, as du(1) does: blocks, not sizes, and a file of several names once.
///
/// Neither follows links nor crosses into other mounts. What vanishes meanwhile, or may not be read, is not counted.
public struct SpaceCounter {
    private struct File: Hashable {
        var device: UInt64
        var inode: UInt64
    }

    /// Files of several names that were counted.
    private var known: Set<File> = []

    public init() {}

    /// Bytes that `name` and everything below it takes; 0 when it is not there.
    ///
    /// - Parameter name: one path component.
    public mutating func bytes(of name: String, in parent: FD) -> Int64 {
        let name = Array(name.utf8) + [0]
        guard let info = try? parent.status(named: name) else { return 0 }
        var total = count(info)
        guard info.st_mode & S_IFMT == S_IFDIR, let top = try? DirectoryStream(named: name, in: parent) else {
            return total
        }
        // One open directory for each level.
        var stack = [top]
        while let current = stack.last {
            guard let entry = (try? current.next()) ?? nil else {
                stack.removeLast()
                continue
            }
            guard let entryInfo = try? current.directory.fd.status(named: entry), entryInfo.st_dev == info.st_dev else {
                continue
            }
            total += count(entryInfo)
            if entryInfo.st_mode & S_IFMT == S_IFDIR,
                let child = try? DirectoryStream(named: entry, in: current.directory.fd)
            {
                stack.append(child)
            }
        }
        return total
    }

    private mutating func count(_ info: stat) -> Int64 {
        if info.st_nlink > 1, info.st_mode & S_IFMT != S_IFDIR {
            let file = File(device: UInt64(info.st_dev), inode: UInt64(info.st_ino))
            if !known.insert(file).inserted { return 0 }
        }
        return Int64(info.st_blocks) * 512
    }
}
