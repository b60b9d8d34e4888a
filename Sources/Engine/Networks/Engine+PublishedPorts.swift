import Linux
import Store

/// Ports of the host that lead to ports of a container, as long as it runs.
public struct PublishedPorts: Sendable, Hashable {
    public var transport: String
    public var hostAddress: String
    public var hostPort: UInt16
    public var containerPort: UInt16
    /// At least 1.
    public var count: UInt16

    init(_ record: PortRecord) {
        transport = record.transport
        hostAddress = record.address.description
        hostPort = record.hostPort
        containerPort = record.containerPort
        count = record.count
    }

    /// `0.0.0.0:8080`, `[::]:8080`: where one of the container's ports is found.
    public func host(of port: UInt16) -> String? {
        guard port >= containerPort, port - containerPort < count else { return nil }
        return Self.joined(hostAddress, "\(hostPort + (port - containerPort))")
    }

    /// An address and ports, IPv6 in brackets.
    public static func joined(_ address: String, _ ports: String) -> String {
        address.utf8.contains(UInt8(ascii: ":")) ? "[\(address)]:\(ports)" : "\(address):\(ports)"
    }
}

extension Engine {
    /// The ports of containers that run, by id. One look for all, and none where nothing is published.
    public func publishedPorts(of views: [ContainerView]) throws(EngineError) -> [String: [PublishedPorts]] {
        let published = views.filter { view in
            (view.isAlive || view.observation.status == .restarting) && !view.definition.allBindings.isEmpty
        }
        if published.isEmpty { return [:] }
        let store = try self.store()
        let records: [PortRecord]
        if published.count == 1, let only = published.first {
            records = try stored { () throws(StoreError) in try store.ports(ofContainer: only.id) }
        } else {
            records = try stored { () throws(StoreError) in try store.ports() }
        }
        let ids = Set(published.map(\.id))
        var result: [String: [PublishedPorts]] = [:]
        for record in records where ids.contains(record.containerID) {
            result[record.containerID, default: []].append(PublishedPorts(record))
        }
        return result
    }

    /// The networks of containers, by id: name and id of each. One look for all.
    public func connectedNetworks(of views: [ContainerView]) throws(EngineError) -> [String: [(name: String, id: String)]] {
        var result: [String: [(name: String, id: String)]] = [:]
        for view in views {
            guard let network = PredefinedNetwork(rawValue: view.definition.network.text) else { continue }
            result[view.id] = [(network.rawValue, placeholder(network).id)]
        }
        guard views.contains(where: { $0.definition.isConnectable }) else { return result }
        let store = try self.store()
        for record in try stored({ () throws(StoreError) in try store.endpoints() }) {
            let name = try EndpointDefinition(decoding: record.definition).network
            result[record.containerID, default: []].append((name, record.networkID ?? ""))
        }
        return result
    }
}
