import OCI

/// What depends on the values of variables.
extension Linter {
    /// What is known of a stage when its last instruction has been looked at.
    private struct Known {
        var scope: StageScope
        /// Whether the environment of the base image is known: otherwise every variable may be set.
        var knowsBase: Bool
        var hasWorkdir = false
        var hasShell = false
    }

    mutating func checkEvaluated() throws(Diagnostic) {
        checkDefaults()
        let global = try GlobalScope(file, scope)
        for stage in file.stages { try checkBase(stage, global) }
        let graph = try StageGraph(file, global, target: options.target)
        var known = StageShelf<Known>(graph)
        let wanted = options.target.isEmpty ? Array(file.stages.indices) : graph.needed
        for index in wanted {
            var state = begin(graph.nodes[index].base, global, &known)
            try walk(file.stages[index], graph.nodes[index].commands, &state)
            try known.put(state, state.scope.weight, of: file.stages[index])
        }
    }

    private func begin(_ base: StageGraph.Source, _ global: GlobalScope, _ known: inout StageShelf<Known>) -> Known {
        switch base {
        case .stage(let index): return known.take(index) ?? Known(scope: StageScope(global), knowsBase: false)
        case .scratch: return Known(scope: StageScope(global, environment: Self.defaultEnvironment([])), knowsBase: true)
        case .named(let image):
            let list = options.environment(image)
            return Known(scope: StageScope(global, environment: Self.defaultEnvironment(list ?? [])), knowsBase: list != nil)
        }
    }

