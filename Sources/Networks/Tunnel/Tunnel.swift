import Control
import Glibc
import Linux

/// Networks of several hosts: one port of the bridge is a vxlan device (RFC 7348) that leads to the other hosts.
///
/// No host is told by another who is where. What everybody has to hear goes to each peer in turn (an entry of the forwarding table
/// without a hardware address for each); where an answer came from is learned.
extension HostNetwork {
    /// The device that leads to the other hosts, where it stands as it should.
    func standingTunnel(_ plan: TunnelPlan, on bridge: UInt32) throws(SystemError) -> Link? {
        guard let link = try route.link(plan.device), link.kind == "vxlan", link.isUp, link.master == bridge else { return nil }
        return link
    }

    /// Makes the device. Only under the lock of the networks.
    func makeTunnel(_ plan: TunnelPlan, of network: BridgePlan, _ bridge: Link, isIPv6: Bool) throws(SystemError) -> NetworkError? {
        if let link = try route.link(plan.device) {
            if link.kind != "vxlan" { return failure(network, "another network device is called \(plan.device)", .inUse) }
            try removeLink(plan.device)
        }
        let underlay = plan.underlay.isEmpty ? nil : try route.link(plan.underlay)
        if underlay == nil, !plan.underlay.isEmpty {
            return failure(network, "the host has no device \(plan.underlay), which leads to its other hosts (option dev)", .notFound)
        }
        var batch = RouteBatch()
        batch.addTunnel(plan, isIPv6: isIPv6, underlay: underlay?.index ?? 0, master: bridge.index, mtu: network.mtu)
        // Never back where it came from: the other hosts have heard it already.
        batch.setPort(plan.device, isIsolated: !network.connectsContainers, reflects: false)
        batch.setConfiguration(plan.device, ipv4: [], linkLocal: false)
        batch.raise(plan.device)
        do throws(SystemError) {
            try route.send(batch)
            return nil
        } catch {
            try? removeLink(plan.device)
            let port = "UDP port \(plan.port)"
            switch error.errno {
            case .notSupported: return failure(network, "the kernel has no vxlan devices (module vxlan)")
            case .exists: return failure(network, "another vxlan device has number \(plan.vni) at \(port): choose another vni", .inUse)
            case .addressInUse: return failure(network, "another program has \(port): choose another dstport", .inUse)
            default: throw error
            }
        }
    }

    /// What fits into one packet to another host.
    /// - Parameter peers: one of them tells by which device they are reached where the plan does not.
    func tunnelMTU(_ plan: TunnelPlan, _ peers: TunnelPeers) throws(SystemError) -> UInt32 {
        var outer: UInt32?
        if !plan.underlay.isEmpty {
            outer = try route.link(plan.underlay)?.mtu
        } else if let target = peers.addresses.sorted().first {
            outer = try route.mtu(towards: target)
        }
        // Headers of Ethernet inside, VXLAN, UDP and IP.
        let headers: UInt32 = 14 + 8 + 8 + (peers.isIPv6 ? 40 : 20)
        return max(outer ?? 1500, 1280 + headers) - headers
    }

    /// Makes the device's list of peers what it is now.
    func update(_ peers: TunnelPeers, of link: Link) throws(SystemError) {
        let known = try route.peers(of: link.index)
        var batch = RouteBatch()
        for address in peers.addresses.subtracting(known).sorted() { batch.addPeer(address, index: link.index, device: link.name) }
        if peers.isComplete {
            for address in known.subtracting(peers.addresses).sorted() { batch.removePeer(address, index: link.index, device: link.name) }
        }
        do throws(SystemError) {
            try route.send(batch)
        } catch {
            // Another supervisor had the same to do.
            if ![.exists, .noEntry].contains(error.errno) { throw error }
        }
    }
}

extension RouteSocket {
    /// The hosts to which a vxlan device sends what is for everybody.
    func peers(of index: UInt32) throws(SystemError) -> Set<IPAddress> {
        var body = NetlinkBytes()  // struct ndmsg
        body.append(UInt32(AF_BRIDGE))
        body.append(index)
        body.append(UInt32(0))
        let found = try list(30 /* RTM_GETNEIGH */, body.bytes, "list peers of device", "\(index)")
        var result: Set<IPAddress> = []
        for message in found where message.count >= 12 && NetlinkBytes.read(message, 4, UInt32.self) == index {
            let attributes = NetlinkBytes.attributes(message, after: 12)
            guard attributes.first(where: { $0.type == 2 /* NDA_LLADDR */ })?.value.allSatisfy({ $0 == 0 }) == true,
                let value = attributes.first(where: { $0.type == 1 /* NDA_DST */ })?.value, let address = IPAddress(bytes: value)
            else { continue }
            result.insert(address)
        }
        return result
    }

