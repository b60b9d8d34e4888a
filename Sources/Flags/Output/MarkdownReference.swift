extension Program {
    /// The whole reference as one document.
    public func markdownReference() -> String {
        var text = "# The \(root.name) command\n\n"
        text += "Generated from the command table by `\(root.name) __markdown`.\n"
        for page in pages() {
            text += "\n"
            if let home = page.sameAs {
                text += "## \(page.topic.spelled)\n\nThe same as [`\(home)`](#\(anchor(home))).\n"
            } else {
                text += markdownReference(for: page.topic, level: 2)
            }
        }
        return text
    }

    /// One command's page.
    /// - Parameter level: of its heading.
    public func markdownReference(for topic: HelpTopic, level: Int = 1) -> String {
        let command = topic.command
        let mark = String(repeating: "#", count: max(1, level))
        var text = "\(mark) \(topic.spelled)\n\n\(Markdown.escaped(command.summary)).\n\n"
        if !command.details.isEmpty { text += Markdown.escaped(command.details) + "\n\n" }
        let usage = topic.usage.split(separator: "\n").map { $0.drop { $0 == "\t" } }.joined(separator: "\n")
        text += "```\n\(usage)\n```\n"
        if topic.spellings.count > 1 {
            text += "\nAlso spelled: " + topic.spellings.map { "`\($0)`" }.joined(separator: ", ") + "\n"
        }
        let flags = topic.visibleFlags
        if !flags.isEmpty {
            text += "\n| flag | default | what it does |\n|---|---|---|\n"
            for flag in flags { text += Markdown.row(flag) }
        }
        let children = visibleCommands(of: topic)
        if !children.isEmpty {
            text += "\n| command | what it does |\n|---|---|\n"
            for child in children {
                let spelled = "\(topic.spelled) \(child.name)"
                text += "| [`\(spelled)`](#\(anchor(spelled))) | \(Markdown.cell(child.summary)) |\n"
            }
        }
        for example in command.examples {
            text += "\n\(Markdown.escaped(example.purpose)):\n\n```\n\(example.commandLine)\n```\n"
        }
        if !command.exitStatuses.isEmpty {
            text += "\n| exit status | what it says |\n|---|---|\n"
            for status in command.exitStatuses { text += "| \(Markdown.cell(status.status)) | \(Markdown.cell(status.meaning)) |\n" }
        }
        return text
    }

    private func anchor(_ spelled: String) -> String {
        spelled.split(separator: " ").joined(separator: "-")
    }
}

private enum Markdown {
    static func row(_ flag: Flag) -> String {
        let short = flag.short.map { "`-\($0)`, " } ?? ""
        let word = flag.valueName ?? flag.kind.word
        let long = "`--\(flag.name)\(word.isEmpty ? "" : " " + word)`"
        let initial = FlagTable.defaultNote(flag) == nil ? "" : "`\(cell(flag.defaultText ?? ""))`"
        return "| \(short)\(long) | \(initial) | \(cell(flag.summary)) |\n"
    }

    /// Text inside a table: one line, no column marks.
    static func cell(_ text: String) -> String {
        escaped(text).split(separator: "\n").joined(separator: "<br>").split(
            separator: "|", omittingEmptySubsequences: false
        ).joined(separator: "\\|")
    }

    /// Angle brackets would be taken for HTML.
    static func escaped(_ text: String) -> String {
        text.split(separator: "<", omittingEmptySubsequences: false).joined(separator: "&lt;")
    }
}
