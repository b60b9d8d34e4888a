import Engine
import Flags
import JSON
import Linux

/// `berth images`
struct ImagesCommand {
    let session: Session
    private var arguments: ParsedArguments { session.arguments }
    init(_ session: Session) { self.session = session }

    func run() throws(CommandError) -> Int32 {
        let filter = try ImageFilter(arguments.pairs("filter"))
        if arguments.bool("tree") { try checkTree() }
        let pattern = arguments.positionals.first
        let all = try engine { () throws(EngineError) in try session.engine.imageRows() }
        let accepts = try engine { () throws(EngineError) in try filter.resolved(session.engine) }
        let rows = sorted(all.filter { accepts($0) && (pattern.map($0.matches) ?? true) })
        if arguments.bool("tree") {
            try ImageTree(session).print(rows)
            return 0
        }
        let full = arguments.bool("no-trunc")
        let format = arguments.string("format")
        if arguments.bool("quiet"), format.isEmpty {
            var seen: Set<String> = []
            for row in rows where seen.insert(row.id).inserted { session.print(full ? row.id : row.shortID) }
            return 0
        }
        if CalledAs.current == .podman {
            try PodmanImageList(session).print(rows, among: all)
            return 0
        }
        let now = wallClockNanoseconds()
        if format.isEmpty || format == "table" {
            try printTable(rows, full, now)
        } else {
            try print(rows, format, full, now)
        }
        return 0
    }

    /// - Throws: for flags that say nothing about a tree.
    private func checkTree() throws(CommandError) {
        for name in ["quiet", "no-trunc", "digests", "format"] where arguments.isSet(name) {
            throw .invalid("--\(name) is not yet supported with --tree")
        }
    }

    private func sorted(_ rows: [ImageRow]) -> [ImageRow] {
        switch arguments.string("sort") {
        case "id": return rows.sorted { $0.id < $1.id }
        case "repository": return rows.sorted { ($0.repository, $0.tag) < ($1.repository, $1.tag) }
        case "size": return rows.sorted { $0.size < $1.size }
        case "tag": return rows.sorted { $0.tag < $1.tag }
        // The newest first, as they come.
        default: return rows
        }
    }

    /// A line for each digest where digests are shown.
    private func lines(_ rows: [ImageRow], digests: Bool) -> [(row: ImageRow, digest: String)] {
        rows.flatMap { row in
            digests && row.digests.count > 1 ? row.digests.map { (row, $0) } : [(row, row.digest)]
        }
    }

    private func printTable(_ rows: [ImageRow], _ full: Bool, _ now: Int64) throws(CommandError) {
        let digests = arguments.bool("digests")
        let names = try history()
        let heading =
            ["REPOSITORY", "TAG"] + (digests ? ["DIGEST"] : []) + ["IMAGE ID", "CREATED", "SIZE"]
            + (names == nil ? [] : ["HISTORY"])
        var table = TextTable(heading: arguments.bool("noheading") ? nil : heading)
        for (row, digest) in lines(rows, digests: digests) {
            var cells = [row.repository, row.tag] + (digests ? [digest] : [])
            cells += [full ? row.id : row.shortID, HumanTime.ago(row.created, now: now), ByteSize.decimal(row.size)]
            if let names { cells.append(Self.joined(names[row.id])) }
            table.add(cells)
        }
        session.printRaw(table.render())
    }

    /// Names that images had; nil when nobody asks.
    private func history() throws(CommandError) -> [String: [String]]? {
        guard arguments.bool("history") else { return nil }
        return try engine { () throws(EngineError) in try session.engine.nameHistory() }
    }

    private static func joined(_ names: [String]?) -> String {
        names.map { $0.joined(separator: ", ") } ?? "<none>"
    }

    private func print(_ rows: [ImageRow], _ format: String, _ full: Bool, _ now: Int64) throws(CommandError) {
        var format = format
        let asksForDigest = format.includes(".Digest")
        if arguments.bool("digests"), !asksForDigest, format.hasPrefix("table ") { format += "\t{{.Digest}}" }
        let names = format.includes(".History") ? try engine { () throws(EngineError) in try session.engine.nameHistory() } : [:]
        let items = lines(rows, digests: arguments.bool("digests") || asksForDigest).map { line -> ObjectList.Item in
            let row = line.row
            // podman's fields beside docker's, for those who ask for them.
            let more = [
                ("Created", HumanTime.ago(row.created, now: now)), ("CreatedTime", HumanTime.local(row.created)),
                ("History", Self.joined(names[row.id])), ("ReadOnly", "false"),
            ].filter { format.includes("." + $0.0) }
            return (Self.object(row, digest: line.digest, full: full, now: now, more: more), [:])
        }
        let list = ObjectList(
            type: "*formatter.imageContext", title: Self.heading, hasHeading: !arguments.bool("noheading"))
        try list.print(items, try Template(format), session)
    }

    static func heading(_ field: String) -> String {
        switch field {
        case "ID": "IMAGE ID"
        case "CreatedSince": "CREATED"
        case "CreatedAt", "CreatedTime": "CREATED AT"
        case "SharedSize": "SHARED SIZE"
        case "UniqueSize": "UNIQUE SIZE"
        case "ReadOnly": "R/O"
        default: field.uppercased()
        }
    }

    /// - Parameter usage: what is known of its size on disk; nil when nobody looked.
    static func object(
        _ row: ImageRow, digest: String, full: Bool, now: Int64, usage: UsageReport.Image? = nil, more: [(String, String)] = []
    ) -> JSONValue {
        let size = ByteSize.decimal(usage?.size ?? row.size)
        let containers = usage.map { "\($0.containers)" } ?? "N/A"
        let shared = usage.map { ByteSize.decimalOnDisk($0.shared) } ?? "N/A"
        let unique = usage.map { ByteSize.decimalOnDisk($0.size - $0.shared) } ?? "N/A"
        let fields: [(String, String)] = [
            ("Containers", containers), ("CreatedAt", HumanTime.local(row.created)),
            ("CreatedSince", HumanTime.ago(row.created, now: now)), ("Digest", digest),
            ("ID", full ? row.id : row.shortID), ("Repository", row.repository),
            ("SharedSize", shared), ("Size", size), ("Tag", row.tag),
            ("UniqueSize", unique), ("VirtualSize", size),
        ]
        return ObjectList.object(fields + more)
    }
}
