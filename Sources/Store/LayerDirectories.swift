import CLinux
import Glibc
import Linux

/// The directories of a layer being unpacked, as descriptors.
///
/// A path's directory is resolved once (`openat2` inside the layer, so links of the layer cannot lead out) and its
/// descriptor kept while it is in use, so that a file costs no path walk.
final class LayerDirectories {
    let root: SharedFD
    private var open: [[UInt8]: SharedFD] = [:]
    private var order: [[UInt8]] = []
    private var lastPath: [UInt8] = []
    private var last: SharedFD
    /// Directories that had to be made because something in them came before them (or without them).
    private(set) var implied: [[UInt8]] = []
    /// Told when a directory takes the place of a whiteout: it must hide what lower layers have in theirs.
    var onReplacedWhiteout: (SharedFD, _ name: [UInt8]) throws(StoreError) -> Void = { _, _ in }

    private static let capacity = 64
    private static let openFlags = UInt64(UInt32(bitPattern: O_RDONLY | 0o200000))
    // RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV
    private static let resolve: UInt64 = 0x10 | 0x02 | 0x01

    init(root: SharedFD) {
        self.root = root
        last = root
    }

    /// The directory `path` (empty: the root), made with its parents where it is missing.
    func directory(_ path: [UInt8], create: Bool = true) throws(StoreError) -> SharedFD {
        if path == lastPath { return last }
        if path.isEmpty { return remember(path, root) }
        if let known = open[path] { return remember(path, known) }
        var result = lookUp(path)
        if result == -ENOENT || result == -ENOTDIR, create {
            try makeMissing(path)
            result = lookUp(path)
        }
        guard result >= 0 else {
            switch result {
            case -ENOTDIR, -ELOOP, -EXDEV: throw layerFailure(.corrupt, path, "a directory of the path is none")
            case -ENOENT where !create: throw layerFailure(.notFound, path, "no such file or directory")
            default: throw layerFailure(.system, path, Errno(rawValue: -result).description)
            }
        }
        let directory = SharedFD(owning: result)
        if order.count >= LayerDirectories.capacity { open.removeValue(forKey: order.removeFirst()) }
        open[path] = directory
        order.append(path)
        return remember(path, directory)
    }

    /// Forgets all descriptors: a directory or a link on somebody's path was replaced.
    func forget() {
        open.removeAll()
        order.removeAll()
        lastPath = []
        last = root
    }

    private func remember(_ path: [UInt8], _ directory: SharedFD) -> SharedFD {
        lastPath = path
        last = directory
        return directory
    }

    private func lookUp(_ path: [UInt8]) -> Int32 {
        withName(path + [0]) {
            cl_openat2(root.raw, $0, LayerDirectories.openFlags, 0, LayerDirectories.resolve)
        }
    }

    private func makeMissing(_ path: [UInt8]) throws(StoreError) {
        var end = 0
        var parent = root
        while end < path.count {
            let start = end
            while end < path.count, path[end] != UInt8(ascii: "/") { end += 1 }
            let prefix = Array(path[..<end])
            var opened = lookUp(prefix)
            if opened == -ENOENT || opened == -ENOTDIR {
                let name = Array(path[start..<end]) + [0]
                var made = withName(name) { cl_mkdirat(parent.raw, $0, 0o755) }
                if made == -EEXIST, isWhiteout(parent, name) {
                    made = withName(name) {
                        _ = cl_unlinkat(parent.raw, $0, 0); return cl_mkdirat(parent.raw, $0, 0o755)
                    }
                    if made == 0 { try onReplacedWhiteout(parent, name) }
                }
                if made == -EEXIST { throw layerFailure(.corrupt, prefix, "a directory of the path is none") }
                guard made == 0 else { throw layerFailure(.system, prefix, Errno(rawValue: -made).description) }
                implied.append(prefix)
                opened = lookUp(prefix)
            }
            guard opened >= 0 else {
                throw layerFailure(
                    opened == -ELOOP || opened == -EXDEV ? .corrupt : .system, prefix, Errno(rawValue: -opened).description)
            }
            parent = SharedFD(owning: opened)
            end += 1
        }
    }

    /// Whether a name is overlay's mark for "hidden": a character device 0:0.
    func isWhiteout(_ parent: SharedFD, _ name: [UInt8]) -> Bool {
        var information = stat()
        let result = withName(name) { cl_fstatat(parent.raw, $0, &information, AT_SYMLINK_NOFOLLOW) }
        return result == 0 && isWhiteoutNode(information)
    }
}

func isWhiteoutNode(_ information: stat) -> Bool {
    information.st_mode & S_IFMT == S_IFCHR && information.st_rdev == 0
}
