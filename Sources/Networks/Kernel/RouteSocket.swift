import Glibc
import Linux

/// Links, addresses and routes of one network namespace.
///
/// Kernel: rtnetlink(7), /usr/include/linux/if_link.h.
final class RouteSocket {
    private var netlink: NetlinkSocket

    /// In the namespace of the calling thread.
    init() throws(SystemError) { netlink = try NetlinkSocket(.route) }

    /// Carries out changes in their order.
    /// - Throws: the first error; what stands behind it in the batch was carried out all the same.
    func send(_ changes: RouteBatch) throws(SystemError) { try netlink.send(changes.batch) }

    /// Answers to one question, and to one that has many.
    func ask(_ type: UInt16, _ body: [UInt8], _ operation: String, _ object: String) throws(SystemError) -> [[UInt8]] {
        try netlink.request(type, flags: 0, body, operation, object)
    }
    func list(_ type: UInt16, _ body: [UInt8], _ operation: String, _ object: String) throws(SystemError) -> [[UInt8]] {
        try netlink.request(type, flags: 0x300 /* DUMP */, body, operation, object)
    }

    /// Removes a device; one that is gone already is no error.
    func remove(_ name: String) throws(SystemError) {
        var batch = RouteBatch()
        batch.removeLink(name)
        do throws(SystemError) {
            try send(batch)
        } catch {
            if error.errno != .noDevice { throw error }
        }
    }

    /// Removes devices without waiting for it: each costs the kernel some 20 ms of waiting for all processors. Tolerant of their being
    /// gone; by index, so that one which is made under the same name meanwhile stays.
    func removeLater(_ names: [String], closing kept: [FD]) {
        var batch = RouteBatch()
        for name in names {
            if let index = try? link(name)?.index { batch.removeLink(name, index: index) }
        }
        netlink.sendLater(batch.batch, closing: kept)
    }

    /// Nil when there is none.
    ///
    /// Since Linux 6.8 the kernel brings what it knows of the carrier up to date first, so that a bridge forwards to a port that came
    /// up a moment ago.
    func link(_ name: String) throws(SystemError) -> Link? {
        guard Link.isName(name) else { throw SystemError(.invalid, "find network device", name) }
        do throws(SystemError) {
            let found = try netlink.request(18 /* RTM_GETLINK */, flags: 0, RouteBatch.query(name).bytes, "find network device", name)
            return found.first.map(Link.init)
        } catch {
            if error.errno == .noDevice { return nil }
            throw error
        }
    }

    /// Addresses of a device.
    func addresses(of index: UInt32) throws(SystemError) -> [IPPrefix] {
        var body = NetlinkBytes()  // struct ifaddrmsg
        body.append(UInt32(0))
        body.append(index)
        let found = try netlink.request(22 /* RTM_GETADDR */, flags: 0x300, body.bytes, "list addresses of device", "\(index)")
        return found.compactMap { message in
            // Before Linux 4.20 the kernel lists those of all devices.
            guard message.count >= 8, NetlinkBytes.read(message, 4, UInt32.self) == index else { return nil }
            let attributes = NetlinkBytes.attributes(message, after: 8)
            // Of a point-to-point device IFA_ADDRESS is the other end's.
            guard let value = (attributes.first { $0.type == 2 } ?? attributes.first { $0.type == 1 })?.value,
                let address = IPAddress(bytes: value)
            else { return nil }
            return IPPrefix(address, length: Int(message[1]))
        }
    }

    /// Whether neighbours' questions for these IPv6 addresses of a device are heard: the kernel joins their groups (RFC 4291, 2.7.1) some
    /// time after it has added the addresses, and a question that comes before is repeated only a second later.
    func hearsSolicitations(for addresses: [IPAddress], index: UInt32) throws(SystemError) -> Bool {
        let wanted = Set(addresses.filter(\.isIPv6).map { [0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff] + $0.bytes.suffix(3) })
        if wanted.isEmpty { return true }
        var body = NetlinkBytes()  // struct ifaddrmsg
        body.append(UInt32(AF_INET6))
        body.append(index)
        let found = try netlink.request(58 /* RTM_GETMULTICAST */, flags: 0x300, body.bytes, "list groups of device", "\(index)")
        var joined: Set<[UInt8]> = []
        for message in found where message.count >= 8 && NetlinkBytes.read(message, 4, UInt32.self) == index {
            for (type, value) in NetlinkBytes.attributes(message, after: 8) where type == 7 /* IFA_MULTICAST */ { joined.insert(value) }
        }
        return wanted.isSubset(of: joined)
    }

