import Control
import Glibc
import Linux

/// Networks that are no bridges: containers' devices lie on one of the host's (macvlan, ipvlan).
extension HostNetwork {
    /// The note at devices that were made for networks: who else has a device of the name keeps it.
    private static let alias = "made by berth for networks"

    /// The host's device that a network's containers' devices lie on, up. Made where it is one that can be made: `PARENT.VLAN`, or a
    /// device that leads nowhere.
    /// - Throws: `.notFound` when there is none; `.unsupported` when it is down or the kernel lacks its kind.
    func link(_ parent: ParentPlan, of network: BridgePlan) throws(NetworkError) -> Link {
        guard Link.isName(network.device) else { throw failure(network, "\"\(network.device)\" is no name of a device", .invalid) }
        if let link = try networkError({ () throws(SystemError) in try route.link(network.device) }), link.isUp { return link }
        return try networkError { () throws(SystemError) -> Result<Link, NetworkError> in
            try locked { () throws(SystemError) -> Result<Link, NetworkError> in
                // Somebody else may have made it while we waited.
                let link = try route.link(network.device)
                if let link, link.isUp { return .success(link) }
                if let link, link.alias != Self.alias {
                    return .failure(failure(network, "its parent \(network.device) is down: ip link set \(network.device) up"))
                }
                if link == nil, let error = try makeParent(parent, network) { return .failure(error) }
                var batch = RouteBatch()
                batch.setAlias(network.device, Self.alias)
                batch.setConfiguration(network.device, ipv4: [], linkLocal: false)
                batch.raise(network.device)
                do throws(SystemError) {
                    try route.send(batch)
                } catch {
                    return .failure(failure(network, "its parent \(network.device) cannot be raised: \(error.cause)"))
                }
                guard let made = try route.link(network.device) else { throw SystemError(.noDevice, "find network device", network.device) }
                return .success(made)
            }
        }.get()
    }

    private func makeParent(_ parent: ParentPlan, _ network: BridgePlan) throws(SystemError) -> NetworkError? {
        var batch = RouteBatch()
        var kind = "dummy"
        if parent.isDummy {
            batch.addDummy(network.device)
        } else {
            guard let vlan = VLANDevice(network.device), let base = try route.link(vlan.base) else {
                return failure(
                    network, "the host has no device \(network.device), its parent: make it, or the network anew with another parent",
                    .notFound)
            }
            batch.addVLAN(network.device, on: base.index, id: vlan.id)
            kind = "VLAN"
        }
        do throws(SystemError) {
            try route.send(batch)
            return nil
        } catch {
            guard error.errno == .notSupported else { throw error }
            let other = parent.isDummy ? "name a parent (-o parent=)" : "choose another parent"
            return failure(network, "the kernel has no \(kind) devices, which \(network.device) would be: \(other)")
        }
    }

    /// Removes the device under a network where it was made for one.
    func removeParent(_ network: BridgePlan) throws(NetworkError) {
        try networkError { () throws(SystemError) in
            try locked { () throws(SystemError) in
                guard let link = try route.link(network.device), link.alias == Self.alias else { return }
                try removeLink(network.device)
            }
        }
    }

    func failure(_ network: BridgePlan, _ cause: String, _ code: NetworkError.Code = .unsupported) -> NetworkError {
        NetworkError(code, "connect to network", network.networkName, cause: cause)
    }
}

extension ContainerNetwork {
    /// Makes a container's device on one of the host's, in the container's namespace from the start: nobody sees it half made.
    func addChild(of parent: ParentPlan, _ endpoint: EndpointPlan, _ host: HostNetwork, _ namespace: FD) throws(NetworkError) {
        let (mac, _) = try Self.addresses(of: endpoint)
        let link = try host.link(parent, of: endpoint.bridge)
        func make(_ name: String) throws(SystemError) {
            var batch = RouteBatch()
            batch.addChild(name, of: link.index, parent, mac: mac, namespace: namespace, mtu: endpoint.bridge.mtu)
            let prepared = batch
            try Self.patiently(parent.mode == "passthru") { () throws(SystemError) in try host.route.send(prepared) }
        }
        do throws(SystemError) {
            do throws(SystemError) { try make(endpoint.interface) } catch {
                guard error.errno == .exists else { throw error }
                // Before Linux 6.15 a name that a device of the host's has (eth0) cannot be given at once.
                try make(endpoint.hostInterface)
                try nameInside(endpoint)
            }
        } catch {
            let device = endpoint.bridge.device
            switch error.errno {
            case .notSupported:
                let other = parent.kind == .ipvlan ? "; driver macvlan serves most of the same ends" : ""
                throw host.failure(
                    endpoint.bridge, "the kernel has no \(parent.kind.rawValue) devices (module \(parent.kind.rawValue))\(other)")
            case .busy:
                throw host.failure(
                    endpoint.bridge,
                    "its parent \(device) is a port of a bridge or bond, or carries other kinds of devices: choose another", .inUse)
            case .invalid where parent.kind == .macvlan && endpoint.bridge.mtu > link.mtu:
                throw host.failure(
                    endpoint.bridge, "its parent \(device) takes packets of at most \(link.mtu) bytes: choose no greater MTU", .invalid)
            case .invalid where parent.kind == .macvlan:
                throw host.failure(
                    endpoint.bridge, "its parent \(device) has another container, and one of them wants it alone (mode passthru)", .inUse)
            default: throw NetworkError(error)
            }
        }
    }

    /// A device that was made under the name of an end on the host gets its own, or goes.
    private func nameInside(_ endpoint: EndpointPlan) throws(SystemError) {
        try inside { (route) throws(SystemError) in
            guard let made = try route.link(endpoint.hostInterface) else {
                throw SystemError(.noDevice, "find network device", endpoint.hostInterface)
            }
            var batch = RouteBatch()
            batch.rename(endpoint.hostInterface, to: endpoint.interface, index: made.index)
            do throws(SystemError) { try route.send(batch) } catch {
                try? route.remove(endpoint.hostInterface)
                throw error
            }
        }
    }

    /// Tries again while a device has what is asked for that the kernel has still to clear away: that of this container's run before, or
    /// of one whose supervisor was killed. At most two seconds.
    static func patiently(_ isWorthIt: Bool, _ body: () throws(SystemError) -> Void) throws(SystemError) {
        for _ in 0..<100 where isWorthIt {
            do throws(SystemError) { return try body() } catch {
                // Of macvlan the hardware address, or the parent as a whole (passthru); of ipvlan the address.
                if ![.addressInUse, .invalid, .busy].contains(error.errno) { throw error }
            }
            usleep(20_000)
        }
        try body()
    }

    /// Removes a container's device, or its end of the cable on the host; what is gone already is no error.
    func removeEnd(of endpoint: EndpointPlan, _ host: HostNetwork) throws(SystemError) {
        if endpoint.isBridged {
            for name in endpoint.hostDevices { try host.removeLink(name) }
            return
        }
        try inside { (route) throws(SystemError) in try route.remove(endpoint.interface) }
    }
}

/// `eth0.50`: VLAN 50 on eth0.
public struct VLANDevice: Sendable, Hashable {
    public let base: String
    /// From 1 to 4094.
    public let id: UInt16

    /// Nil where the name is not made so.
    public init?(_ name: String) {
        guard let dot = name.lastIndex(of: "."), dot != name.startIndex else { return nil }
        let digits = name[name.index(after: dot)...]
        guard digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let id = UInt16(digits), (1...4094).contains(id) else { return nil }
        base = String(name[..<dot])
        self.id = id
    }
}
