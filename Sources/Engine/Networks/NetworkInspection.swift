import JSON
import Linux
import Store

extension Engine {
    /// A network in the layout of Docker's `network inspect`.
    public func inspectNetwork(_ text: String) throws(EngineError) -> [UInt8] {
        let definition = try network(text)
        var inspection = NetworkInspection(definition: definition, members: try runningMembers(of: definition))
        if definition.isConnectable { inspection.options = try shownOptions(definition) }
        return JSONWriter.document { inspection.write(to: &$0) }
    }

    /// A network in the layout of podman's `network inspect`.
    ///
    /// - Parameter forTemplate: fields have the names that templates use, `NetworkInterface`; otherwise those of the document,
    ///   `network_interface`.
    public func inspectNetworkAsPodman(_ text: String, forTemplate: Bool) throws(EngineError) -> JSONValue {
        let definition = try network(text)
        let device = definition.isConnectable ? try device(of: definition) : ""
        return PodmanNetworkInspection(
            definition: definition, device: device, interfacePrefix: try DriverOptions(definition).bridge.interfacePrefix,
            members: try runningMembers(of: definition), spelling: forTemplate ? .template : .document
        ).value
    }

    /// Docker shows those that run; the others have nothing that could be reached.
    private func runningMembers(of network: NetworkDefinition) throws(EngineError) -> [NetworkInspection.Member] {
        guard hasStore else { return [] }
        let store = try self.store()
        return try stored { () throws(StoreError) in try store.endpoints(ofNetwork: network.id) }.compactMap { record in
            guard hasSupervisor(record.containerID), let container = try? self.definition(of: record.containerID) else { return nil }
            return NetworkInspection.Member(record: record, name: container.name)
        }
    }

    /// As given; the default network's are told although nobody gave them, as programs look the bridge's name up there.
    private func shownOptions(_ definition: NetworkDefinition) throws(EngineError) -> [String: String] {
        guard definition.name == PredefinedNetwork.bridge.rawValue else { return definition.options }
        let prefix = "com.docker.network."
        return [
            prefix + "bridge.default_bridge": "true", prefix + "bridge.enable_icc": "true",
            prefix + "bridge.enable_ip_masquerade": "true", prefix + "bridge.host_binding_ipv4": "0.0.0.0",
            prefix + "bridge.name": try device(of: definition),
        ]
    }
}

/// Docker's `network inspect` document of one network.
struct NetworkInspection {
    struct Member {
        var record: EndpointRecord
        var name: String
    }

    let definition: NetworkDefinition
    let members: [Member]
    var options: [String: String] = [:]

    func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.field("Name", definition.name)
            w.field("Id", definition.id)
            w.field("Created", Timestamp.text(definition.createdAt))
            w.field("Scope", "local")
            w.field("Driver", definition.driver)
            w.field("EnableIPv4", definition.enablesIPv4)
            w.field("EnableIPv6", definition.enablesIPv6)
            writeIPAM(to: &w)
            w.field("Internal", definition.isInternal)
            w.field("Attachable", definition.isAttachable)
            w.field("Ingress", false)
            w.object("ConfigFrom") { w in w.field("Network", "") }
            w.field("ConfigOnly", false)
            w.object("Containers") { w in for member in members { writeMember(member, to: &w) } }
            w.field("Options", options)
            w.field("Labels", definition.labels)
            if !definition.dns.isEmpty { w.field("DNS", definition.dns) }
            if definition.hidesNames { w.field("DNSEnabled", false) }
            if !definition.routes.isEmpty { writeRoutes(to: &w) }
        }
    }

    private func writeIPAM(to w: inout JSONWriter) {
        w.object("IPAM") { w in
            w.field("Driver", "default")
            if definition.ipamOptions.isEmpty { w.nullField("Options") } else { w.field("Options", definition.ipamOptions) }
            if !definition.isConnectable { return w.nullField("Config") }
            w.array("Config", definition.subnets) { w, subnet in
                w.object { w in
                    w.field("Subnet", subnet.subnet.description)
                    w.fieldIfPresent("IPRange", subnet.range?.description)
                    w.field("Gateway", subnet.gateway.description)
                    if !subnet.auxiliary.isEmpty {
                        w.field("AuxiliaryAddresses", subnet.auxiliary.mapValues(\.description))
                    }
                }
            }
        }
    }

    /// As podman has them, in Docker's spelling.
    private func writeRoutes(to w: inout JSONWriter) {
        w.array("Routes", definition.routes) { w, route in
            w.object { w in
                w.field("Destination", route.destination.description)
                w.field("Gateway", route.gateway.description)
                w.fieldIfNotZero("Metric", route.metric)
            }
        }
    }

    private func writeMember(_ member: Member, to w: inout JSONWriter) {
        let record = member.record
        w.key(record.containerID)
        w.object { w in
            w.field("Name", member.name)
            w.field("EndpointID", record.id)
            w.field("MacAddress", EndpointAddresses.shownMAC(of: record, definition))
            w.field("IPv4Address", definition.text(of: record.ipv4))
            w.field("IPv6Address", definition.text(of: record.ipv6))
        }
    }
}

extension NetworkDefinition {
    /// The subnet an address is in.
    func subnet(of address: IPAddress) -> NetworkSubnet? { subnets.first { $0.subnet.contains(address) } }

    /// `172.18.0.2/16`; empty for none.
    func text(of address: IPAddress?) -> String {
        guard let address, let subnet = subnet(of: address) else { return "" }
        return "\(address)/\(subnet.subnet.length)"
    }
}

enum EndpointAddresses {
    /// What was asked for, else Docker's: of the IPv4 address where there is one, else of the endpoint's id.
    static func mac(of record: EndpointRecord) -> String {
        if let mac = record.mac { return mac.description }
        let tail = record.ipv4?.bytes ?? (0..<4).map { digit($0, record.id) }
        return MACAddress(bytes: [0x02, 0x42] + tail)?.description ?? ""
    }

    /// As ``mac(of:)``; empty where containers have the address of the host's device.
    static func shownMAC(of record: EndpointRecord, _ network: NetworkDefinition?) -> String {
        network?.driver == NetworkDriver.ipvlan.rawValue ? "" : mac(of: record)
    }

    private static func digit(_ index: Int, _ id: String) -> UInt8 {
        UInt8(id.dropFirst(index * 2).prefix(2), radix: 16) ?? 0
    }
}
