import Control
import Glibc
import Linux

/// Devices that lie on others.
extension RouteBatch {
    /// A device on one of the host's that lies in another namespace from the start, under its final name, down.
    ///
    /// - Parameters:
    ///   - parent: index of the host's device.
    ///   - mac: of macvlan; an ipvlan device has its parent's.
    ///   - mtu: 0: the parent's.
    mutating func addChild(_ name: String, of parent: UInt32, _ plan: ParentPlan, mac: MACAddress, namespace: FD, mtu: UInt32) {
        batch.add(16 /* RTM_NEWLINK */, flags: 0x600 /* CREATE | EXCL */, "make network device", name) { body in
            Self.header(&body, index: 0, up: nil)
            body.attribute(3 /* IFLA_IFNAME */, name)
            // Without IFLA_LINK_NETNSID the index is one of this socket's namespace.
            body.attribute(5 /* IFLA_LINK */, parent)
            body.attribute(28 /* IFLA_NET_NS_FD */, UInt32(bitPattern: namespace.rawValue))
            if mtu != 0 { body.attribute(4 /* IFLA_MTU */, mtu) }
            if plan.kind == .macvlan { body.attribute(1 /* IFLA_ADDRESS */, mac.bytes) }
            body.nested(18 /* IFLA_LINKINFO */) { info in
                info.attribute(1 /* IFLA_INFO_KIND */, plan.kind.rawValue)
                info.nested(2 /* IFLA_INFO_DATA */) { data in
                    switch plan.kind {
                    case .macvlan: data.attribute(1 /* IFLA_MACVLAN_MODE */, plan.macvlanMode)
                    case .ipvlan:
                        data.attribute(1 /* IFLA_IPVLAN_MODE */, short: plan.ipvlanMode)
                        data.attribute(2 /* IFLA_IPVLAN_FLAGS */, short: plan.ipvlanFlags)
                    }
                }
            }
        }
    }

    /// Of a device that is down.
    mutating func rename(_ name: String, to other: String, index: UInt32) {
        batch.add(16, "rename network device \(name) to", other) { body in
            Self.header(&body, index: index, up: nil)
            body.attribute(3, other)
        }
    }

    /// A device of the host's that carries what has a VLAN's tag on another one.
    mutating func addVLAN(_ name: String, on parent: UInt32, id: UInt16) {
        batch.add(16, flags: 0x600, "make network device", name) { body in
            Self.header(&body, index: 0, up: nil)
            body.attribute(3, name)
            body.attribute(5, parent)
            body.nested(18) { info in
                info.attribute(1, "vlan")
                info.nested(2) { $0.attribute(1 /* IFLA_VLAN_ID */, short: id) }
            }
        }
    }

    /// Makes a bridge look at tags, with itself and all ports that come in one VLAN, untagged.
    mutating func filterVLANs(_ bridge: String, _ vlan: UInt16) {
        batch.add(16, "set up VLAN \(vlan) of bridge", bridge) { body in
            Self.header(&body, index: 0, up: nil)
            body.attribute(3, bridge)
            body.nested(18) { info in
                info.attribute(1, "bridge")
                info.nested(2) { data in
                    data.attribute(7 /* IFLA_BR_VLAN_FILTERING */, byte: 1)
                    data.attribute(39 /* IFLA_BR_VLAN_DEFAULT_PVID */, short: vlan)
                }
            }
        }
    }

    /// A device that leads nowhere.
    mutating func addDummy(_ name: String) {
        batch.add(16, flags: 0x600, "make network device", name) { body in
            Self.header(&body, index: 0, up: nil)
            body.attribute(3, name)
            body.nested(18) { $0.attribute(1, "dummy") }
        }
    }

    /// Leaves a note with a device.
    mutating func setAlias(_ name: String, _ alias: String) {
        batch.add(16, "name network device", name) { body in
            Self.header(&body, index: 0, up: nil)
            body.attribute(3, name)
            body.attribute(20 /* IFLA_IFALIAS */, alias)
        }
    }
}

extension ParentPlan {
    /// MACVLAN_MODE_…
    fileprivate var macvlanMode: UInt32 {
        switch mode {
        case "private": 1
        case "vepa": 2
        case "passthru": 8
        default: 4
        }
    }

    /// IPVLAN_MODE_…
    fileprivate var ipvlanMode: UInt16 {
        switch mode {
        case "l3": 1
        case "l3s": 2
        default: 0
        }
    }

    /// IPVLAN_F_…
    fileprivate var ipvlanFlags: UInt16 {
        switch flag {
        case "private": 1
        case "vepa": 2
        default: 0
        }
    }
}

extension NetlinkBytes {
    /// A number of two bytes in the machine's order.
    mutating func attribute(_ type: UInt16, short number: UInt16) {
        var value = NetlinkBytes()
        value.append(number)
        attribute(type, value.bytes)
    }
}
