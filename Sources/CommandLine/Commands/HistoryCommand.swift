import Engine
import Flags
import JSON
import Linux

/// `berth history`
struct HistoryCommand {
    let session: Session
    private var arguments: ParsedArguments { session.arguments }
    init(_ session: Session) { self.session = session }

    func run() throws(CommandError) -> Int32 {
        let name = arguments.positionals.first ?? ""
        let rows = try engine { () throws(EngineError) in
            try session.engine.history(name, platform: arguments.string("platform"))
        }
        let format = arguments.string("format")
        if arguments.bool("quiet"), format.isEmpty || format == "table" {
            for row in rows { session.print(id(row)) }
            return 0
        }
        if CalledAs.current == .podman, format == "json" {
            session.print(PodmanFields.text(PodmanInspection.history(rows), indent: "  "))
            return 0
        }
        let isHuman = arguments.bool("human")
        let plain = "table {{.ID}}\t{{.Created\(isHuman ? "Since" : "At")}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}"
        let template = try Template(format.isEmpty || format == "table" ? plain : format)
        let now = wallClockNanoseconds()
        let items = rows.map { row -> ObjectList.Item in
            // podman's.
            let tags: [(String, String)] = format.includes(".Tags") ? [("Tags", row.names.joined(separator: ", "))] : []
            return (object(row, isHuman: isHuman, now: now, more: tags), [:])
        }
        try ObjectList(type: "*image.historyContext", title: Self.heading).print(items, template, session)
        return 0
    }

    private func id(_ row: HistoryRow) -> String {
        if arguments.bool("no-trunc") || !row.id.hasPrefix("sha256:") { return row.id }
        return String(row.id.dropFirst(7).prefix(12))
    }

    /// Times before 2000 are no times: builders write them to be reproducible.
    private static let epoch: Int64 = 946_684_800_000_000_000

    private func object(_ row: HistoryRow, isHuman: Bool, now: Int64, more: [(String, String)]) -> JSONValue {
        let at = row.created == 0 ? "0001-01-01T00:00:00Z" : HumanTime.rfc3339(row.created)
        let since = row.created <= Self.epoch ? "N/A" : HumanTime.ago(row.created, now: now)
        let text = String(String.UnicodeScalarView(row.createdBy.unicodeScalars.map { $0 == "\t" ? " " : $0 }))
        let fields: [(String, String)] = [
            ("Comment", row.comment), ("CreatedAt", at),
            ("CreatedBy", arguments.bool("no-trunc") ? text : TerminalText.shortened(text, 45)),
            ("CreatedSince", isHuman ? since : at), ("ID", id(row)),
            ("Size", isHuman ? ByteSize.decimal(row.size) : "\(row.size)"),
        ]
        return ObjectList.object(fields + more)
    }

    private static func heading(_ field: String) -> String {
        switch field {
        case "ID": CalledAs.current == .podman ? "ID" : "IMAGE"
        case "CreatedSince": "CREATED"
        case "CreatedAt": "CREATED AT"
        case "CreatedBy": "CREATED BY"
        default: field.uppercased()
        }
    }
}
