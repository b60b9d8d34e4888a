import Glibc
import Linux

/// Changes of links, addresses and routes, for one send.
struct RouteBatch {
    var batch = NetlinkBatch()
    var isEmpty: Bool { batch.isEmpty }

    /// A pair of virtual devices of which one lies in another namespace from the start, under its final name, down.
    ///
    /// - Parameters:
    ///   - master: index of the bridge the near end becomes a port of.
    ///   - mtu: 0: the kernel's.
    mutating func addPair(near: String, master: UInt32, far: String, mac: MACAddress, namespace: FD, mtu: UInt32) {
        batch.add(16 /* RTM_NEWLINK */, flags: 0x600 /* CREATE | EXCL */, "make network device", near) { body in
            Self.header(&body, index: 0, up: true)
            body.attribute(3 /* IFLA_IFNAME */, near)
            if mtu != 0 { body.attribute(4 /* IFLA_MTU */, mtu) }
            Self.oneQueue(&body)
            body.attribute(10 /* IFLA_MASTER */, master)
            body.nested(18 /* IFLA_LINKINFO */) { info in
                info.attribute(1 /* IFLA_INFO_KIND */, "veth")
                info.nested(2 /* IFLA_INFO_DATA */) { data in
                    data.nested(1 /* VETH_INFO_PEER */) { peer in
                        Self.header(&peer, index: 0, up: nil)
                        peer.attribute(3, far)
                        peer.attribute(1 /* IFLA_ADDRESS */, mac.bytes)
                        if mtu != 0 { peer.attribute(4, mtu) }
                        Self.oneQueue(&peer)
                        peer.attribute(28 /* IFLA_NET_NS_FD */, UInt32(bitPattern: namespace.rawValue))
                    }
                }
            }
        }
    }

    /// A veth uses one queue each way in any case (drivers/net/veth.c). Told so, the kernel makes one; otherwise it makes one for each
    /// processor and takes the others away again, for which it waits a grace period (expedited, but of all processors) for each end.
    private static func oneQueue(_ body: inout NetlinkBytes) {
        body.attribute(31 /* IFLA_NUM_TX_QUEUES */, UInt32(1))
        body.attribute(32 /* IFLA_NUM_RX_QUEUES */, UInt32(1))
    }

    /// How a bridge treats one of its ports, and that the port itself has no addresses.
    ///
    /// - Parameters:
    ///   - isIsolated: nothing goes from it to other isolated ports (Linux 4.18).
    ///   - reflects: frames may leave by the port they came from: where bridges call the IP firewall (br_netfilter), a connection of a
    ///     container to its own published port turns round in the bridge.
    mutating func setPort(_ name: String, isIsolated: Bool, reflects: Bool) {
        batch.add(16, "set up bridge port", name) { body in
            Self.header(&body, index: 0, up: nil)
            body.attribute(3, name)
            body.nested(18) { info in
                info.attribute(4 /* IFLA_INFO_SLAVE_KIND */, "bridge")
                info.nested(5 /* IFLA_INFO_SLAVE_DATA */) { data in
                    data.attribute(4 /* IFLA_BRPORT_MODE */, byte: reflects ? 1 : 0)
                    data.attribute(33 /* IFLA_BRPORT_ISOLATED */, byte: isIsolated ? 1 : 0)
                }
            }
        }
    }

    mutating func addBridge(_ name: String, mac: MACAddress, mtu: UInt32) {
        batch.add(16, flags: 0x600, "make bridge", name) { body in
            Self.header(&body, index: 0, up: nil)
            body.attribute(3, name)
            // A bridge without an address of its own takes its ports', and changes it with them.
            body.attribute(1, mac.bytes)
            if mtu != 0 { body.attribute(4, mtu) }
            body.nested(18) { info in info.attribute(1, "bridge") }
        }
    }

    /// - Parameter index: 0: whichever has the name.
    mutating func removeLink(_ name: String, index: UInt32 = 0) {
        batch.add(17 /* RTM_DELLINK */, "remove network device", name) { body in
            Self.header(&body, index: index, up: nil)
            if index == 0 { body.attribute(3, name) }
        }
    }

    mutating func raise(_ name: String) {
        batch.add(16, "raise network device", name) { body in
            Self.header(&body, index: 0, up: true)
            body.attribute(3, name)
        }
    }

    mutating func setMTU(_ name: String, _ mtu: UInt32) {
        batch.add(16, "set mtu of network device", name) { body in
            Self.header(&body, index: 0, up: nil)
            body.attribute(3, name)
            body.attribute(4, mtu)
        }
    }

    /// Settings that `/proc/sys/net/ipv4/conf/NAME` has as files (IPV4_DEVCONF_…), and whether the kernel makes a link-local IPv6 address.
    mutating func setConfiguration(_ name: String, ipv4: [(number: UInt16, value: UInt32)], linkLocal: Bool?) {
        batch.add(19 /* RTM_SETLINK */, "set up network device", name) { body in
            Self.header(&body, index: 0, up: nil)
            body.attribute(3, name)
            body.nested(26 /* IFLA_AF_SPEC */) { families in
                if !ipv4.isEmpty {
                    families.nested(UInt16(AF_INET)) { inet in
                        inet.nested(1 /* IFLA_INET_CONF */) { settings in
                            for (number, value) in ipv4 { settings.attribute(number, value) }
                        }
                    }
                }
                if let linkLocal {
                    families.nested(UInt16(AF_INET6)) { inet6 in
                        inet6.attribute(8 /* IFLA_INET6_ADDR_GEN_MODE */, byte: linkLocal ? 0 : 1 /* NONE */)
                    }
                }
            }
        }
    }

