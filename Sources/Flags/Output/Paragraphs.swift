/// Prose and examples of help, fitted to the terminal.
enum Paragraphs {
    /// Fills paragraphs, which empty lines set apart, to a width.
    /// - Parameter width: columns of the terminal; 0 keeps lines as they are. Never wider than 80: long lines read badly.
    static func filled(_ text: String, width: Int) -> String {
        if width <= 0 { return text }
        let limit = min(width, 80) - 1
        var lines: [String] = []
        var line = ""
        for source in text.split(separator: "\n", omittingEmptySubsequences: false) {
            if source.isEmpty {
                lines += line.isEmpty ? [""] : [line, ""]
                line = ""
                continue
            }
            for word in source.split(separator: " ") {
                if line.isEmpty {
                    line = String(word)
                } else if line.count + 1 + word.count <= limit {
                    line += " " + word
                } else {
                    lines.append(line)
                    line = String(word)
                }
            }
        }
        if !line.isEmpty { lines.append(line) }
        return lines.joined(separator: "\n")
    }

    /// A command line that a shell reads as one: broken at blanks outside of quotes, with a backslash.
    static func broken(_ command: String, indent: Int, width: Int) -> String {
        let limit = width - indent - 2
        if width <= 0 || command.count + indent <= width { return command }
        var pieces: [String] = [""]
        var quote: Character?
        for character in command {
            if character == " ", quote == nil {
                pieces.append("")
                continue
            }
            if quote == nil, character == "'" || character == "\"" {
                quote = character
            } else if quote == character {
                quote = nil
            }
            pieces[pieces.count - 1].append(character)
        }
        var lines: [String] = []
        var line = ""
        for piece in pieces {
            if line.isEmpty || line.count + 1 + piece.count <= limit - (lines.isEmpty ? 0 : 4) {
                line += (line.isEmpty ? "" : " ") + piece
            } else {
                lines.append(line)
                line = piece
            }
        }
        return (lines + [line]).joined(separator: " \\\n" + String(repeating: " ", count: indent + 4))
    }
}
