import Linux

/// Keeps the way out of an ordinary user's networks from being reset by the namespace it begins in.
///
/// pasta tells changes of its window in segments without ACK (2023-03). A container would pass over them; the connection tracking of the
/// namespace between the two takes them for invalid and does not translate them, and the namespace's own TCP, which knows no such
/// connection, answers with a reset: every upload to a host farther away than some milliseconds ended there.
///
/// In nft(8)'s syntax: `table inet berth_way_out { chain input { type filter hook input priority filter;
/// iifname "pasta0" ct state invalid drop } }`.
public enum WayOut {
    /// pasta's end in the namespace.
    public static let device = "pasta0"
    private static let table = FirewallTable(family: .inet, name: "berth_way_out")

    /// In the calling process's network namespace. Idempotent.
    public static func ensure() throws(SystemError) {
        var batch = FirewallBatch(table)
        batch.addTable(isNew: true)
        let chain = Ruleset.Chain(name: "input", hook: (.input, 0, "filter"))
        batch.addChain(chain)
        batch.addRule(
            chain.name,
            [
                .meta(.inputName, .first), .compare(.first, isEqual: true, FirewallElement.device(device)),
                // NF_CT_STATE_INVALID_BIT
                .conntrack(.state, .first), .mask(.first, 1), .compare(.first, isEqual: false, [0, 0, 0, 0]), .verdict(.drop),
            ])
        do throws(SystemError) { try FirewallSocket().commit(batch) } catch {
            if error.errno != .exists { throw error }
        }
    }
}
