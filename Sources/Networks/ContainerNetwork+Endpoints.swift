import Control
import Glibc
import Linux

extension ContainerNetwork {
    /// Makes the devices of endpoints, with addresses, up, and ready to carry packets.
    /// - Parameter routes: default routes by these devices.
    func connect(_ endpoints: [EndpointPlan], routes: [DefaultRoute] = []) throws(NetworkError) {
        if endpoints.isEmpty { return }
        guard let namespace else { return }
        let host = try host()
        var ends = RouteBatch()
        for endpoint in endpoints where endpoint.isBridged {
            let (mac, _) = try Self.addresses(of: endpoint)
            let bridge = try host.link(of: endpoint.bridge)
            ends.addPair(
                near: endpoint.hostInterface, master: bridge.index, far: endpoint.interface, mac: mac,
                namespace: namespace.fd, mtu: endpoint.bridge.tunnel == nil ? endpoint.bridge.mtu : bridge.mtu)
            // Where bridges call the IP firewall, a connection to the container's own published port turns round in the bridge.
            let reflects = Sysctl.read("net/bridge/bridge-nf-call-iptables") == "1"
            ends.setPort(endpoint.hostInterface, isIsolated: !endpoint.bridge.connectsContainers, reflects: reflects)
            ends.setConfiguration(endpoint.hostInterface, ipv4: [], linkLocal: false)
        }
        let prepared = ends
        try networkError { () throws(SystemError) in
            do throws(SystemError) {
                try host.route.send(prepared)
            } catch {
                guard error.errno == .exists else { throw error }
                // The end of a container before us: its supervisor was killed, or the kernel is still clearing its namespace away.
                for endpoint in endpoints where endpoint.isBridged { try host.removeLink(endpoint.hostInterface) }
                try host.route.send(prepared)
            }
        }
        for endpoint in endpoints {
            if let parent = endpoint.bridge.parent { try addChild(of: parent, endpoint, host, namespace.fd) }
        }
        // Before the first packet. A queue that is there already is of the cable before and about to be removed (`removeLater`).
        try networkError { () throws(SystemError) in
            for endpoint in endpoints where endpoint.rate.outgoing != 0 { try host.removeLink(endpoint.shaper) }
        }
        for endpoint in endpoints where !endpoint.rate.isEmpty { try host.setRate(endpoint) }
        try setUpInside(endpoints, routes)
        try networkError { () throws(SystemError) in
            for endpoint in endpoints where endpoint.isBridged { try awaitForwarding(endpoint, host) }
        }
    }

    /// Addresses before `up`, so that the kernel tells the neighbours about them at once (arp_notify): an address may have been another
    /// container's a moment ago.
    private func setUpInside(_ endpoints: [EndpointPlan], _ routes: [DefaultRoute]) throws(NetworkError) {
        var addresses: [[IPPrefix]] = []
        var staticRoutes: [[StaticRoute]] = []
        for endpoint in endpoints {
            addresses.append(try Self.addresses(of: endpoint).prefixes)
            staticRoutes.append(try endpoint.routes.map { (route) throws(NetworkError) in try StaticRoute(route, by: endpoint.interface) })
        }
        try networkError { () throws(SystemError) in
            try inside { (route) throws(SystemError) in
                var batch = RouteBatch()
                batch.raise("lo")
                for ((endpoint, prefixes), others) in zip(zip(endpoints, addresses), staticRoutes) {
                    guard let link = try route.link(endpoint.interface) else {
                        throw SystemError(.noDevice, "find network device", endpoint.interface)
                    }
                    let hasIPv6 = prefixes.contains(where: \.isIPv6)
                    // No advertisement of a neighbour may give the container a default route (CVE-2020-13401).
                    let directory = "net/ipv6/conf/\(endpoint.interface)"
                    if hasIPv6 { try Sysctl.set("\(directory)/accept_ra", "0") }
                    try Sysctl.set("\(directory)/disable_ipv6", hasIPv6 ? "0" : "1")
                    batch.setConfiguration(endpoint.interface, ipv4: [(22 /* IPV4_DEVCONF_ARP_NOTIFY */, 1)], linkLocal: false)
                    for prefix in prefixes { batch.addAddress(prefix, index: link.index, device: endpoint.interface) }
                    batch.raise(endpoint.interface)
                    for each in routes where each.interface == endpoint.interface { batch.addDefault(each, index: link.index) }
                    for each in others {
                        batch.addRoute(
                            to: each.destination, gateway: each.gateway, isIPv6: each.gateway.isIPv6, index: link.index,
                            device: endpoint.interface, metric: each.metric)
                    }
                }
                let prepared = batch
                try Self.patiently(endpoints.contains { !$0.isBridged }) { () throws(SystemError) in try route.send(prepared) }
                for (endpoint, prefixes) in zip(endpoints, addresses) {
                    try waitUntil { () throws(SystemError) in
                        guard let link = try route.link(endpoint.interface) else { return nil }
                        if !link.isReady { return false }
                        return try route.hearsSolicitations(for: prefixes.map(\.address), index: link.index)
                    }
                }
            }
        }
    }

