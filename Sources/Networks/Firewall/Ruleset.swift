import Linux

/// The table `inet berth`: its rules are the same whatever networks and ports there are; those are elements of its sets and maps.
///
/// docs/networks.md has it in nft(8)'s syntax.
enum Ruleset {
    static let table = FirewallTable(family: .inet, name: "berth")

    /// Counted up with every change of ``rules`` or ``chains``. A table with a higher number is left as it is: a newer program made it.
    static let version = 2
    /// An empty chain whose name tells the version.
    static let versionPrefix = "version_"
    static let versionChain = "\(versionPrefix)\(version)"

    struct Chain {
        enum Point: UInt32 { case prerouting = 0, input, forward, output, postrouting }
        let name: String
        var hook: (point: Point, priority: Int32, type: String)?
    }

    static let chains: [Chain] = [
        Chain(name: versionChain),
        Chain(name: "published"),
        Chain(name: "guard", hook: (.prerouting, -300, "filter")),
        Chain(name: "prerouting", hook: (.prerouting, -100, "nat")),
        Chain(name: "output", hook: (.output, -100, "nat")),
        Chain(name: "postrouting", hook: (.postrouting, 100, "nat")),
        Chain(name: "forward", hook: (.forward, 0, "filter")),
    ]

    /// Our bridges.
    static let bridges = FirewallSet(name: "bridges", key: [.device])
    /// Bridges whose networks have nothing to do with others or the outside.
    static let isolated = FirewallSet(name: "internal", key: [.device])
    /// From device, to device: may talk.
    static let links = FirewallSet(name: "links", key: [.device, .device])
    /// Bridges whose networks may reach each other.
    static let open = FirewallSet(name: "open", key: [.device])
    static let subnets4 = FirewallSet(name: "subnets4", key: [.ipv4], isInterval: true)
    static let subnets6 = FirewallSet(name: "subnets6", key: [.ipv6], isInterval: true)
    static let masquerade4 = FirewallSet(name: "masquerade4", key: [.ipv4], isInterval: true)
    static let masquerade6 = FirewallSet(name: "masquerade6", key: [.ipv6], isInterval: true)
    /// Ports published at one of the host's addresses, and at all of them.
    static let own4 = FirewallSet(name: "own4", key: [.ipv4, .transport, .port], data: [.ipv4, .port])
    static let own6 = FirewallSet(name: "own6", key: [.ipv6, .transport, .port], data: [.ipv6, .port])
    static let any4 = FirewallSet(name: "any4", key: [.transport, .port], data: [.ipv4, .port])
    static let any6 = FirewallSet(name: "any6", key: [.transport, .port], data: [.ipv6, .port])

    static let sets = [bridges, isolated, links, open, subnets4, subnets6, masquerade4, masquerade6, own4, own6, any4, any6]

    static let rules: [(chain: String, expressions: [Expression])] = guardRules + natRules + forwardRules

    private static let ipv4: [Expression] = [.meta(.networkProtocol, .first), .compare(.first, isEqual: true, [2])]
    private static let ipv6: [Expression] = [.meta(.networkProtocol, .first), .compare(.first, isEqual: true, [10])]
    private static let source4 = ipv4 + [.payload(.network, offset: 12, length: 4, .first)]
    private static let source6 = ipv6 + [.payload(.network, offset: 8, length: 16, .first)]
    private static let toBridge: [Expression] = [.meta(.outputName, .first), .lookup(bridges.name, .first, isInverted: false)]
    private static let toElsewhere: [Expression] = [.meta(.outputName, .first), .lookup(bridges.name, .first, isInverted: true)]
    /// IPS_DST_NAT.
    private static let published: [Expression] = [
        .conntrack(.status, .first), .mask(.first, 0x20), .compare(.first, isEqual: false, [0, 0, 0, 0]),
    ]

    /// `route_localnet` on our bridges lets the host's 127.0.0.1 reach published ports. Without this it would let neighbours and
    /// containers reach what listens at the host's 127.0.0.1 (CVE-2020-8558).
    private static let guardRules: [(chain: String, expressions: [Expression])] = [16, 12].map { offset in
        (
            "guard",
            [.meta(.inputName, .first), .compare(.first, isEqual: false, FirewallElement.device("lo"))] + ipv4
                + [.payload(.network, offset: offset, length: 1, .first), .compare(.first, isEqual: true, [127]), .verdict(.drop)]
        )
    }

