/// A node of the tree with its place, ready to be described.
public struct HelpTopic: Sendable {
    public let command: Command
    /// Words with the program: `["berth", "container", "ls"]`.
    public let path: [String]
    /// Persistent flags from above.
    public let inherited: [Flag]

    var isRoot: Bool { path.count == 1 }
    var spelled: String { path.joined(separator: " ") }

    /// Flags help shows, sorted by name.
    var visibleFlags: [Flag] {
        command.flags().filter { !$0.hidden && $0.deprecated == nil }
            .sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
    }

    func child(_ next: Command) -> HelpTopic {
        HelpTopic(
            command: next, path: path + [next.name], inherited: inherited + command.flags().filter(\.persistent))
    }

    /// Usage lines of help, later forms aligned under the first by a tab as Docker's are.
    var usage: String {
        let hasCommands = !command.subcommands().isEmpty
        if hasCommands && command.operands.isEmpty {
            return isRoot ? "\(spelled) [OPTIONS] COMMAND" : "\(spelled) COMMAND"
        }
        return lines
    }

    /// Usage lines of a refusal.
    var usageForErrors: String {
        let hasCommands = !command.subcommands().isEmpty
        if hasCommands && command.operands.isEmpty {
            return isRoot ? "\(spelled) [OPTIONS] COMMAND [ARG...]" : spelled
        }
        return lines
    }

    private var lines: String {
        let prefix = visibleFlags.isEmpty ? spelled : spelled + " [OPTIONS]"
        if command.operands.isEmpty { return prefix }
        return command.operands.split(separator: "\n").map { "\(prefix) \($0)" }.joined(separator: "\n\t")
    }

    /// Every spelling with the program's name, when there is more than one.
    var spellings: [String] {
        if !command.spellings.isEmpty {
            return command.spellings.map { "\(path[0]) \($0)" }
        }
        if command.aliases.isEmpty { return [] }
        let above = path.dropLast().joined(separator: " ")
        return ([command.name] + command.aliases).map { "\(above) \($0)" }
    }
}
