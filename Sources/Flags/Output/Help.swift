extension Program {
    /// Help of one node in Docker's layout.
    /// - Parameter width: columns of the terminal; 0 does not wrap.
    public func help(for topic: HelpTopic, width: Int = 80) -> String {
        let command = topic.command
        var text = "Usage:  \(topic.usage)\n\n"
        text += Paragraphs.filled(command.details.isEmpty ? command.summary : command.details, width: width) + "\n"
        let spellings = topic.spellings
        if spellings.count > 1 {
            text += "\nAliases:\n  " + spellings.joined(separator: ", ") + "\n"
        }
        if !command.examples.isEmpty {
            text += "\nExamples:\n"
            for example in command.examples {
                text += "  # \(example.purpose)\n  \(Paragraphs.broken(example.commandLine, indent: 2, width: width))\n"
            }
        }
        var flags = topic.visibleFlags
        if topic.isRoot && version != nil {
            flags.append(.bool("version", "v", "Print the version and quit"))
            flags.sort { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
        }
        let options = flags.isEmpty ? "" : FlagTable.text(flags, width: width)
        if !options.isEmpty && !topic.isRoot { text += "\nOptions:\n" + options }
        let children = visibleCommands(of: topic)
        if !children.isEmpty { text += commandList(children) }
        if !options.isEmpty && topic.isRoot { text += "\nGlobal Options:\n" + options }
        if !children.isEmpty {
            text += "\nRun '\(topic.spelled) COMMAND --help' for more information on a command.\n"
        }
        if topic.isRoot && !closing.isEmpty { text += "\n\(closing)\n" }
        return text
    }

    func visibleCommands(of topic: HelpTopic) -> [Command] {
        (topic.command.subcommands() + (topic.isRoot ? builtins() : [])).filter { !$0.hidden }
    }

    /// Groups in the order in which the table first names them, `Commands` last.
    private func commandList(_ commands: [Command]) -> String {
        var groups: [CommandGroup] = []
        for command in commands where !groups.contains(command.group) { groups.append(command.group) }
        if let last = groups.firstIndex(of: .commands) {
            groups.remove(at: last)
            groups.append(.commands)
        }
        // Docker's columns: names are padded to eleven at least.
        let column = max(11, commands.map(\.name.utf8.count).max() ?? 0) + 1
        var text = ""
        for group in groups {
            var members = commands.filter { $0.group == group }
            if !group.keepsOrder {
                members.sort { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
            }
            text += "\n\(group.title):\n"
            for member in members {
                let padding = String(repeating: " ", count: max(1, column - member.name.utf8.count))
                text += "  \(member.name)\(padding)\(member.summary)\n"
            }
        }
        return text
    }
}
