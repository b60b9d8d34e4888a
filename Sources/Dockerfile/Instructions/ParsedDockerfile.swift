/// A Dockerfile, read and understood: what every later step works on.
///
/// ```swift
/// let file = try ParsedDockerfile.parse(SourceText(bytes: bytes))
/// var global = try GlobalScope(file, options)
/// let graph = try StageGraph(file, global, target: nil)
/// ```
public struct ParsedDockerfile: Sendable {
    public var source: SourceText
    public var directives: [Directive]
    public var escape: Unicode.Scalar
    /// The ARG instructions before the first FROM.
    public var globalArguments: [StageCommand]
    /// At least one.
    public var stages: [Stage]
    /// Where NoEmptyContinuation applies.
    public var emptyContinuations: [SourceRange]

    /// Reads a Dockerfile.
    ///
    /// - Throws: the first thing that is wrong. `Diagnostic.description` has BuildKit's wording.
    public static func parse(_ source: SourceText, limits: ParseLimits = .standard) throws(Diagnostic) -> ParsedDockerfile {
        let tree = try SyntaxReader.read(source, limits: limits)
        var global: [StageCommand] = []
        var stages: [Stage] = []
        for statement in tree.statements {
            switch try InstructionReader.read(statement) {
            case .from(var stage):
                stage.index = stages.count
                stages.append(stage)
            case .command(let command):
                if stages.isEmpty {
                    guard case .arg = command.instruction else { throw .error("no build stage in current context", statement.range) }
                    global.append(command)
                } else {
                    stages[stages.count - 1].commands.append(command)
                }
            }
        }
        guard !stages.isEmpty else { throw .error("dockerfile contains no stages to build", nil) }
        return ParsedDockerfile(
            source: source, directives: tree.directives, escape: tree.escape, globalArguments: global, stages: stages,
            emptyContinuations: tree.emptyContinuations)
    }

    /// Reads what a base image's ONBUILD says.
    ///
    /// - Parameters:
    ///   - expression: from the image's config, or of an ONBUILD in the stage that FROM names.
    ///   - range: of the FROM that brought it, for messages.
    /// - Throws: where it is not exactly one instruction, or one that cannot be a trigger.
    public static func trigger(_ expression: String, from range: SourceRange) throws(Diagnostic) -> StageCommand {
        do throws(Diagnostic) {
            let tree = try SyntaxReader.read(SourceText(name: "ONBUILD", expression), limits: .standard)
            guard tree.statements.count == 1, let statement = tree.statements.first else {
                throw .error("onbuild trigger should be a single expression", range)
            }
            guard case .command(var command) = try InstructionReader.read(statement) else {
                throw .error("FROM isn't allowed as an ONBUILD trigger", range)
            }
            command.isTrigger = true
            command.range = range
            return command
        } catch { throw Diagnostic(.error, .file, error.message, range) }
    }

    /// A directive's value; nil without it.
    public func directive(_ name: Directive.Name) -> Directive? { directives.first { $0.name == name } }

    /// The stage with a name, whatever its case; the last of those that share it.
    public func stage(named name: String) -> Stage? {
        let wanted = name.loweredASCII
        return stages.last { $0.name == wanted }
    }
}

/// A stage: a FROM and what follows it.
public struct Stage: Sendable, Hashable {
    /// From 0.
    public var index = 0
    /// In lower case; empty without AS.
    public var name: String
    /// As it is written.
    public var writtenName: Word?
    /// An image, a stage, a named context, `scratch`; may have variables of the global scope.
    public var base: Word
    /// `--platform`.
    public var platform: Word?
    /// Buildah's `--after`: stages that have to be built before this one.
    public var after: [Word] = []
    /// From the comment `# NAME text` above it.
    public var description: String
    /// `FROM` as it is written, and `AS`.
    public var keyword: String
    public var asKeyword: String?
    /// The FROM instruction.
    public var text: String
    public var range: SourceRange
    public var comments: [String]
    public var commands: [StageCommand] = []

    /// The name, or `stage-N`.
    public var displayName: String { name.isEmpty ? "stage-\(index)" : name }
}
