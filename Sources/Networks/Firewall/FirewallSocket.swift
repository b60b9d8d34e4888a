import Linux

/// The firewall of one network namespace, as far as it is ours.
final class FirewallSocket {
    private var netlink: NetlinkSocket
    var fd: FD { netlink.fd }

    /// In the namespace of the calling thread.
    init() throws(SystemError) { netlink = try NetlinkSocket(.netfilter) }

    /// Carries out a transaction.
    func commit(_ batch: consuming FirewallBatch) throws(SystemError) {
        if batch.isEmpty { return }
        try netlink.send(batch.closed())
    }

    /// Whether the ruleset of this version stands and knows these bridges with these marks. One send.
    func stands(_ bridges: [(device: String, mark: String)] = []) throws(SystemError) -> Bool {
        var batch = NetlinkBatch()
        Self.ask(&batch, 4 /* NFT_MSG_GETCHAIN */, "find firewall chain", Ruleset.versionChain) { body in
            body.attribute(1, Ruleset.table.name)
            body.attribute(3, Ruleset.versionChain)
        }
        for bridge in bridges { Self.ask(&batch, Ruleset.bridges, FirewallElement.device(bridge.device)) }
        for (index, answer) in try netlink.ask(batch).enumerated() {
            switch answer {
            case .failure(let error):
                if Self.isAbsence(error) { return false }
                throw error
            case .success(let message):
                if index > 0, Self.elements(message).first?.comment != bridges[index - 1].mark { return false }
            }
        }
        return true
    }

    /// Whether each of these is an element with the same value.
    func holds(_ elements: [(set: FirewallSet, element: FirewallElement)]) throws(SystemError) -> Bool {
        if elements.isEmpty { return true }
        var batch = NetlinkBatch()
        for (set, element) in elements { Self.ask(&batch, set, element.key) }
        for (index, answer) in try netlink.ask(batch).enumerated() {
            switch answer {
            case .failure(let error):
                if Self.isAbsence(error) { return false }
                throw error
            case .success(let message): if Self.elements(message).first?.data != elements[index].element.data { return false }
            }
        }
        return true
    }

    /// Elements of a set; none where it does not exist.
    func elements(of set: FirewallSet) throws(SystemError) -> [FirewallElement] {
        var body = NetlinkBytes()
        body.bytes = [Ruleset.table.family.rawValue, 0, 0, 0]
        body.attribute(1, Ruleset.table.name)
        body.attribute(2, set.name)
        let messages = try list(13 /* NFT_MSG_GETSETELEM */, body.bytes, "list firewall elements of", set.name)
        return messages.flatMap(Self.elements)
    }

    /// Names of our table's chains; none where it does not exist.
    func chains() throws(SystemError) -> [String] {
        try list(4, [Ruleset.table.family.rawValue, 0, 0, 0], "list firewall chains", Ruleset.table.name).compactMap { message in
            let attributes = NetlinkBytes.attributes(message, after: 4)
            guard message.first == Ruleset.table.family.rawValue, let table = attributes.first(where: { $0.type == 1 }),
                NetlinkBytes.text(table.value) == Ruleset.table.name
            else { return nil }
            return attributes.first { $0.type == 3 }.map { NetlinkBytes.text($0.value) }
        }
    }

    /// How many rules our table has.
    func ruleCount() throws(SystemError) -> Int {
        var body = NetlinkBytes()
        body.bytes = [Ruleset.table.family.rawValue, 0, 0, 0]
        body.attribute(1, Ruleset.table.name)
        return try list(7 /* NFT_MSG_GETRULE */, body.bytes, "list firewall rules", Ruleset.table.name).count
    }

    private func list(_ type: UInt16, _ body: [UInt8], _ operation: String, _ object: String) throws(SystemError) -> [[UInt8]] {
        do throws(SystemError) {
            return try netlink.request(10 << 8 | type, flags: 0x300, body, operation, object)
        } catch {
            if Self.isAbsence(error) { return [] }
            throw error
        }
    }

    private static func isAbsence(_ error: SystemError) -> Bool { error.errno == .noEntry }

    private static func ask(_ batch: inout NetlinkBatch, _ set: FirewallSet, _ key: [UInt8]) {
        ask(&batch, 13, "find firewall element", set.name) { body in
            body.attribute(1, Ruleset.table.name)
            body.attribute(2, set.name)
            body.nested(3) { FirewallElement(key: key).write(to: &$0, keyOnly: true) }
        }
    }

    private static func ask(
        _ batch: inout NetlinkBatch, _ type: UInt16, _ operation: String, _ object: String, _ body: (inout NetlinkBytes) -> Void
    ) {
        batch.add(10 << 8 | type, operation, object) {
            $0.bytes += [Ruleset.table.family.rawValue, 0, 0, 0]
            body(&$0)
        }
    }

    private static func elements(_ message: [UInt8]) -> [FirewallElement] {
        guard let list = NetlinkBytes.attributes(message, after: 4).first(where: { $0.type == 3 }) else { return [] }
        return NetlinkBytes.attributes(list.value).map { FirewallElement($0.value) }
    }
}
