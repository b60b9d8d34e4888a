import JSON
import Linux
import Store

/// Docker's NetworkSettings, and what the other parts say about networks.
extension ContainerInspection {
    /// What the database has of a container's connections.
    struct Networks {
        var connections = Connections()
        var definitions: [NetworkDefinition] = []
        /// Of the networks that are always there.
        var predefinedID = ""
    }

    /// Docker gives addresses and ports away when a container stops; here they are kept, and shown as there.
    private var isConnected: Bool { view.isAlive || view.observation.status == .restarting }

    func writeNetworkSettings(to w: inout JSONWriter) {
        w.object("NetworkSettings") { w in
            w.field("Bridge", "")
            w.field("SandboxID", "")
            w.field("SandboxKey", view.observation.pid > 0 && view.isAlive ? "/proc/\(view.observation.pid)/ns/net" : "")
            w.object("Ports") { w in if isConnected { writePorts(to: &w) } }
            w.field("HairpinMode", false)
            w.field("LinkLocalIPv6Address", "")
            w.field("LinkLocalIPv6PrefixLen", 0)
            w.nullField("SecondaryIPAddresses")
            w.nullField("SecondaryIPv6Addresses")
            let usual = networks.definitions.first { $0.name == PredefinedNetwork.bridge.rawValue }
            let record = networks.connections.endpoints.first { $0.networkID == usual?.id && usual != nil }
            writeAddresses(record, usual, to: &w)
            w.field("MacAddress", isConnected ? record.map(EndpointAddresses.mac) ?? "" : "")
            w.object("Networks") { w in writeNetworks(to: &w) }
        }
    }

    private func writeNetworks(to w: inout JSONWriter) {
        if definition.network == .none || definition.network == .host {
            w.key(definition.network.text)
            writeNetwork(nil, EndpointDefinition(), nil, networks.predefinedID, to: &w)
        }
        // By name, as Go writes maps.
        let records = networks.connections.endpoints.compactMap { record in
            (try? EndpointDefinition(decoding: record.definition)).map { (record, $0) }
        }
        for (record, asked) in records.sorted(by: { $0.1.network < $1.1.network }) {
            let network = networks.definitions.first { $0.id == record.networkID }
            w.key(asked.network)
            writeNetwork(record, asked, network, record.networkID ?? "", to: &w)
        }
    }

    private func writeNetwork(
        _ record: EndpointRecord?, _ asked: EndpointDefinition, _ network: NetworkDefinition?, _ id: String,
        to w: inout JSONWriter
    ) {
        w.object { w in
            if asked.ipv4.isEmpty, asked.ipv6.isEmpty, asked.linkLocal.isEmpty {
                w.nullField("IPAMConfig")
            } else {
                w.object("IPAMConfig") { w in
                    w.fieldIfNotEmpty("IPv4Address", asked.ipv4)
                    w.fieldIfNotEmpty("IPv6Address", asked.ipv6)
                    w.fieldIfNotEmpty("LinkLocalIPs", asked.linkLocal)
                }
            }
            writeList("Links", asked.links, to: &w)
            writeList("Aliases", asked.aliases, to: &w)
            if asked.driverOptions.isEmpty { w.nullField("DriverOpts") } else { w.field("DriverOpts", asked.driverOptions) }
            w.field("GwPriority", asked.gatewayPriority)
            w.field("NetworkID", id)
            writeAddresses(record, network, to: &w)
            w.field("MacAddress", isConnected || record?.mac != nil ? record.map { EndpointAddresses.shownMAC(of: $0, network) } ?? "" : "")
            writeList("DNSNames", record == nil ? [] : NetworkPlanner.names(definition, asked), to: &w)
        }
    }

    private func writeAddresses(_ record: EndpointRecord?, _ network: NetworkDefinition?, to w: inout JSONWriter) {
        let shown = isConnected ? record : nil
        func subnet(_ address: IPAddress?) -> NetworkSubnet? { address.flatMap { network?.subnet(of: $0) } }
        func gateway(_ address: IPAddress?) -> String {
            network?.hasGateway == false ? "" : subnet(address)?.gateway.description ?? ""
        }
        w.field("EndpointID", shown?.id ?? "")
        w.field("Gateway", gateway(shown?.ipv4))
        w.field("GlobalIPv6Address", shown?.ipv6?.description ?? "")
        w.field("GlobalIPv6PrefixLen", subnet(shown?.ipv6)?.subnet.length ?? 0)
        w.field("IPAddress", shown?.ipv4?.description ?? "")
        w.field("IPPrefixLen", subnet(shown?.ipv4)?.subnet.length ?? 0)
        w.field("IPv6Gateway", gateway(shown?.ipv6))
    }

    // MARK: Ports

    private var sortedPorts: [ExposedPorts] {
        definition.exposed.sorted { ($0.first, $0.transport.rawValue) < ($1.first, $1.transport.rawValue) }
    }

    /// Every exposed port with where it is published, null where it is not.
    private func writePorts(to w: inout JSONWriter) {
        let records = networks.connections.ports
        for exposed in sortedPorts {
            for port in exposed.first...exposed.last {
                w.key("\(port)/\(exposed.transport.rawValue)")
                let bound = records.filter { record in
                    record.transport == exposed.transport.rawValue && port >= record.containerPort
                        && port - record.containerPort < record.count
                }
                if bound.isEmpty {
                    w.null()
                    continue
                }
                w.array(bound) { w, record in
                    w.object { w in
                        w.field("HostIp", record.address.description)
                        w.field("HostPort", "\(record.hostPort + (port - record.containerPort))")
                    }
                }
            }
        }
    }

    /// HostConfig's, as asked for.
    func writePortBindings(to w: inout JSONWriter) {
        w.object("PortBindings") { w in
            var bindings: [String: [PortBinding]] = [:]
            var order: [String] = []
            for binding in definition.ports {
                for port in binding.ports.first...binding.ports.last {
                    let key = "\(port)/\(binding.ports.transport.rawValue)"
                    if bindings[key] == nil { order.append(key) }
                    bindings[key, default: []].append(binding)
                }
            }
            for key in order {
                w.key(key)
                w.array(bindings[key] ?? []) { w, binding in
                    w.object { w in
                        w.field("HostIp", binding.hostAddress)
                        w.field("HostPort", Self.hostPort(binding, key))
                    }
                }
            }
        }
    }

    private static func hostPort(_ binding: PortBinding, _ key: String) -> String {
        guard let range = binding.hostPorts, let inside = key.splitOnce("/").flatMap({ UInt16($0.head) }) else { return "" }
        if range.count == Int(binding.ports.count) { return "\(range.lowerBound + (inside - binding.ports.first))" }
        return "\(range.lowerBound)-\(range.upperBound)"
    }

    func writeExposedPorts(to w: inout JSONWriter) {
        if definition.exposed.isEmpty { return }
        w.object("ExposedPorts") { w in
            for exposed in sortedPorts {
                for port in exposed.first...exposed.last {
                    w.key("\(port)/\(exposed.transport.rawValue)")
                    w.object { _ in }
                }
            }
        }
    }
}
