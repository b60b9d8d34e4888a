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
        // Its program is loaded by the other processor while this one asks the database.
        let connection = try launch(id)
        let definition = try create(request, id: id, starting: true)
        do throws(EngineError) {
            try controlled { () throws(ControlError) in try connection.create() }
        } catch {
            if definition.autoRemove { forget(definition) }
            throw error
        }
        return StartingContainer(definition: definition, connection: connection)
    }

    /// Starts the supervisor of a container that does not run.
    ///
    /// - Returns: nil when it runs already, which is no failure (Docker: not modified).
    /// - Throws: exit codes 125, 126, 127 as the runtime found.
    public func prepareStart(_ text: String) throws(EngineError) -> StartingContainer? {
        let view = try container(text)
        switch view.observation.status {
        case .running, .stopping, .restarting, .starting: return nil
        case .paused:
            throw EngineError(.conflict, sentence: "cannot start a paused container, try unpause instead", exitCode: 1)
        case .removing, .removed:
            throw EngineError(.conflict, sentence: "container is marked for removal and cannot be started", exitCode: 1)
        case .created, .exited: break
        }
        let definition = view.definition
        let connection = try launch(definition.id)
        let store = try self.store()
        // Again from the definition: other containers' processes, the host's limits and the image's users may have changed.
        let layers = try stored { () throws(StoreError) in try store.layerDirectories(container: definition.id) }
        let plan = try plan(definition, layers: layers, upper: roots.container(definition.id) + "/upper", starting: true)
        // After power loss the row may be all there is.
        let path = try stored { () throws(StoreError) in try store.makeContainerDirectory(definition.id) }
        removeLeftRuntimeState(of: definition.id, path)
        try materialize(definition, plan.withLayers(layers))
        try controlled { () throws(ControlError) in try connection.create() }
        return StartingContainer(definition: definition, connection: connection)
    }

    /// Runs `berth-runtime supervise`, which waits until the container's files are written; from a read-only view of its
    /// file where we may make one (CVE-2019-5736).
    private func launch(_ id: String) throws(EngineError) -> SupervisorConnection {
        try roots.prepare()
        var launch = SupervisorLaunch(program: runtimeProgram, store: roots.store, run: roots.run, id: id)
        let view = protectedRuntime()
        launch.executable = view?.fd
        launch.environment = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
        for name in ["XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS", "LISTEN_FDS", "NOTIFY_SOCKET"] {
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
    public func start(_ text: String) throws(EngineError) -> Bool {
        guard let starting = try prepareStart(text) else { return false }
        do throws(ControlError) {
            try starting.connection.start()
            try starting.connection.waitForStarted()
        } catch {
            finishFailedStart(starting.definition)
            throw EngineError(control: error)
        }
        return true
    }

    /// Stops a container if it runs, and starts it.
    public func restart(_ text: String, signal: Int32? = nil, timeout: Int64? = nil) throws(EngineError) {
        let view = try container(text)
        let ended = try stop(view, signal: signal, timeout: timeout)
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
