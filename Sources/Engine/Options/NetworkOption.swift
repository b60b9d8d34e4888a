import Linux

/// One network that a container is to be connected to, and how: `--network`, `network connect`.
public struct NetworkAttachment: Sendable, Hashable {
    /// Name or id as typed.
    public var network: String
    public var ipv4: IPAddress?
    public var ipv6: IPAddress?
    public var mac: MACAddress?
    /// Further addresses, of 169.254.0.0/16 and fe80::/64.
    public var linkLocal: [IPAddress] = []
    public var aliases: [String] = []
    /// `CONTAINER` or `CONTAINER:ALIAS`.
    public var links: [String] = []
    public var driverOptions: [String: String] = [:]
    /// The network with the highest gives the default route.
    public var gatewayPriority = 0

    public init(_ network: String) { self.network = network }

    /// A name, or Docker's long form `name=web,ip=172.18.0.5,alias=db`.
    public init(option text: String) throws(EngineError) {
        guard text.utf8.contains(UInt8(ascii: "=")) else {
            self.init(text)
            return
        }
        self.init("")
        for field in try CommaSeparated.fields(text) {
            guard let (key, value) = field.splitOnce("=") else {
                throw .invalid("invalid field \(field): must be a key=value pair")
            }
            try read(key.lowercased(), String(value), in: field)
        }
        if network.isEmpty { throw .invalid("network name/id is not specified") }
    }

    private mutating func read(_ key: String, _ value: String, in field: String) throws(EngineError) {
        switch key {
        case "name": network = value
        case "alias": aliases.append(try NetworkAttachment.alias(value))
        case "ip": ipv4 = try NetworkAttachment.address(value, ipv6: false)
        case "ip6": ipv6 = try NetworkAttachment.address(value, ipv6: true)
        case "mac-address": mac = try NetworkAttachment.mac(value)
        case "driver-opt":
            guard let (name, value) = value.splitOnce("="), !name.isEmpty else {
                throw .invalid("invalid key/value pair format in driver options")
            }
            try setDriverOption(String(name), String(value))
        case "gw-priority": gatewayPriority = try NetworkAttachment.priority(value)
        case "link-local-ip": linkLocal.append(try NetworkAttachment.linkLocal(value))
        default: throw .invalid("invalid field key \(key)")
        }
    }

    /// What a driver could be told about one connection.
    public mutating func setDriverOption(_ name: String, _ value: String) throws(EngineError) {
        guard name == "com.docker.network.endpoint.ifname" else {
            throw .invalid("unknown driver option \"\(name)\"; known: com.docker.network.endpoint.ifname")
        }
        let isName = (1...15).contains(value.utf8.count) && value.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f && $0 != 0x2f && $0 != 0x3a }
        guard isName, value != ".", value != "..", value != "lo" else {
            throw .invalid("invalid device name \"\(value)\" (option \(name))")
        }
        driverOptions[name] = value
    }

    /// The device's name inside, where one was asked for.
    static let interfaceOption = "com.docker.network.endpoint.ifname"

    public static func address(_ text: String, ipv6: Bool) throws(EngineError) -> IPAddress {
        guard let address = IPAddress(text), address.isIPv6 == ipv6 else {
            throw .invalid("invalid \(ipv6 ? "IPv6" : "IPv4") address: \(text)")
        }
        return address
    }

    /// - Throws: Docker's sentence for an address that is of use beyond its link.
    public static func linkLocal(_ text: String) throws(EngineError) -> IPAddress {
        let links = [IPPrefix("169.254.0.0/16"), IPPrefix("fe80::/64")]
        guard let address = IPAddress(text), links.contains(linkLocalPrefix(address)?.network) else {
            throw .invalid("invalid link local IP address: \(text)")
        }
        return address
    }

    /// With the length that such addresses have.
    static func linkLocalPrefix(_ address: IPAddress) -> IPPrefix? { IPPrefix(address, length: address.isIPv6 ? 64 : 16) }

    public static func mac(_ text: String) throws(EngineError) -> MACAddress {
        // The lowest bit of the first byte marks addresses of groups.
        guard let mac = MACAddress(text), let first = mac.bytes.first, first & 1 == 0, mac.bytes.contains(where: { $0 != 0 }) else {
            throw .invalid("\(text) is not a valid mac address")
        }
        return mac
    }

    public static func priority(_ text: String) throws(EngineError) -> Int {
        guard let number = Int(text) else { throw .invalid("invalid gw-priority: \(text)") }
        return number
    }

    /// A name that the network's other containers can ask for.
    public static func alias(_ text: String) throws(EngineError) -> String {
        let isName = !text.isEmpty && text.utf8.count <= 253 && text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f && $0 != 0x2f }
        guard isName else { throw .invalid("invalid network alias \"\(text)\"") }
        return text
    }
}

/// `--add-host`.
public enum ExtraHostOption {
    /// What stands for the host's own address.
    static let gateway = "host-gateway"

    /// `name:address` or `name=address`.
    ///
    /// - Returns: `name:address`.
    public static func parse(_ text: String) throws(EngineError) -> String {
        guard let (name, address) = text.splitOnce("=") ?? text.splitOnce(":"), !name.isEmpty else {
            throw .invalid("bad format for add-host: \"\(text)\"")
        }
        let bare = address.hasPrefix("[") && address.hasSuffix("]") ? address.dropFirst().dropLast() : address
        guard bare == gateway || IPAddress(String(bare)) != nil else {
            throw .invalid("invalid IP address in add-host: \"\(address)\"")
        }
        guard name.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f }) else { throw .invalid("bad format for add-host: \"\(text)\"") }
        return name + ":" + bare
    }
}

/// `--dns`, `--dns-search`, `--dns-option`.
public enum ResolverOption {
    public static func server(_ text: String) throws(EngineError) -> String {
        guard let address = IPAddress(text) else { throw .invalid("\(text) is not an ip address") }
        return address.description
    }

    /// `.` alone stands for no domain at all.
    public static func domain(_ text: String) throws(EngineError) -> String {
        let isDomain =
            !text.isEmpty && text.utf8.count <= 253
            && text.utf8.allSatisfy { byte in
                (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte)
                    || [0x2d, 0x2e, 0x5f].contains(byte)
            }
        guard isDomain else { throw .invalid("\(text) is not a valid domain") }
        return text
    }

    public static func option(_ text: String) throws(EngineError) -> String {
        guard !text.isEmpty, text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f }) else { throw .invalid("invalid DNS option \"\(text)\"") }
        return text
    }
}
