/// One node of the command tree: everything that parsing, help, completion and the references need to know.
///
/// Flags and subcommands are closures so that a program builds only the nodes on the path to the command it runs.
/// A command reachable by several names (`berth ps`, `berth container ls`) is one function that returns this value.
public struct Command: Sendable {
    /// Runs a command whose arguments were accepted; returns the exit status of the program.
    public typealias Action = @Sendable (ParsedArguments) -> Int32

    /// The word a person types.
    public var name: String
    /// Other words at the same place in the tree, such as `list` for `ls`.
    public var aliases: [String]
    /// Every full spelling without the program's name, for the `Aliases:` section: `["container ls", "ps"]`.
    public var spellings: [String]
    /// Heading under which help lists this command.
    public var group: CommandGroup
    /// Operands as help shows them, without the name and without `[OPTIONS]`: `IMAGE [COMMAND] [ARG...]`.
    /// A newline separates alternative forms.
    public var operands: String
    /// One line, no full stop.
    public var summary: String
    /// Longer text for help, the manual and the reference; the summary is used when empty.
    public var details: String
    /// Worked examples.
    public var examples: [Example]
    /// What its exit status says, where that is more than done, failed and refused.
    public var exitStatuses: [StatusMeaning]
    /// How many operands are accepted.
    public var arity: Arity
    /// False where the first operand ends the flags, because the rest belongs to another program (`run`, `exec`, `top`).
    public var interspersed: Bool
    /// True keeps the command out of help and completion.
    public var hidden: Bool
    /// What to offer for operands; the last element stands for all later operands too.
    public var completion: [CompletionHint]
    /// Builds this command's flags.
    public var flags: @Sendable () -> [Flag]
    /// Builds the flags that other engines have and this one refuses by name; read only when a flag is not in `flags`.
    public var unsupported: @Sendable () -> [Flag]
    /// Builds the commands below this one.
    public var subcommands: @Sendable () -> [Command]
    /// Nil for a command that only groups others.
    public var run: Action?

    public init(
        _ name: String, aliases: [String] = [], spellings: [String] = [], group: CommandGroup = .commands,
        operands: String = "", summary: String, details: String = "", examples: [Example] = [],
        exitStatuses: [StatusMeaning] = [], arity: Arity = .none, interspersed: Bool = true, hidden: Bool = false,
        completion: [CompletionHint] = [],
        flags: @escaping @Sendable () -> [Flag] = { [] }, unsupported: @escaping @Sendable () -> [Flag] = { [] },
        subcommands: @escaping @Sendable () -> [Command] = { [] }, run: Action? = nil
    ) {
        self.name = name
        self.aliases = aliases
        self.spellings = spellings
        self.group = group
        self.operands = operands
        self.summary = summary
        self.details = details
        self.examples = examples
        self.exitStatuses = exitStatuses
        self.arity = arity
        self.interspersed = interspersed
        self.hidden = hidden
        self.completion = completion
        self.flags = flags
        self.unsupported = unsupported
        self.subcommands = subcommands
        self.run = run
    }

    /// A command that only groups others, such as `container`.
    public static func group(
        _ name: String, summary: String, details: String = "", group: CommandGroup = .management,
        flags: @escaping @Sendable () -> [Flag] = { [] }, subcommands: @escaping @Sendable () -> [Command]
    ) -> Command {
        Command(
            name, group: group, summary: summary, details: details, arity: .any, flags: flags,
            subcommands: subcommands)
    }

    /// The same definition under another name: `images` becomes `image ls`.
    public func renamed(_ name: String, aliases: [String] = [], group: CommandGroup = .commands) -> Command {
        var copy = self
        copy.name = name
        copy.aliases = aliases
        copy.group = group
        return copy
    }

    func answers(to word: String) -> Bool {
        name == word || aliases.contains(word)
    }
}

/// One worked example of a command.
public struct Example: Sendable {
    /// What it shows, one line.
    public var purpose: String
    /// What to type, without a prompt.
    public var commandLine: String

    public init(_ purpose: String, _ commandLine: String) {
        self.purpose = purpose
        self.commandLine = commandLine
    }
}

/// What one exit status of a command says.
public struct StatusMeaning: Sendable {
    /// The number, or a word for several: `other`.
    public var status: String
    /// A sentence without its full stop.
    public var meaning: String

    public init(_ status: String, _ meaning: String) {
        self.status = status
        self.meaning = meaning
    }
}

/// A heading of the command list in help.
public struct CommandGroup: Sendable, Equatable {
    public var title: String
    /// True keeps the order of the table; otherwise help sorts by name.
    public var keepsOrder: Bool

    public init(_ title: String, keepsOrder: Bool = false) {
        self.title = title
        self.keepsOrder = keepsOrder
    }

    public static let common = CommandGroup("Common Commands", keepsOrder: true)
    public static let management = CommandGroup("Management Commands")
    public static let commands = CommandGroup("Commands")
}
