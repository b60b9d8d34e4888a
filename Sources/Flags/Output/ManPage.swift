/// A section of the program's own page that its table does not give: FILES, ENVIRONMENT.
public struct ManualSection: Sendable {
    public var title: String
    /// A name or path, and what it is for.
    public var entries: [(term: String, meaning: String)]

    public init(_ title: String, _ entries: [(term: String, meaning: String)]) {
        self.title = title
        self.entries = entries
    }
}

/// A file of the manual.
public struct ManPage: Sendable {
    /// `berth-container-ls.1`
    public let name: String
    /// In roff with the macros of man(7).
    public let text: String
}

extension Program {
    /// The whole manual, section 1: a page for every command, and for a spelling of another command one that leads there.
    public func manual() -> [ManPage] {
        pages().map { page in
            let name = page.topic.path.joined(separator: "-") + ".1"
            guard let home = page.sameAs else { return ManPage(name: name, text: manPage(for: page.topic)) }
            return ManPage(name: name, text: ".so man1/\(home.split(separator: " ").joined(separator: "-")).1\n")
        }
    }

    /// One command's manual page in roff, section 1.
    public func manPage(for topic: HelpTopic) -> String {
        let command = topic.command
        let title = topic.path.joined(separator: "-")
        var page = Roff()
        let source = (version ?? root.name).split(separator: "\n").first.map(String.init) ?? root.name
        page.request("TH \"\(Roff.escaped(title.uppercased()))\" 1 \"\(released)\" \"\(Roff.escaped(source))\"")
        // Words that people copy are not to be hyphenated.
        page.request("nh")
        page.request("ad l")
        page.section("NAME")
        page.text("\(title) - \(command.summary)")
        page.section("SYNOPSIS")
        page.synopsis(topic)
        page.section("DESCRIPTION")
        page.description(of: topic)
        page.flags("OPTIONS", topic.visibleFlags)
        page.flags("GLOBAL OPTIONS", topic.inherited.filter { !$0.hidden })
        let children = visibleCommands(of: topic)
        if !children.isEmpty {
            page.section("COMMANDS")
            for child in children { page.item("\\fB\(Roff.escaped("\(title)-\(child.name)"))\\fR(1)", child.summary) }
        }
        page.examples(command.examples)
        if command.run != nil {
            page.section("EXIT STATUS")
            for status in exitStatuses(of: command) { page.item("\\fB\(Roff.escaped(status.status))\\fR", status.meaning + ".") }
        }
        if topic.isRoot {
            for section in manualSections() {
                page.section(section.title)
                for entry in section.entries { page.item("\\fB\(Roff.escaped(entry.term))\\fR", entry.meaning + ".") }
            }
        }
        page.references(related(to: topic))
        return page.output
    }

    /// A command's own exit statuses, else those all have.
    func exitStatuses(of command: Command) -> [StatusMeaning] {
        if !command.exitStatuses.isEmpty { return command.exitStatuses }
        let refused = "The command line was refused"
        if flagFailure == commandFailure {
            return [StatusMeaning("0", "Done"), StatusMeaning("\(flagFailure)", "It failed, or the command line was refused")]
        }
        return [StatusMeaning("0", "Done"), StatusMeaning("\(commandFailure)", "It failed"), StatusMeaning("\(flagFailure)", refused)]
    }

