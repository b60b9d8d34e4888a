import CLinux
import Control
import Glibc
import Linux
import Store

extension Engine {
    /// For the program's second self: descriptors of what containers see, which only their owner outside of the namespace may take.
    static let treesVariable = "BERTH_CONTAINER_TREES"

    /// What a command may ask of a container's files.
    enum TreeUse {
        /// All that its programs see.
        case read
        case write
        /// Without the mounts in it.
        case rootOnly
    }

    /// For a command that goes on in the user namespace: the trees of containers that run.
    ///
    /// - Returns: facts for ``reexecuteInUserNamespace(_:telling:)``, and what has to live until then.
    public func exportTrees(of names: [String], withMounts: Bool) throws(EngineError) -> (facts: [String], held: [SharedFD]) {
        if !host.isRootless || Engine.isHelper { return ([], []) }
        var (words, held): ([String], [SharedFD]) = ([], [])
        for name in names {
            let view = try settledContainer(name)
            guard view.hasProcess, let tree = try runningTree(view, recursive: withMounts) else { continue }
            try during("pass descriptor") { () throws(SystemError) in try tree.fd.setCloseOnExec(false) }
            words.append("\(view.id):\(tree.raw)")
            held.append(tree)
        }
        return ([Engine.treesVariable + "=" + words.joined(separator: ",")], held)
    }

    /// What this process was given by the one outside.
    private func importedTree(_ id: String) throws(EngineError) -> SharedFD? {
        for word in (environmentVariable(Engine.treesVariable) ?? "").split(separator: ",") {
            guard let (known, number) = word.splitOnce(":"), known == id, let raw = Int32(number), raw > 2 else { continue }
            return SharedFD(try during("use descriptor") { () throws(SystemError) in try FD(raw).duplicate() })
        }
        return nil
    }

    /// A container that runs or does not: one that is being started, or waits for its next run, is waited for.
    func settledContainer(_ text: String) throws(EngineError) -> ContainerView {
        for _ in 0..<500 {
            let view = try container(text)
            switch view.observation.status {
            case .starting, .restarting: break
            case .removing: throw EngineError(.conflict, sentence: "container \(view.name) is being removed", exitCode: 1)
            default: return view
            }
            usleep(20_000)
        }
        throw EngineError(
            .conflict, sentence: "container \(text) is being started, or restarts again and again: stop it first", exitCode: 1)
    }

    /// Opens a container's files.
    ///
    /// - Throws: `.conflict` when other commands keep starting or removing it.
    func tree(of text: String, for use: TreeUse) throws(EngineError) -> ContainerTree {
        for _ in 0..<500 {
            let view = try settledContainer(text)
            let ids = try idTranslation(view.definition)
            if view.hasProcess {
                let opened = Engine.isHelper ? try importedTree(view.id) : try runningTree(view, recursive: use != .rootOnly)
                if let opened { return ContainerTree(root: opened, ids: ids, isRootReadOnly: view.definition.readOnlyRoot) }
                if Engine.isHelper { throw EngineError(.startedMeanwhile, sentence: "container \(view.name) was started meanwhile") }
            } else if let mounted = try mountTree(view, ids, use) {
                return mounted
            }
            usleep(20_000)
        }
        throw EngineError(.conflict, sentence: "container \(text) is being started, stopped or removed by another command", exitCode: 1)
    }

    /// A tree is as deep as its container made it, and each directory on the way down is open.
    func raiseDescriptorLimit() {
        let hard = HostFacts.hardLimit(of: 7 /* RLIMIT_NOFILE */)
        _ = cl_prlimit(0, 7, [hard, hard], nil)
    }

    /// Only a rootful container with ids of its own has others than this process sees.
    func idTranslation(_ definition: ContainerDefinition) throws(EngineError) -> IDTranslation {
        guard definition.userNamespaceSlot != nil else { return .none }
        let plan = try userNamespace(definition)
        return IDTranslation(users: plan.users.map(idMapping), groups: plan.groups.map(idMapping))
    }

    /// The root of the first process's mount namespace; nil when that process has ended.
    func runningTree(_ view: ContainerView, recursive: Bool) throws(EngineError) -> SharedFD? {
        let pid = view.observation.pid
        guard pid > 0, let process = try? openProcess(pid), try observe(view.id).pid == pid else { return nil }
        // The pid still was the container's after the pidfd was taken, so the pidfd is the container's; and no other process has it,
        // whose files these would be: where a supervisor was killed, who holds its lock may be a command like this one.
        guard processStartTime(pid) == view.observation.processStart else { return nil }
        do throws(SystemError) {
            return SharedFD(
                try cloneMount(ofProcess: process.fd, "/", enteringUserNamespace: host.isRootless, recursive: recursive))
        } catch {
            if try observe(view.id).pid != pid { return nil }
            throw EngineError("open files of container", view.name, error)
        }
    }

    // MARK: Containers that do not run

