import JSON
import Linux

/// A network in the layout of podman's `network inspect` (`types.Network` of containers/common, as of podman 5).
struct PodmanNetworkInspection {
    /// How fields are spelled: as in the JSON document, or as templates name them.
    enum Spelling { case document, template }

    let definition: NetworkDefinition
    /// The bridge, or the device of the host's that the network lies on; empty for none.
    let device: String
    /// Names of devices inside, before their number.
    let interfacePrefix: String
    let members: [NetworkInspection.Member]
    let spelling: Spelling

    var value: JSONValue {
        [
            key("name", "Name"): .string(definition.name),
            key("id", "ID"): .string(definition.id),
            key("driver", "Driver"): .string(definition.driver),
            key("network_interface", "NetworkInterface"): .string(device),
            key("created", "Created"): .string(Timestamp.text(definition.createdAt)),
            key("subnets", "Subnets"): .array(definition.subnets.map(subnet)),
            key("routes", "Routes"): .array(definition.routes.map(route)),
            key("ipv6_enabled", "IPv6Enabled"): .bool(definition.enablesIPv6),
            key("internal", "Internal"): .bool(definition.isInternal),
            key("dns_enabled", "DNSEnabled"): .bool(definition.isConnectable && !definition.hidesNames),
            key("network_dns_servers", "NetworkDNSServers"): .array(definition.dns.map(JSONValue.string)),
            key("labels", "Labels"): Self.map(definition.labels),
            key("options", "Options"): Self.map(definition.options),
            key("ipam_options", "IPAMOptions"): Self.map(["driver": "host-local"].merging(definition.ipamOptions) { $1 }),
            key("containers", "Containers"): .object(members.map { .init(key: $0.record.containerID, value: container($0)) }),
        ]
    }

    private func key(_ document: String, _ template: String) -> String { spelling == .document ? document : template }

    private static func map(_ values: [String: String]) -> JSONValue {
        .object(values.sorted { $0.key < $1.key }.map { .init(key: $0.key, value: .string($0.value)) })
    }

    private func subnet(_ subnet: NetworkSubnet) -> JSONValue {
        var members: [JSONValue.Member] = [
            .init(key: key("subnet", "Subnet"), value: .string(subnet.subnet.description)),
            .init(key: key("gateway", "Gateway"), value: .string(subnet.gateway.description)),
        ]
        if subnet.range != nil {
            let range: JSONValue = [
                key("start_ip", "StartIP"): .string(subnet.addresses.first.description),
                key("end_ip", "EndIP"): .string(subnet.addresses.last.description),
            ]
            members.append(.init(key: key("lease_range", "LeaseRange"), value: range))
        }
        return .object(members)
    }

    private func route(_ route: NetworkRoute) -> JSONValue {
        [
            key("destination", "Destination"): .string(route.destination.description),
            key("gateway", "Gateway"): .string(route.gateway.description),
            key("metric", "Metric"): .int(Int64(route.metric)),
        ]
    }

    private func container(_ member: NetworkInspection.Member) -> JSONValue {
        let record = member.record
        let addresses = [record.ipv4, record.ipv6].compactMap { $0 }.compactMap { address in
            definition.subnet(of: address).map { (address, $0) }
        }
        let interface: JSONValue = [
            key("subnets", "Subnets"): .array(
                addresses.map { address, subnet in
                    [
                        key("ipnet", "IPNet"): .string(definition.text(of: address)),
                        key("gateway", "Gateway"): .string(subnet.gateway.description),
                    ]
                }),
            key("mac_address", "MacAddress"): .string(EndpointAddresses.shownMAC(of: record, definition)),
        ]
        let name = (try? EndpointDefinition(decoding: record.definition))?.interface(record, prefix: interfacePrefix)
        return [
            key("name", "Name"): .string(member.name),
            key("interfaces", "Interfaces"): [name ?? "": interface],
        ]
    }
}
