import Control
import Linux

/// What the firewall has to know of one network.
struct BridgeElements {
    static let sets = [
        Ruleset.bridges, Ruleset.isolated, Ruleset.links, Ruleset.open, Ruleset.subnets4, Ruleset.subnets6, Ruleset.masquerade4,
        Ruleset.masquerade6,
    ]

    let addresses: [IPPrefix]
    let mac: MACAddress
    /// The comment of the bridge's element: says whether everything else is as this plan has it.
    let mark: String
    private(set) var elements: [FirewallSet: [FirewallElement]] = [:]
    private let owner: String

    /// - Throws: `.invalid` when a name or address of the plan is none.
    init(_ bridge: BridgePlan) throws(NetworkError) {
        guard Link.isName(bridge.device) else {
            throw NetworkError(.invalid, "make bridge", bridge.device, cause: "a device's name has 1 to 15 letters, digits and signs")
        }
        var addresses = try bridge.addresses.map { (text) throws(NetworkError) in try Self.prefix(text) }
        let subnets = try bridge.subnets.map { (text) throws(NetworkError) in try Self.prefix(text) }
        let owner = String(bridge.networkID.prefix(12))
        let hash = Self.hash(of: bridge)
        self.owner = owner
        mark = "\(owner) \(hexadecimal(withUnsafeBytes(of: hash.bigEndian) { Array($0) }))"
        let device = FirewallElement.device(bridge.device)
        // Local and for one device; stays the same as long as the network exists.
        let number = withUnsafeBytes(of: Self.hash(bridge.networkID).bigEndian) { Array($0) }
        guard let mac = MACAddress(bytes: [0x0a, 0x42] + number.prefix(4)) else {
            throw NetworkError(.invalid, "make bridge", bridge.device, cause: "no address")
        }
        self.mac = mac
        // The kernel's own link-local address is not usable for a second, while it looks for duplicates; and without one it asks for no
        // neighbour on behalf of others.
        // The bridges of several hosts are neighbours: each has its own.
        let linkLocal = bridge.tunnel == nil ? IPPrefix("fe80::1/64") : mac.linkLocal
        if addresses.contains(where: \.isIPv6), let linkLocal { addresses.append(linkLocal) }
        self.addresses = addresses
        elements[Ruleset.bridges] = [FirewallElement(key: device, comment: mark)]
        if bridge.isInternal { elements[Ruleset.isolated] = [FirewallElement(key: device, comment: owner)] }
        if bridge.connectsContainers { elements[Ruleset.links] = [FirewallElement(key: device + device, comment: owner)] }
        if bridge.isOpen, !bridge.isInternal { elements[Ruleset.open] = [FirewallElement(key: device, comment: owner)] }
        for subnet in subnets {
            let range = Self.range(subnet, owner)
            elements[subnet.isIPv6 ? Ruleset.subnets6 : Ruleset.subnets4, default: []] += range
            guard bridge.masquerades, !bridge.isInternal else { continue }
            elements[subnet.isIPv6 ? Ruleset.masquerade6 : Ruleset.masquerade4, default: []] += range
        }
    }

    /// Whether an element with this comment is this network's.
    func isOurs(_ comment: String) -> Bool { comment.hasPrefix(owner) }

    private static func range(_ subnet: IPPrefix, _ owner: String) -> [FirewallElement] {
        var range = FirewallElement.range(subnet)
        range[0].comment = owner
        return range
    }

    private static func prefix(_ text: String) throws(NetworkError) -> IPPrefix {
        guard let prefix = IPPrefix(text) else { throw NetworkError(.invalid, "read address", text, cause: "not ADDRESS/LENGTH") }
        return prefix
    }

    private static func hash(of bridge: BridgePlan) -> UInt64 {
        let flags = "\(bridge.isInternal)\(bridge.connectsContainers)\(bridge.masquerades)"
        var words = ["\(Ruleset.version)", bridge.device, "\(bridge.mtu)", flags] + bridge.addresses + ["|"] + bridge.subnets
        if bridge.isOpen || bridge.vlan != 0 { words.append("\(bridge.isOpen)\(bridge.vlan)") }
        return hash(words.joined(separator: ","))
    }

    /// FNV-1a.
    private static func hash(_ text: String) -> UInt64 {
        var result: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in text.utf8 { result = (result ^ UInt64(byte)) &* 0x100_0000_01b3 }
        return result
    }
}