    /// PATH is always set in a build.
    private static func defaultEnvironment(_ list: [String]) -> BuildEnvironment {
        var environment = BuildEnvironment(list: list)
        if environment.value(of: "PATH") == nil {
            environment.set("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        }
        return environment
    }

    // MARK: FROM

    /// Bases must be names also where nobody gives any argument.
    private mutating func checkDefaults() {
        var plain = scope
        plain.buildArguments = BuildEnvironment()
        guard let global = try? GlobalScope(file, plain) else { return }
        var names: Set<String> = []
        for stage in file.stages {
            guard let base = try? global.resolve(stage.base) else { return }
            defer { names.insert(stage.name) }
            if !names.contains(base.text.loweredASCII), (try? Reference.parse(base.text)) == nil {
                warn(
                    .invalidDefaultArgInFrom, "Default value for ARG \(stage.base.text) results in empty or invalid base image name",
                    stage.range, focus: stage.base.range)
            }
        }
    }

    private mutating func checkBase(_ stage: Stage, _ global: GlobalScope) throws(Diagnostic) {
        let declared = global.environment.names + global.arguments.map(\.name).filter { global.environment.value(of: $0) == nil }
        let unset = (try? global.resolve(stage.base).unset) ?? []
        undeclared(unset, declared, stage, stage.base.range)
        _ = try global.base(of: stage)
        guard let word = stage.platform, let resolved = try? global.resolve(word) else { return }
        undeclared(resolved.unset, declared, stage, word.range)
        if resolved.used == ["TARGETPLATFORM"], resolved.unset.isEmpty,
            resolved.text == global.environment.value(of: "TARGETPLATFORM")
        {
            warn(
                .redundantTargetPlatform,
                "Setting platform to predefined \(word.text) in FROM is redundant as this is the default behavior", stage.range,
                focus: word.range, comments: stage.comments)
        }
        if resolved.used.isEmpty, resolved.unset.isEmpty,
            let platform = try? Platform.parse(resolved.text, host: scope.targetPlatform),
            !Self.contains(stage.name, platform.os), !Self.contains(stage.name, platform.architecture)
        {
            warn(
                .fromPlatformFlagConstDisallowed, "FROM --platform flag should not use constant value \(Quoted.text(resolved.text))",
                stage.range, focus: word.range, comments: stage.comments)
        }
        _ = try global.platform(of: stage)
    }

    private mutating func undeclared(_ names: [String], _ declared: [String], _ stage: Stage, _ focus: SourceRange) {
        for name in names where !declared.contains(name) {
            let hint = Suggestion.hint(name, declared)
            warn(.undefinedArgInFrom, "FROM argument '\(name)' is not declared\(hint)", stage.range, focus: focus, comments: stage.comments)
        }
    }

    private static func contains(_ text: String, _ part: String) -> Bool {
        let (text, part) = (Array(text.utf8), Array(part.utf8))
        guard !part.isEmpty, text.count >= part.count else { return part.isEmpty }
        return (0...(text.count - part.count)).contains { text[$0...].starts(with: part) }
    }

    // MARK: Instructions

    private mutating func walk(_ stage: Stage, _ commands: [StageCommand], _ state: inout Known) throws(Diagnostic) {
        /// Where CMD, ENTRYPOINT and HEALTHCHECK stood last in this stage.
        var last: [String: StageCommand] = [:]
        for command in commands {
            let evaluated = try state.scope.evaluate(command)
            if state.knowsBase, !evaluated.undefined.isEmpty { undefined(evaluated, state.scope.environment) }
            once(command, &last)
            check(evaluated, &state)
        }
    }

    private mutating func undefined(_ evaluated: EvaluatedCommand, _ environment: BuildEnvironment) {
        if warnings.count >= Self.warningLimit { return }
        // Among so many none is what was meant, and collecting them for each instruction takes the square of them.
        var options = environment.entries.count <= Suggestion.optionLimit ? environment.names : []
        // What the instruction itself sets was not there when its words were expanded.
        if case .env(let pairs) = evaluated.command.instruction {
            let own = Set(pairs.map(\.name.text))
            options.removeAll(where: own.contains)
        }
        for name in evaluated.undefined.prefix(Self.warningLimit) {
            let hint = Suggestion.nearest(name.text, options).map { " (did you mean $\($0)?)" } ?? ""
            warn(
                .undefinedVar, "Usage of undefined variable '$\(name.text)'\(hint)", evaluated.command.range, focus: name.range,
                comments: evaluated.command.comments)
        }
    }

    private mutating func once(_ command: StageCommand, _ last: inout [String: StageCommand]) {
        switch command.instruction {
        case .cmd, .entrypoint, .healthcheck: break
        default: return
        }
        let name = command.keyword.loweredASCII
        // The former one is what has no effect.
        if let former = last[name] {
            warn(
                .multipleInstructionsDisallowed,
                "Multiple \(command.keyword) instructions should not be used in the same stage because only the last one will be used",
                former.range, comments: command.comments)
        }
        last[name] = command
    }

    private mutating func check(_ evaluated: EvaluatedCommand, _ state: inout Known) {
        let command = evaluated.command
        switch command.instruction {
        case .env(let pairs):
            legacy(pairs, command)
            for pair in pairs { secret("ENV", pair.name, command) }
        case .label(let pairs): legacy(pairs, command)
        case .arg(let arg): for argument in arg.arguments { secret("ARG", argument.name, command) }
        case .shell: state.hasShell = true
        case .workdir(let path):
            if !state.hasWorkdir, !PathText.isAbsolute(path.text) {
                warn(
                    .workdirRelativePath,
                    "Relative workdir \(Quoted.short(path.text)) can have unexpected results if the base image changes", command.range,
                    focus: path.range, comments: command.comments)
            }
            state.hasWorkdir = true
        case .cmd(let line), .entrypoint(let line):
            if line.usesShell, !state.hasShell {
                warn(
                    .jsonArgsRecommended,
                    "JSON arguments recommended for \(command.keyword) to prevent unintended behavior related to OS signals",
                    command.range, comments: command.comments)
            }
        case .expose: ports(evaluated.ports, command)
        case .copy(let copy): if copy.from == nil { sources(copy.transfer, "Copy", command) }
        case .add(let add): sources(add.transfer, "Add", command)
        case .healthcheck, .maintainer, .onbuild, .run, .stopsignal, .user, .volume: break
        }
    }

    private mutating func legacy(_ pairs: [NameValue], _ command: StageCommand) {
        for pair in pairs where !pair.hasEquals {
            let name = command.keyword
            warn(
                .legacyKeyValueFormat, "\"\(name) key=value\" should be used instead of legacy \"\(name) key value\" format",
                command.range, comments: command.comments)
        }
    }

    private static let secretWords: Set<String> = [
        "apikey", "auth", "credential", "credentials", "key", "password", "pword", "passwd", "secret", "token",
    ]
    private static let openWords: Set<String> = ["public", "file", "version"]

    private mutating func secret(_ instruction: String, _ name: Word, _ command: StageCommand) {
        let parts = name.text.loweredASCII.fields(UInt8(ascii: "_"))
        guard parts.contains(where: Self.secretWords.contains), !parts.contains(where: Self.openWords.contains) else { return }
        warn(
            .secretsUsedInArgOrEnv,
            "Do not use ARG or ENV instructions for sensitive data (\(instruction) \(Quoted.short(name.text)))", command.range,
            focus: name.range, comments: command.comments)
    }

    private mutating func ports(_ ports: [ExposedPort], _ command: StageCommand) {
        var seen: Set<Word> = []
        for port in ports where seen.insert(port.word).inserted {
            if port.writtenProtocol != port.networkProtocol {
                warn(
                    .exposeProtoCasing, "Defined protocol '\(port.word.text)' in EXPOSE instruction should be lowercase", command.range,
                    focus: port.word.range, comments: command.comments)
            }
            if port.hasHostPart {
                warn(
                    .exposeInvalidFormat,
                    "EXPOSE instruction should not define an IP address or host-port mapping, found '\(port.word.text)'", command.range,
                    focus: port.word.range, comments: command.comments)
            }
        }
    }

    private mutating func sources(_ transfer: Transfer, _ verb: String, _ command: StageCommand) {
        // With exceptions a directory may be left out and files in it may not: that cannot be told from the pattern.
        guard let ignored = options.ignored, !ignored.hasExceptions else { return }
        for word in transfer.sources {
            guard case .local(let text)? = try? AddSource(word.text) else { continue }
            let path = PathText.clean(text)
            let isRoot = path == "." || path == "/"
            if isRoot, !ignored.ignoresEverything { continue }
            let relative = path.utf8.first == Byte.slash ? path.utf8.dropFirst().text : path
            if isRoot || ignored.matches(relative) {
                warn(
                    .copyIgnoredFile, "Attempting to \(verb) file \(Quoted.short(path)) that is excluded by .dockerignore",
                    command.range, focus: word.range, comments: command.comments)
            }
        }
    }
}
