import Control
import Linux

/// The part of networks that all containers share: bridges and the firewall's table, in the network namespace in which this was made.
///
/// Whoever needs a bridge first makes it; nothing has to be running for it. One thread only.
public final class HostNetwork {
    let route: RouteSocket
    /// Once something has needed it: containers on devices of the host's (macvlan, ipvlan) run on kernels without nf_tables.
    private(set) var openedFirewall: FirewallSocket?
    private let run: String

    /// Opens sockets in the network namespace of the calling thread.
    /// - Parameter run: the engine's run directory, for `networks/lock` in it.
    public init(run: String) throws(NetworkError) {
        self.run = run
        route = try networkError { () throws(SystemError) in try RouteSocket() }
    }

    var firewall: FirewallSocket {
        get throws(SystemError) {
            if let openedFirewall { return openedFirewall }
            let made = try FirewallSocket()
            openedFirewall = made
            return made
        }
    }

    /// Makes a network's bridge and its firewall elements, and the table itself, unless they stand; where the network is no bridge, the
    /// device that containers' devices lie on.
    ///
    /// Idempotent. Two look-ups when everything stands; otherwise under `networks/lock`.
    /// - Throws: `.inUse` when another kind of device has the name.
    public func ensure(_ bridge: BridgePlan) throws(NetworkError) {
        if let parent = bridge.parent { _ = try link(parent, of: bridge) } else { _ = try link(of: bridge) }
    }

    /// As ``ensure(_:)``; returns the bridge.
    func link(of bridge: BridgePlan) throws(NetworkError) -> Link {
        let elements = try BridgeElements(bridge)
        // Before the lock is held: names may take their time.
        var peers = try bridge.tunnel.map { (tunnel) throws(NetworkError) in try TunnelPeers(tunnel) }
        return try networkError { () throws(SystemError) -> Result<Link, NetworkError> in
            if bridge.tunnel != nil { peers?.remove(own: try route.ownAddresses()) }
            var found = try standing(bridge, elements).map { Result<Link, NetworkError>.success($0) }
            if found == nil {
                found = try locked { () throws(SystemError) -> Result<Link, NetworkError> in
                    // Somebody else may have made it while we waited.
                    if let link = try standing(bridge, elements) { return .success(link) }
                    return try make(bridge, elements, peers)
                }
            }
            if let tunnel = bridge.tunnel, let peers, case .success = found, let link = try route.link(tunnel.device) {
                try update(peers, of: link)
            }
            return found ?? .failure(failure(bridge, "its bridge \(bridge.device) is gone"))
        }.get()
    }

    private func standing(_ bridge: BridgePlan, _ elements: BridgeElements) throws(SystemError) -> Link? {
        guard try firewall.stands([(bridge.device, elements.mark)]), let link = try route.link(bridge.device), link.isUp,
            link.kind == "bridge"
        else { return nil }
        if let tunnel = bridge.tunnel, try standingTunnel(tunnel, on: link.index) == nil { return nil }
        return link
    }

    private func make(
        _ plan: BridgePlan, _ elements: BridgeElements, _ peers: TunnelPeers?
    ) throws(SystemError) -> Result<Link, NetworkError> {
        var bridge = plan
        if let peers, !peers.isFamilyKnown {
            return .failure(
                failure(
                    plan, "no name of its other hosts has an address now, so IPv4 and IPv6 cannot be told apart: give one (option local)",
                    .notFound))
        }
        if bridge.mtu == 0, let tunnel = plan.tunnel, let peers { bridge.mtu = try tunnelMTU(tunnel, peers) }
        // The firewall comes first: a bridge that is up is guarded.
        try firewall.writeRuleset()
        try removeAbandoned(overlapping: elements)
        try write(elements)
        try forward(bridge)
        var link = try route.link(bridge.device)
        if let link, link.kind != "bridge" {
            let owner = link.kind.isEmpty ? "a network device" : "a network device of kind \(link.kind)"
            return .failure(NetworkError(.inUse, "make bridge", bridge.device, cause: "\(owner) has this name"))
        }
        let isNew = link == nil
        if isNew {
            var batch = RouteBatch()
            batch.addBridge(bridge.device, mac: elements.mac, mtu: bridge.mtu)
            try route.send(batch)
            link = try route.link(bridge.device)
        }
        guard let link else { throw SystemError(.noDevice, "make bridge", bridge.device) }
        if bridge.vlan != 0, let error = try filterVLANs(bridge) {
            if isNew { try removeLink(bridge.device) }
            return .failure(error)
        }
        try setUp(bridge, link, elements)
        if let tunnel = plan.tunnel, let peers, try standingTunnel(tunnel, on: link.index) == nil,
            let error = try makeTunnel(tunnel, of: bridge, link, isIPv6: peers.isIPv6)
        {
            return .failure(error)
        }
        return .success(try route.link(bridge.device) ?? link)
    }

