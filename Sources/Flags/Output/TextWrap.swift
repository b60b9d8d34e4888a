/// Breaks text into lines at spaces, by pflag's rules, so that columns match what Docker's users know.
enum TextWrap {
    /// A line may run over by this much when that saves a short last line.
    private static let slop = 5
    /// A column narrower than this moves to a line of its own.
    private static let narrowest = 24

    /// - Parameters:
    ///   - indent: column of every line; the caller has already placed the first.
    ///   - width: columns of the line; 0 keeps lines as they are.
    static func wrapped(_ text: String, indent: Int, width: Int) -> String {
        let bytes = Array(text.utf8)
        if width <= 0 { return indented(bytes[...], by: indent) }
        var indent = indent
        var prefix = ""
        if width - indent < narrowest {
            indent = 16
            prefix = "\n" + String(repeating: " ", count: indent)
        }
        if width - indent < narrowest { return prefix + indented(bytes[...], by: 16) }
        let room = width - indent - slop
        var rest = bytes[...]
        var result = prefix + indented(takeLine(&rest, room: room), by: indent)
        while !rest.isEmpty {
            result += "\n" + String(repeating: " ", count: indent)
            result += indented(takeLine(&rest, room: room), by: indent)
        }
        return result
    }

    /// Removes the next line, and the blank it was broken at.
    private static func takeLine(_ rest: inout ArraySlice<UInt8>, room: Int) -> ArraySlice<UInt8> {
        let all = rest
        if room + slop > all.count {
            rest = []
            return all
        }
        let head = all.prefix(room)
        let isBlank = { (byte: UInt8) in byte == 0x20 || byte == 0x09 || byte == 0x0A }
        guard let blank = head.lastIndex(where: isBlank), blank > head.startIndex else {
            rest = []
            return all
        }
        var end = blank
        if let line = head.lastIndex(of: 0x0A), line > head.startIndex, line < blank { end = line }
        rest = all[(end + 1)...]
        return all[..<end]
    }

    private static func indented(_ bytes: ArraySlice<UInt8>, by indent: Int) -> String {
        let text = String(decoding: bytes, as: UTF8.self)
        if !bytes.contains(0x0A) { return text }
        return text.split(separator: "\n", omittingEmptySubsequences: false)
            .joined(separator: "\n" + String(repeating: " ", count: indent))
    }
}
