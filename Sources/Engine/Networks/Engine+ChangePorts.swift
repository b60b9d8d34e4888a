import Control
import Linux
import Store

extension Engine {
    /// Publishes further ports of a container, or no longer some, also while it runs.
    ///
    /// - Parameters:
    ///   - removed: container ports (`80`, `80/udp`), or bindings as they were asked for (`8080:80`).
    /// - Throws: `.conflict` for a port that somebody has; `.notFound` for one that is not published. Nothing is changed then.
    public func changePorts(_ container: String, adding added: [PortBinding], removing removed: [String]) throws(EngineError) {
        try changingConnections(of: container) { (view) throws(EngineError) in
            try changePorts(view, adding: added, removing: removed)
            announce("update", view.definition)
        }
    }

    private func changePorts(_ view: ContainerView, adding added: [PortBinding], removing removed: [String]) throws(EngineError) {
        guard view.definition.isConnectable else {
            throw .invalid("container \(view.name) has network mode \(view.definition.networkMode): it has no ports to publish")
        }
        var definition = view.definition
        var gone: [PortBinding] = []
        do throws(EngineError) {
            for text in removed { gone += try take(text, from: &definition.ports, view.name) }
        } catch {
            carryOutAgain(view)
            throw error
        }
        // Those that are there have their rows; that they are open is seen to below.
        let added = added.filter { !definition.ports.contains($0) }
        definition.ports += added
        for binding in added where !definition.exposed.contains(where: { $0.contains(binding.ports) }) {
            definition.exposed.append(binding.ports)
        }
        try store(definition, view, adding: added, removing: gone)
        do throws(EngineError) {
            try reloadNetworks(of: ContainerView(definition: definition, observation: view.observation))
        } catch {
            try? store(view.definition, view, adding: gone, removing: added)
            try? reloadNetworks(of: view)
            throw error
        }
    }

    private func store(
        _ definition: ContainerDefinition, _ view: ContainerView, adding added: [PortBinding], removing removed: [PortBinding]
    ) throws(EngineError) {
        let store = try self.store()
        var request = ConnectionRequest()
        if hasSupervisor(view.id) {
            let connections = try stored { () throws(StoreError) in try store.connections(ofContainer: view.id) }
            var reach: [Reach] = []
            for network in try networks(of: definition, store) {
                guard let record = connections.endpoints.first(where: { $0.networkID == network.id }) else { continue }
                reach.append(Reach(network: network, record, try EndpointDefinition(decoding: record.definition)))
            }
            var wanted = definition
            wanted.ports = added
            wanted.publishesAll = false
            try addPorts(of: wanted, reach, to: &request)
        }
        let encoded = definition.encode()
        try claimed { () throws(StoreError) in
            try store.changePorts(
                container: view.id, definition: encoded, request,
                removing: { record in removed.contains { $0.covers(record) } },
                durability: definition.autoRemove ? .volatile : .durable)
        }
    }

    /// Takes what a text means out of the bindings.
    private func take(
        _ text: String, from bindings: inout [PortBinding], _ name: String
    ) throws(EngineError) -> [PortBinding] {
        let wanted = try PortBinding(option: text)
        let isExact = wanted.hostPorts != nil || !wanted.hostAddress.isEmpty
        let found = bindings.filter { isExact ? $0 == wanted : $0.ports == wanted.ports }
        if found.isEmpty {
            throw EngineError(.notFound, sentence: "no public port '\(isExact ? wanted.text : wanted.ports.text)' published for \(name)")
        }
        bindings.removeAll { found.contains($0) }
        return found
    }
}

extension PortBinding {
    /// Whether a row is one that was made for it.
    fileprivate func covers(_ record: PortRecord) -> Bool {
        guard record.transport == ports.transport.rawValue, record.containerPort >= ports.first, record.containerPort <= ports.last
        else { return false }
        if let range = hostPorts, !range.contains(record.hostPort) { return false }
        return hostAddress.isEmpty || IPAddress(hostAddress) == record.address
    }
}
