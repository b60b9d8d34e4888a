import Linux

/// What went wrong below or elsewhere, as text for people.
enum Failures {
    /// Text of strangers and libraries for an error: one line, of visible characters, not long.
    static func printable(_ text: String, limit: Int = 200) -> String {
        var out = ""
        var length = 0
        for scalar in text.unicodeScalars {
            if length == limit { return out + "..." }
            length += 1
            switch scalar.value {
            case 0x0A, 0x09: out.unicodeScalars.append(" ")
            case 0..<0x20, 0x7F..<0xA0: out += "\\x" + hexadecimal([UInt8(truncatingIfNeeded: scalar.value)])
            // Turns the direction of what follows, or is invisible.
            case 0x200B...0x200F, 0x2028...0x202E, 0x2066...0x2069, 0xFEFF: out += "?"
            default: out.unicodeScalars.append(scalar)
            }
        }
        return out
    }
}
