import Control
import Linux
import Store

/// The containers that use a volume, held so that none of them starts or goes meanwhile.
final class HeldContainers {
    private final class Held {
        private let lock: SupervisorLock
        init(_ lock: consuming SupervisorLock) { self.lock = lock }
    }

    private var held: [String: Held] = [:]
    var ids: Set<String> { Set(held.keys) }

    fileprivate func add(_ id: String, _ lock: consuming SupervisorLock) { held[id] = Held(lock) }
}

extension Engine {
    /// Holds every container that uses a volume; they may not run.
    ///
    /// Containers that come to use it later are not held: whoever replaces the content looks again.
    /// - Throws: `.conflict` with the names of those that run.
    func holdContainers(ofVolume name: String, _ purpose: String) throws(EngineError) -> HeldContainers {
        let store = try self.store()
        let result = HeldContainers()
        for id in try stored({ () throws(StoreError) in try store.containers(ofVolume: name) }) {
            // Gone meanwhile: nothing to hold.
            guard let view = try? container(id) else { continue }
            let running = EngineError(
                .conflict,
                sentence: "\(purpose) \(name): volume is in use by the running container \(view.name); stop it first: "
                    + "berth stop \(view.name)")
            if view.hasProcess || view.observation.status == .restarting || view.observation.status == .starting { throw running }
            // After power loss the row may be all there is.
            let path = try stored { () throws(StoreError) in try store.makeContainerDirectory(id) }
            let directory = try during("open directory of container", id) { () throws(SystemError) in
                try FD.cwd.open(path, [.readOnly, .directory, .noFollow])
            }
            guard let lock = try acquireLock(directory.fd, id) else { throw running }
            result.add(id, lock)
        }
        return result
    }
}
