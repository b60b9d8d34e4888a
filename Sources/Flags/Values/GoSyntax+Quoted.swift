extension GoSyntax {
    /// Puts text in double quotes as Go's `%q` does, so that control characters cannot reach a terminal.
    package static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            if scalar == "\"" {
                result += "\\\""
            } else {
                appendEscaped(scalar, to: &result)
            }
        }
        return result + "\""
    }

    /// Puts one character in single quotes.
    static func quoted(_ scalar: Unicode.Scalar) -> String {
        var result = "'"
        if scalar == "'" {
            result += "\\'"
        } else {
            appendEscaped(scalar, to: &result)
        }
        return result + "'"
    }

    /// Replaces control characters, for sentences that show an argument without quotes.
    static func printable(_ text: String) -> String {
        // Nearly every argument is plain: look before building a second string.
        if !text.utf8.contains(where: { $0 < 0x20 || $0 >= 0x7F }) { return text }
        var result = ""
        for scalar in text.unicodeScalars {
            if scalar == "\\" {
                result += "\\"
            } else {
                appendEscaped(scalar, to: &result)
            }
        }
        return result
    }

    private static func appendEscaped(_ scalar: Unicode.Scalar, to result: inout String) {
        switch scalar.value {
        case 0x07: result += "\\a"
        case 0x08: result += "\\b"
        case 0x09: result += "\\t"
        case 0x0A: result += "\\n"
        case 0x0B: result += "\\v"
        case 0x0C: result += "\\f"
        case 0x0D: result += "\\r"
        case 0x5C: result += "\\\\"
        case 0..<0x20, 0x7F: result += "\\x" + hex(scalar.value, width: 2)
        // C1 controls, line separators and the invisible direction marks that can disguise a name.
        case 0x80..<0xA0, 0x200B...0x200F, 0x2028...0x202E, 0x2066...0x2069, 0xFEFF:
            result += "\\u" + hex(scalar.value, width: 4)
        default: result.unicodeScalars.append(scalar)
        }
    }

    private static func hex(_ value: UInt32, width: Int) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
    }
}
