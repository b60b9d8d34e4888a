import Control
import Glibc
import Linux
import Store

/// A supervisor that has made its container and waits for the word to start it.
public struct StartingContainer {
    public let definition: ContainerDefinition
    public let connection: SupervisorConnection
}

extension Engine {
    /// Makes a container and its supervisor; the caller attaches streams and then starts it.
    ///
    /// Dropping the result before `start` deletes the container's processes again.
    public func createAndLaunch(_ request: ContainerRequest) throws(EngineError) -> StartingContainer {
        let id = ContainerNames.identifier()
        let streams = try streams(for: request.definition)
        // Its program is loaded by the other processor while this one asks the database.
        let connection = try launch(id)
        let definition = try create(request, id: id, starting: true) { (definition, lock) throws(EngineError) in
            do throws(EngineError) {
                try controlled { () throws(ControlError) in try connection.create(lock: lock, streams: streams) }
            } catch {
                if definition.autoRemove { forget(definition) }
                throw error
            }
        }
        return StartingContainer(definition: definition, connection: connection)
    }

    /// Starts the supervisor of a container that does not run.
    ///
    /// - Parameter restore: a checkpoint that it goes on from; nil: its program begins anew.
    /// - Returns: nil when it runs already, which is no failure (Docker: not modified).
    /// - Throws: exit codes 125, 126, 127 as the runtime found.
    public func prepareStart(_ text: String, from restore: RestorePlan? = nil) throws(EngineError) -> StartingContainer? {
        // Launched by the first attempt, and waiting like this command.
        var supervisor: SupervisorConnection?
        // Ten seconds for another command that starts, makes or removes it.
        for _ in 0..<500 {
            switch try attemptStart(text, &supervisor, restore) {
            case .started(let starting): return starting
            case .running: return nil
            case .busy: usleep(20_000)
            }
        }
        throw EngineError(
            .conflict, sentence: "container \(text) is being started or removed by another command", exitCode: 1)
    }

    /// What the container gets of our own streams: all of them, or nothing.
    ///
    /// - Throws: `.invalid` in podman's words for a terminal: what runs in the container could type there (TIOCSTI).
    private func streams(for definition: ContainerDefinition) throws(EngineError) -> [FD] {
        let driver = definition.log.driver
        guard definition.log.passesThrough else { return [] }
        if callerStreams.isEmpty {
            throw EngineError(.notSupported, sentence: "the '--log-driver \(driver)' option needs a command that starts the container")
        }
        if driver == "passthrough", callerStreams.contains(where: { isatty($0.rawValue) == 1 }) {
            throw .invalid(
                "the '--log-driver passthrough' option cannot be used on a TTY.  If you really want it, use '--log-driver passthrough-tty'")
        }
        return callerStreams
    }

    private enum StartAttempt {
        case started(StartingContainer)
        case running
        /// Another command has it in hand: look again.
        case busy
    }

    private func attemptStart(
        _ text: String, _ supervisor: inout SupervisorConnection?, _ restore: RestorePlan?
    ) throws(EngineError) -> StartAttempt {
        let view = try container(text)
        switch view.observation.status {
        case .running, .stopping, .restarting: return .running
        case .starting: return .busy
        case .paused:
            throw EngineError(.conflict, sentence: "cannot start a paused container, try unpause instead", exitCode: 1)
        case .removing, .removed:
            throw EngineError(.conflict, sentence: "container is marked for removal and cannot be started", exitCode: 1)
        case .initialized:
            guard let connection = try connect(view.id) else { return .busy }
            return .started(StartingContainer(definition: view.definition, connection: connection))
        case .created, .exited: break
        }
        let streams = try streams(for: view.definition)
        if !view.definition.runtime.isEmpty, isMounted(view.id) {
            throw EngineError(
                .conflict, sentence: "container \(view.name) is mounted and has another runtime: type berth unmount \(view.name) before",
                exitCode: 1)
        }
        // The name may have gone to another container meanwhile.
        if supervisor?.id != view.id { supervisor = try launch(view.id) }
        guard let connection = supervisor, let lock = try prepareFiles(view, restore) else { return .busy }
        let descriptor = lock.descriptor
        try controlled { () throws(ControlError) in try connection.create(lock: descriptor, streams: streams) }
        // The supervisor has it now.
        lock.release()
        return .started(StartingContainer(definition: view.definition, connection: connection))
    }

