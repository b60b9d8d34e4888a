/// Reads one command line against the tree: pflag's grammar at each level, cobra's walk between levels.
struct Parser {
    let program: Program
    private(set) var command: Command
    private(set) var path: [String]
    private var rest: ArraySlice<String>
    private var own: [Flag]
    /// Flags of the commands above, for accessors; only the persistent ones are still read.
    private var above: [Flag] = []
    private var occurrences: [ParsedArguments.Occurrence] = []
    private var positionals: [String] = []
    private var positionalsBeforeDashes: Int?
    private var warnings: [String] = []
    private var refused: [String] = []
    private var helpAsked = false
    private var versionAsked = false

    init(program: Program, arguments: [String]) {
        self.program = program
        command = program.root
        path = [program.root.name]
        rest = arguments[...]
        own = program.root.flags()
        occurrences.reserveCapacity(16)
    }

    mutating func parse() -> Outcome {
        do throws(FlagError) {
            return try walk()
        } catch {
            return .failure(error)
        }
    }

    private mutating func walk() throws(FlagError) -> Outcome {
        while true {
            let children = command.subcommands()
            let isRoot = path.count == 1
            let groups = isRoot || !children.isEmpty
            try readLevel(interspersed: groups ? false : command.interspersed)
            if !groups || positionals.isEmpty { break }
            if versionAsked { break }
            guard let next = child(positionals[0], among: children, isRoot: isRoot) else {
                if command.run != nil && !isRoot { break }
                if isRoot, positionals[0] == "help" { return try helpTopic(Array(positionals.dropFirst())) }
                throw unknownCommand(positionals[0], among: children)
            }
            descend(to: next)
        }
        return try conclude()
    }

    private func child(_ word: String, among children: [Command], isRoot: Bool) -> Command? {
        if let found = children.first(where: { $0.answers(to: word) }) { return found }
        // The commands this library brings are built only when the table has no answer.
        return isRoot ? program.builtins().first { $0.answers(to: word) } : nil
    }

    /// Steps into a command: the unread operands become its arguments.
    private mutating func descend(to next: Command) {
        // Refusals name the command, not the alias that was typed, so that what they say to type is in the reference.
        path.append(next.name)
        rest = positionals[1...]
        positionals = []
        positionalsBeforeDashes = nil
        above += own
        command = next
        own = next.flags()
        // A flag of the new command hides one of the same name from above, whatever was said about that one.
        if !occurrences.isEmpty { occurrences.removeAll { hidden in own.place { $0.name == hidden.name } != nil } }
    }

    private func conclude() throws(FlagError) -> Outcome {
        if helpAsked {
            return .help(HelpTopic(command: command, path: path, inherited: above.filter(\.persistent)), asked: true)
        }
        if versionAsked { return .version }
        if let first = refused.first {
            throw FlagError(
                code: .notSupported, operation: path.joined(separator: " "), object: first,
                cause: "\(program.root.name): not supported yet: \(refused.joined(separator: ", "))")
        }
        if let complaint = command.arity.given(occurrences.map(\.name)).complaint(count: positionals.count) {
            let spelled = path.joined(separator: " ")
            throw FlagError(
                code: .wrongArity, operation: spelled, object: positionals.last ?? "",
                cause: "\(program.root.name): '\(spelled)' \(complaint)", usage: usage)
        }
        guard command.run != nil else {
            return .help(HelpTopic(command: command, path: path, inherited: above.filter(\.persistent)), asked: false)
        }
        return .run(
            ParsedArguments(
                path: path, command: command, positionals: positionals, occurrences: occurrences,
                positionalsBeforeDashes: positionalsBeforeDashes, warnings: warnings, own: own, above: above,
                defaults: defaults))
    }

    /// Flags with a default text; those of the command hide those from above.
    private var defaults: [Flag] {
        var result: [Flag] = []
        for index in own.indices where own[index].defaultText != nil { result.append(own[index]) }
        for index in above.indices where above[index].defaultText != nil {
            let name = above[index].name
            if own.place(where: { $0.name == name }) == nil { result.append(above[index]) }
        }
        return result
    }

    // MARK: One level

    private mutating func readLevel(interspersed: Bool) throws(FlagError) {
        while let argument = rest.popFirst() {
            let bytes = argument.utf8
            guard bytes.count > 1, bytes.first == UInt8(ascii: "-") else {
                positionals.append(argument)
                if interspersed { continue }
                positionals += rest
                rest = []
                return
            }
            guard bytes[bytes.index(after: bytes.startIndex)] == UInt8(ascii: "-") else {
                try readShorthands(argument)
                continue
            }
            if bytes.count == 2 {
                positionalsBeforeDashes = positionals.count
                positionals += rest
                rest = []
                return
            }
            try readLong(argument)
        }
    }

    private mutating func readLong(_ argument: String) throws(FlagError) {
        let bytes = argument.utf8
        let start = bytes.index(bytes.startIndex, offsetBy: 2)
        guard bytes[start] != UInt8(ascii: "-"), bytes[start] != UInt8(ascii: "=") else {
            throw failure(.badSyntax, argument, "bad flag syntax: \(GoSyntax.printable(argument))")
        }
        let mark = bytes[start...].firstIndex(of: UInt8(ascii: "="))
        let name = String(argument[start..<(mark ?? bytes.endIndex)])
        let attached = mark.map { String(argument[bytes.index(after: $0)...]) }
        guard let flag = find({ $0.answers(to: name) }) else {
            if try readBuiltin(long: name, attached: attached) { return }
            throw failure(.unknownFlag, "--" + name, "unknown flag: --\(GoSyntax.printable(name))")
        }
        let text: String
        if let attached {
            text = attached
        } else if let bare = flag.bareText {
            text = bare
        } else if let next = rest.popFirst() {
            text = next
        } else {
            throw failure(.missingValue, "--" + name, "flag needs an argument: --\(name)")
        }
        try record(flag, text)
    }

