import Control
import Linux

/// Published ports as elements of the firewall's maps.
enum PortElements {
    static let sets = [Ruleset.own4, Ruleset.own6, Ruleset.any4, Ruleset.any6]

    /// Whose an element is: the beginning of the container's id.
    static func comment(_ id: String) -> String { String(id.prefix(12)) }
    static func isOf(_ id: String) -> (String) -> Bool {
        let comment = comment(id)
        return { $0 == comment }
    }

    /// - Throws: `.invalid` when a plan's addresses are none or of two families, or its ports too many.
    static func make(_ ports: [PortPlan], id: String) throws(NetworkError) -> [FirewallSet: [FirewallElement]] {
        let comment = comment(id)
        var result: [FirewallSet: [FirewallElement]] = [:]
        for port in ports {
            let (host, target) = try addresses(of: port)
            let set = host.isUnspecified ? (host.isIPv6 ? Ruleset.any6 : Ruleset.any4) : host.isIPv6 ? Ruleset.own6 : Ruleset.own4
            let prefix = (host.isUnspecified ? [] : host.bytes) + [port.transport.number, 0, 0, 0]
            var elements: [FirewallElement] = []
            elements.reserveCapacity(Int(port.count))
            for offset in 0..<port.count {
                elements.append(
                    FirewallElement(
                        key: prefix + field(port.hostPort &+ offset), data: target.bytes + field(port.containerPort &+ offset),
                        comment: comment))
            }
            result[set, default: []] += elements
        }
        return result
    }

    static func addresses(of port: PortPlan) throws(NetworkError) -> (host: IPAddress, target: IPAddress) {
        let what = "\(port.hostAddress):\(port.hostPort)/\(port.transport.rawValue)"
        guard let host = IPAddress(port.hostAddress), let target = IPAddress(port.target), host.isIPv6 == target.isIPv6 else {
            throw NetworkError(.invalid, "publish port", what, cause: "cannot lead to \"\(port.target)\"")
        }
        guard port.count >= 1, Int(port.hostPort) + Int(port.count) <= 65536, Int(port.containerPort) + Int(port.count) <= 65536 else {
            throw NetworkError(.invalid, "publish port", what, cause: "the range of \(port.count) ends behind 65535")
        }
        return (host, target)
    }

    /// A port in network order, filled up to a register.
    private static func field(_ port: UInt16) -> [UInt8] { [UInt8(port >> 8), UInt8(port & 0xff), 0, 0] }
}
