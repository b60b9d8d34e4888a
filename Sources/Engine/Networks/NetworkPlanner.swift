import Control
import Linux
import Networks
import Store

/// What a supervisor is to do for a container's networks, from what the database says. Changes nothing.
struct NetworkPlanner {
    struct Endpoint {
        var record: EndpointRecord
        var definition: EndpointDefinition
        var network: NetworkDefinition
        /// The network's bridge, or the host's device that it lies on.
        var device: String
        var options: DriverOptions
    }

    var container: ContainerDefinition
    /// By position.
    var endpoints: [Endpoint]
    var ports: [PortRecord] = []
    /// Of root's: a user's ports are like that anyway.
    var portsPassInput = false
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
            .min { $0.precedence < $1.precedence }
    }

    /// The connection by which the host is reached, and reaches the container: that of the default route where it can be, which is no
    /// device that lies on one of the host's.
    private func hostEndpoint(ipv6: Bool) -> Endpoint? {
        if let way = gatewayEndpoint(ipv6: ipv6), way.network.isBridge { return way }
        return endpoints.filter { $0.network.isBridge && gateway(of: $0, ipv6: ipv6) != nil }.min { $0.precedence < $1.precedence }
    }

    /// The gateway of the subnet that a container's address is in.
    func gateway(of endpoint: Endpoint, ipv6: Bool) -> IPAddress? {
        guard endpoint.network.leadsOut, let address = address(of: endpoint, ipv6: ipv6) else { return nil }
        return endpoint.network.subnet(of: address)?.gateway
    }

    private func address(of endpoint: Endpoint, ipv6: Bool) -> IPAddress? {
        ipv6 ? endpoint.record.ipv6 : endpoint.record.ipv4
    }

    /// The host as containers see it.
    var gateways: [IPAddress] {
        [false, true].compactMap { ipv6 in hostEndpoint(ipv6: ipv6).flatMap { gateway(of: $0, ipv6: ipv6) } }
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
            for text in endpoint.definition.linkLocal {
                if let prefix = IPAddress(text).flatMap(NetworkAttachment.linkLocalPrefix) { made.linkLocal.append(prefix.description) }
            }
            for (ipv6, way) in zip([false, true], ways) where way == endpoint.record.id {
                guard let gateway = gateway(of: endpoint, ipv6: ipv6) else { continue }
                made.gateways.append(!endpoint.options.isRouted ? gateway.description : ipv6 ? "::" : "0.0.0.0")
            }
            made.rate = container.networkRate
            made.routes = routes(of: endpoint)
            if showsNames(endpoint.network) { made.names = NetworkPlanner.names(container, endpoint.definition) }
            plan.endpoints.append(made)
        }
        plan.ports = ports.compactMap(port)
        plan.portsPassInput = portsPassInput && !plan.ports.isEmpty
        if isResolved { plan.resolver = resolverPlan() }
        return plan
    }

    /// Those of families that the container has an address of.
    private func routes(of endpoint: Endpoint) -> [RoutePlan] {
        endpoint.network.routes.filter { address(of: endpoint, ipv6: $0.gateway.isIPv6) != nil }.map { route in
            RoutePlan(route.destination.description, by: route.gateway.description, metric: route.metric)
        }
    }

    private func interface(_ endpoint: Endpoint) -> String {
        endpoint.definition.interface(endpoint.record, prefix: endpoint.options.bridge.interfacePrefix)
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
    func publishingEndpoint(ipv6: Bool) -> Endpoint? {
        // By another connection than the default route's answers would not go back.
        gatewayEndpoint(ipv6: ipv6).flatMap { $0.network.publishes ? $0 : nil }
    }

    // MARK: Names

    /// Docker's default network has none; ours has, unless the container is to be as Docker's are.
    private func hasNames(_ network: NetworkDefinition) -> Bool {
        !(container.isDockerCompatible && network.name == PredefinedNetwork.bridge.rawValue)
    }

    /// Whether names of the network's containers are answered.
    private func showsNames(_ network: NetworkDefinition) -> Bool { hasNames(network) && !network.hidesNames }

    /// Whether somebody answers at 127.0.0.11.
    var isResolved: Bool { endpoints.contains { hasNames($0.network) } }

    /// Whom a container asks itself where nobody answers, as with Docker: those that it can reach, in its families.
    var reachableServers: [String] {
        let hasIPv6 = endpoints.contains { $0.record.ipv6 != nil }
        let servers = resolver.servers.filter { text in
            IPAddress(text).map { !$0.isLoopback && (hasIPv6 || !$0.isIPv6) } ?? false
        }
        return servers.isEmpty ? ["8.8.8.8", "8.8.4.4"] : servers
    }

    private func resolverPlan() -> ResolverPlan {
        var plan = ResolverPlan()
        let leadsOut = endpoints.contains { $0.network.leadsOut }
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
        plan.directories = endpoints.filter { showsNames($0.network) }.map { directory + "/" + $0.network.id }
        return plan
    }
}

extension NetworkPlanner.Endpoint {
    /// Which connections come first where one has to be chosen.
    var precedence: NetworkPrecedence { NetworkPrecedence(priority: definition.gatewayPriority, name: network.name) }
}

/// As in Docker: the highest priority, among equals the first network by name.
struct NetworkPrecedence: Comparable {
    var priority: Int
    var name: String

    static func < (left: NetworkPrecedence, right: NetworkPrecedence) -> Bool {
        left.priority == right.priority ? left.name < right.name : left.priority > right.priority
    }
}

extension NetworkDefinition {
    /// The network as the kernel gets it.
    func bridgePlan(device: String, _ options: DriverOptions) -> BridgePlan {
        var plan = BridgePlan(networkID: id, networkName: name, device: device)
        plan.subnets = subnets.map(\.subnet.description)
        plan.mtu = options.bridge.mtu
        plan.parent = options.parent?.plan
        if plan.parent != nil { return plan }
        plan.tunnel = options.tunnel?.plan(device: "vx-" + shortID)
        // Without an address of the host's, what is inside has nobody to talk to but itself.
        if !isInternal { plan.addresses = subnets.map { "\($0.gateway)/\($0.subnet.length)" } }
        plan.isInternal = isInternal
        plan.connectsContainers = options.bridge.connectsContainers
        plan.masquerades = options.bridge.masquerades
        plan.isOpen = options.bridge.isOpen
        plan.vlan = options.bridge.vlan
        return plan
    }
}
