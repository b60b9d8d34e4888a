import Control
import Glibc
import Linux
import Store

/// `network connect` and `disconnect`: the row first, then, where the container runs, its supervisor carries it out.
extension Engine {
    /// Connects a container to a network.
    ///
    /// - Throws: Docker's sentences; what the supervisor could not do, and then nothing is changed.
    public func connect(_ container: String, _ attachment: NetworkAttachment) throws(EngineError) {
        try changingConnections(of: container) { (view) throws(EngineError) in try connect(view, attachment) }
    }

    private func connect(_ view: ContainerView, _ attachment: NetworkAttachment) throws(EngineError) {
        try requireConnectable(view.definition)
        let network = try network(attachment.network)
        guard network.isConnectable else { throw Engine.notConnectable(network) }
        try view.definition.networkRate.require(network)
        try refuseAsDocker(view.definition, attachment, network)
        let request = try endpoint(attachment, network)
        let store = try self.store()
        let record: EndpointRecord
        do throws(StoreError) {
            record = try store.connect(container: view.id, request, durability: view.definition.autoRemove ? .volatile : .durable)
        } catch {
            if error.code == .nameInUse {
                carryOutAgain(view)
                throw EngineError(
                    .conflict, sentence: "endpoint with name \(view.name) already exists in network \(network.name)")
            }
            throw connectionRefusal(error)
        }
        do throws(EngineError) {
            try reloadNetworks(of: view)
        } catch {
            _ = try? store.disconnect(container: view.id, position: record.position, durability: .durable)
            try? reloadNetworks(of: view)
            throw error
        }
    }

    /// Ends a container's connection to a network.
    ///
    /// - Parameter force: also where its supervisor cannot carry it out.
    /// - Throws: Docker's sentences; what the supervisor could not do, and then nothing is changed.
    public func disconnect(_ container: String, from network: String, force: Bool = false) throws(EngineError) {
        try changingConnections(of: container) { (view) throws(EngineError) in try disconnect(view, from: network, force: force) }
    }

    private func disconnect(_ view: ContainerView, from network: String, force: Bool) throws(EngineError) {
        try requireConnectable(view.definition)
        let store = try self.store()
        // A network that was removed is known by its name only.
        let found = try storedOrNil(network)
        let records = try stored { () throws(StoreError) in try store.connections(ofContainer: view.id) }.endpoints
        var position: Int?
        for record in records {
            let isMeant = found.map { $0.id == record.networkID } ?? false
            let name = try EndpointDefinition(decoding: record.definition).network
            if isMeant || record.networkID == nil && name == network { position = record.position }
        }
        guard let position else {
            guard let found else { throw .noSuchNetwork(network) }
            carryOutAgain(view)
            throw EngineError(
                .conflict, sentence: "container \(view.id) is not connected to network \(found.name)")
        }
        // The device first: an address is nobody else's while the container still has it.
        do throws(EngineError) {
            try reloadNetworks(of: view, without: position)
        } catch {
            // With --force the address is given up all the same.
            if !force {
                carryOutAgain(view)
                throw error
            }
        }
        let durability: Durability = view.definition.autoRemove ? .volatile : .durable
        do throws(StoreError) {
            _ = try store.disconnect(container: view.id, position: position, durability: durability)
        } catch {
            carryOutAgain(view)
            throw EngineError(error)
        }
        // Only the database still knows of ports that led in by it.
        if !view.definition.allBindings.isEmpty { carryOutAgain(view) }
    }

    /// Makes what the host has of a running container's networks anew where something is missing, and asks again who the other hosts of
    /// networks of several are.
    ///
    /// - Returns: the container's id.
    public func reloadNetworks(_ container: String) throws(EngineError) -> String {
        var id = ""
        try changingConnections(of: container) { (view) throws(EngineError) in
            guard view.isAlive else { throw EngineError(.conflict, sentence: "container \(view.id) is not running") }
            try reloadNetworks(of: view)
            id = view.id
        }
        return id
    }

    /// A command that was killed may have changed the row only: the container gets what the row says, whoever asks for it again.
    func carryOutAgain(_ view: ContainerView) { try? reloadNetworks(of: view) }

    private func storedOrNil(_ network: String) throws(EngineError) -> NetworkDefinition? {
        do throws(EngineError) { return try self.network(network) } catch {
            if error.code == .notFound { return nil }
            throw error
        }
    }

