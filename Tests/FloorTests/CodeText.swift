import Glibc

/// Swift source without its comments and the inside of its string literals.
///
/// Not a parser: interpolations are blanked with their string, which is what these tests want.
enum CodeText {
    static func blanked(_ text: String) -> [String] {
        var lines: [String] = []
        var depth = 0  // of block comments, which nest
        var multiline = false
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            lines.append(blank(Array(line.utf8), &depth, &multiline))
        }
        return lines
    }

    private static func blank(_ bytes: [UInt8], _ depth: inout Int, _ multiline: inout Bool) -> String {
        var out: [UInt8] = []
        var inString = false
        var i = 0
        func at(_ offset: Int) -> UInt8 { i + offset < bytes.count ? bytes[i + offset] : 0 }
        let quote = UInt8(ascii: "\"")
        let slash = UInt8(ascii: "/")
        let star = UInt8(ascii: "*")
        while i < bytes.count {
            let triple = at(0) == quote && at(1) == quote && at(2) == quote
            if depth > 0 {
                if at(0) == star, at(1) == slash {
                    depth -= 1
                    i += 1
                } else if at(0) == slash, at(1) == star {
                    depth += 1
                    i += 1
                }
            } else if multiline {
                if triple {
                    multiline = false
                    i += 2
                }
            } else if inString {
                if at(0) == UInt8(ascii: "\\") {
                    i += 1
                } else if at(0) == quote {
                    inString = false
                    out.append(quote)
                }
            } else if triple {
                multiline = true
                i += 2
            } else if at(0) == quote {
                inString = true
                out.append(quote)
            } else if at(0) == slash, at(1) == slash {
                break
            } else if at(0) == slash, at(1) == star {
                depth += 1
                i += 1
            } else {
                out.append(at(0))
            }
            i += 1
        }
        return String(decoding: out, as: UTF8.self)
    }
}

/// Whether `word` occurs in `text`: strstr(3), because String's own search takes seconds over this many lines.
func contains(_ text: String, _ word: String) -> Bool { strstr(text, word) != nil }
