/// What can be said without knowing any variable.
extension Linter {
    mutating func checkFile() {
        for range in file.emptyContinuations { warn(.noEmptyContinuation, "Empty continuation line", range) }
        for command in file.globalArguments { checkCommand(command) }
        for stage in file.stages {
            checkFrom(stage)
            for command in stage.commands { checkCommand(command) }
        }
        checkStageNames()
        checkCasing()
    }

    private mutating func checkCommand(_ command: StageCommand) {
        switch command.instruction {
        case .maintainer:
            warn(
                .maintainerDeprecated, "Maintainer instruction is deprecated in favor of using label", command.range,
                comments: command.comments)
        case .arg(let arg):
            checkDescription("ARG", arg.arguments.map(\.name.text), command.range, command.comments)
        default: break
        }
        if command.isBrokenJSON {
            warn(
                .brokenJSONArgs, "Arguments of \(command.keyword) look like a JSON array, but are none: a shell will get them",
                command.range, comments: command.comments)
        }
    }

    private mutating func checkFrom(_ stage: Stage) {
        guard let name = stage.writtenName, let keyword = stage.asKeyword else { return }
        if name.text != name.text.loweredASCII {
            warn(
                .stageNameCasing, "Stage name '\(name.text)' should be lowercase", stage.range, focus: name.range,
                comments: stage.comments)
        }
        let isLower = stage.keyword == stage.keyword.loweredASCII
        let isUpper = stage.keyword == stage.keyword.upperedASCII
        if isLower || isUpper, keyword != (isLower ? keyword.loweredASCII : keyword.upperedASCII) {
            warn(
                .fromAsCasing, "'\(keyword)' and '\(stage.keyword)' keywords' casing do not match", stage.range,
                comments: stage.comments)
        }
        checkDescription("FROM", [stage.name], stage.range, stage.comments)
    }

    private mutating func checkDescription(_ instruction: String, _ names: [String], _ range: SourceRange, _ comments: [String]) {
        guard let comment = comments.last, let first = names.first else { return }
        guard !names.contains(comment.cut(Byte.space)?.0 ?? comment) else { return }
        let name = names.count > 1 ? "<arg_key>" : first
        warn(
            .invalidDefinitionDescription, "Comment for \(instruction) should follow the format: `# \(name) <description>`", range,
            comments: comments)
    }

    private mutating func checkStageNames() {
        var seen: Set<String> = []
        for stage in file.stages where !stage.name.isEmpty {
            let focus = stage.writtenName?.range
            if stage.name == "context" || stage.name == "scratch" {
                warn(
                    .reservedStageName, "Stage name should not use the same name as reserved stage \(Quoted.text(stage.name))",
                    stage.range, focus: focus)
            }
            if !seen.insert(stage.name).inserted {
                warn(
                    .duplicateStageName, "Duplicate stage name \(Quoted.text(stage.name)), stage names should be unique", stage.range,
                    focus: focus)
            }
        }
    }

    /// Names that are all in one case count for that case; the majority is right, and upper case when there is none.
    private mutating func checkCasing() {
        var keywords: [(text: String, range: SourceRange)] = []
        for stage in file.stages {
            keywords.append((stage.keyword, stage.range))
            for command in stage.commands { keywords.append((command.keyword, command.range)) }
        }
        let lower = keywords.count { $0.text == $0.text.loweredASCII }
        let upper = keywords.count { $0.text != $0.text.loweredASCII && $0.text == $0.text.upperedASCII }
        let isLower = lower > upper
        for (text, range) in keywords where text != (isLower ? text.loweredASCII : text.upperedASCII) {
            let right = isLower ? "lowercase" : "uppercase"
            let end = SourcePosition(line: range.start.line, column: range.start.column + text.utf8.count)
            warn(
                .consistentInstructionCasing, "Command '\(text)' should match the case of the command majority (\(right))", range,
                focus: SourceRange(range.start, end))
        }
    }
}
