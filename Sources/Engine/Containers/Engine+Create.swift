import Control
import Glibc
import Linux
import OCI
import Store

/// A container that exists and has not been started.
public struct CreatedContainer: Sendable {
    public var definition: ContainerDefinition
}

extension Engine {
    /// Makes a container: everything is checked, then the name is taken and the definition kept in one transaction.
    ///
    /// The files for the supervisor are written here and again by every start, so a command that was killed in between
    /// leaves nothing that the next one does not make good.
    /// - Returns: the definition with its id.
    /// - Throws: exit code 125, with Docker's sentences for a name in use and a missing image.
    public func create(_ request: ContainerRequest) throws(EngineError) -> ContainerDefinition {
        try create(request, id: ContainerNames.identifier(), starting: false) { _, _ in }
    }

    /// - Parameters:
    ///   - id: what it will be called.
    ///   - starting: it is started at once, so containers whose namespaces it joins must run.
    ///   - whenMade: called with the container's lock, which is held until then.
    func create(
        _ request: ContainerRequest, id: String, starting: Bool, whenMade: (ContainerDefinition, FD) throws(EngineError) -> Void
    ) throws(EngineError) -> ContainerDefinition {
        let store = try self.store()
        let image = try image(for: request)
        if !request.definition.name.isEmpty { try ContainerNames.check(request.definition.name) }
        var request = request
        // keep-id without --user runs as the caller: that is what it is for.
        if case .keepID(let uid, let gid) = request.definition.userNamespace, request.definition.user.isEmpty {
            request.definition.user = "\(uid ?? host.uid):\(gid ?? host.gid)"
        }
        try LocalDriver.check(driver: request.definition.volumeDriver)
        request.inherited = try inheritedMounts(request.definition.volumesFrom)
        var definition = try request.complete(
            id: id, name: request.definition.name, imageID: image.id, image: image.config)
        definition.platform = image.platform
        definition.createdAt = wallClockNanoseconds()
        if case .auto = definition.userNamespace, definition.userNamespaceSlot == nil { definition.userNamespaceSlot = try freeSlot() }
        try resolveJoins(&definition)
        if definition.isConnectable, !definition.isDockerCompatible {
            definition.isDockerCompatible = try Configuration.load().isDockerCompatible
        }
        let connections = try connections(for: definition, request.networks, starting: starting)
        let newVolumes = nameVolumes(&definition)
        try resolveImageMounts(&definition)
        // Everything that can be refused is refused before anything exists.
        var plan: ContainerPlan
        do throws(EngineError) {
            plan = try self.plan(definition, layers: image.layers, starting: starting)
        } catch {
            // Where rmi of another command took the layers away, that is what there is to say.
            _ = try self.image(for: request)
            throw error
        }
        // The directory before the row: a row of a --rm container without one is of a container that has ended. The lock
        // keeps others from taking the directory without a row for garbage, and the kernel lets go of it.
        let directory = try makeDirectory(id, store)
        let lock = try controlled { () throws(ControlError) in try SupervisorLock.acquire(in: directory.fd) }
        let connected: Connections
        do throws(EngineError) {
            connected = try insert(&definition, on: request.base, newVolumes, connections.request, store)
        } catch {
            discardDirectory(id)
            throw error
        }
        do throws(EngineError) {
            plan.network = try completed(try planner(definition, connected, connections.networks))
            try materialize(definition, plan)
        } catch {
            forget(definition)
            throw error
        }
        announceNewVolumes(newVolumes, store)
        announce("create", definition)
        try whenMade(definition, lock.descriptor)
        lock.release()
        return definition
    }

    private func makeDirectory(_ id: String, _ store: Store) throws(EngineError) -> OwnedFD {
        let path = try stored { () throws(StoreError) in try store.makeContainerDirectory(id) }
        do throws(SystemError) {
            return try FD.cwd.open(path, [.readOnly, .directory, .noFollow])
        } catch {
            discardDirectory(id)
            throw EngineError("open directory of container", id, error)
        }
    }

    func discardDirectory(_ id: String) {
        guard let parent = try? FD.cwd.open(roots.store + "/containers", [.readOnly, .directory, .noFollow]) else { return }
        try? removeTree(parent.fd, id)
    }

