import Control
import Linux

extension Engine {
    /// Makes a container's environment (namespaces, mounts, networks, cgroup) and leaves its program waiting for a start.
    ///
    /// - Returns: the container's id; nothing is done where that is so already, or where it runs.
    /// - Throws: as ``prepareStart(_:)``.
    public func initialize(_ text: String) throws(EngineError) -> String {
        let view = try container(text)
        if view.observation.status == .initialized { return view.id }
        guard let starting = try prepareStart(view.id) else { return view.id }
        do throws(ControlError) {
            // Answered when the container is made.
            try starting.connection.keep()
        } catch {
            finishFailedStart(starting.definition)
            throw EngineError(control: error)
        }
        return view.id
    }
}
