import Linux

/// What the options of a bridge network say (`network create --opt`).
struct BridgeOptions: Hashable {
    /// 0: the kernel's.
    var mtu: UInt32 = 0
    /// Empty: chosen by berth.
    var device = ""
    var connectsContainers = true
    var masquerades = true
    /// Reaches other networks that say so too.
    var isOpen = false
    /// 0: the bridge does not look at tags.
    var vlan: UInt16 = 0
    /// Where ports without an address are published; nil: everywhere.
    var hostBinding: IPAddress?
    /// What devices inside are called before their number.
    var interfacePrefix = "eth"

    static let prefix = "com.docker.network."

    /// - Throws: `.invalid` for an option that is not known and for a value that is none.
    init(_ options: [String: String]) throws(EngineError) {
        for (name, value) in options.sorted(by: { $0.key < $1.key }) { try read(name, value) }
    }

    private mutating func read(_ name: String, _ value: String) throws(EngineError) {
        let short = name.hasPrefix(Self.prefix) ? String(name.dropFirst(Self.prefix.utf8.count)) : name
        switch short {
        case "mtu", "driver.mtu":
            guard let number = Numbers.unsigned(value), number == 0 || (68...65535).contains(number) else {
                throw .invalid("invalid MTU \"\(value)\": a number from 68 to 65535 (option \(name))")
            }
            mtu = number
        case "bridge.name":
            guard Self.isDeviceName(value) else {
                throw .invalid("invalid device name \"\(value)\": 1 to 15 letters, digits and the characters ._- (option \(name))")
            }
            device = value
        case "bridge.enable_icc": connectsContainers = try Self.truth(name, value)
        case "bridge.enable_ip_masquerade": masquerades = try Self.truth(name, value)
        case "bridge.host_binding_ipv4":
            guard let address = IPAddress(value), !address.isIPv6 else {
                throw .invalid("invalid IPv4 address \"\(value)\" (option \(name))")
            }
            hostBinding = address
        case "container_iface_prefix":
            // Room for a number in the kernel's 15 bytes.
            guard Self.isDeviceName(value), value.utf8.count <= 11 else {
                throw .invalid("invalid device name \"\(value)\": 1 to 11 letters, digits and the characters ._- (option \(name))")
            }
            interfacePrefix = value
        case "isolate":
            if value != "strict" { isOpen = try !Self.truth(name, value) }
        case "vlan":
            guard let number = Numbers.unsigned(value), (1...4094).contains(number) else {
                throw .invalid("invalid VLAN \"\(value)\": a number from 1 to 4094 (option \(name))")
            }
            vlan = UInt16(number)
        case "bridge.default_bridge": _ = try Self.truth(name, value)
        default:
            throw .invalid(
                "unknown option \"\(name)\" of driver bridge; known: com.docker.network.driver.mtu, "
                    + "com.docker.network.container_iface_prefix, isolate, vlan, com.docker.network.bridge.{name, enable_icc, "
                    + "enable_ip_masquerade, host_binding_ipv4}")
        }
    }

    private static func truth(_ name: String, _ value: String) throws(EngineError) -> Bool {
        guard let result = Numbers.bool(value) else { throw .invalid("option \(name)=\(value): neither true nor false") }
        return result
    }

    static func isDeviceName(_ text: String) -> Bool {
        guard (1...15).contains(text.utf8.count), text != ".", text != "..", text.first != "-" else { return false }
        return text.utf8.allSatisfy { byte in
            (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte)
                || [0x2e, 0x5f, 0x2d].contains(byte)
        }
    }
}
