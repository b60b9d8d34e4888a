import Control
import Glibc
import Linux

/// Docker's checkpoints: any number for a container, by name.
extension Engine {
    /// Writes a container's processes down, and ends them unless they are to go on.
    ///
    /// When it returns, the checkpoint survives power loss. Where it fails the container runs on as before.
    /// - Parameter directory: for checkpoints of this name; nil: the container's own.
    public func createCheckpoint(
        _ text: String, name: String, directory: String?, _ options: CheckpointOptions = CheckpointOptions()
    ) throws(EngineError) {
        try CheckpointPlaces.check(name)
        let view = try container(text)
        let parent = directory ?? CheckpointPlaces(container: roots.container(view.id)).named
        let target = parent + "/" + name
        if FD.cwd.exists(target) {
            throw EngineError(.conflict, sentence: "checkpoint with name \(name) already exists for container \(view.name)", exitCode: 1)
        }
        try requireCheckpoints(view, needsToStay: !options.leavesRunning)
        try during("make directory", parent) { () throws(SystemError) in try FD.cwd.makeDirectories(parent, mode: 0o700) }
        let staging = parent + "/.\(view.definition.shortID).new"
        _ = try write(view, staging: staging, target: target, options)
    }

    /// Names of a container's checkpoints, sorted.
    public func checkpoints(of text: String, directory: String?) throws(EngineError) -> [String] {
        let view = try container(text)
        let path = directory ?? CheckpointPlaces(container: roots.container(view.id)).named
        let names: [String]
        do throws(SystemError) {
            let listed = try FD.cwd.open(path, [.readOnly, .directory])
            names = try directoryEntries(listed.fd).map(\.name)
        } catch {
            if error.errno == .noEntry { return [] }
            throw EngineError("list checkpoints of", view.name, error)
        }
        return names.filter { (try? CheckpointPlaces.check($0)) != nil && CheckpointPlaces.isCheckpoint(path + "/" + $0) }.sorted()
    }

    public func removeCheckpoint(_ text: String, name: String, directory: String?) throws(EngineError) {
        let (view, path) = try checkpoint(text, name: name, directory: directory)
        // Away from the list first: what is removed by half is none.
        let parent = String(path.dropLast(name.utf8.count + 1))
        let condemned = ".\(name).\(hexadecimal(randomBytes(6))).old"
        try during("remove checkpoint of", view.name) { () throws(SystemError) in
            let directory = try FD.cwd.open(parent, [.readOnly, .directory])
            try directory.fd.rename(name, to: condemned)
            try removeTree(directory.fd, condemned)
            try directory.fd.sync()
        }
    }

    /// What `start --checkpoint` goes on from.
    ///
    /// - Throws: `.notFound` in Docker's words.
    public func restorePlan(_ text: String, checkpoint name: String, directory: String?) throws(EngineError) -> RestorePlan {
        let (view, path) = try checkpoint(text, name: name, directory: directory)
        try requireCheckpoints(view, needsToStay: false)
        return RestorePlan(images: path, work: CheckpointPlaces(container: roots.container(view.id)).work)
    }

    private func checkpoint(_ text: String, name: String, directory: String?) throws(EngineError) -> (ContainerView, String) {
        try CheckpointPlaces.check(name)
        let view = try container(text)
        let path = (directory ?? CheckpointPlaces(container: roots.container(view.id)).named) + "/" + name
        guard CheckpointPlaces.isCheckpoint(path) else {
            throw EngineError(.notFound, sentence: "checkpoint \(name) does not exist for container \(view.name)", exitCode: 1)
        }
        return (view, path)
    }

    // MARK: What both docker's and podman's need

    /// - Parameter needsToStay: it ends by this, and has to be there afterwards.
    func requireCheckpoints(_ view: ContainerView, needsToStay: Bool) throws(EngineError) {
        if host.isRootless || isInsideUserNamespace {
            throw EngineError(
                .notSupported, sentence: "checkpoints need root, as CRIU does; run the container as root: sudo berth run …")
        }
        if !view.definition.runtime.isEmpty {
            throw EngineError(
                .notSupported,
                sentence: "container \(view.name) is run by \(view.definition.runtime): checkpoints are for containers of berth's own "
                    + "runtime")
        }
        if needsToStay, view.definition.autoRemove {
            throw EngineError(
                .conflict,
                sentence: "container \(view.name) is removed when it ends (--rm), and its checkpoints with it: give --leave-running, or "
                    + "berth container checkpoint --export FILE")
        }
        if view.isAlive {
            let execs = ExecRegistration.living(run: roots.run, container: view.id)
            if !execs.isEmpty {
                let (sessions, them) = execs.count == 1 ? ("exec session", "it") : ("exec sessions", "them")
                throw EngineError(
                    .conflict,
                    sentence: "container \(view.name) has \(execs.count) \(sessions) running: end \(them) first, as processes from outside "
                        + "cannot be restored")
            }
        }
    }

    /// Has the supervisor do it.
    ///
    /// - Parameter connection: one that holds the container frozen; nil: a new one.
    /// - Returns: what it took.
    @discardableResult
    func write(
        _ view: ContainerView, staging: String, target: String, parent: String = "", replaces: Bool = false, _ options: CheckpointOptions,
        over connection: SupervisorConnection? = nil
    ) throws(EngineError) -> CheckpointStatistics {
        if view.observation.status == .paused, connection == nil {
            throw EngineError(.conflict, sentence: "container \(view.name) is paused: unpause it first")
        }
        let places = CheckpointPlaces(container: roots.container(view.id))
        var held = connection
        if held == nil { held = try runningConnection(view, "checkpoint") }
        guard let connection = held else { throw EngineError(.conflict, sentence: "container \(view.name) is not running") }
        try? removeTree(.cwd, places.work)
        var order = CheckpointOrder(staging: staging, target: target, work: places.work)
        order.parent = parent
        order.program = environmentVariable("BERTH_CRIU") ?? ""
        order.options = options.order
        if replaces { order.options.insert(.replaces) }
        let begun = monotonicNanoseconds()
        let wanted = order
        try controlled { () throws(ControlError) in try connection.checkpoint(wanted) }
        let statistics = statistics(view.id, since: begun)
        if !options.leavesRunning, !options.isPreDump {
            _ = try controlled { () throws(ControlError) in try connection.waitForExit(final: true) }
        }
        if !options.keepsLogs { try? removeTree(.cwd, places.work) }
        return statistics
    }

    func statistics(_ id: String, since begun: Int64) -> CheckpointStatistics {
        let work = CheckpointPlaces(container: roots.container(id)).work
        let figures = (try? FD.cwd.readFile(work + "/statistics.json", limit: 64 << 10)) ?? Array("{}".utf8)
        return CheckpointStatistics(id: id, duration: (monotonicNanoseconds() - begun) / 1000, criu: figures)
    }
}