    private func filterVLANs(_ bridge: BridgePlan) throws(SystemError) -> NetworkError? {
        var batch = RouteBatch()
        batch.filterVLANs(bridge.device, bridge.vlan)
        do throws(SystemError) {
            try route.send(batch)
        } catch {
            if error.errno != .notSupported { throw error }
        }
        // A kernel may take the setting and not have what it is for.
        if try route.link(bridge.device)?.filtersVLANs == true { return nil }
        return failure(bridge, "the kernel has no VLANs in bridges (CONFIG_BRIDGE_VLAN_FILTERING): leave the option vlan away")
    }

    /// Addresses first and `up` last: a bridge that is up is complete.
    private func setUp(_ bridge: BridgePlan, _ link: Link, _ elements: BridgeElements) throws(SystemError) {
        var batch = RouteBatch()
        if bridge.mtu != 0, link.mtu != bridge.mtu { batch.setMTU(bridge.device, bridge.mtu) }
        // The host's 127.0.0.1 shall reach containers: Documentation/networking/ip-sysctl.rst, route_localnet.
        batch.setConfiguration(bridge.device, ipv4: [(26 /* IPV4_DEVCONF_ROUTE_LOCALNET */, 1)], linkLocal: false)
        // A host may have IPv6 off for all but some devices.
        if elements.addresses.contains(where: \.isIPv6) { try Sysctl.set("net/ipv6/conf/\(bridge.device)/disable_ipv6", "0") }
        let present = try route.addresses(of: link.index)
        for prefix in present where !elements.addresses.contains(prefix) {
            batch.removeAddress(prefix, index: link.index, device: bridge.device)
        }
        for prefix in elements.addresses where !present.contains(prefix) {
            batch.addAddress(prefix, index: link.index, device: bridge.device)
        }
        batch.raise(bridge.device)
        try route.send(batch)
        try waitUntil { () throws(SystemError) in
            try route.hearsSolicitations(for: elements.addresses.map(\.address), index: link.index)
        }
        guard elements.addresses.contains(where: \.isIPv6), let loopback = IPAddress("::1") else { return }
        // The host's ::1 shall reach published ports too. There is no route_localnet for IPv6; what keeps the answers out is that the
        // kernel looks for ::1 only among the routes of the device they come by. Packets that say ::1 on the wire are dropped before.
        var local = RouteBatch()
        local.addLocalRoute(to: loopback, index: link.index, device: bridge.device)
        try? route.send(local)
    }

    /// Networks that exist do not overlap. One that was removed by who could not take its bridge away (an ordinary user's, while others of
    /// their containers run) is in the way of its successor. Another engine's, which has containers, is left alone.
    private func removeAbandoned(overlapping elements: BridgeElements) throws(SystemError) {
        var owners: Set<String> = []
        for set in [Ruleset.subnets4, Ruleset.subnets6] {
            owners.formUnion(try firewall.owners(in: set, overlapping: elements.elements[set] ?? []).filter { !elements.isOurs($0) })
        }
        for owner in owners where !owner.isEmpty {
            for element in try firewall.elements(of: Ruleset.bridges, where: { $0.hasPrefix(owner) }) {
                let device = String(decoding: element.key.prefix { $0 != 0 }, as: UTF8.self)
                let link = try route.link(device)
                // Without a port that is up it has no carrier.
                if let link, link.kind == "bridge", link.isReady { return }
                if link?.kind == "bridge" { try removeLink(device) }
            }
            try firewall.remove(from: BridgeElements.sets) { $0.hasPrefix(owner) }
        }
    }

