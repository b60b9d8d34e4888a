import JSON

/// How a container is connected: a part of supervise.json, carried out by its supervisor before the first process starts.
///
/// Addresses are text as `IPAddress` and `IPPrefix` write it; whoever makes a plan has checked them.
public struct NetworkPlan: Sendable, Hashable {
    /// In the order of `eth0`, `eth1`, …; the first with a gateway gets the default route.
    public var endpoints: [EndpointPlan] = []
    public var ports: [PortPlan] = []
    /// Ports are sockets of the host that a process serves, so that its firewall has a say (`[network] respect_input_firewall`).
    public var portsPassInput = false
    /// Nil: nobody answers at 127.0.0.11.
    public var resolver: ResolverPlan?

    public init() {}
}

/// One network as the kernel has it: a bridge with the gateways' addresses, or a device of the host's that containers' devices lie on.
/// The same in all plans that use the network.
public struct BridgePlan: Sendable, Hashable {
    /// 64 hexadecimal digits.
    public var networkID: String
    public var networkName: String
    /// The bridge's device, at most 15 bytes.
    public var device: String
    /// The bridge's own addresses (`172.18.0.1/16`), which are the containers' gateways. Empty where `--internal` asks for it.
    public var addresses: [String] = []
    /// The networks' subnets (`172.18.0.0/16`).
    public var subnets: [String] = []
    /// 0: the kernel's.
    public var mtu: UInt32 = 0
    /// Nothing goes to or comes from outside.
    public var isInternal = false
    /// Containers of the network may reach each other (`com.docker.network.bridge.enable_icc`).
    public var connectsContainers = true
    /// What leaves gets the host's address (`com.docker.network.bridge.enable_ip_masquerade`).
    public var masquerades = true
    /// Other networks that are open too are reached, and reach it.
    public var isOpen = false
    /// The VLAN whose untagged members the bridge's ports are; 0: the bridge does not look at tags.
    public var vlan: UInt16 = 0
    /// Set: there is no bridge, and `device` is the host's device that containers' devices lie on.
    public var parent: ParentPlan?
    /// Set: the bridge leads to other hosts too.
    public var tunnel: TunnelPlan?

    public init(networkID: String, networkName: String, device: String) {
        self.networkID = networkID
        self.networkName = networkName
        self.device = device
    }
}

/// One connection of a container to a network.
public struct EndpointPlan: Sendable, Hashable {
    public var bridge: BridgePlan
    /// The device inside: `eth0`.
    public var interface: String
    /// Connections to the outside end in a process of this machine, which has its own to there. Set by supervisors; no part of the file.
    public var endsNearby = false
    /// The device on the host, at most 15 bytes; unique. Not made where the network is no bridge.
    public var hostInterface: String
    /// `02:42:…`.
    public var mac: String
    /// With the subnet's length: `172.18.0.2/16`.
    public var addresses: [String] = []
    /// Further addresses that no other network has and no route leads to (`169.254.1.2/16`, `fe80::5/64`).
    public var linkLocal: [String] = []
    /// Of the default route, at most one of each family; empty: no default route by this network. `0.0.0.0` and `::`: by the device
    /// itself, without a gateway.
    public var gateways: [String] = []
    public var routes: [RoutePlan] = []
    /// What the container is called in this network: name, aliases, short id, hostname.
    public var names: [String] = []
    public var rate = NetworkRate()

    public init(bridge: BridgePlan, interface: String, hostInterface: String, mac: String) {
        self.bridge = bridge
        self.interface = interface
        self.hostInterface = hostInterface
        self.mac = mac
    }
}

/// A range of the host's ports that leads to a range of the container's of the same length.
public struct PortPlan: Sendable, Hashable {
    public enum Transport: String, Sendable, Hashable {
        case tcp, udp, sctp

        /// The number in the IP header.
        public var number: UInt8 {
            switch self {
            case .tcp: 6
            case .udp: 17
            case .sctp: 132
            }
        }
    }

    public var transport: Transport
    /// `0.0.0.0` and `::`: any of the host's of that family.
    public var hostAddress: String
    public var hostPort: UInt16
    public var containerPort: UInt16
    /// At least 1.
    public var count: UInt16
    /// The container's address the ports lead to.
    public var target: String

    public init(
        _ transport: Transport, hostAddress: String, hostPort: UInt16, containerPort: UInt16, count: UInt16 = 1, target: String
    ) {
        self.transport = transport
        self.hostAddress = hostAddress
        self.hostPort = hostPort
        self.containerPort = containerPort
        self.count = count
        self.target = target
    }
}

/// What the resolver at 127.0.0.11 knows besides the networks' names.
public struct ResolverPlan: Sendable, Hashable {
    /// Where other names are asked for, in this order: `1.1.1.1`, `[2606::1]:53`, `8.8.8.8:5353`.
    public var upstreams: [String] = []
    /// Ask upstreams from the container's network namespace instead of the host's (`--dns` on a network that has a way out).
    public var asksFromContainer = false
    /// Names with fixed addresses: `host.docker.internal`.
    public var fixed: [FixedName] = []
    /// The networks' directories of names: `RUN/networks/ID`.
    public var directories: [String] = []

    public struct FixedName: Sendable, Hashable {
        public var name: String
        public var addresses: [String]
        public init(_ name: String, _ addresses: [String]) {
            self.name = name
            self.addresses = addresses
        }
    }

    public init() {}
}
