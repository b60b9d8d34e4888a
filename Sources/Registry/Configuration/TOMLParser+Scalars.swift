/// Strings, booleans and numbers.
extension TOMLParser {
    private static let newline = UInt8(ascii: "\n")
    private static let backslash = UInt8(ascii: "\\")

    private func refuseControl(_ byte: UInt8, lines: Bool) throws(TOMLError) {
        let isLine = lines && (byte == 0x0A || byte == 0x0D)
        if byte < 0x20 && byte != 0x09 && !isLine || byte == 0x7F { throw failure("a control character in a string") }
    }

    mutating func basicString() throws(TOMLError) -> String {
        position += 1
        var out: [UInt8] = []
        while let byte = peek {
            if take(UInt8(ascii: "\"")) { return String(decoding: out, as: UTF8.self) }
            try refuseControl(byte, lines: false)
            position += 1
            if byte == TOMLParser.backslash { try escape(&out) } else { out.append(byte) }
        }
        throw failure("a string without end")
    }

    mutating func literalString() throws(TOMLError) -> String {
        position += 1
        let start = position
        while let byte = peek {
            if take(UInt8(ascii: "'")) { return String(decoding: bytes[start..<(position - 1)], as: UTF8.self) }
            try refuseControl(byte, lines: false)
            position += 1
        }
        throw failure("a string without end")
    }

    mutating func longString() throws(TOMLError) -> String {
        position += 3
        _ = takeLineBreak()
        var out: [UInt8] = []
        while let byte = peek {
            if peek("\"\"\"") { return closeLong(&out, UInt8(ascii: "\"")) }
            try refuseControl(byte, lines: true)
            if takeLineBreak() {
                out.append(TOMLParser.newline)
                continue
            }
            position += 1
            guard byte == TOMLParser.backslash else {
                out.append(byte)
                continue
            }
            if !skipEscapedLineBreak() { try escape(&out) }
        }
        throw failure("a string without end")
    }

    mutating func longLiteral() throws(TOMLError) -> String {
        position += 3
        _ = takeLineBreak()
        var out: [UInt8] = []
        while let byte = peek {
            if peek("'''") { return closeLong(&out, UInt8(ascii: "'")) }
            try refuseControl(byte, lines: true)
            if takeLineBreak() {
                out.append(TOMLParser.newline)
                continue
            }
            position += 1
            out.append(byte)
        }
        throw failure("a string without end")
    }

    /// Up to two quotation marks may stand right before the closing three.
    private mutating func closeLong(_ out: inout [UInt8], _ mark: UInt8) -> String {
        position += 3
        for _ in 0..<2 where take(mark) { out.append(mark) }
        return String(decoding: out, as: UTF8.self)
    }

    /// A backslash at the end of a line takes all white space up to the next text with it.
    private mutating func skipEscapedLineBreak() -> Bool {
        let (start, startLine) = (position, line)
        skipBlanks()
        guard takeLineBreak() else {
            (position, line) = (start, startLine)
            return false
        }
        repeat { skipBlanks() } while takeLineBreak()
        return true
    }

    private mutating func escape(_ out: inout [UInt8]) throws(TOMLError) {
        guard let letter = peek else { throw failure("a string without end") }
        position += 1
        switch letter {
        case UInt8(ascii: "b"): out.append(0x08)
        case UInt8(ascii: "t"): out.append(0x09)
        case UInt8(ascii: "n"): out.append(0x0A)
        case UInt8(ascii: "f"): out.append(0x0C)
        case UInt8(ascii: "r"): out.append(0x0D)
        case UInt8(ascii: "\""), TOMLParser.backslash: out.append(letter)
        case UInt8(ascii: "u"): try unicode(&out, 4)
        case UInt8(ascii: "U"): try unicode(&out, 8)
        default: throw failure("an unknown escape in a string")
        }
    }

    private mutating func unicode(_ out: inout [UInt8], _ digits: Int) throws(TOMLError) {
        guard bytes.count - position >= digits,
            let value = UInt32(String(decoding: bytes[position..<(position + digits)], as: UTF8.self), radix: 16),
            let scalar = Unicode.Scalar(value)
        else { throw failure("an invalid \\u in a string") }
        position += digits
        out.append(contentsOf: String(Character(scalar)).utf8)
    }

    /// `true`, `false`, a number or a date.
    mutating func word() throws(TOMLError) -> TOMLValue {
        let start = position
        while let byte = peek,
            TOMLParser.isBareKey(byte) || byte == UInt8(ascii: "+") || byte == UInt8(ascii: ".") || byte == UInt8(ascii: ":")
        {
            position += 1
        }
        let text = String(decoding: bytes[start..<position], as: UTF8.self)
        switch text {
        case "": throw failure("expected a value")
        case "true": return .bool(true)
        case "false": return .bool(false)
        default: break
        }
        if let number = TOMLParser.integer(text) { return .integer(number) }
        guard let first = text.utf8.first(where: { $0 != UInt8(ascii: "+") && $0 != UInt8(ascii: "-") }),
            first >= UInt8(ascii: "0") && first <= UInt8(ascii: "9") || text.hasSuffix("inf") || text.hasSuffix("nan"),
            text.split(separator: "_", omittingEmptySubsequences: false).allSatisfy({ !$0.isEmpty })
        else { throw failure("\"\(Failures.printable(text, limit: 64))\" is no value; strings need quotation marks") }
        return .other(text)
    }

    private static func integer(_ text: String) -> Int64? {
        var digits = Substring(text)
        var radix = 10
        for (prefix, base) in [("0x", 16), ("0o", 8), ("0b", 2)] where text.hasPrefix(prefix) {
            (digits, radix) = (text.dropFirst(2), base)
            guard digits.utf8.first != UInt8(ascii: "+"), digits.utf8.first != UInt8(ascii: "-") else { return nil }
        }
        let parts = digits.split(separator: "_", omittingEmptySubsequences: false)
        guard parts.allSatisfy({ !$0.isEmpty }) else { return nil }
        return Int64(parts.joined(), radix: radix)
    }
}