    private static let natRules: [(chain: String, expressions: [Expression])] = [
        // An address of its own goes before all addresses.
        (
            "published",
            ipv4 + [
                .payload(.network, offset: 16, length: 4, .first), .meta(.transport, .four(1)),
                .payload(.transport, offset: 2, length: 2, .four(2)), .map(own4.name, .first),
                .destinationNAT(isIPv6: false, address: .first, port: .four(1)),
            ]
        ),
        (
            "published",
            ipv4 + [
                .meta(.transport, .first), .payload(.transport, offset: 2, length: 2, .four(1)), .map(any4.name, .first),
                .destinationNAT(isIPv6: false, address: .first, port: .four(1)),
            ]
        ),
        (
            "published",
            ipv6 + [
                .payload(.network, offset: 24, length: 16, .first), .meta(.transport, .four(4)),
                .payload(.transport, offset: 2, length: 2, .four(5)), .map(own6.name, .first),
                .destinationNAT(isIPv6: true, address: .first, port: .four(4)),
            ]
        ),
        (
            "published",
            ipv6 + [
                .meta(.transport, .first), .payload(.transport, offset: 2, length: 2, .four(1)), .map(any6.name, .first),
                .destinationNAT(isIPv6: true, address: .first, port: .four(4)),
            ]
        ),
        // RTN_LOCAL: only what is for the host itself.
        ("prerouting", [.destinationType(.first), .compare(.first, isEqual: true, [2, 0, 0, 0]), .verdict(.jump("published"))]),
        ("output", [.destinationType(.first), .compare(.first, isEqual: true, [2, 0, 0, 0]), .verdict(.jump("published"))]),
        ("postrouting", toElsewhere + source4 + [.lookup(masquerade4.name, .first, isInverted: false), .masquerade]),
        ("postrouting", toElsewhere + source6 + [.lookup(masquerade6.name, .first, isInverted: false), .masquerade]),
        // The host by its loopback address, where no answer could be sent to.
        (
            "postrouting",
            toBridge + ipv4 + [
                .payload(.network, offset: 12, length: 1, .first), .compare(.first, isEqual: true, [127]), .masquerade,
            ]
        ),
        (
            "postrouting",
            toBridge + source6 + [.compare(.first, isEqual: true, [UInt8](repeating: 0, count: 15) + [1]), .masquerade]
        ),
        // A container by the host's address: the other would answer it directly, and it would not know the answer.
        ("postrouting", toBridge + published + source4 + [.lookup(subnets4.name, .first, isInverted: false), .masquerade]),
        ("postrouting", toBridge + published + source6 + [.lookup(subnets6.name, .first, isInverted: false), .masquerade]),
    ]

    private static let forwardRules: [(chain: String, expressions: [Expression])] = [
        // Nearly every packet ends here. IP_CT_ESTABLISHED and IP_CT_RELATED.
        ("forward", [.conntrack(.state, .first), .mask(.first, 6), .compare(.first, isEqual: false, [0, 0, 0, 0]), .verdict(.accept)]),
        (
            "forward",
            [
                .meta(.inputName, .first), .meta(.outputName, .second), .lookup(links.name, .first, isInverted: false),
                .verdict(.accept),
            ]
        ),
        (
            "forward",
            [
                .meta(.inputName, .first), .lookup(open.name, .first, isInverted: false), .meta(.outputName, .first),
                .lookup(open.name, .first, isInverted: false), .verdict(.accept),
            ]
        ),
        ("forward", [.meta(.inputName, .first), .lookup(isolated.name, .first, isInverted: false), .verdict(.drop)]),
        ("forward", [.meta(.outputName, .first), .lookup(isolated.name, .first, isInverted: false), .verdict(.drop)]),
        ("forward", toBridge + published + [.verdict(.accept)]),
        // Other networks of ours, and the outside where it does not come by a published port.
        ("forward", toBridge + [.counter, .verdict(.drop)]),
    ]
}
