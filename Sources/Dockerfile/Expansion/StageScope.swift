import OCI

/// An instruction whose variables are replaced.
public struct EvaluatedCommand: Sendable {
    /// With expanded words. Those of RUN, CMD, ENTRYPOINT, HEALTHCHECK, SHELL and ONBUILD stay as they are written.
    public var command: StageCommand
    /// Of RUN.
    public var mounts: [RunMount] = []
    /// Of EXPOSE.
    public var ports: [ExposedPort] = []
    /// Of ADD and COPY with `--chmod`.
    public var mode: FileModeChange?
    /// Of ARG: what was declared.
    public var arguments: [DeclaredArgument] = []
    /// The variables it has that are set: they belong into its cache key. What RUN's shell uses is not among them.
    public var used: [String] = []
    /// Those that are neither set nor declared, each where it first stands.
    public var undefined: [Word] = []
}

/// The variables of a stage, from its first instruction to its last.
///
/// ARG and ENV set the same variables, and the later one wins; only what ENV sets goes into the image.
public struct StageScope: Sendable {
    public let global: GlobalScope
    /// What words are expanded with and what RUN sees, without proxies.
    public private(set) var environment: BuildEnvironment
    /// What goes into the image's config.
    public private(set) var imageEnvironment: BuildEnvironment
    /// In order of declaration, those of the stages below it first: history and cache keys name them.
    public private(set) var arguments: [DeclaredArgument] = []
    private var declaredNames: Set<String> = []
    /// EXPOSE of ranges, as often as they fit into a line.
    static let portLimit = 3 * 65_536

    /// A stage on an image.
    /// - Parameter environment: of the image's config; empty for scratch.
    public init(_ global: GlobalScope, environment: BuildEnvironment = BuildEnvironment()) {
        self.global = global
        self.environment = environment
        imageEnvironment = environment
    }

    /// A stage on another one: what that one declared holds here too.
    public init(on stage: StageScope) { self = stage }

    /// Replaces the variables of an instruction, and does what ENV and ARG do.
    ///
    /// Must be called for each instruction of a stage in order; triggers of the base image come first.
    /// - Throws: where a word cannot be expanded, or what comes out is not allowed.
    public mutating func evaluate(_ command: StageCommand) throws(Diagnostic) -> EvaluatedCommand {
        var evaluated = EvaluatedCommand(command: command)
        do throws(InstructionFailure) {
            if case .arg(let instruction) = command.instruction {
                try declare(instruction, command.range, &evaluated)
                return evaluated
            }
            try expand(&evaluated)
            if case .env(let pairs) = evaluated.command.instruction {
                for pair in pairs {
                    try environment.setLimited(pair.name.text, pair.value.text, pair.name.range)
                    try imageEnvironment.setLimited(pair.name.text, pair.value.text, pair.name.range)
                }
            }
        } catch { throw Diagnostic(.error, .evaluation, error.message, command.range, focus: error.focus) }
        return evaluated
    }

    /// An argument without a value is declared all the same.
    private func isUndefined(_ name: String) -> Bool {
        !declaredNames.contains(name) && !PredefinedArguments.withoutVariable.contains(name)
    }

    private mutating func declare(
        _ instruction: ArgInstruction, _ range: SourceRange, _ evaluated: inout EvaluatedCommand
    ) throws(InstructionFailure) {
        var (used, undefined): (OrderedNames, [Word]) = (OrderedNames(), [])
        var seen = OrderedNames()
        for argument in instruction.arguments {
            let declared = try declare(argument, range, &used, &undefined)
            arguments.append(declared)
            declaredNames.insert(declared.name)
            evaluated.arguments.append(declared)
        }
        evaluated.used = used.list
        evaluated.undefined = undefined.filter { seen.add($0.text) }
    }