    /// The first endpoint with a gateway of a family has that family's default route.
    static func defaultRoutes(_ endpoints: [EndpointPlan]) throws(NetworkError) -> [DefaultRoute] {
        var routes: [DefaultRoute] = []
        for endpoint in endpoints {
            for text in endpoint.gateways {
                guard let gateway = IPAddress(text) else {
                    throw NetworkError(.invalid, "add default route by", endpoint.interface, cause: "\"\(text)\" is no address")
                }
                if routes.contains(where: { $0.gateway.isIPv6 == gateway.isIPv6 }) { continue }
                let route = DefaultRoute(interface: endpoint.interface, gateway: gateway, endsNearby: endpoint.endsNearby)
                routes.append(route)
            }
        }
        return routes
    }

    /// Replaces the default routes of devices that are up.
    func setDefaultRoutes(_ endpoints: [EndpointPlan]) throws(NetworkError) {
        let routes = try Self.defaultRoutes(endpoints)
        if routes.isEmpty { return }
        try networkError { () throws(SystemError) in
            try inside { (route) throws(SystemError) in
                var batch = RouteBatch()
                for each in routes {
                    guard let link = try route.link(each.interface) else { continue }
                    batch.addDefault(each, index: link.index)
                }
                try route.send(batch)
            }
        }
    }

    private func awaitForwarding(_ endpoint: EndpointPlan, _ host: HostNetwork) throws(SystemError) {
        try waitUntil { () throws(SystemError) in
            guard let bridge = try host.route.link(endpoint.bridge.device), let end = try host.route.link(endpoint.hostInterface) else {
                return nil
            }
            return end.portState == 3 /* BR_STATE_FORWARDING */ && bridge.isReady
        }
    }

    static func addresses(of endpoint: EndpointPlan) throws(NetworkError) -> (mac: MACAddress, prefixes: [IPPrefix]) {
        for name in [endpoint.interface, endpoint.hostInterface] where !Link.isName(name) {
            throw NetworkError(.invalid, "make network device", name, cause: "a device's name has 1 to 15 letters, digits and signs")
        }
        guard let mac = MACAddress(endpoint.mac) else {
            throw NetworkError(.invalid, "make network device", endpoint.interface, cause: "\"\(endpoint.mac)\" is no MAC address")
        }
        var prefixes: [IPPrefix] = []
        for text in endpoint.addresses + endpoint.linkLocal {
            guard let prefix = IPPrefix(text) else {
                throw NetworkError(.invalid, "make network device", endpoint.interface, cause: "\"\(text)\" is no ADDRESS/LENGTH")
            }
            prefixes.append(prefix)
        }
        // The kernel would make the same one and spend a second on looking for duplicates.
        if prefixes.contains(where: \.isIPv6), let linkLocal = mac.linkLocal, !prefixes.contains(linkLocal) { prefixes.append(linkLocal) }
        return (mac, prefixes)
    }
}

/// The way out of a container, of one family.
struct DefaultRoute {
    let interface: String
    /// Unspecified: by the device itself.
    let gateway: IPAddress
    var endsNearby = false

    /// The shortest time until TCP sends something again, in milliseconds; 0: the kernel's 200.
    ///
    /// A process of this machine that hands everything on and drops what it has no room for loses much at once and tells of it late, and
    /// the way to it takes microseconds: waiting 200 ms each time leaves a tenth of the speed.
    var minimumTimeout: UInt32 { endsNearby ? 20 : 0 }
}

/// A route besides the default one.
private struct StaticRoute {
    let destination: IPPrefix
    let gateway: IPAddress
    let metric: UInt32

    init(_ plan: RoutePlan, by interface: String) throws(NetworkError) {
        guard let destination = IPPrefix(plan.destination), let gateway = IPAddress(plan.gateway),
            gateway.isIPv6 == destination.isIPv6
        else {
            throw NetworkError(.invalid, "add route by", interface, cause: "\"\(plan.destination) via \(plan.gateway)\" is no route")
        }
        (self.destination, self.gateway, metric) = (destination, gateway, plan.metric)
    }
}

extension NetworkPlan {
    /// Refuses two devices with one name: taking away the one would be the end of the other.
    func requireOwnNames() throws(NetworkError) {
        var names: Set<String> = []
        for endpoint in endpoints where !names.insert(endpoint.interface).inserted {
            throw NetworkError(
                .inUse, "connect to network", endpoint.bridge.networkName,
                cause: "another network's device in the container is called \(endpoint.interface) already: "
                    + "give another name with the option com.docker.network.endpoint.ifname")
        }
    }

