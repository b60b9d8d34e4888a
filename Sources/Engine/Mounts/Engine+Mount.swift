import CLinux
import Control
import Glibc
import Linux
import Store

/// Something of the store that is mounted where root can see it.
public struct MountedObject: Sendable {
    public var id: String
    public var names: [String]
    public var path: String

    public init(id: String, names: [String], path: String) {
        self.id = id
        self.names = names
        self.path = path
    }
}

/// `mount` and `unmount`: a container's files at a path of the host.
///
/// What is mounted, and how often, is what the kernel says: each further mount of a container lies on the one before, and each unmount
/// takes the topmost away. So there is nothing to be written down that a command could be killed before it writes it.
///
/// A container that runs and its mount show the same file system. One that does not run is mounted as a start would do it, and a start
/// takes what is mounted then: two overlays over one writable layer would not know of each other. To be called after
/// ``requireMounts(_:)``.
extension Engine {
    private var containerMounts: String { roots.run + "/mounts/containers" }

    /// - Returns: where its files are.
    public func mount(_ text: String) throws(EngineError) -> String {
        for _ in 0..<500 {
            let view = try settledContainer(text)
            if let path = try mount(view) { return path }
            usleep(20_000)
        }
        throw EngineError(.conflict, sentence: "container \(text) is being started, stopped or removed by another command", exitCode: 1)
    }

    /// Ordinary users have mounts only in namespaces of their own.
    ///
    /// - Throws: `.permission` with what to type.
    public func requireMounts(_ command: String) throws(EngineError) {
        guard host.isRootless else { return }
        throw EngineError(
            .permission,
            sentence: "only root can mount where others see it: type berth unshare, and berth \(command) in the shell that it starts")
    }

    /// - Returns: nil when another command has it in hand.
    private func mount(_ view: ContainerView) throws(EngineError) -> String? {
        let store = try self.store()
        let path = try stored { () throws(StoreError) in try store.makeContainerDirectory(view.id) }
        let directory = try during("open directory of container", view.id) { () throws(SystemError) in
            try FD.cwd.open(path, [.readOnly, .directory, .noFollow])
        }
        if view.hasProcess { return try mount(view, path) }
        // No start comes between our look and our mount. Let go of by whatever ends this.
        guard let lock = try acquireLock(directory.fd, view.id) else { return nil }
        // Removed, or started and its supervisor killed, since we looked.
        _ = try definition(of: view.id)
        if try observe(view.id, isOwner: true).isAliveProcess { return nil }
        let place = try mount(view, path)
        lock.release()
        return place
    }

    private func mount(_ view: ContainerView, _ path: String) throws(EngineError) -> String? {
        let place = ContainerFiles.mountPoint(run: roots.run, id: view.id)
        guard let tree = try files(of: view, path) else { return nil }
        try during("mount container", view.name) { () throws(SystemError) in try attach(tree.fd, at: place) }
        return place
    }

    /// What is mounted already, what its programs see, or its layers.
    private func files(of view: ContainerView, _ path: String) throws(EngineError) -> SharedFD? {
        if let mounted = try sharedRoot(of: view.id) { return mounted }
        if view.hasProcess {
            if isInsideUserNamespace {
                throw EngineError(
                    .conflict,
                    sentence: "container \(view.name) runs, and its files cannot be reached from in here: stop it, or use berth debug or "
                        + "berth cp outside", exitCode: 1)
            }
            return try runningTree(view, recursive: false)
        }
        let store = try self.store()
        let layers = try stored { () throws(StoreError) in try store.layerDirectories(container: view.id) }
        let ids = try idTranslation(view.definition)
        return try during("mount files of container", view.name) { () throws(SystemError) in
            try mountLayers(layers, path, ids, writable: true)
        }
    }

    /// A copy of what is mounted of a container where this process can see it; nil: nothing.
    func sharedRoot(of id: String) throws(EngineError) -> SharedFD? {
        try during("look for mount of container", id) { () throws(SystemError) in
            guard let root = try openMountRoot(ContainerFiles.mountPoint(run: roots.run, id: id)) else { return nil }
            return SharedFD(try cloneMount(root.fd))
        }
    }

    /// Puts a detached mount on a directory that is made where it is missing.
    func attach(_ mount: FD, at path: String) throws(SystemError) {
        try FD.cwd.makeDirectories(path, mode: 0o700)
        let place = try FD.cwd.open(path, [.path, .directory, .noFollow])
        try moveMount(mount, to: place.fd)
        // Below a shared mount it became shared too: what is mounted in it is nobody else's to see, least of all the container's.
        try setMountAttributes(mount, propagation: .private)
    }

