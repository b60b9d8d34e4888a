import Flags

/// Flags of the commands on networks.
enum NetworkFlags {
    @Sendable static func create() -> [Flag] {
        [
            .bool("attachable", nil, "Let containers be connected by hand; always so"),
            .value(
                "aux-address", nil, .map, "Address that no container gets, as name=address", value: "name=address"),
            .bool("disable-dns", nil, "Do not answer for the names of its containers"),
            .value("dns", nil, .stringSlice, "Server that is asked for names nobody in the network has", value: "address"),
            .string(
                "driver", "d", "Driver of the network", default: "bridge", completion: .values(["bridge", "ipvlan", "macvlan", "vxlan"])),
            .value("gateway", nil, .stringSlice, "Address of the host in a subnet", value: "address"),
            .bool("ignore", nil, "Do nothing where there is a network of the name"),
            .string("interface-name", nil, "Device: what the bridge is called, or what macvlan and ipvlan lie on"),
            .bool("internal", nil, "Let nothing in or out"),
            .value("ip-range", nil, .stringSlice, "Part of a subnet that containers get addresses of", value: "subnet"),
            .string("ipam-driver", nil, "Who gives addresses out", default: "default", completion: .values(["default"])),
            .value("ipam-opt", nil, .map, "Note about addresses that inspect shows, as name=value"),
            .bool("ipv4", nil, "Give IPv4 addresses", initially: true),
            .bool("ipv6", nil, "Give IPv6 addresses too"),
            .list("label", nil, "Label for the network, as name=value", check: ValueRules.label),
            .value("opt", "o", .map, "Option of the driver, as name=value", completion: .values(options)),
            .list("route", nil, "Route that its containers have too, as 10.1.0.0/16,172.30.0.254[,metric]", value: "destination,gateway"),
            .value("subnet", nil, .stringSlice, "Addresses of the network, as 172.30.0.0/16", value: "subnet"),
        ]
    }

    private static let options = [
        "com.docker.network.bridge.enable_icc=", "com.docker.network.bridge.enable_ip_masquerade=",
        "com.docker.network.bridge.host_binding_ipv4=", "com.docker.network.bridge.name=",
        "com.docker.network.container_iface_prefix=", "com.docker.network.driver.mtu=", "ipvlan_flag=", "ipvlan_mode=", "isolate=",
        "dev=", "dstport=", "local=", "macvlan_mode=", "parent=", "peers=", "vlan=", "vni=",
    ]

    @Sendable static func connect() -> [Flag] {
        [
            .value("alias", nil, .stringSlice, "Further name of the container in the network"),
            .value("driver-opt", nil, .stringSlice, "Option of the driver, as name=value"),
            .value("gw-priority", nil, .int, "The network with the highest gives the default route", default: "0"),
            .string("ip", nil, "IPv4 address in the network"),
            .string("ip6", nil, "IPv6 address in the network"),
            .list("link", nil, "Name for another container of the network, as container[:alias]", completion: .names(.containers)),
            .list("link-local-ip", nil, "Further address of 169.254.0.0/16 or fe80::/64 in the network", value: "ip"),
            .string("mac-address", nil, "Hardware address in the network"),
        ]
    }

    @Sendable static func update() -> [Flag] {
        [
            .value("dns-add", nil, .stringSlice, "Server to ask too", value: "address"),
            .value("dns-drop", nil, .stringSlice, "Server to ask no longer", value: "address"),
        ]
    }

    @Sendable static func reload() -> [Flag] { [.bool("all", "a", "Those of all running containers")] }

    @Sendable static func disconnect() -> [Flag] {
        [.bool("force", "f", "Forget the connection also where it cannot be taken away")]
    }

    @Sendable static func list() -> [Flag] {
        [
            .list(
                "filter", "f", "Show those that match name=value: dangling, driver, id, label, name, scope, type",
                value: "filter", check: ValueRules.filter),
            ContainerFlags.format(table: true, short: nil),
            .bool("no-trunc", nil, "Show IDs in full"),
            .bool("noheading", "n", "Leave the heading of the table out"),
            .bool("quiet", "q", "Show IDs only"),
        ]
    }

    @Sendable static func inspect() -> [Flag] {
        [
            .string(
                "format", "f", "How to print: json, podman (as podman's network inspect), or a template in Go's syntax",
                completion: .values(["json", "podman"])),
            .bool("verbose", "v", "Show the services of a swarm too; there are none here"),
        ]
    }

    @Sendable static func rm() -> [Flag] { [.bool("force", "f", "Pass over networks that are not here")] }

    @Sendable static func prune() -> [Flag] {
        [
            .list(
                "filter", nil, "Remove only what matches: until=10m, label=NAME[=value] or label!=NAME[=value]",
                value: "filter", check: ValueRules.filter),
            .bool("force", "f", "Do not ask"),
        ]
    }
}
