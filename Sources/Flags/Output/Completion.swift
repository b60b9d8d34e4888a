/// What a shell should do with candidates. The numbers are cobra's, so scripts for one program read the other's.
struct CompletionDirective: OptionSet, Sendable {
    let rawValue: Int

    /// Do not fall back to file names.
    static let noFiles = CompletionDirective(rawValue: 4)
    /// Offer directories.
    static let directories = CompletionDirective(rawValue: 16)
}

/// Candidates for the last, unfinished word of a command line.
struct Completion: Sendable {
    var candidates: [Candidate] = []
    var directive: CompletionDirective = .noFiles

    /// One candidate a line with its explanation after a tab, then the directive.
    func text(explained: Bool) -> String {
        var text = ""
        for candidate in candidates {
            // A line break in a name would forge another candidate.
            text += GoSyntax.printable(candidate.word)
            let explanation = candidate.explanation.prefix { $0 != "\n" }
            if explained && !explanation.isEmpty { text += "\t\(explanation)" }
            text += "\n"
        }
        return text + ":\(directive.rawValue)\n"
    }
}

extension Program {
    /// Reads the words before the cursor as leniently as possible and offers what may come next.
    /// - Parameter words: all words after the program's name; the last is the one being typed and may be empty.
    func complete(_ words: [String]) -> Completion {
        var walk = CompletionWalk(program: self)
        for word in words.dropLast() { walk.read(word) }
        return walk.offer(words.last ?? "")
    }

    /// Commands every program has beside its table.
    func builtins() -> [Command] {
        let name = root.name
        return [
            Command.group(
                "completion", summary: "Print a script that teaches a shell to complete commands",
                details: "Print a script that teaches a shell to complete \(name)'s commands, flags and names.",
                group: .commands
            ) {
                Shell.allCases.map { shell in
                    Command(
                        shell.rawValue, summary: "Print the script for \(shell.rawValue)",
                        examples: [Example("Use it in this shell", shell.activation(program: name))],
                        run: { _ in
                            Console.write(shell.script(program: name), to: .output)
                            return 0
                        })
                }
            }
        ]
    }

    /// Serves the words that shells and the build call; nil for any other command line.
    func runHidden(_ arguments: [String]) -> Int32? {
        guard let first = arguments.first, first.utf8.starts(with: "__".utf8) else { return nil }
        let words = Array(arguments.dropFirst())
        switch first {
        case "__complete", "__completeNoDesc":
            Console.write(complete(words).text(explained: first == "__complete"), to: .output)
        case "__markdown":
            Console.write(markdownReference(), to: .output)
        case "__man":
            return writeManual(to: words.first ?? ".")
        default:
            return nil
        }
        return 0
    }
}

extension Program {
    /// Writes every page of the manual into a directory that is there.
    private func writeManual(to directory: String) -> Int32 {
        for page in manual() {
            guard Console.write(page.text, toFile: "\(directory)/\(page.name)") else {
                Console.write("\(root.name): write \(GoSyntax.quoted("\(directory)/\(page.name)")) failed\n", to: .errors)
                return 1
            }
        }
        return 0
    }
}

/// The place in the tree that the words before the cursor lead to.
private struct CompletionWalk {
    let program: Program
    var topic: HelpTopic
    /// A flag whose value is the next word.
    var pending: Flag?
    var operands = 0
    var flagsEnded = false
    var given: Set<String> = []

    init(program: Program) {
        self.program = program
        topic = HelpTopic(command: program.root, path: [program.root.name], inherited: [])
    }

    var children: [Command] {
        topic.command.subcommands() + (topic.isRoot ? program.builtins() : [])
    }

    var flags: [Flag] {
        topic.command.flags() + topic.inherited
    }

    mutating func read(_ word: String) {
        if pending != nil {
            pending = nil
            return
        }
        let bytes = word.utf8
        if !flagsEnded, bytes.count > 1, bytes.first == UInt8(ascii: "-") {
            if word == "--" { flagsEnded = true } else { readFlag(word) }
            return
        }
        if operands == 0, let next = children.first(where: { $0.answers(to: word) }) {
            topic = topic.child(next)
            flagsEnded = false
            given = []
            return
        }
        operands += 1
        if !topic.command.interspersed { flagsEnded = true }
    }

    private mutating func readFlag(_ word: String) {
        let known = flags + topic.command.unsupported()
        if word.utf8.starts(with: "--".utf8) {
            let (name, _) = ParsedArguments.pair(String(decoding: word.utf8.dropFirst(2), as: UTF8.self))
            given.insert(name)
            if word.utf8.contains(UInt8(ascii: "=")) { return }
            pending = known.first { $0.answers(to: name) && $0.wantsArgument }
            return
        }
        var letters = word.unicodeScalars.dropFirst()
        while let letter = letters.first {
            letters = letters.dropFirst()
            guard let flag = known.first(where: { $0.short == letter }) else { return }
            given.insert(flag.name)
            if flag.wantsArgument {
                // What follows the letter in the same word is its value.
                if letters.isEmpty { pending = flag }
                return
            }
        }
    }

    func offer(_ prefix: String) -> Completion {
        if let pending { return values(pending.completion, prefix) }
        if !flagsEnded, prefix.utf8.first == UInt8(ascii: "-") {
            guard prefix.utf8.contains(UInt8(ascii: "=")) else { return flagNames(prefix) }
            let (name, value) = ParsedArguments.pair(String(decoding: prefix.utf8.dropFirst(2), as: UTF8.self))
            guard let flag = flags.first(where: { $0.answers(to: name) }) else { return Completion() }
            return flag.kind == .bool ? values(.values(["true", "false"]), value) : values(flag.completion, value)
        }
        let commands = children.filter { !$0.hidden }
        if !commands.isEmpty && operands == 0 {
            return Completion(
                candidates: commands.filter { $0.name.utf8.starts(with: prefix.utf8) }
                    .map { Candidate($0.name, $0.summary) })
        }
        let hints = topic.command.completion
        guard let hint = operands < hints.count ? hints[operands] : hints.last else { return Completion() }
        return values(hint, prefix)
    }

    private func flagNames(_ prefix: String) -> Completion {
        let repeatable: [Flag.Kind] = [.list, .stringSlice, .map, .count]
        var completion = Completion()
        let offered = flags.filter { flag in
            !flag.hidden && flag.deprecated == nil && (!given.contains(flag.name) || repeatable.contains(flag.kind))
        }
        for flag in offered {
            let explanation = String(flag.summary.prefix { $0 != "\n" })
            let long = "--" + flag.name
            if long.utf8.starts(with: prefix.utf8) { completion.candidates.append(Candidate(long, explanation)) }
            if let short = flag.short, "-\(short)".utf8.starts(with: prefix.utf8) {
                completion.candidates.append(Candidate("-\(short)", explanation))
            }
        }
        if "--help".utf8.starts(with: prefix.utf8) {
            completion.candidates.append(Candidate("--help", "Print this command's help"))
        }
        return completion
    }

    private func values(_ hint: CompletionHint, _ prefix: String) -> Completion {
        switch hint {
        case .nothing: return Completion()
        case .file: return Completion(directive: [])
        case .directory: return Completion(directive: .directories)
        case .values(let words):
            return Completion(
                candidates: words.filter { $0.utf8.starts(with: prefix.utf8) }.map { Candidate($0) })
        case .names(let source):
            return Completion(
                candidates: program.candidates(source, prefix).filter { $0.word.utf8.starts(with: prefix.utf8) })
        }
    }
}
