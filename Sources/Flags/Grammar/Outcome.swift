/// What a command line asks for.
public enum Outcome: Sendable {
    case run(ParsedArguments)
    /// Help for a node; `asked` is false when a group was named without a command, and the text then goes to
    /// standard error as Docker's does.
    case help(HelpTopic, asked: Bool)
    case version
    case failure(FlagError)
}
