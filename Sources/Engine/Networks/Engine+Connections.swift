import Control
import Glibc
import Linux
import Networks
import Store

/// Connections of containers: what is asked of the database, and what becomes of its answer.
extension Engine {
    // MARK: Requests

    /// What a new container wants, and of whom.
    struct NewConnections {
        var request = ConnectionRequest()
        var networks: [NetworkDefinition] = []
    }

    /// A network with the families a container has addresses of there.
    struct Reach {
        var network: NetworkDefinition
        var ipv4: Bool
        var ipv6: Bool
        var priority: Int
    }

    /// What a new container wants.
    ///
    /// - Parameter starting: its ports too: those of a container that is only made are nobody's.
    func connections(
        for definition: ContainerDefinition, _ attachments: [NetworkAttachment], starting: Bool
    ) throws(EngineError) -> NewConnections {
        var result = NewConnections()
        guard definition.isConnectable else {
            if definition.network == .host, !definition.ports.isEmpty || definition.publishesAll {
                warn("WARNING: Published ports are discarded when using host network mode")
            }
            return result
        }
        var reach: [Reach] = []
        for attachment in attachments {
            let network = try connectable(attachment.network)
            try definition.networkRate.require(network)
            if result.networks.contains(where: { $0.id == network.id }) {
                throw .invalid("network \"\(network.name)\" is specified multiple times")
            }
            try refuseAsDocker(definition, attachment, network)
            let endpoint = try endpoint(attachment, network)
            result.networks.append(network)
            result.request.endpoints.append(endpoint)
            reach.append(
                Reach(
                    network: network, ipv4: endpoint.ipv4 != .none, ipv6: endpoint.ipv6 != .none, priority: attachment.gatewayPriority))
        }
        if starting { try addPorts(of: definition, reach, to: &result.request) }
        return result
    }

    /// A network that containers are connected to, not put into.
    private func connectable(_ text: String) throws(EngineError) -> NetworkDefinition {
        let network = try self.network(text)
        if network.isConnectable { return network }
        throw .invalid("conflicting options: cannot attach both user-defined and non-user-defined network-modes")
    }

    /// - Throws: Docker's sentences for addresses that the network cannot give.
    func endpoint(_ attachment: NetworkAttachment, _ network: NetworkDefinition) throws(EngineError) -> EndpointRequest {
        var request = EndpointRequest(
            id: hexadecimal(randomBytes(32)), networkID: network.id, networkName: network.name,
            definition: EndpointDefinition(attachment, network: network.name).encode())
        if attachment.mac != nil, network.driver == NetworkDriver.ipvlan.rawValue {
            throw .invalid("ipvlan interfaces do not support custom mac address assignment: they have their parent's")
        }
        request.mac = attachment.mac
        request.ipv4 = try address(attachment.ipv4, ipv6: false, network)
        request.ipv6 = try address(attachment.ipv6, ipv6: true, network)
        return request
    }

    private func address(
        _ asked: IPAddress?, ipv6: Bool, _ network: NetworkDefinition
    ) throws(EngineError) -> EndpointRequest.Address {
        let subnets = network.subnets.filter { $0.subnet.isIPv6 == ipv6 }
        if let asked {
            guard let subnet = subnets.first(where: { $0.subnet.contains(asked) }) else {
                throw .invalid("invalid endpoint settings: no configured subnet contains IP address \(asked)")
            }
            guard subnet.admits(asked) else {
                throw EngineError(.conflict, sentence: "Address already in use: network \(network.name) keeps \(asked) for itself")
            }
            return .given(asked)
        }
        if subnets.isEmpty { return .none }
        return .free(
            subnets.map { subnet in
                let bounds = subnet.addresses
                return AddressRange(
                    first: bounds.first, last: bounds.last, excluded: Set(subnet.auxiliary.values).union([subnet.gateway]))
            })
    }

    // MARK: Ports

    func addPorts(
        of definition: ContainerDefinition, _ reach: [Reach], to request: inout ConnectionRequest
    ) throws(EngineError) {
        if definition.ports.isEmpty, !definition.publishesAll { return }
        let hasIPv4 = Engine.publishes(reach.filter(\.ipv4))
        let hasIPv6 = Engine.publishes(reach.filter(\.ipv6))
        if !hasIPv4, !hasIPv6, let way = Engine.way(reach) { warnOfDiscardedPorts(way.network) }
        var binding: IPAddress?
        for one in reach where one.network.publishes && binding == nil { binding = try DriverOptions(one.network).bridge.hostBinding }
        request.isRunning = { [self] in hasSupervisor($0) }
        request.isFree = kernelNetworks.isPortFree
        for port in definition.allBindings {
            let addresses = try hostAddresses(port, binding, hasIPv4, hasIPv6)
            if !addresses.isEmpty { request.ports += requests(port, addresses) }
        }
    }

    /// Of connections with addresses of one family: the one that gives the default route.
    private static func way(_ reach: [Reach]) -> Reach? {
        reach.filter(\.network.leadsOut).min { left, right in
            NetworkPrecedence(priority: left.priority, name: left.network.name)
                < NetworkPrecedence(priority: right.priority, name: right.network.name)
        }
    }

