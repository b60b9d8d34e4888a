import Linux

/// What was asked for when a network was made. Kept as JSON in the database (`NetworkDefinition+JSON.swift`); fields that are
/// missing there have the values of ``init(id:name:)``.
public struct NetworkDefinition: Sendable, Hashable {
    /// 64 hexadecimal digits.
    public var id: String
    public var name: String
    /// A `NetworkDriver`; `host` and `null` for the two that are always there.
    public var driver = "bridge"
    /// Nanoseconds since 1970; 0 for those that were never made.
    public var createdAt: Int64 = 0
    /// In the order given; those of one family serve after each other.
    public var subnets: [NetworkSubnet] = []
    public var enablesIPv4 = true
    public var enablesIPv6 = false
    public var isInternal = false
    public var isAttachable = false
    public var labels: [String: String] = [:]
    /// Of the driver, as given.
    public var options: [String: String] = [:]
    public var ipamOptions: [String: String] = [:]
    /// Where names are asked for that nobody in the network has; empty: where the host asks.
    public var dns: [String] = []
    /// Routes of its containers besides the default one.
    public var routes: [NetworkRoute] = []
    /// Its containers are not found by name.
    public var hidesNames = false

    public init(id: String, name: String) {
        self.id = id
        self.name = name
    }

    /// The first 12 digits, as tables show it.
    public var shortID: String { String(id.prefix(12)) }
    /// Whether it is always there and cannot be removed.
    public var isPredefined: Bool { PredefinedNetwork(rawValue: name) != nil }

    /// Whether containers are connected to it, not put into it.
    public var isConnectable: Bool { NetworkDriver(rawValue: driver) != nil }

    /// Whether it is a bridge of the host's, which has an address in it.
    var isBridge: Bool { driver == "bridge" || driver == "vxlan" }

    /// Whether there is a way out.
    var leadsOut: Bool { !isInternal && (isBridge || !(options["parent"] ?? "").isEmpty) }

    /// Whether containers send to the outside by an address of it, not by the device itself.
    var hasGateway: Bool { leadsOut && (try? DriverOptions(self))?.isRouted != true }

    /// Whether the host's ports can lead into it.
    var publishes: Bool { leadsOut && isBridge }
}

/// What makes a network in the kernel.
public enum NetworkDriver: String, Sendable, CaseIterable {
    case bridge, macvlan, ipvlan, vxlan
}

/// A route that a network gives its containers.
public struct NetworkRoute: Sendable, Hashable {
    public var destination: IPPrefix
    public var gateway: IPAddress
    /// 0: the kernel's.
    public var metric: UInt32
}

/// One subnet of a network.
public struct NetworkSubnet: Sendable, Hashable {
    /// Its first address and length.
    public var subnet: IPPrefix
    /// The bridge's own address.
    public var gateway: IPAddress
    /// Containers that ask for no address get one of these; nil: any of the subnet.
    public var range: IPPrefix?
    /// Addresses that no container gets, by what they are kept for.
    public var auxiliary: [String: IPAddress] = [:]

    public init(_ subnet: IPPrefix, gateway: IPAddress) {
        self.subnet = subnet
        self.gateway = gateway
    }

    /// What may be given to containers.
    var addresses: AddressBounds {
        let whole = range ?? subnet
        var first = whole.network.address
        var last = whole.last
        // The first address names the subnet, and IPv4's last is for broadcasts; a pair (RFC 3021) has neither.
        if subnet.length < subnet.address.bits - 1 {
            if first == subnet.network.address { first = first.advanced(by: 1) ?? first }
            if !subnet.isIPv6, last == subnet.last { last = last.preceding ?? last }
        }
        return AddressBounds(first: first, last: last)
    }

    /// Whether a container may ask for it.
    func admits(_ address: IPAddress) -> Bool {
        subnet.contains(address) && address != gateway && !auxiliary.values.contains(address) && Self.isHost(address, in: subnet)
    }

    /// Whether a device may have an address: not the subnet's first, nor IPv4's for broadcasts.
    static func isHost(_ address: IPAddress, in subnet: IPPrefix) -> Bool {
        if subnet.length >= subnet.address.bits - 1 { return true }
        return address != subnet.network.address && (subnet.isIPv6 || address != subnet.last)
    }
}

/// The addresses from one to another.
struct AddressBounds: Hashable {
    var first: IPAddress
    var last: IPAddress
}

extension IPAddress {
    /// Nil before the first of all.
    var preceding: IPAddress? {
        var result = bytes
        for index in result.indices.reversed() {
            if result[index] > 0 {
                result[index] -= 1
                return IPAddress(bytes: result)
            }
            result[index] = 0xff
        }
        return nil
    }
}

/// The networks that are always there.
public enum PredefinedNetwork: String, Sendable, CaseIterable {
    case bridge, host, none

    /// As Docker's `network ls` shows it.
    public var driver: String {
        switch self {
        case .bridge: "bridge"
        case .host: "host"
        case .none: "null"
        }
    }
}