    /// All containers that are mounted, whatever their state.
    public func mountedContainers() throws(EngineError) -> [MountedObject] {
        let mounted = try mounted(in: containerMounts)
        if mounted.isEmpty { return [] }
        return try containers().filter { mounted.contains($0.id) }.map {
            MountedObject(id: $0.id, names: [$0.name], path: ContainerFiles.mountPoint(run: roots.run, id: $0.id))
        }
    }

    /// Names of directories on which something is mounted, each as often as that is so.
    func mounted(in directory: String) throws(EngineError) -> [String] {
        try during("list mounts") { () throws(SystemError) in
            let opened: OwnedFD
            do throws(SystemError) { opened = try FD.cwd.open(directory, [.path, .directory]) } catch {
                if error.errno == .noEntry { return [] }
                throw error
            }
            let path = try FD.cwd.readLink(opened.fd.procPath)
            return try mountPoints(below: path).map { String($0.utf8.dropFirst(path.utf8.count + 1)) ?? "" }
                .filter { !$0.utf8.contains(0x2f) }
        }
    }

    /// Takes one mount of a container away, or with `force` all of them, also while their files are in use.
    ///
    /// - Returns: the container's id.
    public func unmount(_ text: String, force: Bool) throws(EngineError) -> String {
        let view: ContainerView
        do throws(EngineError) { view = try container(text) } catch {
            // Of a container that has been removed something may be left: of --rm, by a command that was killed.
            guard error.code == .notFound, text.utf8.count == 64, !text.utf8.contains(0x2f),
                try takeDown(ContainerFiles.mountPoint(run: roots.run, id: text))
            else { throw error }
            return text
        }
        try unmount(ContainerFiles.mountPoint(run: roots.run, id: view.id), force: force, "container \(view.name)")
        return view.id
    }

    /// - Parameter what: for messages.
    func unmount(_ path: String, force: Bool, _ what: String) throws(EngineError) {
        do throws(SystemError) {
            if force {
                guard try takeDownMounts(path) > 0 else { throw SystemError(.invalid, "unmount") }
            } else {
                try unmountWhenFree(path)
            }
            removePlace(path)
        } catch {
            switch error.errno {
            case .invalid, .noEntry: throw EngineError(.conflict, sentence: "\(what) is not mounted", exitCode: 1)
            case .busy:
                throw EngineError(
                    .conflict, sentence: "\(what) cannot be unmounted: a program uses files in \(path); end it, or use --force", exitCode: 1
                )
            default: throw EngineError("unmount", path, error)
            }
        }
    }

    /// Names for `unmount --all`: everything that is mounted, with what was left of containers that are gone.
    public func allMountedContainers() throws(EngineError) -> [String] {
        var seen: Set<String> = []
        return try mounted(in: containerMounts).filter { seen.insert($0).inserted }
    }

    // MARK: Taking down

    /// Whether a container's files are at a path of the host.
    func isMounted(_ id: String) -> Bool {
        let path = ContainerFiles.mountPoint(run: roots.run, id: id)
        return FD.cwd.exists(path) && (try? openMountRoot(path)) != nil
    }

    /// Nothing of a container that is removed stays mounted.
    func takeDownMounts(of id: String) {
        let path = ContainerFiles.mountPoint(run: roots.run, id: id)
        if FD.cwd.exists(path) { _ = try? takeDown(path) }
    }

    /// - Returns: whether anything was mounted.
    @discardableResult
    func takeDown(_ path: String) throws(EngineError) -> Bool {
        try during("unmount", path) { () throws(SystemError) in
            let count = try takeDownMounts(path)
            try? FD.cwd.removeDirectory(path)
            return count > 0
        }
    }

    private func takeDownMounts(_ path: String) throws(SystemError) -> Int {
        var count = 0
        while true {
            do throws(SystemError) { try Linux.unmount(path, lazily: true) } catch {
                // Nothing is mounted there any more.
                if error.errno == .invalid || error.errno == .noEntry { return count }
                throw error
            }
            count += 1
        }
    }

    /// A command that only looks whether something is mounted has it open for a moment.
    private func unmountWhenFree(_ path: String) throws(SystemError) {
        for _ in 0..<20 {
            do throws(SystemError) { return try Linux.unmount(path, lazily: false) } catch {
                if error.errno != .busy { throw error }
            }
            usleep(10_000)
        }
        try Linux.unmount(path, lazily: false)
    }

    /// In a user namespace another one's mounts may be on the same directory, and would go with it.
    private func removePlace(_ path: String) {
        if !isInsideUserNamespace { try? FD.cwd.removeDirectory(path) }
    }
}

extension ContainerObservation {
    /// Its first process lives, whatever its supervisor does.
    fileprivate var isAliveProcess: Bool { pid > 0 && processStartTime(pid) == processStart && processState(pid) != "Z" }
}
