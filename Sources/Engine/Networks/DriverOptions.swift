import Control
import Linux

/// What the options of a network say (`network create --opt`), whichever its driver is.
struct DriverOptions: Hashable {
    /// Of networks that are no bridges only the MTU and the devices' names are looked at.
    var bridge: BridgeOptions
    /// Of macvlan and ipvlan.
    var parent: ParentOptions?
    /// Of vxlan.
    var tunnel: TunnelOptions?

    /// - Throws: `.invalid` for an option that is not known and for a value that is none.
    init(_ network: NetworkDefinition) throws(EngineError) {
        switch NetworkDriver(rawValue: network.driver) {
        case .macvlan, .ipvlan:
            var rest = network.options
            parent = try ParentOptions(network.driver == "macvlan" ? .macvlan : .ipvlan, taking: &rest)
            bridge = try BridgeOptions(rest)
        case .vxlan:
            var rest = network.options
            tunnel = try TunnelOptions(taking: &rest)
            bridge = try BridgeOptions(rest)
        case .bridge, nil: bridge = try BridgeOptions(network.options)
        }
    }

    /// Whether containers send to the outside without asking for a gateway's hardware address: the host routes.
    var isRouted: Bool { parent?.isRouted ?? false }
}

/// Options of networks whose containers' devices lie on one of the host's.
struct ParentOptions: Hashable {
    /// Empty: a device that leads nowhere.
    var device = ""
    var plan: ParentPlan

    var isRouted: Bool { plan.kind == .ipvlan && plan.mode != "l2" }

    private static let flags = ["bridge", "private", "vepa"]

    /// Takes its own out of the options, and lets nothing remain that makes no sense there.
    init(_ kind: ParentPlan.Kind, taking options: inout [String: String]) throws(EngineError) {
        let modes = kind == .macvlan ? ["bridge", "private", "vepa", "passthru"] : ["l2", "l3", "l3s"]
        plan = ParentPlan(kind, mode: modes[0])
        if kind == .ipvlan { plan.flag = Self.flags[0] }
        for (name, value) in options.sorted(by: { $0.key < $1.key }) {
            switch name {
            case "parent":
                guard value != "lo" else { throw .invalid("loopback interface is not a valid \(kind.rawValue) parent link") }
                guard value.isEmpty || BridgeOptions.isDeviceName(value) else {
                    throw .invalid("invalid device name \"\(value)\": 1 to 15 letters, digits and the characters ._- (option parent)")
                }
                device = value
            case "mode", "\(kind.rawValue)_mode": plan.mode = try Self.one(of: modes, name, value)
            case "ipvlan_flag" where kind == .ipvlan: plan.flag = try Self.one(of: Self.flags, name, value)
            case "mtu", BridgeOptions.prefix + "driver.mtu", BridgeOptions.prefix + "container_iface_prefix": continue
            default:
                let own = kind == .macvlan ? "macvlan_mode" : "ipvlan_mode, ipvlan_flag"
                throw .invalid(
                    "unknown option \"\(name)\" of driver \(kind.rawValue); known: parent, \(own), com.docker.network.driver.mtu, "
                        + "com.docker.network.container_iface_prefix")
            }
            options[name] = nil
        }
        plan.isDummy = device.isEmpty
    }

    private static func one(of known: [String], _ name: String, _ value: String) throws(EngineError) -> String {
        if value.isEmpty { return known[0] }
        guard known.contains(value) else {
            throw .invalid("option \(name)=\(value): not one of \(known.joined(separator: ", "))")
        }
        return value
    }
}

extension NetworkRoute {
    /// Reads `DESTINATION,GATEWAY[,METRIC]`, as podman writes it.
    ///
    /// - Parameter subnets: of the network; the gateway must be reached by it.
    init(_ text: String, in subnets: [NetworkSubnet]) throws(EngineError) {
        let words = text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        guard (2...3).contains(words.count), let destination = IPPrefix(words[0]), let gateway = IPAddress(words[1]) else {
            throw .invalid("invalid route \"\(text)\": write it as DESTINATION/LENGTH,GATEWAY[,METRIC]")
        }
        guard destination == destination.network else {
            throw .invalid("invalid route \"\(text)\": its destination should be \(destination.network)")
        }
        if destination.length == 0 {
            throw .invalid("invalid route \"\(text)\": the default route is the network's --gateway and connections' gw-priority")
        }
        guard destination.isIPv6 == gateway.isIPv6, subnets.contains(where: { $0.subnet.contains(gateway) }) else {
            throw .invalid("invalid route \"\(text)\": its gateway is in none of the subnets that --subnet names")
        }
        guard let metric = words.count == 3 ? Numbers.unsigned(words[2]) : 0 else {
            throw .invalid("invalid route \"\(text)\": its metric is no number from 0 to 4294967295")
        }
        self.init(destination: destination, gateway: gateway, metric: metric)
    }
}
