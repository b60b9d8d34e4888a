/// Aligned columns as Docker's client prints them: at least ten wide, three blanks apart, nothing after the last. Podman's are
/// twelve wide at least, and two blanks apart.
struct TextTable {
    private var rows: [[String]] = []
    private let narrowest = CalledAs.current == .podman ? 10 : 7
    private let gap = CalledAs.current == .podman ? 2 : 3

    init(heading: [String]? = nil) {
        if let heading { rows.append(heading) }
    }

    mutating func add(_ cells: [String]) { rows.append(cells.map(TerminalText.safe)) }

    func render() -> String {
        var widths: [Int] = []
        for row in rows {
            // The last cell of a row does not widen its column.
            for (column, cell) in row.dropLast().enumerated() {
                if column >= widths.count { widths.append(narrowest) }
                widths[column] = max(widths[column], cell.count)
            }
        }
        var text = ""
        for row in rows {
            for (column, cell) in row.enumerated() {
                text += cell
                if column < row.count - 1 {
                    text += String(repeating: " ", count: max(0, widths[column] + gap - cell.count))
                }
            }
            text += "\n"
        }
        return text
    }
}

extension String {
    /// A line of a template cut at its tabs.
    var columns: [String] { split(separator: "\t", omittingEmptySubsequences: false).map(String.init) }
}

/// Text from images and containers for people's terminals.
enum TerminalText {
    /// Control characters are shown as `\x1b`: a label must not move the cursor or set the clipboard (attack row S79).
    static func safe(_ text: String) -> String {
        if text.utf8.allSatisfy({ $0 >= 0x20 && $0 < 0x7F }) { return text }
        var result = ""
        for scalar in text.unicodeScalars {
            let isControl =
                scalar.value < 0x20 || (scalar.value >= 0x7F && scalar.value < 0xA0)
                // Marks that turn the direction of writing hide what a line really says.
                || (scalar.value >= 0x202A && scalar.value <= 0x202E)
                || (scalar.value >= 0x2066 && scalar.value <= 0x2069)
            if isControl {
                let hex = String(scalar.value, radix: 16)
                result += scalar.value < 0x100 ? "\\x" + (hex.count < 2 ? "0" : "") + hex : "\\u" + hex
            } else {
                result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    /// Cut to a width with an ellipsis, as `ps` does with commands.
    static func shortened(_ text: String, _ width: Int) -> String {
        text.count <= width ? text : String(text.prefix(width - 1)) + "…"
    }
}

extension TerminalText {
    /// As ``safe(_:)``, but lines stay lines.
    static func safeLines(_ text: String) -> String {
        text.split(separator: "\n", omittingEmptySubsequences: false).map { line in
            line.utf8.contains(9)
                ? line.split(separator: "\t", omittingEmptySubsequences: false).map { safe(String($0)) }.joined(
                    separator: "\t")
                : safe(String(line))
        }.joined(separator: "\n")
    }
}