    /// All of this host's addresses.
    func ownAddresses() throws(SystemError) -> Set<IPAddress> {
        var body = NetlinkBytes()  // struct ifaddrmsg
        body.append(UInt64(0))
        let found = try list(22 /* RTM_GETADDR */, body.bytes, "list addresses", "")
        return Set(
            found.flatMap { message in
                NetlinkBytes.attributes(message, after: 8).filter { $0.type == 1 || $0.type == 2 }.compactMap { IPAddress(bytes: $0.value) }
            })
    }

    /// Of the device by which an address is reached; nil where it is not.
    func mtu(towards address: IPAddress) throws(SystemError) -> UInt32? {
        var body = NetlinkBytes()  // struct rtmsg
        body.bytes += [UInt8(address.isIPv6 ? AF_INET6 : AF_INET), UInt8(address.bits), 0, 0, 0, 0, 0, 0]
        body.append(UInt32(0))
        body.attribute(1 /* RTA_DST */, address.bytes)
        guard let message = try? ask(26 /* RTM_GETROUTE */, body.bytes, "find route to", "\(address)").first,
            let device = NetlinkBytes.attributes(message, after: 12).first(where: { $0.type == 4 /* RTA_OIF */ })?.value
        else { return nil }
        var link = NetlinkBytes()  // struct ifinfomsg
        link.append(UInt32(0))
        link.append(NetlinkBytes.read(device, 0, UInt32.self))
        link.append(UInt64(0))
        return try ask(18 /* RTM_GETLINK */, link.bytes, "find network device to", "\(address)").first.map { Link($0).mtu }
    }
}

extension RouteBatch {
    /// A device that leads to other hosts, as a port of a bridge, down.
    ///
    /// - Parameter underlay: index of the device that packets go by; 0: as the host's routes say.
    mutating func addTunnel(_ plan: TunnelPlan, isIPv6: Bool, underlay: UInt32, master: UInt32, mtu: UInt32) {
        batch.add(16 /* RTM_NEWLINK */, flags: 0x600 /* CREATE | EXCL */, "make network device", plan.device) { body in
            Self.header(&body, index: 0, up: nil)
            body.attribute(3 /* IFLA_IFNAME */, plan.device)
            body.attribute(4 /* IFLA_MTU */, mtu)
            body.attribute(10 /* IFLA_MASTER */, master)
            body.nested(18 /* IFLA_LINKINFO */) { info in
                info.attribute(1 /* IFLA_INFO_KIND */, "vxlan")
                info.nested(2 /* IFLA_INFO_DATA */) { data in
                    data.attribute(1 /* IFLA_VXLAN_ID */, plan.vni)
                    if underlay != 0 { data.attribute(3 /* IFLA_VXLAN_LINK */, underlay) }
                    if let local = IPAddress(plan.local) {
                        data.attribute(isIPv6 ? 17 /* IFLA_VXLAN_LOCAL6 */ : 4 /* IFLA_VXLAN_LOCAL */, local.bytes)
                    } else if isIPv6 {
                        // No group: it only says the family.
                        data.attribute(16 /* IFLA_VXLAN_GROUP6 */, [UInt8](repeating: 0, count: 16))
                    }
                    data.attribute(7 /* IFLA_VXLAN_LEARNING */, byte: 1)
                    data.attribute(15 /* IFLA_VXLAN_PORT */, [UInt8(plan.port >> 8), UInt8(plan.port & 0xff)])
                }
            }
        }
    }

    /// Another host that hears what is for everybody, or for somebody nobody knows the place of.
    mutating func addPeer(_ address: IPAddress, index: UInt32, device: String) {
        batch.add(28 /* RTM_NEWNEIGH */, flags: 0xc00 /* CREATE | APPEND */, "add peer \(address) to", device) {
            Self.peer(&$0, address, index)
        }
    }

    mutating func removePeer(_ address: IPAddress, index: UInt32, device: String) {
        batch.add(29 /* RTM_DELNEIGH */, "remove peer \(address) of", device) { Self.peer(&$0, address, index) }
    }

    private static func peer(_ body: inout NetlinkBytes, _ address: IPAddress, _ index: UInt32) {
        body.append(UInt32(AF_BRIDGE))
        body.append(index)
        body.append(UInt16(0xc0 /* NUD_PERMANENT | NUD_NOARP */))
        body.bytes += [2 /* NTF_SELF */, 0]
        body.attribute(1 /* NDA_DST */, address.bytes)
        body.attribute(2 /* NDA_LLADDR */, [UInt8](repeating: 0, count: 6))
    }
}
