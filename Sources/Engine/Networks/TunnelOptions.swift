import Control
import Linux

/// Options of networks of several hosts (driver vxlan).
struct TunnelOptions: Hashable {
    /// 1 to 16777215.
    var vni: UInt32 = 0
    var port: UInt16 = 4789
    /// Addresses, and `dns:NAME`.
    var peers: [String] = []
    var local: IPAddress?
    /// Empty: as the host's routes say.
    var underlay = ""

    /// Takes its own out of the options; what remains is the bridge's.
    init(taking options: inout [String: String]) throws(EngineError) {
        for (name, value) in options.sorted(by: { $0.key < $1.key }) {
            switch name {
            case "vni":
                guard let number = Numbers.unsigned(value), (1...0xff_ffff).contains(number) else {
                    throw .invalid("invalid vni \"\(value)\": a number from 1 to 16777215")
                }
                vni = number
            case "dstport":
                guard let number = Numbers.unsigned(value), (1...65535).contains(number) else {
                    throw .invalid("invalid port \"\(value)\": a number from 1 to 65535 (option dstport)")
                }
                port = UInt16(number)
            case "peers":
                for peer in value.split(separator: ",").map(String.init) { peers.append(try Self.peer(peer)) }
            case "local":
                guard let address = IPAddress(value) else { throw .invalid("invalid IP address: \(value) (option local)") }
                local = address
            case "dev":
                guard BridgeOptions.isDeviceName(value) else {
                    throw .invalid("invalid device name \"\(value)\": 1 to 15 letters, digits and the characters ._- (option dev)")
                }
                underlay = value
            default: continue
            }
            options[name] = nil
        }
        if vni == 0 { throw .invalid("driver vxlan needs --opt vni=NUMBER, the same on all hosts of the network") }
        if peers.isEmpty { throw .invalid("driver vxlan needs --opt peers=ADDRESS,…, the hosts of the network, or peers=dns:NAME") }
        let addresses = peers.compactMap { IPAddress($0) } + (local.map { [$0] } ?? [])
        if Set(addresses.map(\.isIPv6)).count > 1 {
            throw .invalid("the hosts of a network are reached by IPv4 or by IPv6: options peers and local have addresses of both")
        }
    }

    private static func peer(_ text: String) throws(EngineError) -> String {
        if let address = IPAddress(text) { return address.description }
        let name = text.dropFirst(4)
        // Letters, digits and what stands between them, so that a slip is told now.
        let isName =
            text.hasPrefix("dns:") && (1...253).contains(name.utf8.count)
            && name.utf8.allSatisfy { byte in
                (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte)
                    || [0x2d, 0x2e, 0x5f].contains(byte)
            }
        guard isName else { throw .invalid("invalid peer \"\(text)\": an IP address, or dns: and a name (option peers)") }
        return text
    }

    func plan(device: String) -> TunnelPlan {
        var plan = TunnelPlan(device: device, vni: vni, port: port, peers: peers)
        plan.local = local?.description ?? ""
        plan.underlay = underlay
        return plan
    }
}