    /// Whether anything of it is in the firewall.
    var needsFirewall: Bool { !ports.isEmpty || endpoints.contains(where: \.isBridged) }
}

extension EndpointPlan {
    /// Whether the container is connected by a cable to a bridge of ours.
    var isBridged: Bool { bridge.parent == nil }
}

extension RouteBatch {
    fileprivate mutating func addDefault(_ route: DefaultRoute, index: UInt32) {
        addRoute(
            gateway: route.gateway.isUnspecified ? nil : route.gateway, isIPv6: route.gateway.isIPv6, index: index, device: route.interface,
            minimumTimeout: route.minimumTimeout)
    }
}

extension MACAddress {
    /// `fe80::` with the interface identifier of RFC 4291, appendix A.
    var linkLocal: IPPrefix? {
        let identifier = [bytes[0] ^ 2, bytes[1], bytes[2], 0xff, 0xfe, bytes[3], bytes[4], bytes[5]]
        return IPAddress(bytes: [0xfe, 0x80, 0, 0, 0, 0, 0, 0] + identifier).flatMap { IPPrefix($0, length: 64) }
    }
}

/// Waits for what the kernel does a moment after it was asked: a bridge forwards to a new port, and devices send, only when it has noticed
/// the carrier. Until then packets are lost, and a lost ARP request costs a second. Asking for a device makes it look (Linux 6.8), so that
/// this hardly ever waits, and never longer than a tenth of a second.
/// - Parameter isReady: nil: there is nothing to wait for any more.
func waitUntil(_ isReady: () throws(SystemError) -> Bool?) throws(SystemError) {
    for attempt in 0..<200 {
        if try isReady() ?? true { return }
        usleep(attempt < 10 ? 50 : 500)
    }
}

/// What has to be done to get from one plan to another.
struct PlanDifference {
    /// Also those that stay under their name with other content: they are made anew.
    let addedEndpoints: [EndpointPlan]
    let removedEndpoints: [EndpointPlan]
    /// As they were.
    let replacedEndpoints: [EndpointPlan]
    /// As it was, and as it shall be.
    let changedRates: [(EndpointPlan, EndpointPlan)]
    let addedPorts: Set<PortBindings.Key>
    let removedPorts: Set<PortBindings.Key>
    private(set) var addedElements: [FirewallSet: [FirewallElement]] = [:]
    private(set) var removedElements: [FirewallSet: [FirewallElement]] = [:]

    init(from old: NetworkPlan, to new: NetworkPlan, id: String) throws(NetworkError) {
        // Names are the resolver's business; rates and gateways change on the device that there is.
        func device(_ endpoint: EndpointPlan) -> EndpointPlan {
            var endpoint = endpoint
            endpoint.names = []
            endpoint.gateways = []
            endpoint.rate = NetworkRate()
            return endpoint
        }
        let before = Set(old.endpoints.map(device))
        let names = Set(new.endpoints.map(\.hostInterface))
        let after = Set(new.endpoints.map(device))
        addedEndpoints = new.endpoints.filter { !before.contains(device($0)) }
        // One whose device inside is another's now has to go before that can be made.
        let interfaces = Set(addedEndpoints.map(\.interface))
        let isReplaced = { (endpoint: EndpointPlan) in names.contains(endpoint.hostInterface) || interfaces.contains(endpoint.interface) }
        removedEndpoints = old.endpoints.filter { !isReplaced($0) }
        replacedEndpoints = old.endpoints.filter { isReplaced($0) && !after.contains(device($0)) }
        changedRates = new.endpoints.compactMap { next in
            old.endpoints.first { device($0) == device(next) && $0.rate != next.rate }.map { ($0, next) }
        }
        let oldPorts = try PortBindings.keys(old.ports)
        let newPorts = try PortBindings.keys(new.ports)
        addedPorts = newPorts.subtracting(oldPorts)
        removedPorts = oldPorts.subtracting(newPorts)
        let oldElements = try PortElements.make(old.ports, id: id)
        let newElements = try PortElements.make(new.ports, id: id)
        for (set, elements) in newElements {
            let known = Set(oldElements[set] ?? [])
            let added = elements.filter { !known.contains($0) }
            if !added.isEmpty { addedElements[set] = added }
        }
        for (set, elements) in oldElements {
            // One with another value is replaced, not removed.
            let keys = Set((newElements[set] ?? []).map(\.key))
            let removed = elements.filter { !keys.contains($0.key) }
            if !removed.isEmpty { removedElements[set] = removed }
        }
    }
}
