import CLinux
import Control
import Glibc
import Linux
import Store

/// A container's files, as its programs see them: their mounts while it runs, mounts made for this command otherwise.
final class ContainerTree {
    /// The root directory.
    let root: SharedFD
    let ids: IDTranslation
    let isRootReadOnly: Bool
    /// Where it is mounted for this command; nil: in no namespace.
    private let place: String?
    /// Held while the writable layer is mounted here: no start may mount it too.
    private let lock: SharedFD?

    init(root: SharedFD, ids: IDTranslation, isRootReadOnly: Bool, place: String? = nil, lock: SharedFD? = nil) {
        (self.root, self.ids, self.isRootReadOnly, self.place, self.lock) = (root, ids, isRootReadOnly, place, lock)
    }

    deinit {
        // Before the lock goes, which the next start takes.
        if let place { try? detachMount(place) }
    }

    /// - Throws: Docker's sentences for what nothing may be copied to.
    func requireWritable(_ directory: FD) throws(EngineError) {
        let (isRoot, isReadOnly) = try during("look at mount") { () throws(SystemError) -> (Bool, Bool) in
            var (type, block, blocks, free, flags): (Int64, Int64, Int64, Int64, Int64) = (0, 0, 0, 0, 0)
            try check(cl_fstatfs(directory.rawValue, &type, &block, &blocks, &free, &flags), "stat file system")
            return (try directory.mountID() == root.fd.mountID(), flags & 1 /* ST_RDONLY */ != 0)
        }
        if isRoot, isRootReadOnly || isReadOnly { throw .invalid("container rootfs is marked read-only") }
        if isReadOnly { throw .invalid("mounted volume is marked read-only") }
    }
}