    /// Pages to read next: those above, by every spelling, and those beside it in its group.
    private func related(to topic: HelpTopic) -> [String] {
        if topic.isRoot { return [] }
        var names = [topic.path.dropLast().joined(separator: "-")]
        for spelling in topic.command.spellings {
            let above = spelling.split(separator: " ").dropLast()
            names.append(([root.name] + above.map(String.init)).joined(separator: "-"))
        }
        if topic.path.count > 2, let parent = self.topic(Array(topic.path.dropFirst().dropLast())) {
            names += visibleCommands(of: parent).filter { $0.name != topic.command.name }.map { "\(names[0])-\($0.name)" }
        }
        names.append(root.name)
        return Set(names).sorted()
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
            output += (line.utf8.first == UInt8(ascii: ".") ? "\\&" : "") + line + "\n"
        }
    }

    mutating func paragraph(_ text: String) {
        output += ".PP\n"
        self.text(text)
    }

    /// - Parameter term: escaped already.
    mutating func item(_ term: String, _ text: String) {
        output += ".TP\n\(term)\n"
        self.text(text)
    }

    /// Forms of the command: its words bold, what stands for something else in italics.
    mutating func synopsis(_ topic: HelpTopic) {
        for (index, form) in topic.usage.split(separator: "\n").enumerated() {
            if index > 0 { request("br") }
            let form = form.drop { $0 == "\t" }
            let operands = form.utf8.starts(with: topic.spelled.utf8) ? form.dropFirst(topic.spelled.count) : form
            output += "\\fB\(Roff.escaped(topic.spelled))\\fR\(Roff.placeholders(String(operands)))\n"
        }
    }

    /// Paragraphs are set apart by empty lines.
    mutating func description(of topic: HelpTopic) {
        let command = topic.command
        let details = command.details.isEmpty ? command.summary : command.details
        var paragraph: [Substring] = []
        var isFirst = true
        func end(_ page: inout Roff) {
            if paragraph.isEmpty { return }
            // A summary at the head of the details is a sentence here.
            let needsStop = paragraph.last?.last.map { $0.isLetter || $0.isNumber } ?? false
            let text = paragraph.joined(separator: "\n") + (needsStop ? "." : "")
            if isFirst { page.text(text) } else { page.paragraph(text) }
            isFirst = false
            paragraph = []
        }
        for line in details.split(separator: "\n", omittingEmptySubsequences: false) {
            if line.isEmpty { end(&self) } else { paragraph.append(line) }
        }
        end(&self)
        if topic.spellings.count > 1 { self.paragraph("Also spelled: " + topic.spellings.joined(separator: ", ") + ".") }
    }

    mutating func flags(_ title: String, _ flags: [Flag]) {
        if flags.isEmpty { return }
        section(title)
        for flag in flags {
            let word = flag.valueName ?? flag.kind.word
            var term = flag.short.map { "\\fB\\-\(Roff.escaped(String($0)))\\fR, " } ?? ""
            term += "\\fB\(Roff.escaped("--" + flag.name))\\fR"
            if !word.isEmpty { term += " \\fI\(Roff.escaped(word))\\fR" }
            item(term, FlagTable.summary(flag) + ".")
        }
    }

    mutating func examples(_ examples: [Example]) {
        if examples.isEmpty { return }
        section("EXAMPLES")
        for (index, example) in examples.enumerated() {
            if index > 0 { request("PP") }
            text(example.purpose + ":")
            request("PP")
            // Macros that mandoc and groff both have for text that is kept as it is.
            request("RS 4")
            request("nf")
            text(example.commandLine)
            request("fi")
            request("RE")
        }
    }

    mutating func references(_ names: [String]) {
        if names.isEmpty { return }
        section("SEE ALSO")
        for (index, name) in names.enumerated() {
            output += ".BR \(Roff.escaped(name)) (1)\(index < names.count - 1 ? "," : "")\n"
        }
    }

    /// What stands for something else is in capitals, as everywhere in help.
    private static func placeholders(_ text: String) -> String {
        var result = ""
        var word = ""
        func end() {
            result += word.utf8.count > 1 ? "\\fI\(escaped(word))\\fR" : escaped(word)
            word = ""
        }
        for character in text {
            let belongs = character.isASCII && (character.isUppercase || (!word.isEmpty && (character == "_" || character == "-")))
            if belongs {
                word.append(character)
            } else {
                end()
                result += escaped(String(character))
            }
        }
        end()
        return result
    }

    /// Characters that roff would take for something else, or that it shows as others than people have to type.
    static func escaped(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\": result += "\\e"
            case "-": result += "\\-"
            case "\"": result += "\\(dq"
            case "'": result += "\\(aq"
            case "`": result += "\\(ga"
            case "^": result += "\\(ha"
            case "~": result += "\\(ti"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}
