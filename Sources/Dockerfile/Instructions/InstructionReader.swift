import Flags

/// Makes an instruction of a statement.
enum InstructionReader {
    enum Result {
        case from(Stage)
        case command(StageCommand)
    }

    /// The instructions, as messages write them.
    static let names = [
        "ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "MAINTAINER", "ONBUILD", "RUN",
        "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR",
    ]

    static func read(_ statement: Statement) throws(Diagnostic) -> Result {
        do throws(InstructionFailure) {
            if statement.name == "from" { return .from(try stage(statement)) }
            let instruction = try instruction(statement)
            return .command(
                StageCommand(
                    keyword: statement.keyword.text, text: statement.text.trimmed, range: statement.range, comments: statement.comments,
                    instruction: instruction, isBrokenJSON: statement.isBrokenJSON))
        } catch { throw Diagnostic(.error, .instruction, error.message, statement.range, focus: error.focus) }
    }

    private static func instruction(_ statement: Statement) throws(InstructionFailure) -> Instruction {
        switch statement.name {
        case "add": return .add(try add(statement))
        case "arg": return .arg(try arg(statement))
        case "cmd":
            _ = try FlagReader(statement.flags)
            return .cmd(commandLine(statement))
        case "copy": return .copy(try copy(statement))
        case "entrypoint":
            _ = try FlagReader(statement.flags)
            return .entrypoint(commandLine(statement))
        case "env": return .env(try pairs(statement, "ENV"))
        case "expose":
            if statement.arguments.isEmpty { throw atLeastOne("EXPOSE") }
            _ = try FlagReader(statement.flags)
            return .expose(
                ExposeInstruction(ports: statement.arguments.sorted { Array($0.text.utf8).lexicographicallyPrecedes($1.text.utf8) }))
        case "healthcheck": return .healthcheck(try healthcheck(statement))
        case "label": return .label(try pairs(statement, "LABEL"))
        case "maintainer": return .maintainer(try single(statement, "MAINTAINER"))
        case "onbuild": return .onbuild(try onbuild(statement))
        case "run": return .run(try run(statement))
        case "shell": return .shell(try shell(statement))
        case "stopsignal": return .stopsignal(try single(statement, "STOPSIGNAL", refusesFlags: false))
        case "user": return .user(try single(statement, "USER"))
        case "volume": return .volume(try volume(statement))
        case "workdir": return .workdir(try single(statement, "WORKDIR"))
        default:
            let name = statement.keyword.text
            let hint = Suggestion.hint(name, names, ignoringCase: true)
            throw InstructionFailure("unknown instruction: \(name)\(hint)", statement.keyword.range)
        }
    }

    // MARK: What is said to be wrong

    static func atLeastOne(_ name: String) -> InstructionFailure { InstructionFailure("\(name) requires at least one argument") }

    static func noDestination(_ name: String) -> InstructionFailure {
        InstructionFailure("\(name) requires at least two arguments, but only one was provided. Destination could not be determined")
    }

    // MARK: FROM

    private static func stage(_ statement: Statement) throws(InstructionFailure) -> Stage {
        let words = statement.arguments
        var name = ""
        if words.count == 3, words[1].text.loweredASCII == "as" {
            name = words[2].text.loweredASCII
            guard isStageName(name) else {
                let text = Quoted.short(words[2].text)
                throw InstructionFailure(
                    "invalid name for build stage: \(text), name can't start with a number or contain symbols", words[2].range)
            }
        } else if words.count != 1 {
            throw InstructionFailure("FROM requires either one or three arguments")
        }
        let flags = try FlagReader(statement.flags, [("platform", .string), ("after", .strings)])
        return Stage(
            name: name, writtenName: name.isEmpty ? nil : words[2], base: words[0], platform: flags.filled("platform"),
            after: flags.strings("after"), description: description(of: name, statement.comments), keyword: statement.keyword.text,
            asKeyword: name.isEmpty ? nil : words[1].text, text: statement.text.trimmed, range: statement.range,
            comments: statement.comments)
    }

    /// A lower-case letter, then letters, digits, `-`, `_` and `.`.
    static func isStageName(_ name: String) -> Bool {
        guard let first = name.utf8.first, Byte.isLower(first) else { return false }
        return name.utf8.allSatisfy {
            Byte.isLower($0) || Byte.isDigit($0) || $0 == Byte.dash || $0 == UInt8(ascii: "_") || $0 == UInt8(ascii: ".")
        }
    }

    /// What a comment `# NAME text` says about a name.
    static func description(of name: String, _ comments: [String]) -> String {
        guard !name.isEmpty else { return "" }
        let start = Array((name + " ").utf8)
        guard let line = comments.first(where: { $0.utf8.starts(with: start) }) else { return "" }
        return line.utf8.dropFirst(start.count).text
    }

    // MARK: Names, values, words

    private static func pairs(_ statement: Statement, _ name: String) throws(InstructionFailure) -> [NameValue] {
        _ = try FlagReader(statement.flags)
        if statement.pairs.isEmpty { throw atLeastOne(name) }
        for pair in statement.pairs where pair.name.text.isEmpty {
            throw InstructionFailure("\(name) names can not be blank", pair.name.range.joined(pair.value.range))
        }
        return statement.pairs
    }

