import CLinux
import Cgroups
import Control
import Glibc
import Linux
import Networks
import OCI
import Store

extension Engine {
    /// Removes a container that does not run, or any with `force`.
    ///
    /// - Parameter volumes: its anonymous volumes too.
    public func remove(_ text: String, force: Bool = false, volumes: Bool = false) throws(EngineError) {
        var view = try container(text)
        if isMounted(view.id), !force {
            throw EngineError(
                .conflict,
                sentence:
                    "cannot remove container \"/\(view.name)\": container is mounted: type berth unmount \(view.name), or force remove")
        }
        for _ in 0..<500 {
            // Nothing of it has run.
            if view.observation.status == .initialized {
                try killForRemoval(view)
            } else if view.isAlive || view.observation.status == .restarting || view.observation.status == .starting {
                guard force else { throw refusal(view, text) }
                try killForRemoval(view)
            }
            if try removeStopped(view, volumes: volumes) { return }
            // Another command has it in hand: it starts it, or removes it too.
            usleep(10_000)
            view = try container(view.id)
        }
        throw EngineError(
            .conflict, sentence: "container \(view.id) is being started or removed by another command", exitCode: 1)
    }

    private func refusal(_ view: ContainerView, _ text: String) -> EngineError {
        let state =
            view.observation.status == .paused
            ? "paused" : view.observation.status == .restarting ? "restarting" : "running"
        let advice =
            state == "paused"
            ? "unpause and then stop the container before removing or force remove"
            : "stop the container before removing or force remove"
        return EngineError(
            .conflict, sentence: "cannot remove container \"/\(view.name)\": container is \(state): \(advice)")
    }

    private func killForRemoval(_ view: ContainerView) throws(EngineError) {
        if view.observation.supervisorLost {
            try endWithoutSupervisor(view, signal: SIGKILL, timeout: 0)
            return
        }
        guard let connection = try connect(view.id) else {
            _ = try endUnreachable(view, signal: SIGKILL, timeout: 0)
            return
        }
        connection.watch(view.observation.supervisor)
        if view.observation.status == .paused { try? connection.resume() }
        do throws(ControlError) {
            _ = try connection.stop(signal: SIGKILL, timeout: 0)
        } catch {
            // A supervisor that does not answer is in the way of what was asked for.
            if error.code == .timedOut {
                try killSupervisor(of: view.id)
                let after = try container(view.id)
                if after.isAlive { try endWithoutSupervisor(after, signal: SIGKILL, timeout: 0) }
                return
            }
        }
        _ = try? connection.post(.yield)
        // Its end: the supervisor lets go of the lock before the socket closes.
        while (try? connection.receive(timeout: 10_000)) ?? nil != nil {}
        // It was being killed when we asked: what it was to end runs on.
        if let after = try? container(view.id), after.isAlive, after.observation.supervisorLost {
            try endWithoutSupervisor(after, signal: SIGKILL, timeout: 0)
        }
    }

    /// - Returns: false when a supervisor has it.
    private func removeStopped(_ view: ContainerView, volumes: Bool) throws(EngineError) -> Bool {
        let store = try self.store()
        let path = roots.container(view.id)
        removeHalfMadeCgroup(of: view.id)
        if let directory = try? FD.cwd.open(path, [.readOnly, .directory, .noFollow]) {
            // The supervisor's lock keeps a start from using what is being removed.
            do throws(EngineError) {
                guard let lock = try acquireLock(directory.fd, view.id) else { return false }
                // A supervisor that was dying when it was asked leaves a container that runs.
                if try observe(view.id, isOwner: true).status.isAlive { return false }
                try removeLocked(lock, directory.fd, store, view, volumes)
            } catch {
                // Its own supervisor or another removal has taken the directory away since it was opened.
                guard error.code == .notFound else { throw error }
                try removeRow(store, view, volumes, isTold: view.definition.autoRemove)
            }
        } else {
            try removeRow(store, view, volumes, isTold: view.definition.autoRemove)
        }
        finishRemoval(of: view.id)
        return true
    }

