import Control
import Linux
import Store

/// What a supervisor is to do for a container's networks, from what the database says. Changes nothing.
struct NetworkPlanner {
    struct Endpoint {
        var record: EndpointRecord
        var definition: EndpointDefinition
        var network: NetworkDefinition
        /// The network's bridge.
        var device: String
        var options: BridgeOptions
    }

    var container: ContainerDefinition
    /// By position.
    var endpoints: [Endpoint]
    var ports: [PortRecord] = []
    var resolver = HostResolver()
    /// Directory of the networks' names: `RUN/networks`.
    var directory = ""
    /// Names of other containers with their addresses (`--link`).
    var links: [ResolverPlan.FixedName] = []

    // MARK: The way out

    /// The connection that gives the default route of a family: of the highest priority, among equals the first network by
    /// name, as in Docker. Internal networks lead nowhere.
    func gatewayEndpoint(ipv6: Bool) -> Endpoint? {
        endpoints.filter { address(of: $0, ipv6: ipv6) != nil && gateway(of: $0, ipv6: ipv6) != nil }
            .min { left, right in
                let priorities = (left.definition.gatewayPriority, right.definition.gatewayPriority)
                return priorities.0 == priorities.1 ? left.network.name < right.network.name : priorities.0 > priorities.1
            }
    }

    /// The gateway of the subnet that a container's address is in.
    func gateway(of endpoint: Endpoint, ipv6: Bool) -> IPAddress? {
        guard !endpoint.network.isInternal, let address = address(of: endpoint, ipv6: ipv6) else { return nil }
        return endpoint.network.subnet(of: address)?.gateway
    }

    private func address(of endpoint: Endpoint, ipv6: Bool) -> IPAddress? {
        ipv6 ? endpoint.record.ipv6 : endpoint.record.ipv4
    }

    /// The host as containers see it.
    var gateways: [IPAddress] {
        [false, true].compactMap { ipv6 in gatewayEndpoint(ipv6: ipv6).flatMap { gateway(of: $0, ipv6: ipv6) } }
    }

    // MARK: Plan

    func plan() -> NetworkPlan {
        var plan = NetworkPlan()
        let ways = [false, true].map { gatewayEndpoint(ipv6: $0)?.record.id }
        for endpoint in endpoints {
            var made = EndpointPlan(
                bridge: endpoint.network.bridgePlan(device: endpoint.device, endpoint.options), interface: interface(endpoint),
                hostInterface: "veth" + endpoint.record.id.prefix(11),
                mac: EndpointAddresses.mac(of: endpoint.record))
            for address in [endpoint.record.ipv4, endpoint.record.ipv6] where address != nil {
                made.addresses.append(endpoint.network.text(of: address))
            }
            for (ipv6, way) in zip([false, true], ways) where way == endpoint.record.id {
                if let gateway = gateway(of: endpoint, ipv6: ipv6) { made.gateways.append(gateway.description) }
            }
            made.names = NetworkPlanner.names(container, endpoint.definition)
            plan.endpoints.append(made)
        }
        plan.ports = ports.compactMap(port)
        if !endpoints.isEmpty { plan.resolver = resolverPlan() }
        return plan
    }

    private func interface(_ endpoint: Endpoint) -> String {
        endpoint.definition.driverOptions[NetworkAttachment.interfaceOption]
            ?? endpoint.options.interfacePrefix + "\(endpoint.record.position)"
    }

    /// What the container is called in a network, in Docker's order.
    static func names(_ container: ContainerDefinition, _ endpoint: EndpointDefinition) -> [String] {
        var result: [String] = []
        for name in [container.name] + endpoint.aliases + [container.shortID, container.hostname]
        where !name.isEmpty && !result.contains(name) {
            result.append(name)
        }
        return result
    }

    private func port(_ record: PortRecord) -> PortPlan? {
        guard let transport = PortPlan.Transport(rawValue: record.transport),
            let endpoint = publishingEndpoint(ipv6: record.address.isIPv6),
            let target = address(of: endpoint, ipv6: record.address.isIPv6)
        else { return nil }
        return PortPlan(
            transport, hostAddress: record.address.description, hostPort: record.hostPort,
            containerPort: record.containerPort, count: record.count, target: target.description)
    }

    /// Where published ports lead to: nil when nothing may come in.
    func publishingEndpoint(ipv6: Bool) -> Endpoint? { gatewayEndpoint(ipv6: ipv6) }

    // MARK: Names

    private func resolverPlan() -> ResolverPlan {
        var plan = ResolverPlan()
        let leadsOut = endpoints.contains { !$0.network.isInternal }
        // Questions to the outside would be a way out of networks that have none.
        if leadsOut {
            let networks = endpoints.flatMap(\.network.dns)
            plan.upstreams = !container.dns.isEmpty ? container.dns : !networks.isEmpty ? networks : resolver.upstreams
            plan.asksFromContainer = !container.dns.isEmpty || !networks.isEmpty
        }
        let host = gateways.map(\.description)
        if !host.isEmpty {
            for name in ["host.docker.internal", "host.containers.internal", "gateway.docker.internal"] {
                plan.fixed.append(ResolverPlan.FixedName(name, host))
            }
        }
        plan.fixed += links
        plan.directories = endpoints.map { directory + "/" + $0.network.id }
        return plan
    }
}

extension NetworkDefinition {
    /// The network as the kernel gets it.
    func bridgePlan(device: String, _ options: BridgeOptions) -> BridgePlan {
        var plan = BridgePlan(networkID: id, networkName: name, device: device)
        plan.subnets = subnets.map(\.subnet.description)
        // Without an address of the host's, what is inside has nobody to talk to but itself.
        if !isInternal { plan.addresses = subnets.map { "\($0.gateway)/\($0.subnet.length)" } }
        plan.mtu = options.mtu
        plan.isInternal = isInternal
        plan.connectsContainers = options.connectsContainers
        plan.masquerades = options.masquerades
        return plan
    }
}