    private static func arg(_ statement: Statement) throws(InstructionFailure) -> ArgInstruction {
        if statement.arguments.isEmpty { throw atLeastOne("ARG") }
        var arguments: [ArgInstruction.Argument] = []
        for word in statement.arguments {
            var (name, value): (Word, Word?) = (word, nil)
            if let (before, after) = word.text.cut(Byte.equals) {
                if before.isEmpty { throw InstructionFailure("ARG names can not be blank", word.range) }
                (name, value) = (word.with(before), word.with(after))
            }
            arguments.append(.init(name: name, value: value, description: description(of: name.text, statement.comments)))
        }
        return ArgInstruction(arguments: arguments)
    }

    private static func single(
        _ statement: Statement, _ name: String, refusesFlags: Bool = true
    ) throws(InstructionFailure) -> Word {
        guard statement.arguments.count == 1 else { throw InstructionFailure("\(name) requires exactly one argument") }
        if refusesFlags { _ = try FlagReader(statement.flags) }
        return statement.arguments[0]
    }

    private static func volume(_ statement: Statement) throws(InstructionFailure) -> [Word] {
        if statement.arguments.isEmpty { throw atLeastOne("VOLUME") }
        _ = try FlagReader(statement.flags)
        let words = statement.arguments.map { $0.with($0.text.trimmed) }
        for word in words where word.text.isEmpty {
            throw InstructionFailure("VOLUME specified can not be an empty string", word.range)
        }
        return words
    }

    private static func shell(_ statement: Statement) throws(InstructionFailure) -> [Word] {
        _ = try FlagReader(statement.flags)
        if statement.arguments.isEmpty { throw atLeastOne("SHELL") }
        guard statement.isJSON else {
            throw InstructionFailure("SHELL requires the arguments to be in JSON form", statement.arguments[0].range)
        }
        return statement.arguments
    }

    static func commandLine(_ statement: Statement) -> ShellOrExec {
        var line = ShellOrExec(form: .none, heredocs: statement.heredocs)
        if statement.isJSON {
            line.form = .exec(statement.arguments)
        } else if let word = statement.arguments.first {
            line.form = .shell(word)
        }
        return line
    }

    private static func onbuild(_ statement: Statement) throws(InstructionFailure) -> OnbuildInstruction {
        guard let trigger = statement.trigger.first else { throw atLeastOne("ONBUILD") }
        _ = try FlagReader(statement.flags)
        let name = trigger.keyword.text.upperedASCII
        if name == "ONBUILD" {
            throw InstructionFailure("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed", trigger.keyword.range)
        }
        if name == "MAINTAINER" || name == "FROM" {
            throw InstructionFailure("\(name) isn't allowed as an ONBUILD trigger", trigger.keyword.range)
        }
        let expression = statement.heredocs.reduce(trigger.text.trimmed) { $0 + "\n" + $1.raw + $1.name }
        return OnbuildInstruction(expression: expression)
    }

    // MARK: HEALTHCHECK

    private static func healthcheck(_ statement: Statement) throws(InstructionFailure) -> HealthcheckInstruction {
        guard let first = statement.arguments.first else { throw atLeastOne("HEALTHCHECK") }
        let kind = first.text.upperedASCII
        let rest = Array(statement.arguments.dropFirst())
        if kind == "NONE" {
            if !rest.isEmpty { throw InstructionFailure("HEALTHCHECK NONE takes no arguments", rest[0].range) }
            return HealthcheckInstruction(test: .none)
        }
        let names = ["interval", "timeout", "start-period", "start-interval", "retries"]
        let flags = try FlagReader(statement.flags, names.map { ($0, .string) })
        guard kind == "CMD" else {
            throw InstructionFailure("Unknown type \(Quoted.short(kind)) in HEALTHCHECK (try CMD)", first.range)
        }
        if rest.isEmpty { throw InstructionFailure("Missing command after HEALTHCHECK CMD", first.range) }
        let test: HealthcheckInstruction.Test =
            statement.isJSON ? .exec(rest.map(\.text)) : .shell(rest.map(\.text).joined(separator: " "))
        return HealthcheckInstruction(
            test: test, interval: try duration(flags, "interval"), timeout: try duration(flags, "timeout"),
            startPeriod: try duration(flags, "start-period"), startInterval: try duration(flags, "start-interval"),
            retries: try retries(flags.filled("retries")))
    }

    /// Nanoseconds; 0 where the flag does not stand there.
    private static func duration(_ flags: FlagReader, _ name: String) throws(InstructionFailure) -> Int64 {
        guard let word = flags.filled(name) else { return 0 }
        guard let value = DurationText.nanoseconds(word.text) else {
            throw InstructionFailure(DurationText.refusal(word.text) ?? "invalid duration", word.range)
        }
        if value != 0, value < 1_000_000 {
            throw InstructionFailure("Interval \(Quoted.text(name)) cannot be less than 1ms", word.range)
        }
        return value
    }

    private static func retries(_ word: Word?) throws(InstructionFailure) -> Int32 {
        guard let word else { return 0 }
        let digits =
            word.text.utf8.first == UInt8(ascii: "-") || word.text.utf8.first == UInt8(ascii: "+")
            ? word.text.utf8.dropFirst() : word.text.utf8[...]
        guard !digits.isEmpty, digits.allSatisfy(Byte.isDigit) else {
            throw InstructionFailure("strconv.ParseInt: parsing \(Quoted.short(word.text)): invalid syntax", word.range)
        }
        guard let value = Int32(word.text) else {
            throw InstructionFailure("strconv.ParseInt: parsing \(Quoted.short(word.text)): value out of range", word.range)
        }
        if value < 0 { throw InstructionFailure("--retries cannot be negative (\(value))", word.range) }
        return value
    }
}