    /// - Returns: nil when another command or a supervisor that is needed holds it.
    /// - Throws: `.notFound` when the directory has been removed.
    func acquireLock(_ directory: FD, _ id: String) throws(EngineError) -> SupervisorLock? {
        for isFirst in [true, false] {
            do throws(ControlError) {
                return try SupervisorLock.acquire(in: directory)
            } catch {
                if error.code == .notRunning { throw .noSuchContainer(id) }
                guard error.code == .alreadyRunning else { throw EngineError(control: error) }
            }
            if isFirst { yieldSupervisor(of: id) }
        }
        return nil
    }

    /// Asks a supervisor to go that is only there for slow readers of a run that has ended; any other refuses.
    private func yieldSupervisor(of id: String) {
        guard let connection = try? connect(id), (try? connection.request(.yield)) != nil else { return }
        // It lets go of the lock before the socket closes.
        while (try? connection.receive(timeout: 10_000)) ?? nil != nil {}
    }

    /// The marker first: from then on the container counts as removed, whoever is killed.
    private func removeLocked(
        _ lock: borrowing SupervisorLock, _ directory: FD, _ store: Store, _ view: ContainerView, _ volumes: Bool
    ) throws(EngineError) {
        announceUnseenEnd(view)
        // Nothing, unless the supervisor was killed before it could.
        deleteExternally(view.definition)
        try? directory.writeFile(ContainerFiles.removed, [])
        forgetConnections(view, directory)
        try removeRow(store, view, volumes)
    }

    /// A supervisor that was killed leaves no exit record, and its published ports lead on to an address that is free now.
    /// A user's are in the namespace of their containers.
    private func forgetConnections(_ view: ContainerView, _ directory: FD) {
        guard view.definition.isConnectable, !directory.exists(ContainerFiles.exitRecord),
            let plan = try? leasedPlanner(view.definition)?.plan()
        else { return }
        if !host.isRootless { kernelNetworks.forget(plan, view.id) }
        // All of them: a network it was disconnected from may have its names still, when that was not carried out any more.
        let path = roots.run + "/networks"
        guard let networks = try? FD.cwd.open(path, [.readOnly, .directory, .noFollow]) else { return }
        for (name, _) in (try? directoryEntries(networks.fd)) ?? [] where name.utf8.count == 64 {
            _ = NameRegistration.sweep(directory: path + "/" + name)
        }
    }

    /// - Parameter isTold: its supervisor has removed it (`--rm`) and has said so.
    private func removeRow(_ store: Store, _ view: ContainerView, _ volumes: Bool, isTold: Bool = false) throws(EngineError) {
        do throws(StoreError) {
            try store.removeContainer(id: view.id, anonymousVolumes: volumes || view.definition.autoRemove)
            // Who has removed the row says so.
            announceLostVolumes(of: view.definition, store)
            if !isTold { announce("destroy", view.definition) }
        } catch {
            // Two removals at once: the other one won, and the container is gone as asked.
            if error.code != .notFound { throw EngineError(error) }
        }
    }

    /// A supervisor that was killed while it made the container has a directory for the runtime's record and no record:
    /// only config.json says where its cgroup is.
    func removeHalfMadeCgroup(of id: String) {
        let state = roots.runtimeState + "/" + id
        guard FD.cwd.exists(state), !FD.cwd.exists(state + "/state.json"),
            let bytes = try? FD.cwd.readFile(roots.container(id) + "/" + ContainerFiles.specification),
            let spec = try? Spec.decode(bytes), let host = try? CgroupHost.detect(),
            let cgroup = try? Cgroup.abandoned(
                host: host, cgroupsPath: spec.linux?.cgroupsPath ?? "", id: id, rootless: self.host.isRootless)
        else { return }
        if cgroup.isEmpty { return }
        try? cgroup.kill()
        try? cgroup.remove()
    }

    /// What a supervisor that was killed left of the run before. The caller holds the container's lock.
    func removeLeftRuntimeState(of id: String) {
        guard FD.cwd.exists(roots.runtimeState + "/" + id) else { return }
        removeHalfMadeCgroup(of: id)
        deleteRuntimeState(id)
    }

