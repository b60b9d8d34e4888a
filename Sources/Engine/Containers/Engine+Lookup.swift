import Control
import Linux
import Store

/// A container as somebody looks at it: what was asked for and what is.
public struct ContainerView: Sendable {
    public var definition: ContainerDefinition
    public var observation: ContainerObservation

    public init(definition: ContainerDefinition, observation: ContainerObservation) {
        self.definition = definition
        self.observation = observation
    }

    public var id: String { definition.id }
    public var name: String { definition.name }
    public var isAlive: Bool { observation.status.isAlive }
    public var hasProcess: Bool { observation.status.hasProcess }
}

extension Engine {
    /// The definition of the container a user means: by id, name or the beginning of its id.
    ///
    /// - Throws: `.notFound` with Docker's sentence; `.invalid` when several ids begin so.
    public func definition(of text: String) throws(EngineError) -> ContainerDefinition {
        guard hasStore else { throw .noSuchContainer(text) }
        let store = try self.store()
        let record: ContainerRecord
        do throws(StoreError) {
            record = try store.container(matching: text)
        } catch {
            switch error.code {
            case .notFound: throw .noSuchContainer(text)
            case .ambiguous: throw .invalid("multiple IDs found with provided prefix: \(text)")
            default: throw EngineError(error)
            }
        }
        return try Engine.decode(record)
    }

    static func decode(_ record: ContainerRecord) throws(EngineError) -> ContainerDefinition {
        var definition = try ContainerDefinition(decoding: record.definition)
        // The row is what counts: rename changes it.
        definition.id = record.id
        definition.name = record.name
        return definition
    }

    /// The container a user means, with its state now.
    public func container(_ text: String) throws(EngineError) -> ContainerView {
        let definition = try self.definition(of: text)
        let observation = try observe(definition.id)
        if isOver(definition, observation) {
            forget(definition)
            throw .noSuchContainer(text)
        }
        return ContainerView(definition: definition, observation: settled(observation))
    }

    /// What the kernel and the container's directory say about it.
    ///
    /// - Parameter isOwner: the caller holds the container's lock, which is therefore no supervisor's.
    public func observe(_ id: String, isOwner: Bool = false) throws(EngineError) -> ContainerObservation {
        try controlled { () throws(ControlError) in
            var observer = try ContainerObserver(store: roots.store)
            return try observer.observe(id, isOwner: isOwner)
        }
    }

    /// All containers, newest first, without steps of builds. What ended and was to be removed is cleared away on the way.
    public func containers() throws(EngineError) -> [ContainerView] {
        guard hasStore else { return [] }
        let store = try self.store()
        let records = try stored { () throws(StoreError) in try store.containers() }
        if records.isEmpty { return [] }
        var result: [ContainerView] = []
        result.reserveCapacity(records.count)
        var gone: [ContainerDefinition] = []
        var observer = try controlled { () throws(ControlError) in try ContainerObserver(store: roots.store) }
        for record in records {
            let definition = try Engine.decode(record)
            let observation: ContainerObservation
            do throws(ControlError) {
                observation = try observer.observe(record.id)
            } catch {
                throw EngineError(control: error)
            }
            if isOver(definition, observation) {
                gone.append(definition)
                continue
            }
            if definition.isStep { continue }
            result.append(ContainerView(definition: definition, observation: settled(observation)))
        }
        for definition in gone { forget(definition) }
        return result
    }

    /// Whether a container is one no more, whatever is left of it.
    ///
    /// Of a debug session nothing is to be started again: it is over where no supervisor has it, and none is on its way, which would
    /// have the lock.
    private func isOver(_ definition: ContainerDefinition, _ observation: ContainerObservation) -> Bool {
        switch observation.status {
        case .removed: isGone(definition)
        case .created, .exited: definition.endsWithCommand
        default: false
        }
    }

    /// Whether a container without a directory, or with the marker of a removal in it, is one no more.
    ///
    /// The directory of a `--rm` container goes with its end. Any other was made and its directory lost (power loss:
    /// only the row is synced): the next start makes it again.
    func isGone(_ definition: ContainerDefinition) -> Bool {
        definition.autoRemove || FD.cwd.exists(roots.container(definition.id) + "/" + ContainerFiles.removed)
    }

    /// A container whose directory was lost counts as created.
    private func settled(_ observation: ContainerObservation) -> ContainerObservation {
        var result = observation
        if result.status == .removed { result.status = .created }
        return result
    }

    /// Removes what a `--rm` container left when nobody waited for it, or a killed `rm`.
    func forget(_ definition: ContainerDefinition) {
        guard let store = try? self.store() else { return }
        removeHalfMadeCgroup(of: definition.id)
        let directory = roots.container(definition.id)
        // With the mark of a removal and without its end: the remover was killed, perhaps before it told.
        let isCutShort = FD.cwd.exists(directory + "/" + ContainerFiles.removed)
        guard (try? store.removeContainer(id: definition.id, anonymousVolumes: true, durability: .volatile)) != nil else {
            finishRemoval(of: definition.id)
            return
        }
        announceLostVolumes(of: definition, store)
        if isCutShort, !eventLog.has("destroy", container: definition.id, since: definition.createdAt) {
            announce("destroy", definition)
        }
        finishRemoval(of: definition.id)
    }
}
