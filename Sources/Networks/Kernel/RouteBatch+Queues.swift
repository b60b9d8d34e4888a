import Linux

/// How fast devices send: queues (qdiscs) as tc(8) makes them.
///
/// Kernel: /usr/include/linux/pkt_sched.h, pkt_cls.h, tc_act/tc_mirred.h.
extension RouteBatch {
    private static let root: UInt32 = 0xffff_ffff  // TC_H_ROOT
    private static let ingress: UInt32 = 0xffff_fff1  // TC_H_INGRESS
    private static let ingressHandle: UInt32 = 0xffff_0000

    /// A device that only has a queue: what is turned aside to it goes on where it came from (ifb).
    mutating func addShaper(_ name: String) {
        batch.add(16 /* RTM_NEWLINK */, flags: 0x600 /* CREATE | EXCL */, "make network device", name) { body in
            Self.header(&body, index: 0, up: nil)
            body.attribute(3 /* IFLA_IFNAME */, name)
            body.nested(18 /* IFLA_LINKINFO */) { $0.attribute(1 /* IFLA_INFO_KIND */, "ifb") }
        }
        setConfiguration(name, ipv4: [], linkLocal: false)
        raise(name)
    }

    /// A device sends no faster than this (tbf). One that has such a queue keeps it with what waits in it.
    ///
    /// `tc qdisc replace dev NAME root handle 1: tbf rate … burst 10ms latency 50ms`: what a program sends at once may go out at once for
    /// 10 ms; what would wait for longer than 50 ms is dropped, by which TCP finds its speed. Never less than some whole packets.
    /// - Parameters:
    ///   - rate: bits per second.
    ///   - mtu: of the packets.
    mutating func setRate(_ rate: UInt64, of link: Link, mtu: UInt32) {
        let bytes = max(rate / 8, 1)
        // With what the queue counts beside the payload; larger packets than the burst would be dropped.
        let packet = UInt64(mtu) + 100
        let burst = min(max(bytes / 100, packet), 64 << 20)
        let limit = min(burst + max(bytes / 20, 10 * packet), 1 << 30)
        queue(36 /* RTM_NEWQDISC */, 0x500 /* CREATE | REPLACE */, "limit rate of", link, handle: 0x1_0000, parent: Self.root) { body in
            body.attribute(1 /* TCA_KIND */, "tbf")
            body.nested(2 /* TCA_OPTIONS */) { options in
                var parameters = NetlinkBytes()  // struct tc_tbf_qopt: two struct tc_ratespec, limit, buffer, mtu
                // Of linklayer Ethernet: sizes are computed, not looked up.
                parameters.bytes += [0, 1, 0, 0, 0, 0, 0, 0]
                parameters.append(UInt32(clamping: bytes))
                parameters.bytes += [UInt8](repeating: 0, count: 12)
                parameters.append(UInt32(limit))
                parameters.append(UInt64(0))
                options.attribute(1 /* TCA_TBF_PARMS */, parameters.bytes)
                options.attribute(6 /* TCA_TBF_BURST: in bytes, Linux 3.13 */, UInt32(burst))
                if bytes > UInt32.max { options.attribute(4 /* TCA_TBF_RATE64 */, withUnsafeBytes(of: bytes) { Array($0) }) }
            }
        }
    }

    /// What waits in the queue is lost.
    mutating func removeRate(of link: Link) {
        queue(37 /* RTM_DELQDISC */, 0, "end limit of rate of", link, handle: 0, parent: Self.root) { _ in }
    }

    /// `tc qdisc add dev NAME ingress`: filters may be asked about what comes in by a device.
    mutating func allowTurningAside(_ link: Link) {
        queue(36, 0x600, "limit rate of", link, handle: Self.ingressHandle, parent: Self.ingress) { $0.attribute(1, "ingress") }
    }

    /// All that comes in by a device goes through another's queue first.
    ///
    /// `tc filter add dev NAME parent ffff: protocol all u32 match u32 0 0 action mirred egress redirect dev
    /// SHAPER`.
    mutating func turnAside(_ link: Link, to shaper: Link) {
        queue(
            44 /* RTM_NEWTFILTER */, 0x600, "limit rate of", link, handle: 0, parent: Self.ingressHandle,
            information: 1 << 16 | UInt32(UInt16(3 /* ETH_P_ALL */).bigEndian)
        ) { body in
            body.attribute(1, "u32")
            body.nested(2) { options in
                // struct tc_u32_sel: the last filter; one key whose mask is 0.
                options.attribute(5 /* TCA_U32_SEL */, [1 /* TC_U32_TERMINAL */, 0, 1] + [UInt8](repeating: 0, count: 13 + 16))
                options.nested(7 /* TCA_U32_ACT */) { actions in
                    actions.nested(1) { action in
                        action.attribute(1 /* TCA_ACT_KIND */, "mirred")
                        action.nested(2 /* TCA_ACT_OPTIONS */) { data in
                            var parameters = NetlinkBytes()  // struct tc_mirred
                            for number: UInt32 in [0, 0, 4 /* TC_ACT_STOLEN */, 0, 0, 1 /* TCA_EGRESS_REDIR */, shaper.index] {
                                parameters.append(number)
                            }
                            data.attribute(2 /* TCA_MIRRED_PARMS */, parameters.bytes)
                        }
                    }
                }
            }
        }
    }

    mutating func endTurningAside(_ link: Link) {
        queue(37, 0, "end limit of rate of", link, handle: Self.ingressHandle, parent: Self.ingress) { _ in }
    }

    /// - Parameter information: of a filter its priority and protocol.
    private mutating func queue(
        _ type: UInt16, _ flags: UInt16, _ operation: String, _ link: Link, handle: UInt32, parent: UInt32, information: UInt32 = 0,
        _ attributes: (inout NetlinkBytes) -> Void
    ) {
        batch.add(type, flags: flags, operation, link.name) { body in
            for number in [0, link.index, handle, parent, information] { body.append(number) }  // struct tcmsg
            attributes(&body)
        }
    }
}