    /// Takes away what a run has left whose supervisor was killed, and nothing of the container itself. Any other run leaves nothing.
    ///
    /// - Returns: the container's id.
    /// - Throws: `.conflict` for one that runs.
    public func cleanUp(_ text: String) throws(EngineError) -> String {
        let view = try container(text)
        let isBusy = view.hasProcess || view.observation.status == .restarting || view.observation.status == .starting
        let directory = try? FD.cwd.open(roots.container(view.id), [.readOnly, .directory, .noFollow])
        // The lock keeps a start away from what is taken down.
        guard !isBusy, let directory, let lock = try acquireLock(directory.fd, view.id) else {
            // Only its row is there, and with it nothing that could have been left.
            if !isBusy, !FD.cwd.exists(roots.container(view.id)) { return view.id }
            throw EngineError(
                .conflict, sentence: "cannot clean up container \(view.id): it is running; stop it before", exitCode: 1)
        }
        deleteExternally(view.definition)
        removeLeftRuntimeState(of: view.id)
        forgetConnections(view, directory.fd)
        lock.release()
        if host.isRootless { emptyForeignTrash() }
        return view.id
    }

    /// What is outside the store: runtime state and sockets; and what only the user namespace may delete.
    func finishRemoval(of id: String) {
        takeDownMounts(of: id)
        deleteRuntimeState(id)
        if let run = try? FD.cwd.open(roots.run + "/containers", [.readOnly, .directory, .noFollow]) {
            try? removeTree(run.fd, id)
        }
        if host.isRootless { emptyForeignTrash() }
    }

    /// Clears away what removals that were cut short left below the run root: no row names it.
    func sweepRunDirectory() {
        // Directories are listed before rows are read: a container has its row before its run directory.
        var ids: Set<String> = []
        for path in [roots.run + "/containers", roots.runtimeState] {
            guard let directory = try? FD.cwd.open(path, [.readOnly, .directory, .noFollow]),
                let entries = try? directoryEntries(directory.fd)
            else { continue }
            for entry in entries where entry.name.utf8.count == 64 { ids.insert(entry.name) }
        }
        sweepNetworkDirectories()
        if ids.isEmpty { return }
        guard let store = try? self.store(), let rows = try? store.containers() else { return }
        // A supervisor on its way out still has its directory.
        for id in ids.subtracting(rows.map(\.id)) where !FD.cwd.exists(roots.container(id)) { finishRemoval(of: id) }
    }

    /// Gives a container another name.
    public func rename(_ text: String, to name: String) throws(EngineError) {
        try ContainerNames.check(name)
        try changingConnections(of: text) { (view) throws(EngineError) in try rename(view.definition, to: name) }
    }

    private func rename(_ definition: ContainerDefinition, to name: String) throws(EngineError) {
        var definition = definition
        let old = definition.name
        if old == name { throw .invalid("Renaming a container with the same name as its current name") }
        definition.name = name
        let encoded = definition.encode()
        let store = try self.store()
        do throws(StoreError) {
            try store.renameContainer(id: definition.id, to: name, definition: encoded)
        } catch {
            guard error.code == .nameInUse, let holder = error.holders.first else { throw EngineError(error) }
            throw EngineError(
                .conflict,
                sentence:
                    "Error when allocating new name: Conflict. The container name \"/\(name)\" is already in use by "
                    + "container \"\(holder)\". You have to remove (or rename) that container to be able to reuse that name."
            )
        }
        renameSupervision(definition)
        announce("rename", definition, ["oldName": "/" + old])
    }

    /// supervise.json has the name too; a supervisor that runs reads it again.
    private func renameSupervision(_ definition: ContainerDefinition) {
        guard let directory = try? FD.cwd.open(roots.container(definition.id), [.readOnly, .directory, .noFollow]),
            var config = try? SupervisionConfig.load(from: directory.fd)
        else { return }
        config.name = definition.name
        // What it is called in its networks. Where that cannot be told now they stay as they are.
        if config.network != nil, let plan = try? currentPlanner(definition)?.plan() { config.network = plan }
        try? config.save(in: directory.fd, durable: false)
        if let connection = try? connect(definition.id) { try? connection.reload() }
    }
}
