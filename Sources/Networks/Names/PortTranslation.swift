import Linux

/// Rules in a container's network namespace by which one address's port 53 is another port of it.
///
/// The resolver does not bind port 53: a name server in the container that binds 0.0.0.0:53 would find it in use. Both ways
/// only a port is rewritten, packet by packet: no NAT and no connection tracking, which would cost all of the container's
/// traffic. Questions are rewritten before connection tracking would see them and answers after it has (a container may have
/// rules of its own), so that it sees one port only.
///
/// Kernel: nf_tables (Linux 3.13; payload rewriting 4.5).
public enum PortTranslation {
    private static let table = FirewallTable(family: .ipv4, name: "berth-names")
    // Before connection tracking (-200) and what is called raw (-300); after source NAT (100).
    private static let questions = Ruleset.Chain(name: "questions", hook: (.output, -310, "filter"))
    private static let answers = Ruleset.Chain(name: "answers", hook: (.postrouting, 310, "filter"))

    /// Writes the rules into the calling thread's network namespace, instead of those that are there.
    ///
    /// - Parameters:
    ///   - address: four bytes.
    ///   - from: what clients ask.
    ///   - to: what is bound.
    public static func install(address: [UInt8], from: UInt16, to: UInt16) throws(SystemError) {
        let socket = try FirewallSocket()
        do throws(SystemError) {
            try socket.commit(rules(address, from, to, replacing: false))
        } catch {
            guard error.errno == .exists else { throw error }
            try socket.commit(rules(address, from, to, replacing: true))
        }
    }

    /// - Parameter replacing: the table is there already. Not otherwise: what is removed is waited for (a grace period).
    private static func rules(_ address: [UInt8], _ from: UInt16, _ to: UInt16, replacing: Bool) -> FirewallBatch {
        var batch = FirewallBatch(table)
        batch.addTable(isNew: !replacing)
        if replacing {
            batch.removeTable()
            batch.addTable()
        }
        batch.addChain(questions)
        batch.addChain(answers)
        for (transport, checksum) in [(17, 6), (6, 16)] as [(UInt8, UInt32)] {  // UDP and TCP, and where their checksums are
            batch.addRule(questions.name, rewrite(address, at: 16, transport, port: from, at: 2, becomes: to, checksum))
            batch.addRule(answers.name, rewrite(address, at: 12, transport, port: to, at: 0, becomes: from, checksum))
        }
        return batch
    }

    /// The address first: it is another one in almost all packets.
    private static func rewrite(
        _ address: [UInt8], at place: UInt32, _ transport: UInt8, port: UInt16, at portPlace: UInt32, becomes: UInt16, _ checksum: UInt32
    ) -> [Expression] {
        [
            .payload(.network, offset: place, length: 4, .first), .compare(.first, isEqual: true, address),
            .meta(.transport, .first), .compare(.first, isEqual: true, [transport]),
            .payload(.transport, offset: portPlace, length: 2, .first), .compare(.first, isEqual: true, bytes(port)),
            .value(.first, bytes(becomes)), .rewrite(.transport, offset: portPlace, length: 2, .first, checksum: checksum),
        ]
    }

    private static func bytes(_ port: UInt16) -> [UInt8] { [UInt8(port >> 8), UInt8(port & 0xff)] }
}
