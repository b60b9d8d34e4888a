import Control
import Glibc
import Linux

extension ContainerView {
    /// Docker's `State.Health.Status`; `.none` without a probe, and before the first start.
    ///
    /// Nobody looks after a container that does not run, nor after one whose supervisor was killed: it counts as unhealthy, as in Docker.
    public var health: HealthStatus {
        guard definition.health?.hasProbe == true else { return .none }
        switch observation.status {
        case .created, .starting, .initialized: return .none
        case .running, .paused, .stopping: return observation.supervisorLost ? .unhealthy : observation.health
        case .restarting, .exited, .removing, .removed: return .unhealthy
        }
    }
}

extension Engine {
    /// What the probes of a container have found; nil where there is nothing to be found.
    func healthRecord(_ view: ContainerView) -> HealthRecord? {
        let status = view.health
        if status == .none { return nil }
        let run = ContainerFiles.health(run: roots.run, id: view.id)
        let kept = roots.container(view.id) + "/" + ContainerFiles.health
        let hasRun = view.isAlive || view.observation.status == .restarting
        var record = (hasRun ? HealthRecord.load(.cwd, run) : nil) ?? HealthRecord.load(.cwd, kept) ?? HealthRecord(status: status)
        record.status = status
        return record
    }

    /// Probes a container now, beside what its interval says.
    ///
    /// - Returns: what the probe's program ended with, and how the container is now.
    /// - Throws: `.conflict` where it does not run or has no probe.
    public func runHealthcheck(_ text: String) throws(EngineError) -> (exitCode: Int32, status: HealthStatus) {
        let view = try container(text)
        guard view.definition.health?.hasProbe == true else {
            throw EngineError(.conflict, sentence: "container \(view.id) has no defined healthcheck")
        }
        guard view.observation.status != .paused else { throw EngineError(.conflict, sentence: "container \(view.id) is paused") }
        let connection = try runningConnection(view, "probe")
        do throws(ControlError) { return try connection.probe() } catch {
            if error.code == .refused { throw EngineError(.conflict, sentence: "cannot probe container \(view.name): \(error.cause)") }
            if error.code == .disconnected { throw EngineError(.conflict, sentence: "container \(view.id) ended while it was probed") }
            throw EngineError(control: error)
        }
    }
}