    /// Writes what the supervisor reads, under the container's lock: neither another start nor a removal comes between.
    ///
    /// - Returns: the lock; nil when another command holds it.
    private func prepareFiles(_ view: ContainerView, _ restore: RestorePlan?) throws(EngineError) -> SupervisorLock? {
        let definition = view.definition
        let store = try self.store()
        // After power loss the row may be all there is.
        let path = try stored { () throws(StoreError) in try store.makeContainerDirectory(definition.id) }
        let directory = try during("open directory of container", view.id) { () throws(SystemError) in
            try FD.cwd.open(path, [.readOnly, .directory, .noFollow])
        }
        guard let lock = try acquireLock(directory.fd, view.id) else { return nil }
        do throws(EngineError) {
            _ = try self.definition(of: view.id)
        } catch {
            // Removed since: the directory was made again by us.
            discardDirectory(view.id)
            throw error
        }
        announceUnseenEnd(view)
        removeLeftRuntimeState(of: view.id)
        // Again from the definition: other containers' processes, the host's limits and the image's users may have changed.
        let layers = try stored { () throws(StoreError) in try store.layerDirectories(container: definition.id) }
        var plan = try plan(definition, layers: layers, upper: roots.container(definition.id) + "/upper", starting: true)
        if let connections = try connectForStart(definition) {
            plan.network = try completed(try planner(definition, connections, try networks(of: definition, store)))
        }
        plan.restore = restore
        try materialize(definition, plan.withLayers(layers))
        // A failure above lets go of it.
        return lock
    }

    /// Runs `berth-runtime supervise`, which waits until the container's files are written; from a read-only view of its
    /// file where we may make one (CVE-2019-5736).
    private func launch(_ id: String) throws(EngineError) -> SupervisorConnection {
        try roots.prepare()
        var launch = SupervisorLaunch(program: runtimeProgram, store: roots.store, run: roots.run, id: id)
        let view = protectedRuntime()
        launch.executable = view?.fd
        launch.environment = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
        for name in ["XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS", "LISTEN_FDS", "NOTIFY_SOCKET", "BERTH_CRIU"] {
            if let value = environmentVariable(name) { launch.environment.append(name + "=" + value) }
        }
        if launch.executable == nil, !FD.cwd.exists(runtimeProgram) {
            throw EngineError(
                .system, "start", runtimeProgram, cause: "no such program; install berth-runtime beside berth")
        }
        return try controlled { () throws(ControlError) in try SupervisorConnection.launch(launch) }
    }

    /// For users there is no such view: what a container of theirs could do to the file they can do themselves, and the
    /// runtime copies itself where that is not so.
    func protectedRuntime() -> SharedFD? {
        guard !host.isRootless, runtimeProgram.hasPrefix("/"), let protected = try? openProtected(runtimeProgram) else {
            return nil
        }
        return SharedFD(protected.takeFile())
    }

    /// Starts a container in the background.
    ///
    /// - Returns: false when it ran already.
    @discardableResult
    public func start(_ text: String, from restore: RestorePlan? = nil) throws(EngineError) -> Bool {
        for _ in 0..<20 {
            guard let starting = try prepareStart(text, from: restore) else { return false }
            do throws(ControlError) {
                try starting.connection.start()
                try starting.connection.waitForStarted()
                return true
            } catch {
                // Removed by another command between our lock and the supervisor's: that is what there is to say.
                _ = try definition(of: starting.definition.id)
                // 1: another supervisor took the container there. See what became of it.
                if error.code == .startFailed, error.exitCode == 1 { continue }
                finishFailedStart(starting.definition)
                throw EngineError(control: error)
            }
        }
        throw EngineError(
            .conflict, sentence: "container \(text) is being started or removed by another command", exitCode: 1)
    }

    /// Stops a container if it runs, and starts it.
    public func restart(_ text: String, signal: Int32? = nil, timeout: Int64? = nil) throws(EngineError) {
        let view = try container(text)
        _ = try streams(for: view.definition)
        let ended = try stop(view, signal: signal, timeout: timeout)
        if ended { announce("stop", view.definition) }
        if ended, view.definition.autoRemove {
            throw EngineError(
                .conflict, sentence: "container \(view.id) was removed when it ended (--rm), so it cannot start again")
        }
        // The supervisor reports the end before it lets go of the container.
        for _ in 0..<200 {
            let status = try observe(view.id).status
            if status == .exited || status == .created { break }
            usleep(5000)
        }
        try start(view.id)
        announce("restart", view.definition)
    }

    /// Called when a container could not be started: with `--rm` nothing of it stays.
    public func finishFailedStart(_ definition: ContainerDefinition) {
        if definition.autoRemove { forget(definition) }
    }

    /// Called when the end of a `--rm` container was seen: its row goes now, its files are its supervisor's.
    public func finishAutoRemove(_ definition: ContainerDefinition) {
        guard definition.autoRemove, let store = try? self.store() else { return }
        _ = try? store.removeContainer(
            id: definition.id, anonymousVolumes: true, keepDirectory: true, durability: .volatile)
        announceLostVolumes(of: definition, store)
        takeDownMounts(of: definition.id)
        if host.isRootless { emptyForeignTrash() }
    }
}

extension ContainerPlan {
    /// The upper layer took part in finding users only.
    func withLayers(_ layers: [String]) -> ContainerPlan {
        var copy = self
        copy.layers = layers
        return copy
    }
}
