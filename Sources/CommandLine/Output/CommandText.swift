/// A container's command as `ps` shows it: docker's spelling, which scripts compare with.
enum CommandText {
    /// The words with blanks between them; an argument that has a blank itself stands in single quotes.
    static func joined(_ words: [String]) -> String {
        guard let program = words.first else { return "" }
        return words.dropFirst().reduce(into: program) { text, word in
            text += word.utf8.contains(UInt8(ascii: " ")) ? " '" + word + "'" : " " + word
        }
    }

    /// In double quotes, with what is not printable escaped as Go's `strconv.Quote` does.
    static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\t": result += "\\t"
            case "\r": result += "\\r"
            case "\u{7}": result += "\\a"
            case "\u{8}": result += "\\b"
            case "\u{B}": result += "\\v"
            case "\u{C}": result += "\\f"
            default:
                if scalar.value < 0x20 || scalar.value == 0x7F {
                    result += "\\x" + padded(scalar.value, 2)
                } else if (0x80..<0xA0).contains(scalar.value) {
                    result += "\\u" + padded(scalar.value, 4)
                } else {
                    result.unicodeScalars.append(scalar)
                }
            }
        }
        return result + "\""
    }

    private static func padded(_ value: UInt32, _ width: Int) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
    }
}
