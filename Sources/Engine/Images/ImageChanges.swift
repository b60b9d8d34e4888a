import JSON
import OCI

/// The instructions that `import --change` (and `commit --change`) takes, in the language of Dockerfiles.
struct ImageChanges {
    private(set) var config: ContainerConfig

    /// - Parameter base: what is changed.
    /// - Throws: `.invalid` naming the instruction that cannot be used.
    init(_ changes: [String], to base: ContainerConfig = ContainerConfig()) throws(EngineError) {
        config = base
        // A command was written for its entrypoint: a new one drops it, unless another is given too.
        config.cmd = nil
        var hasEntrypoint = false
        for change in changes {
            try apply(change)
            hasEntrypoint = hasEntrypoint || Self.trimmed(change).uppercased().hasPrefix("ENTRYPOINT")
        }
        if config.cmd == nil, !hasEntrypoint { config.cmd = base.cmd }
    }

    private mutating func apply(_ change: String) throws(EngineError) {
        let trimmed = Self.trimmed(change)
        let word = String(trimmed.prefix { $0 != " " && $0 != "\t" })
        let rest = Self.trimmed(String(trimmed.dropFirst(word.count)))
        guard !rest.isEmpty else { throw .invalid("--change \"\(change)\": \(word) needs an argument") }
        switch word.uppercased() {
        case "CMD": config.cmd = try Self.command(rest)
        case "ENTRYPOINT": config.entrypoint = try Self.command(rest)
        case "ENV":
            for (key, value) in try Self.pairs(rest, change) {
                let entry = key + "=" + value
                if let known = config.env.firstIndex(where: { $0.hasPrefix(key + "=") }) {
                    config.env[known] = entry
                } else {
                    config.env.append(entry)
                }
            }
        case "LABEL": for (key, value) in try Self.pairs(rest, change) { config.labels[key] = value }
        case "EXPOSE":
            for port in rest.split(separator: " ") {
                let text = port.contains("/") ? String(port) : port + "/tcp"
                if !config.exposedPorts.contains(text) { config.exposedPorts.append(text) }
            }
        case "USER": config.user = rest
        case "WORKDIR":
            config.workingDir = CopyPath.clean(rest.hasPrefix("/") ? rest : "/" + config.workingDir + "/" + rest)
        case "HEALTHCHECK": config.healthcheck = try Self.healthcheck(rest, change)
        case "STOPSIGNAL": config.stopSignal = rest
        case "VOLUME":
            let paths = Self.words(rest) ?? rest.split(separator: " ").map(String.init)
            for path in paths where !config.volumes.contains(path) { config.volumes.append(path) }
        case "ONBUILD": config.onBuild.append(rest)
        default:
            throw .invalid(
                "--change \"\(change)\": unknown instruction \(word); use CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, ONBUILD, STOPSIGNAL, USER, VOLUME or WORKDIR"
            )
        }
    }

    /// `NONE`, or `--interval=5s --retries=3 CMD …`.
    private static func healthcheck(_ text: String, _ change: String) throws(EngineError) -> Healthcheck {
        var result = Healthcheck()
        var rest = text
        while rest.hasPrefix("--") {
            let option = String(rest.prefix { $0 != " " && $0 != "\t" })
            rest = trimmed(String(rest.dropFirst(option.count)))
            guard let (name, value) = option.dropFirst(2).splitOnce("=") else { throw badHealthcheck(change, option) }
            if name == "retries" {
                guard let count = Numbers.unsigned(value) else { throw badHealthcheck(change, option) }
                result.retries = Int(count)
                continue
            }
            guard let time = DurationOption.parse(String(value)), time == 0 || time >= 1_000_000 else {
                throw badHealthcheck(change, option)
            }
            switch name {
            case "interval": result.interval = time
            case "timeout": result.timeout = time
            case "start-period": result.startPeriod = time
            case "start-interval": result.startInterval = time
            default: throw badHealthcheck(change, option)
            }
        }
        let word = String(rest.prefix { $0 != " " && $0 != "\t" })
        let command = trimmed(String(rest.dropFirst(word.count)))
        switch word.uppercased() {
        case "NONE" where command.isEmpty: result.test = ["NONE"]
        case "CMD" where !command.isEmpty: result.test = words(command).map { ["CMD"] + $0 } ?? ["CMD-SHELL", command]
        default: throw .invalid("--change \"\(change)\": HEALTHCHECK is followed by NONE or CMD and a command")
        }
        return result
    }

    private static func badHealthcheck(_ change: String, _ option: String) -> EngineError {
        .invalid(
            "--change \"\(change)\": \(option) is none of --interval, --timeout, --start-period, --start-interval (a time of 1ms or more) "
                + "and --retries (a number)")
    }

    /// A JSON array is the command itself; anything else is for a shell.
    private static func command(_ text: String) throws(EngineError) -> [String] {
        words(text) ?? ["/bin/sh", "-c", text]
    }

    private static func words(_ text: String) -> [String]? {
        guard text.hasPrefix("[") else { return nil }
        return try? JSONParser.parse(Array(text.utf8)) { (parser) throws(JSONError) in try parser.strings() }
    }

    /// `A=1 B="two words"`, or the old `A rest of the line`.
    private static func pairs(_ text: String, _ change: String) throws(EngineError) -> [(String, String)] {
        let first = text.prefix { $0 != " " }
        if !first.contains("=") {
            let value = trimmed(String(text.dropFirst(first.count)))
            guard !value.isEmpty else { throw .invalid("--change \"\(change)\": it must have the form KEY=VALUE") }
            return [(String(first), value)]
        }
        var result: [(String, String)] = []
        for word in try split(text, change) {
            guard let equals = word.firstIndex(of: "="), equals != word.startIndex else {
                throw .invalid("--change \"\(change)\": \"\(word)\" must have the form KEY=VALUE")
            }
            result.append((String(word[..<equals]), String(word[word.index(after: equals)...])))
        }
        return result
    }

    /// Words separated by spaces, with quotes and backslashes as in Dockerfiles.
    private static func split(_ text: String, _ change: String) throws(EngineError) -> [String] {
        var words: [String] = []
        var word = ""
        var quote: Character?
        var escaped = false
        var started = false
        for character in text {
            if escaped {
                word.append(character)
                escaped = false
            } else if character == "\\", quote != "'" {
                escaped = true
            } else if let open = quote {
                if character == open { quote = nil } else { word.append(character) }
            } else if character == "\"" || character == "'" {
                quote = character
                started = true
            } else if character == " " || character == "\t" {
                if started || !word.isEmpty { words.append(word) }
                word = ""
                started = false
            } else {
                word.append(character)
            }
        }
        guard quote == nil, !escaped else { throw .invalid("--change \"\(change)\": a quote is not closed") }
        if started || !word.isEmpty { words.append(word) }
        return words
    }

    private static func trimmed(_ text: String) -> String {
        var rest = text[...]
        while let first = rest.first, first == " " || first == "\t" || first == "\n" { rest.removeFirst() }
        while let last = rest.last, last == " " || last == "\t" || last == "\n" { rest.removeLast() }
        return String(rest)
    }
}
