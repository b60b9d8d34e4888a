import Engine
import JSON

/// One line of `stats`: a container with its numbers as Docker writes them, and `--` for what nobody can tell.
struct StatsRow {
    let view: ContainerView
    let statistics: ContainerStatistics
    /// The container as it was asked for.
    let word: String

    init(_ view: ContainerView, _ statistics: ContainerStatistics, as word: String) {
        self.view = view
        self.statistics = statistics
        self.word = word
    }

    var processor: String { Self.percent(statistics.processor) }
    var memory: String { Self.pair(statistics.memory, statistics.memoryLimit, ByteSize.binary) ?? "-- / --" }
    var memoryShare: String { Self.percent(statistics.memoryShare) }
    var network: String { Self.pair(statistics.received, statistics.sent, ByteSize.decimal) ?? "--" }
    var blocks: String { Self.pair(statistics.read, statistics.written, ByteSize.decimal) ?? "--" }
    var tasks: String { statistics.tasks.map { "\($0)" } ?? "--" }

    private static func pair(_ first: UInt64?, _ second: UInt64?, _ text: (Int64) -> String) -> String? {
        guard let first, let second else { return nil }
        return text(Int64(clamping: first)) + " / " + text(Int64(clamping: second))
    }

    /// Two decimals (Go's `%.2f%%`).
    static func percent(_ value: Double?) -> String {
        guard let value else { return "--" }
        let hundredths = Int64(exactly: (value * 100).rounded()) ?? 0
        let rest = hundredths % 100
        return "\(hundredths / 100).\(rest < 10 ? "0" : "")\(rest)%"
    }
}

/// `--format` of `stats`.
struct StatsFormat {
    private let template: Template?
    private let full: Bool

    /// - Parameter full: ids are not cut.
    init(_ format: String, full: Bool) throws(CommandError) {
        let parsed = format.isEmpty ? nil : try Template(format)
        template = parsed?.isBareTable == true ? nil : parsed
        self.full = full
    }

    func render(_ rows: [StatsRow]) throws(CommandError) -> String {
        guard let template else {
            var table = TextTable(heading: Self.columns.map(Self.title))
            for row in rows {
                table.add([id(row), row.view.name, row.processor, row.memory, row.memoryShare, row.network, row.blocks, row.tasks])
            }
            return table.render()
        }
        var table = TextTable(heading: template.isTable ? try template.heading(Self.title).columns : nil)
        var text = ""
        for row in rows {
            let line = try template.render(object(row), of: "*container.statsContext")
            if template.isTable {
                table.add(line.columns)
            } else {
                text += (template.isJSON ? line : TerminalText.safeLines(line)) + "\n"
            }
        }
        return template.isTable ? table.render() : text
    }

    private func id(_ row: StatsRow) -> String { full ? row.view.id : row.view.definition.shortID }

    private func object(_ row: StatsRow) -> JSONValue {
        ObjectList.object([
            ("BlockIO", row.blocks), ("CPUPerc", row.processor), ("Container", row.word), ("ID", id(row)),
            ("MemPerc", row.memoryShare), ("MemUsage", row.memory), ("Name", row.view.name), ("NetIO", row.network), ("PIDs", row.tasks),
        ])
    }

    private static let columns = ["ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs"]

    private static func title(_ field: String) -> String {
        switch field {
        case "ID": "CONTAINER ID"
        case "CPUPerc": "CPU %"
        case "MemUsage": "MEM USAGE / LIMIT"
        case "MemPerc": "MEM %"
        case "NetIO": "NET I/O"
        case "BlockIO": "BLOCK I/O"
        default: field.uppercased()
        }
    }
}