    /// Takes the name. A generated name that is taken is replaced by another.
    private func insert(
        _ definition: inout ContainerDefinition, on base: StepBase?, _ newVolumes: [VolumeRecord], _ connections: ConnectionRequest,
        _ store: Store
    ) throws(EngineError) -> Connections {
        let isGenerated = definition.name.isEmpty
        for attempt in 0..<20 {
            if isGenerated { definition.name = ContainerNames.generate(attempt: attempt) }
            let record = ContainerRecord(
                id: definition.id, name: definition.name, created: definition.createdAt,
                imageID: definition.isStep ? nil : definition.imageID, layer: base?.top?.description,
                autoRemove: definition.autoRemove, definition: definition.kept.encode())
            do throws(StoreError) {
                // A container that goes with its end need not survive power loss.
                return try store.insertContainer(
                    record, volumes: definition.inheritedVolumes, newVolumes: newVolumes, images: definition.mountedImages,
                    connections: connections,
                    durability: definition.autoRemove ? .volatile : .durable)
            } catch {
                if try isLeaseFree(after: error, isFirst: attempt == 0) { continue }
                guard error.code == .nameInUse, let holder = error.holders.first else { throw connectionRefusal(error) }
                if isGenerated { continue }
                // The holder may be a --rm container that has ended and that nobody has cleared away.
                if let view = try? container(holder), view.id == holder {
                    throw EngineError(
                        .conflict,
                        sentence: "Conflict. The container name \"/\(definition.name)\" is already in use by container "
                            + "\"\(holder)\". You have to remove (or rename) that container to be able to reuse that name."
                    )
                }
            }
        }
        throw EngineError(.conflict, sentence: "no free container name found: give one with --name")
    }

    /// Whether an address can be had after all: those of `--rm` containers that have ended are nobody's, and only looking
    /// at them clears them away.
    private func isLeaseFree(after error: StoreError, isFirst: Bool) throws(EngineError) -> Bool {
        if error.code == .inUse, error.operation == "lease address", let holder = error.holders.first {
            return (try? container(holder)) == nil
        }
        guard isFirst, error.code == .tooLarge, error.operation == "lease address in network" else { return false }
        _ = try containers()
        return true
    }

    /// A range of ids that no other container has, for `--userns=auto`.
    private func freeSlot() throws(EngineError) -> Int64 {
        var taken: Set<Int64> = []
        let store = try self.store()
        for record in try stored({ () throws(StoreError) in try store.containers() }) {
            if let slot = try? Engine.decode(record).userNamespaceSlot { taken.insert(slot) }
        }
        // Random, so that two commands at once rarely meet.
        for _ in 0..<1000 {
            let bytes = randomBytes(2)
            let slot = Int64(bytes[0]) << 8 | Int64(bytes[1])
            if slot < UserNamespacePlan.slots, !taken.contains(slot) { return slot }
        }
        throw EngineError(.conflict, sentence: "all id ranges for --userns=auto are in use")
    }

    /// Names of containers in `container:NAME` become ids, so that a rename does not change who is meant.
    private func resolveJoins(_ definition: inout ContainerDefinition) throws(EngineError) {
        definition.network = try resolved(definition.network)
        definition.pid = try resolved(definition.pid)
        definition.ipc = try resolved(definition.ipc)
        definition.uts = try resolved(definition.uts)
    }

    private func resolved(_ mode: NamespaceMode) throws(EngineError) -> NamespaceMode {
        guard case .container(let text) = mode else { return mode }
        return .container(try self.definition(of: text).id)
    }

    /// Gives anonymous volumes their names.
    ///
    /// - Returns: all volumes the container uses, as rows to add where there is none of the name.
    private func nameVolumes(_ definition: inout ContainerDefinition) -> [VolumeRecord] {
        var result: [VolumeRecord] = []
        for index in definition.mounts.indices where definition.mounts[index].kind == .volume && !definition.mounts[index].isInherited {
            if definition.mounts[index].isAnonymous { definition.mounts[index].source = hexadecimal(randomBytes(32)) }
            let mount = definition.mounts[index]
            if result.contains(where: { $0.name == mount.source }) { continue }
            result.append(
                VolumeRecord(
                    name: mount.source, options: mount.volumeOptions, labels: mount.volumeLabels, created: definition.createdAt,
                    isAnonymous: mount.isAnonymous))
        }
        return result
    }
}
