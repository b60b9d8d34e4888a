import Flags
import JSON
import Registry

/// `berth search`
struct SearchCommand {
    let session: Session
    private var arguments: ParsedArguments { session.arguments }
    init(_ session: Session) { self.session = session }

    /// Docker's width of a description in the table.
    private static let descriptionWidth = 45

    func run() throws(CommandError) -> Int32 {
        let limit = Int(arguments.int64("limit") ?? 0)
        guard limit == 0 || (1...100).contains(limit) else { throw CommandError("limit \(limit) is outside the range of [1, 100]") }
        let accepts = try filter()
        let configuration = try session.registryConfiguration(authFile: arguments.optionalString("authfile"))
        var options = RegistryOptions()
        options.userAgent = "berth/" + BerthProgram.version
        if arguments.isSet("tls-verify") { options.tlsVerify = arguments.bool("tls-verify") }
        let client = RegistryClient(configuration, options)
        defer { client.shutdown() }
        let (host, words) = SearchCommand.split(arguments.positionals.first ?? "")
        let found = try registry { () throws(RegistryError) in
            try client.search(words, at: host, limit: limit == 0 ? 25 : limit)
        }
        try show(found.filter(accepts))
        return 0
    }

    /// A word that begins with a registry names where to search.
    private static func split(_ term: String) -> (host: String, words: String) {
        guard let slash = term.firstIndex(of: "/") else { return ("docker.io", term) }
        let first = term[..<slash]
        let isHost = first == "localhost" || first.utf8.contains { $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: ":") }
        return isHost ? (String(first), String(term[term.index(after: slash)...])) : ("docker.io", term)
    }

    private func filter() throws(CommandError) -> (SearchResult) -> Bool {
        var tests: [(SearchResult) -> Bool] = []
        for (key, value) in arguments.pairs("filter") {
            switch key {
            case "is-official", "is-automated":
                guard let wanted = ["true": true, "1": true, "false": false, "0": false][value] else {
                    throw .invalid("invalid filter '\(key)=\(value)'")
                }
                tests.append { (key == "is-official" ? $0.isOfficial : $0.isAutomated) == wanted }
            case "stars":
                guard let least = Int(value), least >= 0 else { throw .invalid("invalid filter 'stars=\(value)'") }
                tests.append { $0.stars >= least }
            default: throw .invalid("invalid filter '\(key)'")
            }
        }
        return { result in tests.allSatisfy { $0(result) } }
    }

    private func show(_ results: [SearchResult]) throws(CommandError) {
        let format = arguments.string("format")
        if format.isEmpty || format == "table" {
            var table = TextTable(heading: ["NAME", "DESCRIPTION", "STARS", "OFFICIAL"])
            for result in results {
                table.add([result.name, description(of: result), "\(result.stars)", result.isOfficial ? "[OK]" : ""])
            }
            session.printRaw(table.render())
            return
        }
        let template = try Template(format)
        var table = TextTable(heading: template.isTable ? try template.heading(Self.heading).columns : nil)
        for result in results {
            let line = try template.render(object(result), of: "*formatter.searchContext")
            if template.isTable { table.add(line.columns) } else { session.print(line) }
        }
        if template.isTable { session.printRaw(table.render()) }
    }

    private static func heading(_ field: String) -> String {
        switch field {
        case "StarCount": "STARS"
        case "IsOfficial": "OFFICIAL"
        case "IsAutomated": "AUTOMATED"
        default: field.uppercased()
        }
    }

    private func object(_ result: SearchResult) -> JSONValue {
        let values: [(String, String)] = [
            ("Description", description(of: result)), ("IsAutomated", result.isAutomated ? "true" : "false"),
            ("IsOfficial", result.isOfficial ? "true" : "false"), ("Name", result.name), ("StarCount", "\(result.stars)"),
        ]
        return .object(values.map { JSONValue.Member(key: $0.0, value: .string($0.1)) })
    }

    /// On one line, and not longer than the column.
    private func description(of result: SearchResult) -> String {
        let line = String(result.description.map { $0.isNewline || $0 == "\t" ? " " : $0 })
        guard !arguments.bool("no-trunc"), line.count > Self.descriptionWidth else { return line }
        return line.prefix(Self.descriptionWidth - 1) + "\u{2026}"
    }
}
