import Linux

/// Keeps TCP from a network namespace whose connections are not there yet.
///
/// A container that is restored has its address before it has its sockets: what the other side of a connection sends in between would be
/// answered with a reset, by a namespace that knows no such connection.
///
/// In nft(8)'s syntax: `table inet berth_restore { chain input { type filter hook input priority -400; meta l4proto tcp drop } }`.
public enum PacketLock {
    private static let table = FirewallTable(family: .inet, name: "berth_restore")

    /// - Parameter namespace: nothing of ours is in its firewall.
    public static func lock(_ namespace: FD) throws(SystemError) {
        try enter(namespace) { () throws(SystemError) in
            var batch = FirewallBatch(table)
            batch.addTable()
            let chain = Ruleset.Chain(name: "input", hook: (.input, -400, "filter"))
            batch.addChain(chain)
            batch.addRule(
                chain.name, [.meta(.transport, .first), .compare(.first, isEqual: true, [6 /* IPPROTO_TCP */]), .verdict(.drop)])
            try FirewallSocket().commit(batch)
        }
    }

    public static func unlock(_ namespace: FD) throws(SystemError) {
        try enter(namespace) { () throws(SystemError) in
            var batch = FirewallBatch(table)
            batch.removeTable()
            try FirewallSocket().commit(batch)
        }
    }

    private static func enter(_ namespace: FD, _ body: () throws(SystemError) -> Void) throws(SystemError) {
        let home = try currentNetworkNamespace()
        try withNetworkNamespace(namespace, home: home.fd, body)
    }
}