    private func requireConnectable(_ definition: ContainerDefinition) throws(EngineError) {
        switch definition.network {
        case .private, .shareable: return
        case .host:
            throw EngineError(
                .permission, sentence: "container cannot be disconnected from host network or connected to host network")
        case .none:
            throw EngineError(
                .permission,
                sentence: "container cannot be connected to multiple networks with one of the networks in private (none) mode")
        case .container:
            throw EngineError(
                .permission,
                sentence: "container sharing network namespace with another container or host cannot be connected to any other network"
            )
        }
    }

    private static func notConnectable(_ network: NetworkDefinition) -> EngineError {
        EngineError(
            .permission,
            sentence: network.driver == "host"
                ? "container cannot be disconnected from host network or connected to host network"
                : "container cannot be connected to multiple networks with one of the networks in private (none) mode")
    }

    /// One change of a container's connections or ports at a time: what its definition says and what its supervisor is told are read
    /// from the database and written again.
    func changingConnections(of container: String, _ change: (ContainerView) throws(EngineError) -> Void) throws(EngineError) {
        let id = try self.container(container).id
        let lock: SharedFD
        do throws(EngineError) {
            lock = try lockConnections(of: id)
        } catch {
            // Another command has removed it since: that is the better sentence.
            _ = try self.container(id)
            throw error
        }
        // Only now: another change may have come before.
        try change(try self.container(id))
        withExtendedLifetime(lock) {}
    }

    private func lockConnections(of id: String) throws(EngineError) -> SharedFD {
        try during("lock connections of container", id) { () throws(SystemError) in
            let directory = try FD.cwd.open(roots.container(id), [.readOnly, .directory, .noFollow])
            let file = try directory.fd.open(ContainerFiles.connectionsLock, [.readWrite, .create, .noFollow], mode: 0o600)
            try file.fd.lock(.exclusive)
            return SharedFD(consume file)
        }
    }

    /// Writes the files of a container anew from the database and tells its supervisor, where one runs.
    ///
    /// - Parameter leaving: the position of a connection that is about to end: the container is to be without it.
    func reloadNetworks(of view: ContainerView, without leaving: Int? = nil) throws(EngineError) {
        guard let connection = try supervisor(of: view.id) else { return }
        connection.watch(view.observation.supervisor)
        let store = try self.store()
        var connections = try stored { () throws(StoreError) in try store.connections(ofContainer: view.id) }
        connections.endpoints.removeAll { $0.position == leaving }
        let networks = try networks(of: view.definition, store).filter { network in
            connections.endpoints.contains { $0.networkID == network.id }
        }
        let leadsOut = networks.contains(where: \.publishes)
        if leaving != nil {
            if !leadsOut { connections.ports = [] }
        } else if !view.definition.allBindings.isEmpty, connections.ports.isEmpty == leadsOut {
            // The first connection that ports can be published by, or the last one is gone.
            connections = try connectForStart(view.definition) ?? connections
        }
        guard let planner = try completed(try planner(view.definition, connections, networks)) else { return }
        try during("write files of container", view.id) { () throws(SystemError) in
            let directory = try FD.cwd.open(roots.container(view.id), [.readOnly, .directory, .noFollow])
            // In place: what is bound into the container is the file, not its name.
            try NetworkFiles(definition: view.definition, network: planner).rewrite(in: directory.fd)
        }
        try controlled { () throws(ControlError) in
            let directory = try openContainer(view.id)
            var config = try SupervisionConfig.load(from: directory.fd)
            config.network = planner.plan()
            try config.save(in: directory.fd, durable: false)
            try connection.reload()
        }
    }

    /// - Returns: nil when the container does not run.
    private func supervisor(of id: String) throws(EngineError) -> SupervisorConnection? {
        // One that is just being made has read its plan and has no socket yet.
        for _ in 0..<500 {
            guard hasSupervisor(id) else { return nil }
            if let connection = try connect(id) { return connection }
            usleep(10_000)
        }
        return nil
    }

    private func openContainer(_ id: String) throws(ControlError) -> OwnedFD {
        do throws(SystemError) {
            return try FD.cwd.open(roots.container(id), [.readOnly, .directory, .noFollow])
        } catch {
            throw ControlError(error, "open directory of container", id)
        }
    }
}
