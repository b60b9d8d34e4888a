import Control
import Store

extension Engine {
    /// Changes how fast a container's networks are, also while it runs; its connections stay.
    public func changeRate(_ container: String, _ change: NetworkRateOption) throws(EngineError) {
        try changingConnections(of: container) { (view) throws(EngineError) in
            try changeRate(view, change)
            announce("update", view.definition)
        }
    }

    private func changeRate(_ view: ContainerView, _ change: NetworkRateOption) throws(EngineError) {
        guard view.definition.isConnectable else { throw view.definition.network.refusal(of: "network-rate") }
        var definition = view.definition
        change.apply(to: &definition.networkRate)
        for network in try networks(of: definition, try store()) { try definition.networkRate.require(network) }
        try keep(definition)
        do throws(EngineError) {
            try reloadNetworks(of: ContainerView(definition: definition, observation: view.observation))
        } catch {
            try? keep(view.definition)
            try? reloadNetworks(of: view)
            throw error
        }
    }

    private func keep(_ definition: ContainerDefinition) throws(EngineError) {
        let store = try self.store()
        try stored { () throws(StoreError) in
            try store.changePorts(
                container: definition.id, definition: definition.encode(), ConnectionRequest(), removing: { _ in false },
                durability: definition.autoRemove ? .volatile : .durable)
        }
    }
}

extension NetworkRate {
    /// - Throws: `.invalid` where the network is no bridge: a limit lies on the host's end of a cable, and there is none.
    func require(_ network: NetworkDefinition) throws(EngineError) {
        if isEmpty || network.isBridge { return }
        throw .invalid(
            "conflicting options: --network-rate and network \(network.name) of driver \(network.driver): it is for bridge networks")
    }
}

extension NamespaceMode {
    /// Of flags about networks where there is none.
    public func refusal(of flag: String) -> EngineError {
        .invalid("conflicting options: --\(flag) and --network \(text): it is for networks that containers are connected to")
    }
}