    private func write(_ elements: BridgeElements) throws(SystemError) {
        var removals: [FirewallSet: [FirewallElement]] = [:]
        for set in BridgeElements.sets {
            let wanted = Set(elements.elements[set] ?? [])
            removals[set] = try firewall.elements(of: set, where: elements.isOurs).filter { !wanted.contains($0) }
        }
        try firewall.change(remove: removals, add: elements.elements)
    }

    private func forward(_ bridge: BridgePlan) throws(SystemError) {
        if bridge.isInternal { return }
        let families = bridge.subnets.compactMap { IPPrefix($0)?.isIPv6 }
        if families.contains(false) { try Sysctl.set("net/ipv4/ip_forward", "1") }
        guard families.contains(true), Sysctl.read("net/ipv6/conf/all/forwarding") == "0" else { return }
        // A host that forwards takes no routers' advertisements any more, and with them loses its default route, unless told to.
        if let directory = try? FD.cwd.open("/proc/sys/net/ipv6/conf", [.readOnly, .directory]) {
            for (name, _) in try directoryEntries(directory.fd) where Sysctl.read("net/ipv6/conf/\(name)/accept_ra") == "1" {
                try Sysctl.set("net/ipv6/conf/\(name)/accept_ra", "2")
            }
        }
        try Sysctl.set("net/ipv6/conf/all/forwarding", "1")
    }

    /// Removes a network's bridge and its firewall elements; what is gone already is no error. No container may be on it any more.
    public func remove(bridge: BridgePlan) throws(NetworkError) {
        if bridge.parent != nil { return try removeParent(bridge) }
        let elements = try BridgeElements(bridge)
        try networkError { () throws(SystemError) in
            try locked { () throws(SystemError) in
                if let tunnel = bridge.tunnel, try route.link(tunnel.device)?.kind == "vxlan" { try removeLink(tunnel.device) }
                // The bridge goes before the rules: while it stands it is guarded.
                if let link = try route.link(bridge.device), link.kind == "bridge" { try removeLink(bridge.device) }
                try firewall.remove(from: BridgeElements.sets, where: elements.isOurs)
            }
        }
    }

    /// What a killed supervisor left of a container: its ends on the host and its ports' elements. Tolerant of everything being gone.
    /// - Parameter id: the container's.
    public func forget(_ plan: NetworkPlan, id: String) throws(NetworkError) {
        try networkError { () throws(SystemError) in
            do throws(SystemError) {
                try firewall.remove(from: PortElements.sets, where: PortElements.isOf(id))
            } catch {
                // A kernel without nf_tables has nothing of them.
                if plan.needsFirewall || error.errno != .protocolNotSupported { throw error }
            }
            for endpoint in plan.endpoints {
                // It may have had a limit that the plan has no more.
                for (name, kind) in [(endpoint.hostInterface, "veth"), (endpoint.shaper, "ifb")] where try route.link(name)?.kind == kind {
                    try removeLink(name)
                }
            }
        }
    }

    /// Writes the table again where its rules are missing; elements are their owners' business.
    func repairRuleset() throws(SystemError) {
        if try firewall.isWhole() { return }
        try locked { () throws(SystemError) in try firewall.writeRuleset() }
    }

    /// Destinations of all of the host's routes: a new subnet must overlap none of them.
    public func routes() throws(NetworkError) -> [IPPrefix] {
        try networkError { () throws(SystemError) in try route.prefixesInUse() }
    }

    /// Whether a network device has this name.
    public func deviceExists(_ name: String) throws(NetworkError) -> Bool {
        try networkError { () throws(SystemError) in try route.link(name) != nil }
    }

    func removeLink(_ name: String) throws(SystemError) { try route.remove(name) }

    /// Holds `networks/lock` meanwhile.
    func locked<T>(_ body: () throws(SystemError) -> T) throws(SystemError) -> T {
        try FD.cwd.makeDirectories("\(run)/networks", mode: 0o700)
        let file = try FD.cwd.open("\(run)/networks/lock", [.readWrite, .create, .noFollow], mode: 0o600)
        try file.fd.lock(.exclusive)
        let result = try body()
        try file.fd.unlock()
        return result
    }
}

/// Turns the kernel's errors into a network's.
func networkError<T: ~Copyable>(_ body: () throws(SystemError) -> T) throws(NetworkError) -> T {
    do throws(SystemError) { return try body() } catch { throw NetworkError(error) }
}
