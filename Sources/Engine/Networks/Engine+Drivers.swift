import Control
import Networks
import Store

/// Networks that are more than a bridge: on a device of the host's, or of several hosts.
extension Engine {
    /// - Throws: `.notSupported` for an ordinary user; `.invalid` where the host has no such device.
    func requireDevices(of definition: NetworkDefinition) throws(EngineError) {
        let options = try DriverOptions(definition)
        if let tunnel = options.tunnel { return try requireReach(tunnel, of: definition) }
        guard let parent = options.parent else { return }
        if host.isRootless {
            throw EngineError(
                .permission,
                sentence: "driver \(definition.driver) needs root: a user's containers are in a network namespace that has none of the "
                    + "host's devices; use a bridge network and publish ports (-p)")
        }
        if parent.device.isEmpty || kernelNetworks.hasDevice(parent.device) { return }
        // Made when it is first needed.
        if let vlan = VLANDevice(parent.device), kernelNetworks.hasDevice(vlan.base) { return }
        throw .invalid(
            "the host has no network device \"\(parent.device)\": give one that it has, or DEVICE.VLAN, as -o parent=")
    }

    private func requireReach(_ tunnel: TunnelOptions, of definition: NetworkDefinition) throws(EngineError) {
        if host.isRootless {
            throw EngineError(
                .permission,
                sentence: "driver vxlan needs root: what other hosts send does not reach the network namespace of a user's containers; "
                    + "use a bridge network and publish ports (-p)")
        }
        if !tunnel.underlay.isEmpty, !kernelNetworks.hasDevice(tunnel.underlay) {
            throw .invalid(
                "the host has no network device \"\(tunnel.underlay)\": give the one that leads to the other hosts as --opt dev=")
        }
        if definition.subnets.contains(where: { $0.range == nil }) {
            warn(
                "WARNING: network \(definition.name) gives out addresses of the whole subnet, as its other hosts may too: "
                    + "give each host a part of its own with --ip-range")
        }
    }

    /// Two networks cannot have one number.
    func checkTunnel(_ tunnel: TunnelOptions, of definition: NetworkDefinition, _ store: Store) throws(EngineError) {
        for record in try stored({ () throws(StoreError) in try store.networks() }) {
            let other = try decode(record)
            guard let its = try DriverOptions(other).tunnel, its.vni == tunnel.vni, its.port == tunnel.port else { continue }
            throw EngineError(
                .conflict,
                sentence: "cannot create network \(definition.name): network \(other.name) has number \(tunnel.vni) at UDP port "
                    + "\(tunnel.port); choose another vni")
        }
    }

    /// What the kernel has of a network alone; nil where there is nothing to take away with it.
    func ownDevices(of definition: NetworkDefinition) throws(EngineError) -> BridgePlan? {
        // A user's bridges are in the namespace of their containers, and go with the last of those, or when they are in the way.
        if host.isRootless { return nil }
        let device = try device(of: definition)
        if !definition.isBridge {
            // A device under several networks stays until the last of them goes.
            for other in try networks() where other.id != definition.id && other.isConnectable && !other.isBridge {
                if try self.device(of: other) == device { return nil }
            }
        }
        return definition.bridgePlan(device: device, try DriverOptions(definition))
    }

    /// Several networks may lie on one device, but not with mode passthru.
    func checkParent(_ parent: ParentOptions, of definition: NetworkDefinition, _ store: Store) throws(EngineError) {
        if parent.device.isEmpty { return }
        for record in try stored({ () throws(StoreError) in try store.networks() }) {
            let other = try decode(record)
            guard let its = try DriverOptions(other).parent, its.device == parent.device else { continue }
            let isAlone = [its, parent].contains { $0.plan.mode == "passthru" }
            if isAlone || its.plan.kind != parent.plan.kind {
                throw EngineError(
                    .conflict,
                    sentence: "cannot create network \(definition.name): network \(other.name) is already using parent interface "
                        + "\(parent.device)\(isAlone ? ", and mode passthru wants it alone" : " with driver \(other.driver)")")
            }
        }
    }
}