    private static func publishes(_ reach: [Reach]) -> Bool { way(reach)?.network.publishes ?? false }

    private func warnOfDiscardedPorts(_ network: NetworkDefinition) {
        let text =
            "WARNING: Published ports are discarded: network \(network.name) of driver \(network.driver) leads past the host; "
            + "the container is reached by its own address"
        if !warnings.contains(text) { warn(text) }
    }

    /// Where a port is published: nowhere when all networks are internal.
    private func hostAddresses(
        _ port: PortBinding, _ binding: IPAddress?, _ hasIPv4: Bool, _ hasIPv6: Bool
    ) throws(EngineError) -> [IPAddress] {
        if !hasIPv4, !hasIPv6 { return [] }
        if let address = IPAddress(port.hostAddress) {
            if address.isIPv6 ? hasIPv6 : hasIPv4 { return [address] }
            throw EngineError(
                .conflict,
                sentence: "cannot publish \(port.text): the container has no \(address.isIPv6 ? "IPv6" : "IPv4") address; "
                    + "connect it to a network that gives one")
        }
        if hasIPv4, let binding { return [binding] }
        return (hasIPv4 ? [IPAddress("0.0.0.0")] : []).compactMap { $0 } + (hasIPv6 ? [IPAddress("::")] : []).compactMap { $0 }
    }

    private func requests(_ port: PortBinding, _ addresses: [IPAddress]) -> [PortRequest] {
        let transport = port.ports.transport.rawValue
        func one(_ range: ClosedRange<UInt16>, _ inside: UInt16) -> PortRequest {
            // Not one after the other: two commands at once rarely look at the same.
            let bytes = randomBytes(2)
            let offset = (UInt32(bytes[0]) << 8 | UInt32(bytes[1])) % UInt32(range.count)
            let start = port.hostPorts == nil ? UInt16(clamping: UInt32(range.lowerBound) + offset) : range.lowerBound
            return PortRequest(transport: transport, addresses: addresses, place: .free(range, start: start), containerPort: inside)
        }
        guard let host = port.hostPorts else {
            let range = KernelNetworks.ephemeralPorts()
            return (port.ports.first...port.ports.last).map { one(range, $0) }
        }
        if host.count != Int(port.ports.count) { return [one(host, port.ports.first)] }
        return [
            PortRequest(
                transport: transport, addresses: addresses, place: .given(host.lowerBound), containerPort: port.ports.first,
                count: port.ports.count)
        ]
    }

    // MARK: Answers

    /// - Returns: nil for a container that is not connected: nothing is to be done.
    func planner(
        _ definition: ContainerDefinition, _ connections: Connections, _ networks: [NetworkDefinition]
    ) throws(EngineError) -> NetworkPlanner? {
        guard definition.isConnectable else { return nil }
        var planner = NetworkPlanner(container: definition, endpoints: [])
        for record in connections.endpoints {
            guard let network = networks.first(where: { $0.id == record.networkID }) else { continue }
            planner.endpoints.append(
                NetworkPlanner.Endpoint(
                    record: record, definition: try EndpointDefinition(decoding: record.definition), network: network,
                    device: try device(of: network), options: try DriverOptions(network)))
        }
        planner.ports = connections.ports
        planner.directory = roots.run + "/networks"
        return planner
    }

    /// With what the host and other containers say.
    func completed(_ planner: NetworkPlanner?) throws(EngineError) -> NetworkPlanner? {
        guard var planner else { return nil }
        planner.resolver = HostResolver.read()
        if !planner.ports.isEmpty, !host.isRootless { planner.portsPassInput = try Configuration.load().respectsInputFirewall }
        planner.links = try linkedNames(planner.endpoints)
        return planner
    }

    /// The addresses of containers that were linked: they keep them while they exist.
    private func linkedNames(_ endpoints: [NetworkPlanner.Endpoint]) throws(EngineError) -> [ResolverPlan.FixedName] {
        var result: [ResolverPlan.FixedName] = []
        for endpoint in endpoints {
            for link in endpoint.definition.links {
                let parts = link.splitOnce(":")
                let other = try definition(of: String(parts?.head ?? link[...]))
                let store = try self.store()
                let found = try stored { () throws(StoreError) in try store.connections(ofContainer: other.id) }.endpoints
                guard let record = found.first(where: { $0.networkID == endpoint.network.id }) else {
                    throw EngineError(
                        .conflict,
                        sentence: "cannot link to container \(other.name): it is not connected to network \(endpoint.network.name)")
                }
                let addresses = [record.ipv4, record.ipv6].compactMap { $0?.description }
                for name in [parts.map { String($0.tail) } ?? other.name, other.name]
                where !name.isEmpty && !result.contains(where: { $0.name == name }) {
                    result.append(ResolverPlan.FixedName(name, addresses))
                }
            }
        }
        return result
    }

    /// What a container has of the networks, without asking for more.
    func currentPlanner(_ definition: ContainerDefinition) throws(EngineError) -> NetworkPlanner? {
        try completed(try leasedPlanner(definition))
    }

