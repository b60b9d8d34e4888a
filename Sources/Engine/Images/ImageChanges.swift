import JSON
import OCI

/// The instructions that `import --change` (and `commit --change`) takes, in the language of Dockerfiles.
struct ImageChanges {
    private(set) var config = ContainerConfig()

    /// - Throws: `.invalid` naming the instruction that cannot be used.
    init(_ changes: [String]) throws(EngineError) {
        for change in changes { try apply(change) }
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
                config.env.removeAll { $0.hasPrefix(key + "=") }
                config.env.append(key + "=" + value)
            }
        case "LABEL": for (key, value) in try Self.pairs(rest, change) { config.labels[key] = value }
        case "EXPOSE":
            for port in rest.split(separator: " ") {
                let text = port.contains("/") ? String(port) : port + "/tcp"
                if !config.exposedPorts.contains(text) { config.exposedPorts.append(text) }
            }
        case "USER": config.user = rest
        case "WORKDIR": config.workingDir = rest.hasPrefix("/") ? rest : "/" + rest
        case "STOPSIGNAL": config.stopSignal = rest
        case "VOLUME":
            let paths = Self.words(rest) ?? rest.split(separator: " ").map(String.init)
            for path in paths where !config.volumes.contains(path) { config.volumes.append(path) }
        case "ONBUILD": config.onBuild.append(rest)
        default:
            throw .invalid(
                "--change \"\(change)\": unknown instruction \(word); use CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, ONBUILD, STOPSIGNAL, USER, VOLUME or WORKDIR"
            )
        }
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
