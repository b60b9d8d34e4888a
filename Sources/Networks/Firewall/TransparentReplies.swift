import Glibc
import Linux

/// Lets sockets in a namespace speak with addresses that are not its own: the forwarder connects to a container as the client it
/// forwards, and the container's answers, which are for that client, are given to the forwarder's socket.
///
/// In nft(8)'s syntax: `table inet berth_clients { chain prerouting { type filter hook prerouting priority mangle;
/// socket transparent 1 meta mark set 0x6274 } }`, with `ip rule add fwmark 0x6274 table 98` and
/// `ip route add local default dev lo table 98`, both for IPv4 and IPv6.
/// Kernel: Documentation/networking/tproxy.rst; needs nft_socket (CONFIG_NFT_SOCKET).
public enum TransparentReplies {
    private static let mark: UInt32 = 0x6274
    private static let routes: UInt8 = 98
    private static let table = FirewallTable(family: .inet, name: "berth_clients")

    /// In the calling process's network namespace. Idempotent.
    public static func ensure() throws(SystemError) {
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
            do throws(SystemError) {
                _ = try netlink.request(32 /* RTM_NEWRULE */, flags: 0x600 /* CREATE | EXCL */, rule.bytes, "add rule for", "clients")
            } catch {
                if error.errno != .exists { throw error }
            }
        }
        do throws(SystemError) { try FirewallSocket().commit(rules()) } catch {
            if error.errno != .exists { throw error }
        }
    }

    private static func rules() -> FirewallBatch {
        var batch = FirewallBatch(table)
        batch.addTable(isNew: true)
        let chain = Ruleset.Chain(name: "prerouting", hook: (.prerouting, -150, "filter"))
        batch.addChain(chain)
        let marked = withUnsafeBytes(of: mark) { Array($0) }
        batch.addRule(
            chain.name,
            [
                .transparentSocket(.first), .compare(.first, isEqual: true, [1]), .value(.first, marked), .setMark(.first),
            ])
        return batch
    }
}
