import Control
import Linux

/// What happens to containers when the machine comes up and goes down.
extension Engine {
    /// The containers that were running when the machine or the service went down and that their restart policies want up.
    ///
    /// Oldest first: one that lives in another's namespaces is younger than that.
    public func containersToStartAfterBoot() throws(EngineError) -> [ContainerView] {
        let boot = bootIdentifier()
        return try containers().reversed().filter {
            restartPolicy($0.definition.restart).startsAfterBoot($0.observation, bootID: boot)
        }
    }

    /// The containers to stop before the machine goes down.
    public func containersToShutDown() throws(EngineError) -> [ContainerView] {
        try containers().filter { $0.isAlive || $0.observation.status == .restarting }
    }
}
