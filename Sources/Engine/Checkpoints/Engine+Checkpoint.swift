import Control
import Glibc
import Linux

/// Podman's checkpoint: one for a container, and the memory that was written before it.
extension Engine {
    /// Writes a container's processes down, over an earlier checkpoint, and ends them unless they are to go on.
    public func checkpoint(_ text: String, _ options: CheckpointOptions = CheckpointOptions()) throws(EngineError) -> CheckpointStatistics {
        let view = try container(text)
        try requireCheckpoints(view, needsToStay: !options.leavesRunning && !options.isPreDump)
        return try writeOnly(view, options)
    }

    func writeOnly(
        _ view: ContainerView, _ options: CheckpointOptions, over connection: SupervisorConnection? = nil
    ) throws(EngineError) -> CheckpointStatistics {
        let places = CheckpointPlaces(container: roots.container(view.id))
        if options.isPreDump {
            return try write(view, staging: places.staging, target: places.previous, replaces: true, options, over: connection)
        }
        var parent = ""
        if options.withPrevious {
            guard FD.cwd.exists(places.previous) else {
                throw EngineError(
                    .notFound,
                    sentence: "container \(view.name) has no earlier memory: write it with berth container checkpoint --pre-checkpoint")
            }
            parent = "../pre-checkpoint"
        }
        return try write(view, staging: places.staging, target: places.only, parent: parent, replaces: true, options, over: connection)
    }

    /// Lets a container that was ended by a checkpoint go on.
    ///
    /// The checkpoint is used up by that, unless it is to be kept.
    /// - Throws: what CRIU found; the container is as before then.
    public func restore(_ text: String, _ options: RestoreOptions = RestoreOptions()) throws(EngineError) -> CheckpointStatistics {
        let view = try container(text)
        try requireCheckpoints(view, needsToStay: false)
        if view.isAlive || view.observation.status == .restarting {
            throw EngineError(.conflict, sentence: "container \(view.name) is running: only one that has ended can be restored")
        }
        let places = CheckpointPlaces(container: roots.container(view.id))
        guard CheckpointPlaces.isCheckpoint(places.only) else {
            throw EngineError(
                .notFound,
                sentence: "container \(view.name) has no checkpoint: make one with berth container checkpoint \(view.name)")
        }
        let statistics = try restore(view, places, options)
        if !options.keeps {
            for path in [places.only, places.previous, places.work] { try? removeTree(.cwd, path) }
        }
        return statistics
    }

    func restore(_ view: ContainerView, _ places: CheckpointPlaces, _ options: RestoreOptions) throws(EngineError) -> CheckpointStatistics {
        var plan = RestorePlan(images: places.only, work: places.work)
        plan.establishedConnections = options.establishedConnections
        plan.closesConnections = options.closesConnections
        plan.fileLocks = options.fileLocks
        try? removeTree(.cwd, places.work)
        let begun = monotonicNanoseconds()
        guard try start(view.id, from: plan) else {
            throw EngineError(.conflict, sentence: "container \(view.name) was started by another command")
        }
        return statistics(view.id, since: begun)
    }

    /// Whether a container was ended by podman's checkpoint and can go on from it.
    public func isCheckpointed(_ view: ContainerView) -> Bool {
        !view.isAlive && view.observation.isCheckpointed
            && CheckpointPlaces.isCheckpoint(CheckpointPlaces(container: roots.container(view.id)).only)
    }
}
