import Linux

/// What the database knows about a network. Its subnets are in `definition` too; they are told apart for the database.
public struct NetworkRecord: Sendable, Hashable {
    /// 64 hexadecimal digits.
    public var id: String
    public var name: String
    public var driver: String
    /// Nanoseconds since 1970.
    public var created: Int64
    /// The engine's JSON document; opaque here.
    public var definition: [UInt8]

    public init(id: String, name: String, driver: String, created: Int64, definition: [UInt8]) {
        self.id = id
        self.name = name
        self.driver = driver
        self.created = created
        self.definition = definition
    }
}

/// One connection of a container to a network, with the addresses it has there.
public struct EndpointRecord: Sendable, Hashable {
    public var containerID: String
    /// The number of the device inside: 0 is `eth0`.
    public var position: Int
    /// 64 hexadecimal digits.
    public var id: String
    /// Nil: the network was removed while the container did not run.
    public var networkID: String?
    public var ipv4: IPAddress?
    public var ipv6: IPAddress?
    /// Where one was asked for.
    public var mac: MACAddress?
    /// The engine's JSON document; opaque here.
    public var definition: [UInt8]

    public init(
        containerID: String, position: Int, id: String, networkID: String?, ipv4: IPAddress? = nil, ipv6: IPAddress? = nil,
        mac: MACAddress? = nil, definition: [UInt8]
    ) {
        self.containerID = containerID
        self.position = position
        self.id = id
        self.networkID = networkID
        self.ipv4 = ipv4
        self.ipv6 = ipv6
        self.mac = mac
        self.definition = definition
    }
}

/// A connection that is to be made.
public struct EndpointRequest: Sendable {
    public enum Address: Sendable, Hashable {
        /// None of this family.
        case none
        case given(IPAddress)
        /// The first that nobody has in the first of these with room.
        case free([AddressRange])
    }

    public var id: String
    public var networkID: String
    /// For messages.
    public var networkName: String
    public var ipv4 = Address.none
    public var ipv6 = Address.none
    public var mac: MACAddress?
    public var definition: [UInt8]

    public init(id: String, networkID: String, networkName: String, definition: [UInt8]) {
        self.id = id
        self.networkID = networkID
        self.networkName = networkName
        self.definition = definition
    }
}

/// Addresses of one family that may be given to containers.
public struct AddressRange: Sendable, Hashable {
    public var first: IPAddress
    public var last: IPAddress
    /// Between them and not to be given: gateways and what `--aux-address` keeps.
    public var excluded: Set<IPAddress>

    public init(first: IPAddress, last: IPAddress, excluded: Set<IPAddress> = []) {
        self.first = first
        self.last = last
        self.excluded = excluded
    }
}

/// Ports of the host that a container has from its start on.
public struct PortRecord: Sendable, Hashable {
    public var containerID: String
    /// `tcp`, `udp`, `sctp`.
    public var transport: String
    public var address: IPAddress
    public var hostPort: UInt16
    public var containerPort: UInt16
    /// At least 1.
    public var count: UInt16

    public init(
        containerID: String, transport: String, address: IPAddress, hostPort: UInt16, containerPort: UInt16, count: UInt16
    ) {
        self.containerID = containerID
        self.transport = transport
        self.address = address
        self.hostPort = hostPort
        self.containerPort = containerPort
        self.count = count
    }

    var last: UInt16 { hostPort + (count - 1) }
}

/// Ports of the host that a container is to get.
public struct PortRequest: Sendable, Hashable {
    public enum Place: Sendable, Hashable {
        case given(UInt16)
        /// The first that is free, looked for from `start` on and around. Only for one port.
        case free(ClosedRange<UInt16>, start: UInt16)
    }

    public var transport: String
    /// At most one of each family; the same ports at all of them.
    public var addresses: [IPAddress]
    public var place: Place
    public var containerPort: UInt16
    /// At least 1; the last port must not be above 65535.
    public var count: UInt16

    public init(transport: String, addresses: [IPAddress], place: Place, containerPort: UInt16, count: UInt16 = 1) {
        self.transport = transport
        self.addresses = addresses
        self.place = place
        self.containerPort = containerPort
        self.count = count
    }
}

/// What a container that is made or started wants of the networks.
public struct ConnectionRequest {
    public var endpoints: [EndpointRequest] = []
    public var ports: [PortRequest] = []
    /// Whether a container has its ports now, or is about to.
    public var isRunning: (_ container: String) -> Bool = { _ in true }
    /// Whether no other program has a port of the host.
    public var isFree: (_ transport: String, _ address: IPAddress, _ port: UInt16) -> Bool = { _, _, _ in true }

    public init() {}
    var isEmpty: Bool { endpoints.isEmpty && ports.isEmpty }
}

/// What it got.
public struct Connections: Sendable, Hashable {
    public var endpoints: [EndpointRecord] = []
    public var ports: [PortRecord] = []

    public init() {}
}
