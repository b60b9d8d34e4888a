/// Flags as pflag lays them out: names and kinds in one column, summaries in the next.
enum FlagTable {
    static func text(_ flags: [Flag], width: Int) -> String {
        let heads = flags.map(head)
        // The summaries start three columns after the longest head.
        let column = (heads.map(\.utf8.count).max() ?? 0) + 3
        var text = ""
        for (flag, head) in zip(flags, heads) {
            let padding = String(repeating: " ", count: max(1, column - head.utf8.count))
            // Docker leaves the last column of the terminal free.
            let body = TextWrap.wrapped(summary(flag), indent: column, width: width > 0 ? width - 1 : 0)
            text += head + padding + body + "\n"
        }
        return text
    }

    /// `  -e, --env list` or `      --name string`.
    static func head(_ flag: Flag) -> String {
        var text = flag.short.map { "  -\($0), --\(flag.name)" } ?? "      --\(flag.name)"
        let word = flag.valueName ?? flag.kind.word
        if !word.isEmpty { text += " " + word }
        guard flag.kind != .bool, flag.kind != .count, let bare = flag.valueWhenBare else { return text }
        return text + (flag.kind == .string ? "[=\"\(bare)\"]" : "[=\(bare)]")
    }

    static func summary(_ flag: Flag) -> String {
        guard let note = defaultNote(flag) else { return flag.summary }
        return "\(flag.summary) \(note)"
    }

    /// `(default "missing")`; nil where the default is the kind's zero.
    static func defaultNote(_ flag: Flag) -> String? {
        guard let text = flag.defaultText, !text.isEmpty else { return nil }
        switch flag.kind {
        case .bool where text == "false": return nil
        case .int, .uint, .uint16, .float, .count, .bytes, .signedBytes, .nanoCPUs:
            return text == "0" ? nil : "(default \(text))"
        case .duration: return text == "0" || text == "0s" ? nil : "(default \(text))"
        case .string: return "(default \(GoSyntax.quoted(text)))"
        case .stringSlice, .list, .map: return "(default [\(text)])"
        default: return "(default \(text))"
        }
    }
}
