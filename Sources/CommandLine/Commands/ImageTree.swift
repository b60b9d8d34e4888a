import Engine
import Linux

/// `berth images --tree`: each image with its names, and below them what it is made for.
struct ImageTree {
    let session: Session
    init(_ session: Session) { self.session = session }

    private struct Line {
        var name: String
        var cells: [String] = []
    }

    func print(_ rows: [ImageRow]) throws(CommandError) {
        let parts = try engine { () throws(EngineError) in try session.engine.imageParts() }
        var lines: [Line] = []
        var named: [String: [String]] = [:]
        for row in rows where !row.isDangling { named[row.id, default: []].append(row.repository + ":" + row.tag) }
        var seen: Set<String> = []
        for row in rows where seen.insert(row.id).inserted {
            guard let part = parts[row.id] else { continue }
            // The shortest last: it stands beside the figures.
            let names = (named[row.id] ?? []).sorted { ($0.utf8.count, $0) > ($1.utf8.count, $1) }
            lines += names.dropLast().map { Line(name: $0) }
            let usage = ByteSize.decimal(row.size + part.content)
            let content = ByteSize.decimal(part.content)
            let mark = part.isInUse ? "U" : ""
            lines.append(Line(name: names.last ?? "<untagged>", cells: [row.shortID, usage, content, mark]))
            let digest = String(part.manifest.drop { $0 != ":" }.dropFirst().prefix(12))
            lines.append(Line(name: "└─ " + part.platform, cells: [digest, usage, content, mark]))
            lines.append(Line(name: ""))
        }
        render(lines)
    }

    private func render(_ lines: [Line]) {
        let isTerminal = Terminal.isTerminal(.standardOutput)
        let widths = [12, 10, 12, 5]
        var width = max(5, lines.map(\.name.count).max() ?? 0)
        // Into a file nothing has to fit.
        if isTerminal {
            let legend = "Info →   U  In Use"
            let columns = Terminal.columns()
            session.print(String(repeating: " ", count: max(0, columns - legend.count - 1)) + legend)
            session.print("")
            width = min(width, max(12, columns - widths.reduce(0) { $0 + $1 + 3 }))
        }
        func line(_ name: String, _ cells: [String]) -> String {
            var text = TerminalText.shortened(TerminalText.safe(name), width)
            if cells.isEmpty { return TerminalText.safe(name) }
            text += String(repeating: " ", count: max(0, width - text.count))
            for (index, cell) in cells.enumerated() {
                let padding = String(repeating: " ", count: max(0, widths[index] - cell.count))
                // Sizes to the right, the others to the left.
                text += "   " + (index == 1 || index == 2 ? padding + cell : cell + padding)
            }
            while text.hasSuffix(" ") { text.removeLast() }
            return text
        }
        session.print(line("IMAGE", ["ID", "DISK USAGE", "CONTENT SIZE", "EXTRA"]))
        for item in lines { session.print(line(item.name, item.cells)) }
    }
}
