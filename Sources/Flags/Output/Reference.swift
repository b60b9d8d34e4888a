/// One page of the reference.
public struct ReferencePage: Sendable {
    public let topic: HelpTopic
    /// Set where the same definition has its page under another spelling: `berth ps` for `berth container ls`.
    public let sameAs: String?
}

extension Program {
    /// Every visible node of the tree, parents before children, in the order of the table.
    ///
    /// A definition reachable in several places has its page where it stands highest in the tree.
    public func pages() -> [ReferencePage] {
        let root = HelpTopic(command: root, path: [root.name], inherited: [])
        let topics = descendants(of: root)
        var homes: [String: HelpTopic] = [:]
        for topic in topics where !topic.command.spellings.isEmpty {
            let key = topic.command.spellings.joined(separator: ",")
            if let home = homes[key], home.path.count <= topic.path.count { continue }
            homes[key] = topic
        }
        return topics.map { topic in
            let home = homes[topic.command.spellings.joined(separator: ",")]
            let elsewhere = home.map { $0.spelled == topic.spelled ? nil : $0.spelled } ?? nil
            return ReferencePage(topic: topic, sameAs: elsewhere)
        }
    }

    private func descendants(of topic: HelpTopic) -> [HelpTopic] {
        [topic] + visibleCommands(of: topic).flatMap { descendants(of: topic.child($0)) }
    }
}