    /// Reads `-it`, `-eK=V`, `-e=V`, `-e V`.
    private mutating func readShorthands(_ argument: String) throws(FlagError) {
        let letters = argument.unicodeScalars
        var place = letters.index(after: letters.startIndex)
        while place < letters.endIndex {
            let letter = letters[place]
            let next = letters.index(after: place)
            guard let flag = find({ $0.short == letter }) else {
                if readBuiltin(short: letter) {
                    place = next
                    continue
                }
                let remaining = GoSyntax.printable(String(argument[place...]))
                throw failure(
                    .unknownFlag, "-\(letter)",
                    "unknown shorthand flag: \(GoSyntax.quoted(letter)) in -\(remaining)")
            }
            // `-d=` is not an empty value: pflag then takes `=` for the next letter or for the value itself.
            let afterNext = next < letters.endIndex ? letters.index(after: next) : next
            if afterNext < letters.endIndex, letters[next] == "=" {
                return try record(flag, String(argument[afterNext...]))
            }
            if let bare = flag.bareText {
                try record(flag, bare)
                place = next
                continue
            }
            if next < letters.endIndex {
                return try record(flag, String(argument[next...]))
            }
            guard let value = rest.popFirst() else {
                let remaining = GoSyntax.printable(String(argument[place...]))
                throw failure(
                    .missingValue, "-\(letter)",
                    "flag needs an argument: \(GoSyntax.quoted(letter)) in -\(remaining)")
            }
            return try record(flag, value)
        }
    }

    private mutating func record(_ flag: Flag, _ text: String) throws(FlagError) {
        let value: FlagValue
        do throws(InvalidValue) {
            value = try flag.read(text)
        } catch {
            throw failure(
                .invalidValue, text,
                "invalid argument \(GoSyntax.quoted(text)) for \"\(flag.title)\" flag: "
                    + GoSyntax.printable(error.sentence))
        }
        if flag.refused { refused.append("--" + flag.name) }
        if let advice = flag.deprecated {
            warnings.append("Flag --\(flag.name) has been deprecated, \(advice)")
        }
        occurrences.append(
            ParsedArguments.Occurrence(
                name: flag.name, text: text, order: occurrences.count, value: value))
    }

    // MARK: Finding flags

    /// Own flags shadow those from above; refused ones are built only when nothing else answers.
    private func find(_ matches: (borrowing Flag) -> Bool) -> Flag? {
        if let index = own.place(where: matches) { return own[index] }
        // A refused flag of this command comes before a flag from above, since it means this command's.
        let refused = command.unsupported()
        if let index = refused.place(where: matches) { return refused[index] }
        if let index = above.place(where: { $0.persistent && matches($0) }) { return above[index] }
        return nil
    }

    /// `--help` everywhere, `--version` at the top.
    private mutating func readBuiltin(long name: String, attached: String?) throws(FlagError) -> Bool {
        let isVersion = name == "version" && path.count == 1 && program.version != nil
        guard name == "help" || isVersion else { return false }
        let flag = Flag.bool(name, isVersion ? "v" : nil, "")
        var wanted = true
        if let attached {
            do throws(InvalidValue) {
                wanted = try GoSyntax.bool(attached)
            } catch {
                throw failure(
                    .invalidValue, attached,
                    "invalid argument \(GoSyntax.quoted(attached)) for \"\(flag.title)\" flag: \(error.sentence)")
            }
        }
        if isVersion { versionAsked = wanted } else { helpAsked = wanted }
        return true
    }

    private mutating func readBuiltin(short letter: Unicode.Scalar) -> Bool {
        if letter == "h" {
            helpAsked = true
            return true
        }
        if letter == "v", path.count == 1, program.version != nil {
            versionAsked = true
            return true
        }
        return false
    }

    // MARK: Refusals

    private var usage: String {
        HelpTopic(command: command, path: path, inherited: []).usageForErrors
    }

    private func failure(_ code: FlagError.Code, _ object: String, _ sentence: String) -> FlagError {
        FlagError(
            code: code, operation: path.joined(separator: " "), object: object, cause: sentence, usage: usage)
    }

    private func unknownCommand(_ word: String, among children: [Command]) -> FlagError {
        let spelled = path.joined(separator: " ")
        let asked = (path.dropFirst() + [word]).joined(separator: " ")
        if program.unsupportedCommands().contains(asked) {
            return FlagError(
                code: .notSupported, operation: spelled, object: word,
                cause: "\(program.root.name): not supported yet: \(spelled) \(word)")
        }
        let candidates = path.count == 1 ? children + program.builtins() : children
        return FlagError(
            code: .unknownCommand, operation: spelled, object: word,
            cause: "\(program.root.name): unknown command: \(spelled) \(GoSyntax.printable(word))",
            usage: path.count == 1 ? "" : spelled,
            suggestions: Suggestion.names(for: word, among: candidates).map { "\(spelled) \($0)" })
    }

    /// `berth help container ls`.
    private func helpTopic(_ words: [String]) throws(FlagError) -> Outcome {
        guard let topic = program.topic(words) else {
            throw FlagError(
                code: .unknownTopic, operation: program.root.name, object: words.joined(separator: " "),
                cause: "unknown help topic: \(GoSyntax.printable(words.joined(separator: " ")))")
        }
        return .help(topic, asked: true)
    }
}
