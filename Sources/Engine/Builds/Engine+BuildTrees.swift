import Archive
import CLinux
import Glibc
import Linux
import Store

/// What builds need of a store and of the kernel, beside steps that run.
extension Engine {
    /// A session on a store of its own: builds use it from several threads.
    public func makeBuildSession() throws(EngineError) -> BuildSession {
        try roots.prepare()
        // Overlays can be mounted where the mount namespace belongs to the user namespace; nothing is opened of the store before.
        if Engine.isHelper || isInsideUserNamespace { try enterPrivateMounts() }
        return try stored { () throws(StoreError) in
            let store = try Store(path: roots.store, isInUserNamespace: host.isRootless ? true : nil)
            store.chooseLayerFormat = { [unowned store] () throws(StoreError) in try LayerFormatChoice.choose(for: store) }
            return try BuildSession(store)
        }
    }

    /// Layers as one tree, seen by nobody else: an overlay that is mounted nowhere.
    ///
    /// - Parameters:
    ///   - layers: absolute paths, topmost first; none at all is what was written so far.
    ///   - step: where what is written goes; nil: nothing is written.
    /// - Returns: its root directory; nil for no layers and no step.
    public func mountTree(_ layers: [String], writingTo step: StepDirectory?) throws(EngineError) -> SharedFD? {
        try during("mount layers") { () throws(SystemError) -> SharedFD? in
            guard let lowest = layers.last else {
                return try step.map { (step) throws(SystemError) in
                    SharedFD(try FD.cwd.open(step.upper, [.path, .directory, .noFollow]))
                }
            }
            // Overlay wants two lower layers where there is none above.
            if step == nil, layers.count == 1 {
                return SharedFD(try ErofsLayer.isIndex(lowest) ? ErofsLayer.mount(lowest) : cloneMount(.cwd, lowest))
            }
            let overlay = OverlayRootfs(
                lower: layers, upper: step?.upper ?? "", work: step?.work ?? "", userXattr: host.isRootless || isInsideUserNamespace,
                volatile: step != nil)
            return SharedFD(try overlay.mount())
        }
    }

    /// Opens a path in a tree as its programs would see it: no link leads out of it.
    ///
    /// - Returns: O_PATH; nil when it is not there.
    public func open(_ path: String, in tree: SharedFD) throws(EngineError) -> SharedFD? {
        do throws(SystemError) { return SharedFD(try tree.fd.open(inRoot: path, .path)) } catch {
            if error.errno == .noEntry || error.errno == .notDirectory { return nil }
            throw EngineError("open", path, error)
        }
    }

    /// The ids of an owner as `--chown` and USER name it.
    ///
    /// - Parameters:
    ///   - text: `user`, `user:group`, names or numbers.
    ///   - layers: whose /etc/passwd and /etc/group count, topmost first.
    /// - Throws: Docker's sentence for an unknown name.
    public func owner(_ text: String, in layers: [String]) throws(EngineError) -> (uid: UInt32, gid: UInt32) {
        let user = try users(of: layers, needed: text).resolve(text)
        return (user.uid, user.gid)
    }
}

extension Engine {
    /// The directory of a cache mount of builds (`RUN --mount=type=cache`), made where it is missing.
    ///
    /// - Parameters:
    ///   - id: any text.
    ///   - sharing: `shared`; `locked`: waits until no other step has it; `private`: another directory where one has.
    ///   - mode: of a new one, with its owner.
    /// - Returns: its absolute path, and what holds it: for as long as it is used.
    public func cacheDirectory(
        id: String, sharing: String, mode: UInt32, uid: UInt32, gid: UInt32
    ) throws(EngineError) -> (path: String, lock: SharedFD?) {
        let parent = roots.store + "/cache-mounts"
        return try during("make directory of cache mount", id) { () throws(SystemError) in
            try FD.cwd.makeDirectories(parent, mode: 0o700)
            for number in 0..<1000 {
                let name = SHA256.hex(Array(id.utf8)) + (number == 0 ? "" : ".\(number)")
                let path = parent + "/" + name
                let lock = SharedFD(try FD.cwd.open(path + ".lock", [.readWrite, .create, .noFollow], mode: 0o600))
                switch sharing {
                case "locked": try lock.fd.lock(.exclusive)
                case "private": if try !lock.fd.tryLock(.exclusive) { continue }
                default: try lock.fd.lock(.shared)
                }
                let made = cl_mkdirat(AT_FDCWD, path, 0o700)
                if made != -EEXIST {
                    try check(made, "make directory", path)
                    try check(cl_fchownat(AT_FDCWD, path, uid, gid, AT_SYMLINK_NOFOLLOW), "change owner", path)
                    let directory = try FD.cwd.open(path, [.directory, .noFollow])
                    try check(cl_fchmod(directory.raw, mode), "change mode", path)
                }
                return (path, lock)
            }
            throw SystemError(.busy, "find a free directory")
        }
    }
}
