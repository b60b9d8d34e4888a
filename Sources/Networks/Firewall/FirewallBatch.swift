import Linux

/// Of which table a transaction speaks.
struct FirewallTable {
    /// NFPROTO_…: what its chains see.
    enum Family: UInt8 { case inet = 1, ipv4 = 2 }
    let family: Family
    let name: String
}

/// One transaction of nftables, about one table: all of it happens, or nothing.
struct FirewallBatch {
    private let table: FirewallTable
    private(set) var netlink = NetlinkBatch(isTransaction: true)
    /// Nothing but the frame is in it.
    var isEmpty: Bool { netlink.count <= 1 }

    init(_ table: FirewallTable = Ruleset.table) {
        self.table = table
        frame(0x10 /* NFNL_MSG_BATCH_BEGIN */)
    }

    /// The end belongs to it too; nothing may follow.
    consuming func closed() -> NetlinkBatch {
        // The last change is acknowledged after the whole has been carried out; the end itself is not, before Linux 6.10.
        netlink.setFlag(4 /* NLM_F_ACK */, at: netlink.count - 1)
        frame(0x11 /* NFNL_MSG_BATCH_END */)
        return netlink
    }

    private mutating func frame(_ type: UInt16) {
        netlink.add(type, "change firewall", table.name) { body in
            // struct nfgenmsg: family, version, and here the subsystem in network order.
            body.bytes += [0, 0, 0, 10 /* NFNL_SUBSYS_NFTABLES */]
        }
    }

    private mutating func add(
        _ type: UInt16, _ flags: UInt16, _ operation: String, _ object: String, _ body: (inout NetlinkBytes) -> Void
    ) {
        netlink.add(10 << 8 | type, flags: flags, operation, object) {
            $0.bytes += [table.family.rawValue, 0, 0, 0]
            // The table is the first attribute of every kind of message.
            $0.attribute(1, table.name)
            body(&$0)
        }
    }

    /// Makes the table.
    /// - Parameter isNew: one that exists is an error (EEXIST).
    mutating func addTable(isNew: Bool = false) {
        add(0 /* NFT_MSG_NEWTABLE */, 0x400 | (isNew ? 0x200 : 0) /* NLM_F_CREATE, EXCL */, "make firewall table", table.name) { _ in }
    }

    mutating func removeTable() {
        add(2 /* NFT_MSG_DELTABLE */, 0, "remove firewall table", table.name) { _ in }
    }

    /// Makes a chain unless it exists.
    mutating func addChain(_ chain: Ruleset.Chain) {
        add(3 /* NFT_MSG_NEWCHAIN */, 0x400, "make firewall chain", chain.name) { body in
            body.attribute(3 /* NFTA_CHAIN_NAME */, chain.name)
            guard let hook = chain.hook else { return }
            body.nested(4 /* NFTA_CHAIN_HOOK */) { hooks in
                hooks.attribute(1, bigEndian: hook.point.rawValue)
                hooks.attribute(2, bigEndian: UInt32(bitPattern: hook.priority))
            }
            body.attribute(5 /* NFTA_CHAIN_POLICY */, bigEndian: 1 /* NF_ACCEPT */)
            body.attribute(7 /* NFTA_CHAIN_TYPE */, hook.type)
        }
    }

    mutating func removeChain(_ name: String) {
        add(5 /* NFT_MSG_DELCHAIN */, 0, "remove firewall chain", name) { $0.attribute(3, name) }
    }

    /// All rules of all chains.
    mutating func removeRules() {
        add(8 /* NFT_MSG_DELRULE */, 0, "remove firewall rules", table.name) { _ in }
    }

    mutating func addRule(_ chain: String, _ expressions: [Expression]) {
        add(6 /* NFT_MSG_NEWRULE */, 0xc00 /* CREATE | APPEND */, "add firewall rule to", chain) { body in
            body.attribute(2 /* NFTA_RULE_CHAIN */, chain)
            body.nested(4 /* NFTA_RULE_EXPRESSIONS */) { list in
                for expression in expressions { expression.write(to: &list) }
            }
        }
    }

    /// Makes a set or map unless it exists.
    /// - Parameter id: a number of its own in this batch.
    mutating func addSet(_ set: FirewallSet, id: UInt32) {
        add(9 /* NFT_MSG_NEWSET */, 0x400, "make firewall set", set.name) { body in
            body.attribute(2 /* NFTA_SET_NAME */, set.name)
            body.attribute(3 /* NFTA_SET_FLAGS */, bigEndian: set.flags)
            // The types say nothing to the kernel; nft shows elements by them.
            body.attribute(4 /* NFTA_SET_KEY_TYPE */, bigEndian: set.key.reduce(0) { $0 << 6 | $1.rawValue })
            body.attribute(5 /* NFTA_SET_KEY_LEN */, bigEndian: set.key.reduce(0) { $0 + $1.length(in: set.key.count) })
            if !set.data.isEmpty {
                body.attribute(6 /* NFTA_SET_DATA_TYPE */, bigEndian: set.data.reduce(0) { $0 << 6 | $1.rawValue })
                body.attribute(7 /* NFTA_SET_DATA_LEN */, bigEndian: set.data.reduce(0) { $0 + $1.length(in: set.data.count) })
            }
            body.attribute(10 /* NFTA_SET_ID */, bigEndian: id)
            // Neither does this: names of devices are in the machine's order, says nft.
            if set.key == [.device] { body.attribute(13 /* NFTA_SET_USERDATA */, [0 /* key byte order */, 4, 1, 0, 0, 0]) }
        }
    }

    /// Elements that are there already with the same value are none to the kernel; with another value they are an error (EBUSY).
    mutating func addElements(_ elements: [FirewallElement], to set: FirewallSet) {
        change(12 /* NFT_MSG_NEWSETELEM */, 0x400, "add firewall element to", set, elements[...])
    }

    /// An element that is not there is an error (ENOENT), and with it the whole batch.
    mutating func removeElements(_ elements: [FirewallElement], from set: FirewallSet) {
        change(14 /* NFT_MSG_DELSETELEM */, 0, "remove firewall element from", set, elements[...])
    }

    /// As much as one attribute holds (64 KiB) goes into a message.
    private mutating func change(
        _ type: UInt16, _ flags: UInt16, _ operation: String, _ set: FirewallSet, _ elements: ArraySlice<FirewallElement>
    ) {
        var rest = elements
        while !rest.isEmpty {
            let part = rest.prefix(400)
            rest = rest.dropFirst(400)
            add(type, flags, operation, set.name) { body in
                body.attribute(2 /* NFTA_SET_ELEM_LIST_SET */, set.name)
                body.nested(3 /* NFTA_SET_ELEM_LIST_ELEMENTS */) { list in
                    for element in part { element.write(to: &list, keyOnly: type == 14) }
                }
            }
        }
    }
}
