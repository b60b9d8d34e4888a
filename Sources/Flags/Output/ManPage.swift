extension Program {
    /// One command's manual page in roff, section 1.
    public func manPage(for topic: HelpTopic) -> String {
        let command = topic.command
        let title = topic.path.joined(separator: "-")
        var page = Roff()
        page.request("TH \"\(Roff.escaped(title.uppercased()))\" 1 \"\" \"\(Roff.escaped(root.name))\"")
        page.section("NAME")
        page.text("\(title) - \(command.summary)")
        page.section("SYNOPSIS")
        for form in topic.usage.split(separator: "\n") {
            page.request("B \"\(Roff.escaped(String(form.drop { $0 == "\t" })))\"")
            page.request("br")
        }
        page.section("DESCRIPTION")
        page.text(command.details.isEmpty ? command.summary : command.details)
        if topic.spellings.count > 1 {
            page.paragraph("Also spelled: " + topic.spellings.joined(separator: ", "))
        }
        page.flags("OPTIONS", topic.visibleFlags)
        let above = topic.inherited.filter { !$0.hidden }
        if !above.isEmpty { page.flags("GLOBAL OPTIONS", above) }
        let children = visibleCommands(of: topic)
        if !children.isEmpty {
            page.section("COMMANDS")
            for child in children { page.item("\(title)-\(child.name)(1)", child.summary) }
        }
        if !command.examples.isEmpty {
            page.section("EXAMPLES")
            for example in command.examples {
                page.paragraph(example.purpose + ":")
                page.request("EX")
                page.text("    " + example.commandLine)
                page.request("EE")
            }
        }
        if topic.path.count > 1 {
            page.section("SEE ALSO")
            page.text(topic.path.dropLast().joined(separator: "-") + "(1)")
        }
        return page.output
    }
}

/// Builds one page for `man`.
private struct Roff {
    private(set) var output = ""

    mutating func request(_ line: String) {
        output += ".\(line)\n"
    }

    mutating func section(_ title: String) {
        output += ".SH \(title)\n"
    }

    mutating func text(_ text: String) {
        for line in text.split(separator: "\n", omittingEmptySubsequences: true) {
            let line = Roff.escaped(String(line))
            // A line that begins with a control character would be read as a request.
            let guarded = line.utf8.first == UInt8(ascii: ".") || line.utf8.first == UInt8(ascii: "'")
            output += (guarded ? "\\&" : "") + line + "\n"
        }
    }

    mutating func paragraph(_ text: String) {
        output += ".PP\n"
        self.text(text)
    }

    mutating func item(_ term: String, _ text: String) {
        output += ".TP\n\\fB\(Roff.escaped(term))\\fR\n"
        self.text(text)
    }

    mutating func flags(_ title: String, _ flags: [Flag]) {
        if flags.isEmpty { return }
        section(title)
        for flag in flags {
            let word = flag.valueName ?? flag.kind.word
            item(flag.short.map { "-\($0), --\(flag.name)" } ?? "--\(flag.name)", "")
            // The term's line is complete already: the kind belongs on it, in italics.
            if !word.isEmpty {
                output.removeLast()
                output += " \\fI\(Roff.escaped(word))\\fR\n"
            }
            text(FlagTable.summary(flag))
        }
    }

    static func escaped(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\": result += "\\e"
            case "-": result += "\\-"
            case "\"": result += "\\(dq"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}