    /// Mounts its layers, and its volumes and binds in them, where only this process sees it.
    ///
    /// To read, nothing of it is changed, unless the places of its mounts have to be made first.
    /// - Returns: nil when another command has it in hand.
    private func mountTree(_ view: ContainerView, _ ids: IDTranslation, _ use: TreeUse) throws(EngineError) -> ContainerTree? {
        let store = try self.store()
        let path = try stored { () throws(StoreError) in try store.makeContainerDirectory(view.id) }
        var directory = try openDirectory(path, view)
        var lock: SharedFD?
        if use == .write {
            guard let taken = try acquireLock(directory.fd, view.id) else { return nil }
            // A start may have come since we looked, and its supervisor have been killed. The lock is ours now: what is observed is what the
            // last supervisor wrote.
            let seen = try observe(view.id)
            if seen.pid > 0, processStartTime(seen.pid) == seen.processStart, processState(seen.pid) != "Z" { return nil }
            lock = try during("lock container") { () throws(SystemError) in SharedFD(try taken.descriptor.duplicate()) }
        }
        try enterPrivateMounts()
        // Only what is opened from here on can be mounted on, or shown elsewhere.
        directory = try openDirectory(path, view)
        let layers = try stored { () throws(StoreError) in try store.layerDirectories(container: view.id) }
        // Two overlays over one writable layer would not know of each other.
        let sharedMount = use == .write ? try sharedRoot(of: view.id) : nil
        let mounts = use == .rootOnly ? [] : try stoppedMounts(view.definition, writable: use == .write)
        do throws(SystemError) {
            let mount: SharedFD
            if let sharedMount { mount = sharedMount } else { mount = try mountLayers(layers, path, ids, writable: use == .write) }
            // Overlay keeps its own hold of its scratch directory, and nobody else looks for anything there.
            let place = try directory.fd.open("work", [.path, .directory, .noFollow])
            try moveMount(mount.fd, to: place.fd)
            let tree = ContainerTree(
                root: mount, ids: ids, isRootReadOnly: view.definition.readOnlyRoot, place: path + "/work", lock: lock)
            if use != .rootOnly { try mountVolumes(view.definition, mounts, in: tree, directory, writable: use == .write) }
            return tree
        } catch {
            // The place of a mount is missing in what was mounted read-only.
            if use == .read, error.errno == .readOnly { return try mountTree(view, ids, .write) }
            throw EngineError("mount files of container", view.name, error)
        }
    }

    private func openDirectory(_ path: String, _ view: ContainerView) throws(EngineError) -> SharedFD {
        try during("open directory of container", view.id) { () throws(SystemError) in
            SharedFD(try FD.cwd.open(path, [.readOnly, .directory, .noFollow]))
        }
    }

    /// From here on this process alone sees what it mounts; what the host unmounts goes here too.
    func enterPrivateMounts() throws(EngineError) {
        if hasPrivateMounts { return }
        try during("make mount namespace") { () throws(SystemError) in
            try check(cl_unshare(0x0002_0000 /* CLONE_NEWNS */), "unshare")
            try setPropagation("/", .slave, recursive: true)
        }
        hasPrivateMounts = true
    }

    func mountLayers(
        _ layers: [String], _ path: String, _ ids: IDTranslation, writable: Bool
    ) throws(SystemError) -> SharedFD {
        if layers.isEmpty { return SharedFD(try cloneMount(.cwd, path + "/upper")) }
        var lower = layers + [try MountPointLayer(store: roots.store).prepare()]
        if !writable { lower.insert(path + "/upper", at: 0) }
        // Not volatile: what was written here stays when the container does.
        let overlay = OverlayRootfs(
            lower: lower, upper: writable ? path + "/upper" : "", work: writable ? path + "/work" : "",
            userXattr: host.isRootless || isInsideUserNamespace)
        guard !ids.isNone else { return SharedFD(try overlay.mount()) }
        let namespace = try makeMappingNamespace(users: ids.users, groups: ids.groups)
        var mapped: [SharedFD] = []
        for layer in lower {
            let copy = SharedFD(try ErofsLayer.isIndex(layer) ? ErofsLayer.mount(layer) : cloneMount(.cwd, layer))
            // The writable layer has the container's ids already.
            if layer != path + "/upper" { try setMountAttributes(copy.fd, set: .idMapped, userNamespace: namespace.fd) }
            mapped.append(copy)
        }
        return SharedFD(try overlay.mount(lowerDescriptors: mapped))
    }

    private func mountVolumes(
        _ definition: ContainerDefinition, _ mounts: [StoppedMount], in tree: ContainerTree, _ directory: SharedFD, writable: Bool
    ) throws(SystemError) {
        let ids = tree.ids
        let root = RootfsPath(root: tree.root.fd)
        let targets = Set(definition.mounts.map(\.target))
        for (name, target) in NetworkFiles.targets where !targets.contains(target) {
            guard let file = try? directory.fd.open(name, [.path, .noFollow]), let place = try? root.open(target) else { continue }
            let copy = try cloneMount(file.fd)
            try moveMount(copy.fd, to: place.fd)
        }
        for stopped in mounts {
            let mount = stopped.mount
            let copy: SharedFD
            do throws(SystemError) { copy = try open(stopped) } catch {
                // It can still be read what else there is.
                if !writable, error.errno == .noEntry { continue }
                throw error
            }
            if stopped.isMapped, !ids.isNone {
                let namespace = try makeMappingNamespace(users: ids.users, groups: ids.groups)
                try setMountAttributes(copy.fd, set: .idMapped, userNamespace: namespace.fd)
            }
            if stopped.isReadOnly {
                try setMountAttributes(copy.fd, set: .readOnly, recursive: mount.recursive && mount.recursiveReadOnly != .off)
            }
            let place = try root.makeTarget(mount.target, try copy.fd.isDirectory() ? .directory : .file)
            try moveMount(copy.fd, to: place.fd)
        }
    }
}