    /// Destinations of all routes and addresses of all devices, without defaults, link-local and multicast: what a new subnet must not overlap.
    ///
    /// Of every table but those of other families' making: policy routing (a VPN) hides its routes in tables of its own.
    func prefixesInUse() throws(SystemError) -> [IPPrefix] {
        var result: Set<IPPrefix> = []
        for family in [UInt8(AF_INET), UInt8(AF_INET6)] {
            var body = NetlinkBytes()  // struct rtmsg
            body.append(UInt32(family))
            body.append(UInt64(0))
            let routes: [[UInt8]]
            do throws(SystemError) {
                routes = try netlink.request(26 /* RTM_GETROUTE */, flags: 0x300, body.bytes, "list routes", "")
            } catch {
                // A kernel without IPv6.
                if error.errno == .notSupported || error.errno.rawValue == EAFNOSUPPORT { continue }
                throw error
            }
            for message in routes where message.count >= 12 && message[0] == family {
                let attributes = NetlinkBytes.attributes(message, after: 12)
                guard let value = attributes.first(where: { $0.type == 1 /* RTA_DST */ })?.value, message[1] > 0,
                    // RTN_BROADCAST, RTN_ANYCAST, RTN_MULTICAST follow from other routes.
                    ![3, 4, 5].contains(message[7]), let address = IPAddress(bytes: value),
                    let prefix = IPPrefix(address, length: Int(message[1])), !Self.isBesidesSubnets(prefix)
                else { continue }
                result.insert(prefix.network)
            }
        }
        return result.sorted { ($0.address, $0.length) < ($1.address, $1.length) }
    }

    private static func isBesidesSubnets(_ prefix: IPPrefix) -> Bool {
        let bytes = prefix.address.bytes
        if prefix.isIPv6 { return bytes[0] == 0xff || (bytes[0] == 0xfe && bytes[1] & 0xc0 == 0x80) }
        return bytes[0] >= 224
    }
}

/// A network device as the kernel describes it.
struct Link {
    let index: UInt32
    let name: String
    /// `bridge`, `veth`; empty for hardware.
    let kind: String
    let isUp: Bool
    let mtu: UInt32
    /// Index of the bridge it is a port of; 0: none.
    let master: UInt32
    let mac: [UInt8]
    /// A note that somebody left with the device (ip(8), alias).
    let alias: String
    /// RFC 2863: 6 is up, 0 is not known.
    let operationalState: UInt8
    /// Of a bridge: it looks at tags of VLANs.
    let filtersVLANs: Bool
    /// Of a bridge's port: 3 is forwarding.
    let portState: UInt8?

    /// The kind of queue it sends from (qdisc).
    let queue: String

    /// The kernel has noticed its carrier; not every kind of device has one.
    var isReady: Bool { operationalState == 6 || operationalState == 0 }

    init(_ message: [UInt8]) {
        index = NetlinkBytes.read(message, 4, UInt32.self)
        isUp = NetlinkBytes.read(message, 8, UInt32.self) & 1 != 0
        var name = "", kind = "", alias = "", mtu: UInt32 = 0, master: UInt32 = 0, mac: [UInt8] = [], state: UInt8 = 0, port: UInt8?
        var queue = "", filters = false
        for (type, value) in NetlinkBytes.attributes(message, after: 16) {
            switch type {
            case 1 /* IFLA_ADDRESS */: mac = value
            case 3 /* IFLA_IFNAME */: name = NetlinkBytes.text(value)
            case 4 /* IFLA_MTU */: mtu = NetlinkBytes.read(value, 0, UInt32.self)
            case 6 /* IFLA_QDISC */: queue = NetlinkBytes.text(value)
            case 10 /* IFLA_MASTER */: master = NetlinkBytes.read(value, 0, UInt32.self)
            case 20 /* IFLA_IFALIAS */: alias = NetlinkBytes.text(value)
            case 16 /* IFLA_OPERSTATE */: state = value.first ?? 0
            case 18 /* IFLA_LINKINFO */:
                for (type, value) in NetlinkBytes.attributes(value) {
                    if type == 1 /* IFLA_INFO_KIND */ { kind = NetlinkBytes.text(value) }
                    // IFLA_INFO_DATA follows the kind.
                    if type == 2, kind == "bridge" {
                        filters = NetlinkBytes.attributes(value).first { $0.type == 7 /* IFLA_BR_VLAN_FILTERING */ }?.value.first == 1
                    }
                    guard type == 5 /* IFLA_INFO_SLAVE_DATA */ else { continue }
                    port = NetlinkBytes.attributes(value).first { $0.type == 1 /* IFLA_BRPORT_STATE */ }?.value.first
                }
            default: break
            }
        }
        (self.name, self.kind, self.mtu, self.master, self.mac, self.alias) = (name, kind, mtu, master, mac, alias)
        (operationalState, portState, self.queue, filtersVLANs) = (state, port, queue, filters)
    }

    /// 1 to 15 bytes without slash, colon and space, and no `.` or `..`; `%` would be a template.
    static func isName(_ name: String) -> Bool {
        let bytes = name.utf8
        return (1...15).contains(bytes.count) && name != "." && name != ".."
            && bytes.allSatisfy { $0 > 32 && $0 < 127 && $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: ":") && $0 != UInt8(ascii: "%") }
    }
}
