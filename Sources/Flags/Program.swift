/// A program's command line: the tree and what surrounds it.
public struct Program: Sendable {
    /// Names that exist only at run time, for completion.
    public typealias Candidates = @Sendable (CompletionSource, _ prefix: String) -> [Candidate]

    /// The node whose name is the program's; its flags are the global ones.
    public var root: Command
    /// What `--version` prints; nil leaves the flag to the table.
    public var version: String?
    /// When that version came out, as `2026-01-31`; shown in manual pages.
    public var released: String
    /// What the program's own manual page has beside its table.
    public var manualSections: @Sendable () -> [ManualSection]
    /// Last line of the program's own help.
    public var closing: String
    /// Exit status of a refused flag. Docker's client: 125.
    public var flagFailure: Int32
    /// Exit status of an unknown command or a wrong number of operands. Docker's client: 1.
    public var commandFailure: Int32
    /// What is printed for a command line that is refused, with a final newline.
    public var refusal: @Sendable (FlagError) -> String
    public var candidates: Candidates
    /// Commands that exist elsewhere and are refused by name, as spelled without the program's name: `container diff`.
    public var unsupportedCommands: @Sendable () -> Set<String>

    public init(
        root: Command, version: String? = nil, released: String = "",
        manualSections: @escaping @Sendable () -> [ManualSection] = { [] }, closing: String = "",
        flagFailure: Int32 = 125, commandFailure: Int32 = 1, refusal: @escaping @Sendable (FlagError) -> String = { $0.text },
        candidates: @escaping Candidates = { _, _ in [] },
        unsupportedCommands: @escaping @Sendable () -> Set<String> = { [] }
    ) {
        self.root = root
        self.version = version
        self.released = released
        self.manualSections = manualSections
        self.closing = closing
        self.flagFailure = flagFailure
        self.commandFailure = commandFailure
        self.refusal = refusal
        self.candidates = candidates
        self.unsupportedCommands = unsupportedCommands
    }

    /// Reads arguments, without the program's own name. Runs nothing and prints nothing.
    public func parse(_ arguments: [String]) -> Outcome {
        var parser = Parser(program: self, arguments: arguments)
        return parser.parse()
    }

    /// Reads arguments, then runs the command or prints what was asked for.
    /// - Parameter width: columns of the terminal; asked only when help is printed.
    /// - Returns: the exit status of the program.
    public func run(_ arguments: [String], width: () -> Int = { 80 }) -> Int32 {
        if let status = runHidden(arguments) { return status }
        switch parse(arguments) {
        case .run(let parsed):
            for warning in parsed.warnings { Console.write(warning + "\n", to: .errors) }
            return parsed.command.run?(parsed) ?? 0
        case .help(let topic, let asked):
            Console.write(help(for: topic, width: width()), to: asked ? .output : .errors)
            return 0
        case .version:
            Console.write((version ?? "") + "\n", to: .output)
            return 0
        case .failure(let error):
            Console.write(refusal(error), to: .errors)
            return status(of: error)
        }
    }

    /// The exit status that goes with a refusal.
    public func status(of error: FlagError) -> Int32 {
        switch error.code {
        case .unknownCommand, .unknownTopic, .wrongArity: return commandFailure
        default: return flagFailure
        }
    }

    /// Finds a node by its words, without the program's name; nil when there is none.
    public func topic(_ words: [String]) -> HelpTopic? {
        var topic = HelpTopic(command: root, path: [root.name], inherited: [])
        for word in words {
            let children = topic.command.subcommands() + (topic.path.count == 1 ? builtins() : [])
            guard let next = children.first(where: { $0.answers(to: word) }) else { return nil }
            topic = topic.child(next)
        }
        return topic
    }
}
