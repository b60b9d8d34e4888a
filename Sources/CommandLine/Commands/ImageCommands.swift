import Engine
import Flags
import JSON
import Linux
import OCI

/// `berth images`
struct ImagesCommand {
    let session: Session
    private var arguments: ParsedArguments { session.arguments }
    init(_ session: Session) { self.session = session }

    func run() throws(CommandError) -> Int32 {
        let filter = try ImageFilter(arguments.pairs("filter"))
        let pattern = arguments.positionals.first
        let all = try engine { () throws(EngineError) in try session.engine.imageRows() }
        let accepts = try engine { () throws(EngineError) in try filter.resolved(session.engine) }
        let rows = all.filter { accepts($0) && (pattern.map($0.matches) ?? true) }
        let full = arguments.bool("no-trunc")
        let format = arguments.string("format")
        if arguments.bool("quiet"), format.isEmpty {
            var seen: Set<String> = []
            for row in rows where seen.insert(row.id).inserted { session.print(full ? row.id : row.shortID) }
            return 0
        }
        let now = wallClockNanoseconds()
        if format.isEmpty || format == "table" {
            printTable(rows, full, now)
            return 0
        }
        let template = try Template(format)
        var table = TextTable(heading: template.isTable ? try template.heading(Self.heading).columns : nil)
        for row in rows {
            let line = try template.render(object(row, full, now), of: "*formatter.imageContext")
            if template.isTable {
                table.add(line.columns)
            } else {
                session.print(line)
            }
        }
        if template.isTable { session.printRaw(table.render()) }
        return 0
    }

    private func printTable(_ rows: [ImageRow], _ full: Bool, _ now: Int64) {
        let digests = arguments.bool("digests")
        var table = TextTable(
            heading: ["REPOSITORY", "TAG"] + (digests ? ["DIGEST"] : []) + ["IMAGE ID", "CREATED", "SIZE"])
        for row in rows {
            table.add(
                [row.repository, row.tag] + (digests ? [row.digest] : []) + [
                    full ? row.id : row.shortID, HumanTime.ago(row.created, now: now), ByteSize.decimal(row.size),
                ])
        }
        session.printRaw(table.render())
    }

    private static func heading(_ field: String) -> String {
        switch field {
        case "ID": "IMAGE ID"
        case "CreatedSince": "CREATED"
        case "CreatedAt": "CREATED AT"
        default: field.uppercased()
        }
    }

    private func object(_ row: ImageRow, _ full: Bool, _ now: Int64) -> JSONValue {
        let values: [(String, String)] = [
            ("Containers", "N/A"), ("CreatedAt", HumanTime.local(row.created)),
            ("CreatedSince", HumanTime.ago(row.created, now: now)), ("Digest", row.digest),
            ("ID", full ? row.id : row.shortID),
            ("Repository", row.repository), ("SharedSize", "N/A"), ("Size", ByteSize.decimal(row.size)),
            ("Tag", row.tag),
            ("UniqueSize", "N/A"), ("VirtualSize", ByteSize.decimal(row.size)),
        ]
        return .object(values.map { JSONValue.Member(key: $0.0, value: .string($0.1)) })
    }
}

/// `berth load`
struct LoadCommand {
    let session: Session
    init(_ session: Session) { self.session = session }

    func run() throws(CommandError) -> Int32 {
        let arguments = session.arguments
        let input = arguments.optionalString("input")
        if input == nil, Terminal.isTerminal(.standardInput) {
            throw CommandError("requested load from stdin, but stdin is empty: name a file with -i, or redirect one")
        }
        if let status = try session.delegated() { return status }
        let loaded = try engine { () throws(EngineError) in
            try session.engine.load(path: input, platform: arguments.string("platform"))
        }
        for image in loaded {
            for replaced in image.replaced {
                session.print(
                    "The image \(familiar(replaced.name)) already exists, renaming the old one with ID \(replaced.id) to empty string"
                )
            }
            if image.names.isEmpty { session.print("Loaded image ID: " + image.id) }
            for name in image.names { session.print("Loaded image: " + familiar(name)) }
        }
        return 0
    }
}

/// The short form of a full reference.
func familiar(_ name: String) -> String {
    do throws(OCIError) { return try Reference.parse(name).familiar } catch { return name }
}

/// `berth import`
struct ImportCommand {
    let session: Session
    init(_ session: Session) { self.session = session }

    func run() throws(CommandError) -> Int32 {
        let arguments = session.arguments
        let source = arguments.positionals.first ?? "-"
        if source.hasPrefix("http://") || source.hasPrefix("https://") {
            throw CommandError("not supported yet: import from a URL")
        }
        if source == "-", Terminal.isTerminal(.standardInput) {
            throw CommandError("import from standard input needs a redirection")
        }
        if arguments.positionals.count > 2 { throw CommandError("import takes a file and at most one name") }
        if let status = try session.delegated() { return status }
        let id = try engine { () throws(EngineError) in
            try session.engine.importRootFileSystem(
                path: source == "-" ? nil : source, name: arguments.positionals.dropFirst().first,
                changes: arguments.strings("change"), message: arguments.string("message"),
                platform: arguments.string("platform"))
        }
        session.print(id)
        return 0
    }
}

/// `berth save`
struct SaveCommand {
    let session: Session
    init(_ session: Session) { self.session = session }

    func run() throws(CommandError) -> Int32 {
        let arguments = session.arguments
        let output = arguments.optionalString("output")
        if output == nil, Terminal.isTerminal(.standardOutput) {
            throw CommandError("cowardly refusing to save to a terminal. Use the -o flag or redirect")
        }
        if let status = try session.delegated() { return status }
        try engine { () throws(EngineError) in
            try session.engine.save(
                arguments.positionals, path: output, format: arguments.string("format"),
                platform: arguments.string("platform"))
        }
        return 0
    }
}

/// `berth tag`
struct TagCommand {
    let session: Session
    init(_ session: Session) { self.session = session }

    func run() throws(CommandError) -> Int32 {
        let names = session.arguments.positionals
        guard names.count == 2 else { throw CommandError("an image and its further name are needed") }
        try engine { () throws(EngineError) in try session.engine.tag(names[0], names[1]) }
        return 0
    }
}

/// `berth rmi`
struct RemoveImagesCommand {
    let session: Session
    init(_ session: Session) { self.session = session }

    func run() throws(CommandError) -> Int32 {
        if let status = try session.delegated() { return status }
        let force = session.arguments.bool("force")
        return session.forEach(session.arguments.positionals) { (name) throws(EngineError) in
            let lines = try session.engine.removeImage(name, force: force)
            return lines.joined(separator: "\n")
        }
    }
}