    /// Only what the database says: enough to take it away, also where what it was made with is gone or cannot be read any more.
    func leasedPlanner(_ definition: ContainerDefinition) throws(EngineError) -> NetworkPlanner? {
        guard definition.isConnectable else { return nil }
        let store = try self.store()
        let connections = try stored { () throws(StoreError) in try store.connections(ofContainer: definition.id) }
        return try planner(definition, connections, try networks(of: definition, store))
    }

    func networks(of definition: ContainerDefinition, _ store: Store) throws(EngineError) -> [NetworkDefinition] {
        var result: [NetworkDefinition] = []
        for record in try stored({ () throws(StoreError) in try store.networks(ofContainer: definition.id) }) {
            result.append(try decode(record))
        }
        return result
    }

    /// Leases a container's ports for a start, and connects it again where a network was removed and made anew meanwhile.
    func connectForStart(_ definition: ContainerDefinition) throws(EngineError) -> Connections? {
        guard definition.isConnectable else { return nil }
        // A network may be removed between a look and the transaction; from then on the container's lock keeps it.
        for _ in 0..<8 {
            let connections = try claimForStart(definition)
            if connections.endpoints.allSatisfy({ $0.networkID != nil }) { return connections }
        }
        throw EngineError(.conflict, sentence: "networks of container \(definition.name) are being removed by another command")
    }

    private func claimForStart(_ definition: ContainerDefinition) throws(EngineError) -> Connections {
        let store = try self.store()
        var connections = try stored { () throws(StoreError) in try store.connections(ofContainer: definition.id) }
        var request = ConnectionRequest()
        var reconnections: [Int: EndpointRequest] = [:]
        let networks = try self.networks(of: definition, store)
        var reach: [Reach] = []
        for record in connections.endpoints {
            let asked = try EndpointDefinition(decoding: record.definition)
            if let network = networks.first(where: { $0.id == record.networkID }) {
                reach.append(Reach(network: network, record, asked))
                continue
            }
            var attachment = NetworkAttachment(asked.network)
            (attachment.ipv4, attachment.ipv6, attachment.mac) = (IPAddress(asked.ipv4), IPAddress(asked.ipv6), record.mac)
            (attachment.aliases, attachment.links) = (asked.aliases, asked.links)
            (attachment.driverOptions, attachment.gatewayPriority) = (asked.driverOptions, asked.gatewayPriority)
            let network = try connectable(asked.network)
            let endpoint = try endpoint(attachment, network)
            reconnections[record.position] = endpoint
            reach.append(
                Reach(network: network, ipv4: endpoint.ipv4 != .none, ipv6: endpoint.ipv6 != .none, priority: asked.gatewayPriority))
        }
        try addPorts(of: definition, reach, to: &request)
        if !request.ports.isEmpty || !connections.endpoints.isEmpty || !connections.ports.isEmpty {
            connections = try claimed { () throws(StoreError) in
                try store.claim(
                    container: definition.id, request, reconnections: reconnections,
                    durability: definition.autoRemove ? .volatile : .durable)
            }
        }
        return connections
    }

    // MARK: Refusals

    func claimed<T>(_ body: () throws(StoreError) -> T) throws(EngineError) -> T {
        do throws(StoreError) { return try body() } catch { throw connectionRefusal(error) }
    }

    /// The store's refusal in Docker's words, with who has what was asked for.
    func connectionRefusal(_ error: StoreError) -> EngineError {
        let holder = error.holders.first.map { id in
            ((try? definition(of: id).name).map { "container \"\($0)\" (\(id.prefix(12)))" }) ?? "container \(id.prefix(12))"
        }
        switch (error.code, error.operation) {
        case (.inUse, "publish port"):
            return EngineError(
                .conflict,
                sentence: "Bind for \(error.object) failed: port is already allocated" + (holder.map { ": \($0) has it" } ?? ""))
        case (.tooLarge, "publish port"):
            return EngineError(.conflict, sentence: "cannot publish \(error.object): all ports are allocated")
        case (.inUse, "lease address"):
            return EngineError(
                .conflict, sentence: "Address already in use: \(error.object)" + (holder.map { " belongs to \($0)" } ?? ""))
        case (.tooLarge, "lease address in network"):
            return EngineError(.conflict, sentence: "no available IPv4 or IPv6 addresses in network \(error.object): all are in use")
        case (.notFound, "connect to network"): return .noSuchNetwork(error.object)
        default: return EngineError(error)
        }
    }
}

extension Engine.Reach {
    init(network: NetworkDefinition, _ record: EndpointRecord, _ asked: EndpointDefinition) {
        self.init(network: network, ipv4: record.ipv4 != nil, ipv6: record.ipv6 != nil, priority: asked.gatewayPriority)
    }
}

extension ContainerDefinition {
    /// What is published: what was asked for, and with `-P` every other exposed port.
    var allBindings: [PortBinding] {
        guard publishesAll else { return ports }
        let others = exposed.filter { exposed in !ports.contains { $0.ports.contains(exposed) } }
        return ports + others.map(PortBinding.init)
    }
}