    private mutating func declare(
        _ argument: ArgInstruction.Argument, _ range: SourceRange, _ used: inout OrderedNames, _ undefined: inout [Word]
    ) throws(InstructionFailure) -> DeclaredArgument {
        let name = argument.name.text
        var declared = DeclaredArgument(name: name, value: nil, description: argument.description, range: range)
        if let given = global.options.buildArguments.value(of: name) {
            declared.value = given
            declared.isInherited = argument.value == nil && global.argument(name) != nil
        } else if let word = argument.value {
            // Arguments of the same instruction see each other.
            var scope = WordScope(escape: global.escape, environment)
            declared.value = try scope.expand(word).text
            declared.dependencies = scope.used
            used.add(scope.used)
            undefined += scope.unsetWords.filter { isUndefined($0.text) }
        } else if let value = global.environment.value(of: name) {
            declared.value = value
            declared.isInherited = true
        }
        if let value = declared.value, !PredefinedArguments.withoutVariable.contains(name) {
            try environment.setLimited(name, value, argument.name.range)
        }
        return declared
    }

    private func expand(_ evaluated: inout EvaluatedCommand) throws(InstructionFailure) {
        var scope = WordScope(escape: global.escape, environment)
        try expand(evaluated.command.instruction, &scope, &evaluated)
        evaluated.used = scope.used
        evaluated.undefined = scope.unsetWords.filter { isUndefined($0.text) }
    }

    private func expand(
        _ instruction: Instruction, _ scope: inout WordScope, _ evaluated: inout EvaluatedCommand
    ) throws(InstructionFailure) {
        switch instruction {
        case .env(let pairs): evaluated.command.instruction = .env(try scope.expand(pairs))
        case .label(let pairs): evaluated.command.instruction = .label(try scope.expand(pairs))
        case .add(var add):
            try scope.expand(&add.transfer)
            add.checksum = try scope.expand(add.checksum)
            try TransferRules.check(add)
            evaluated.mode = try FileModeChange.read(add.transfer.chmod)
            evaluated.command.instruction = .add(add)
        case .copy(var copy):
            try scope.expand(&copy.transfer)
            try TransferRules.check(copy)
            evaluated.mode = try FileModeChange.read(copy.transfer.chmod)
            evaluated.command.instruction = .copy(copy)
        case .run(let run):
            for flag in run.mounts { evaluated.mounts.append(try RunMount(flag, &scope)) }
        case .expose(let expose):
            var words: [Word] = []
            for word in expose.ports { words += try scope.split(word) }
            for word in words {
                evaluated.ports += try ExposedPort.read(word)
                guard evaluated.ports.count <= Self.portLimit else {
                    throw InstructionFailure("EXPOSE names more than \(Self.portLimit) ports", word.range)
                }
            }
            evaluated.command.instruction = .expose(ExposeInstruction(ports: words))
        case .stopsignal(let word): evaluated.command.instruction = .stopsignal(try scope.expand(word))
        case .user(let word): evaluated.command.instruction = .user(try scope.expand(word))
        case .workdir(let word): evaluated.command.instruction = .workdir(try scope.expand(word))
        case .volume(let words):
            let expanded = try scope.expand(words)
            for word in expanded where word.text.isEmpty {
                throw InstructionFailure("VOLUME specified can not be an empty string", word.range)
            }
            evaluated.command.instruction = .volume(expanded)
        case .arg, .cmd, .entrypoint, .healthcheck, .maintainer, .onbuild, .shell: break
        }
    }
}

extension WordScope {
    mutating func expand(_ transfer: inout Transfer) throws(InstructionFailure) {
        transfer.chown = try expand(transfer.chown)
        transfer.chmod = try expand(transfer.chmod)
        transfer.sources = try expand(transfer.sources)
        transfer.destination = try expand(transfer.destination)
        for index in transfer.inline.indices where transfer.inline[index].expands {
            transfer.inline[index].content = try expand(document: transfer.inline[index].content, transfer.inline[index].range)
        }
    }
}