    /// An address is usable at once: no duplicates are looked for (IPv6).
    mutating func addAddress(_ prefix: IPPrefix, index: UInt32, device: String) {
        batch.add(20 /* RTM_NEWADDR */, flags: 0x500 /* CREATE | REPLACE */, "add address \(prefix) to", device) { body in
            Self.address(&body, prefix, index)
            if !prefix.isIPv6, prefix.length < 31 { body.attribute(4 /* IFA_BROADCAST */, prefix.last.bytes) }
        }
    }

    mutating func removeAddress(_ prefix: IPPrefix, index: UInt32, device: String) {
        batch.add(21 /* RTM_DELADDR */, "remove address \(prefix) from", device) { Self.address(&$0, prefix, index) }
    }

    private static func address(_ body: inout NetlinkBytes, _ prefix: IPPrefix, _ index: UInt32) {
        body.bytes += [UInt8(prefix.isIPv6 ? AF_INET6 : AF_INET), UInt8(prefix.length), prefix.isIPv6 ? 2 /* IFA_F_NODAD */ : 0, 0]
        body.append(index)
        body.attribute(2 /* IFA_LOCAL */, prefix.address.bytes)
        body.attribute(1 /* IFA_ADDRESS */, prefix.address.bytes)
    }

    /// - Parameters:
    ///   - destination: nil: the default route.
    ///   - metric: 0: the kernel's.
    mutating func addRoute(
        to destination: IPPrefix? = nil, gateway: IPAddress?, isIPv6: Bool, index: UInt32, device: String, metric: UInt32 = 0,
        minimumTimeout: UInt32 = 0
    ) {
        let what = destination.map { "\($0)" } ?? "default"
        batch.add(24 /* RTM_NEWROUTE */, flags: 0x500, "add route \(what) by", device) { body in
            Self.route(&body, destination, isIPv6: isIPv6, hasGateway: gateway != nil)
            if let gateway { body.attribute(5 /* RTA_GATEWAY */, gateway.bytes) }
            body.attribute(4 /* RTA_OIF */, index)
            if metric != 0 { body.attribute(6 /* RTA_PRIORITY */, metric) }
            if minimumTimeout == 0 { return }
            body.nested(8 /* RTA_METRICS */) { body in
                body.attribute(13 /* RTAX_RTO_MIN, in milliseconds */, minimumTimeout)
                body.attribute(1 /* RTAX_LOCK */, UInt32(1 << 13))
            }
        }
    }

    /// Where the kernel takes a packet for the host itself that comes by this device.
    mutating func addLocalRoute(to address: IPAddress, index: UInt32, device: String) {
        batch.add(24, flags: 0x400 /* CREATE */, "add route \(address) by", device) { body in
            // As above, but of the table and type "local".
            body.bytes += [UInt8(address.isIPv6 ? AF_INET6 : AF_INET), UInt8(address.bits), 0, 0, 255, 4, address.isIPv6 ? 0 : 254, 2]
            body.append(UInt32(0))
            body.attribute(1, address.bytes)
            body.attribute(4, index)
        }
    }

    mutating func removeRoute(to destination: IPPrefix? = nil, isIPv6: Bool, index: UInt32, device: String) {
        let what = destination.map { "\($0)" } ?? "default"
        batch.add(25 /* RTM_DELROUTE */, "remove route \(what) by", device) { body in
            Self.route(&body, destination, isIPv6: isIPv6, hasGateway: true)
            body.attribute(4, index)
        }
    }

    private static func route(_ body: inout NetlinkBytes, _ destination: IPPrefix?, isIPv6: Bool, hasGateway: Bool) {
        // struct rtmsg: family, lengths, tos, table (main), protocol (static), scope (universe or link), type (unicast), flags
        body.bytes += [
            UInt8(isIPv6 ? AF_INET6 : AF_INET), UInt8(destination?.length ?? 0), 0, 0, 254, 4, hasGateway || isIPv6 ? 0 : 253, 1,
        ]
        body.append(UInt32(0))
        if let destination { body.attribute(1 /* RTA_DST */, destination.network.address.bytes) }
    }

    static func query(_ name: String) -> NetlinkBytes {
        var body = NetlinkBytes()
        header(&body, index: 0, up: nil)
        body.attribute(3, name)
        // Without statistics.
        body.attribute(29 /* IFLA_EXT_MASK */, UInt32(8 /* RTEXT_FILTER_SKIP_STATS */))
        return body
    }

    /// struct ifinfomsg.
    static func header(_ body: inout NetlinkBytes, index: UInt32, up: Bool?) {
        body.append(UInt32(0))
        body.append(index)
        body.append(UInt32(up == true ? 1 : 0))
        body.append(UInt32(up == nil ? 0 : 1))
    }
}
