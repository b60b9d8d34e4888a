import CLinux
import Glibc
import Linux

/// Lets sockets in a namespace speak with addresses that are not its own: the forwarder connects to a container as the client it
/// forwards, and the container's answers, which are for that client, are given to the forwarder's socket.
///
/// In nft(8)'s syntax: `table inet berth_clients { chain prerouting { type filter hook prerouting priority mangle;
/// socket transparent 1 meta mark set 0x6274 } }`, with `ip rule add fwmark 0x6274 table 98` and
/// `ip route add local default dev lo table 98`, both for IPv4 and IPv6.
/// Kernel: Documentation/networking/tproxy.rst; needs nft_socket (CONFIG_NFT_SOCKET).
enum TransparentReplies {
    private static let mark: UInt32 = 0x6274
    private static let routes: UInt8 = 98
    private static let table = "berth_clients"

    /// In the calling process's network namespace, which nobody else has set up.
    static func enable() throws(SystemError) {
        var netlink = try NetlinkSocket()
        for family in [UInt8(AF_INET), UInt8(AF_INET6)] {
            if family == UInt8(AF_INET6), !FD.cwd.exists("/proc/sys/net/ipv6") { continue }
            var route = NetlinkBytes()  // struct rtmsg
            route.bytes += [
                family, 0, 0, 0, routes, 4 /* RTPROT_STATIC */, family == 2 ? 254 : 0 /* RT_SCOPE_HOST */, 2 /* RTN_LOCAL */,
            ]
            route.append(UInt32(0))
            route.attribute(4 /* RTA_OIF */, UInt32(1))  // lo is always the first device
            _ = try netlink.request(24 /* RTM_NEWROUTE */, flags: 0x500 /* CREATE | REPLACE */, route.bytes, "add route for", "clients")
            var rule = NetlinkBytes()  // struct fib_rule_hdr
            rule.bytes += [family, 0, 0, 0, routes, 0, 0, 1 /* FR_ACT_TO_TBL */]
            rule.append(UInt32(0))
            rule.attribute(6 /* FRA_PRIORITY */, UInt32(100))
            rule.attribute(10 /* FRA_FWMARK */, mark)
            rule.attribute(16 /* FRA_FWMASK */, UInt32.max)
            _ = try netlink.request(32 /* RTM_NEWRULE */, flags: 0x600 /* CREATE | EXCL */, rule.bytes, "add rule for", "clients")
        }
        try addFirewallRule()
    }

    private static func addFirewallRule() throws(SystemError) {
        let socket = OwnedFD(owning: try check(cl_socket(16 /* AF_NETLINK */, 3 /* SOCK_RAW */, 12), "open netlink socket"))
        var batch: [UInt8] = []
        append(&batch, 0x10 /* NFNL_MSG_BATCH_BEGIN */, header: [0, 0, 0, 10]) { _ in }
        append(&batch, 0xa00 /* NFT_MSG_NEWTABLE */, flags: 0x400) { $0.attribute(1, table) }
        append(&batch, 0xa03 /* NFT_MSG_NEWCHAIN */, flags: 0x400) { body in
            body.attribute(1, table)
            body.attribute(3, "prerouting")
            body.attribute(
                4 | nested,
                group {
                    $0.attribute(1, UInt32(0)); $0.attribute(2, UInt32(bitPattern: -150).bigEndian)
                })
            body.attribute(7, "filter")
        }
        append(&batch, 0xa06 /* NFT_MSG_NEWRULE */, flags: 0xc00 | 4 /* ACK */) { body in
            body.attribute(1, table)
            body.attribute(2, "prerouting")
            body.attribute(
                4 | nested,
                group { list in
                    list.attribute(
                        1 | nested,
                        expression("socket") {
                            $0.attribute(1, UInt32(0)); $0.attribute(2, UInt32(1).bigEndian)
                        })
                    list.attribute(
                        1 | nested,
                        expression("cmp") {
                            $0.attribute(1, UInt32(1).bigEndian)
                            $0.attribute(2, UInt32(0))
                            $0.attribute(3 | nested, group { $0.attribute(1, [1]) })
                        })
                    list.attribute(
                        1 | nested,
                        expression("immediate") {
                            $0.attribute(1, UInt32(1).bigEndian)
                            $0.attribute(2 | nested, group { $0.attribute(1, mark) })
                        })
                    list.attribute(
                        1 | nested,
                        expression("meta") {
                            $0.attribute(2, UInt32(3).bigEndian); $0.attribute(3, UInt32(1).bigEndian)
                        })
                })
        }
        append(&batch, 0x11 /* NFNL_MSG_BATCH_END */, header: [0, 0, 0, 10]) { _ in }
        try socket.fd.send(batch)
        // One answer, to the last change: whatever failed is told with its error.
        let answer = try socket.fd.receive(limit: 64 << 10).bytes
        let code = NetlinkBytes.read(answer, 16, Int32.self)
        if answer.count < 20 || code != 0 { throw SystemError(Errno(rawValue: -code), "make firewall table", table) }
    }

    private static let nested: UInt16 = 0x8000

    private static func group(_ body: (inout NetlinkBytes) -> Void) -> [UInt8] {
        var inner = NetlinkBytes()
        body(&inner)
        return inner.bytes
    }

    private static func expression(_ name: String, _ data: (inout NetlinkBytes) -> Void) -> [UInt8] {
        group { inner in
            inner.attribute(1, name)
            inner.attribute(2 | nested, group(data))
        }
    }

    private static func append(
        _ batch: inout [UInt8], _ type: UInt16, flags: UInt16 = 0, header: [UInt8] = [1 /* NFPROTO_INET */, 0, 0, 0],
        _ body: (inout NetlinkBytes) -> Void
    ) {
        let payload = header + group(body)
        var message = NetlinkBytes()
        message.append(UInt32(16 + payload.count))
        message.append(type)
        message.append(flags | 1 /* NLM_F_REQUEST */)
        message.append(UInt32(1))
        message.append(UInt32(0))
        batch += message.bytes + payload
    }
}
