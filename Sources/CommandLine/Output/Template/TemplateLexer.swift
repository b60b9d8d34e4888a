/// A word of an action.
struct TemplateToken {
    enum Kind: Equatable {
        /// A function's name or a key word.
        case identifier(String)
        case field(String)
        /// Without its `$`; empty is `$` itself.
        case variable(String)
        case string(String)
        case int(Int64)
        case double(Double)
        case dot, open, close, pipe, declare, assign, comma
    }
    var kind: Kind
    /// Nothing stands between this and the token before.
    var isAttached: Bool
    /// Offsets in the action's text.
    var start: Int
    var end: Int
}

/// Text, or an action cut into words.
enum TemplatePiece {
    case text(String)
    case action([TemplateToken], source: [UInt8], offset: Int)
}

/// Cuts a template into text and actions, and actions into words.
struct TemplateLexer {
    private let bytes: [UInt8]
    private var index = 0

    private init(_ bytes: [UInt8]) { self.bytes = bytes }

    private static let open = UInt8(ascii: "{")
    private static let close = UInt8(ascii: "}")
    private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (byte >= 0x09 && byte <= 0x0D) }

    static func split(_ format: String, escapes: Bool) throws(TemplateError) -> [TemplatePiece] {
        let bytes = Array(format.utf8)
        var pieces: [TemplatePiece] = []
        var text: [UInt8] = []
        var index = 0
        var trimming = false
        func take(_ text: inout [UInt8], trimEnd: Bool) {
            if trimEnd { while let last = text.last, isSpace(last) { text.removeLast() } }
            if !text.isEmpty { pieces.append(.text(String(decoding: unescaped(text, escapes), as: UTF8.self))) }
            text = []
        }
        while index < bytes.count {
            guard bytes[index] == open, index + 1 < bytes.count, bytes[index + 1] == open else {
                if trimming, isSpace(bytes[index]) {
                    index += 1
                    continue
                }
                trimming = false
                text.append(bytes[index])
                index += 1
                continue
            }
            var start = index + 2
            let trimsLeft = start + 1 < bytes.count && bytes[start] == UInt8(ascii: "-") && isSpace(bytes[start + 1])
            if trimsLeft { start += 2 }
            take(&text, trimEnd: trimsLeft)
            var end = try actionEnd(bytes, start)
            index = end + 2
            trimming = end > start + 1 && bytes[end - 1] == UInt8(ascii: "-") && isSpace(bytes[end - 2])
            if trimming { end -= 2 }
            let action = Array(bytes[start..<max(start, end)])
            if isComment(action) { continue }
            var lexer = TemplateLexer(action)
            pieces.append(.action(try lexer.words(), source: action, offset: start))
        }
        take(&text, trimEnd: false)
        return pieces
    }

    private static func isComment(_ action: [UInt8]) -> Bool {
        let body = action.drop(while: isSpace)
        return body.starts(with: "/*".utf8) && String(decoding: body, as: UTF8.self).hasSuffix("*/")
    }

    private static func unescaped(_ text: [UInt8], _ escapes: Bool) -> [UInt8] {
        if !escapes { return text }
        var result: [UInt8] = []
        var index = 0
        while index < text.count {
            if text[index] == UInt8(ascii: "\\"), index + 1 < text.count {
                let next = text[index + 1]
                if next == UInt8(ascii: "t") || next == UInt8(ascii: "n") {
                    result.append(next == UInt8(ascii: "t") ? 9 : 10)
                    index += 2
                    continue
                }
            }
            result.append(text[index])
            index += 1
        }
        return result
    }

    /// Where the `}}` stands that ends an action; one inside of quotes does not.
    private static func actionEnd(_ bytes: [UInt8], _ start: Int) throws(TemplateError) -> Int {
        var index = start
        var quote: UInt8 = 0
        while index < bytes.count {
            let byte = bytes[index]
            if quote != 0 {
                if byte == UInt8(ascii: "\\"), quote != UInt8(ascii: "`") { index += 1 } else if byte == quote { quote = 0 }
            } else if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "`") || byte == UInt8(ascii: "'") {
                quote = byte
            } else if byte == close, index + 1 < bytes.count, bytes[index + 1] == close {
                return index
            }
            index += 1
        }
        throw TemplateError(quote == 0 ? "unclosed action" : "unterminated quoted string")
    }

    // MARK: Words

    private static func isNamePart(_ byte: UInt8) -> Bool {
        byte >= 0x80 || byte == UInt8(ascii: "_") || (byte | 0x20 >= UInt8(ascii: "a") && byte | 0x20 <= UInt8(ascii: "z"))
            || isDigit(byte)
    }
    private static func isDigit(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") }

    private mutating func words() throws(TemplateError) -> [TemplateToken] {
        var result: [TemplateToken] = []
        while index < bytes.count {
            let start = index
            if Self.isSpace(bytes[index]) {
                index += 1
                continue
            }
            let kind = try word()
            result.append(
                TemplateToken(kind: kind, isAttached: result.last?.end == start, start: start, end: index))
        }
        return result
    }

    private mutating func word() throws(TemplateError) -> TemplateToken.Kind {
        let byte = bytes[index]
        let next = index + 1 < bytes.count ? bytes[index + 1] : 0
        switch byte {
        case UInt8(ascii: "("): return single(.open)
        case UInt8(ascii: ")"): return single(.close)
        case UInt8(ascii: "|"): return single(.pipe)
        case UInt8(ascii: ","): return single(.comma)
        case UInt8(ascii: "="): return single(.assign)
        case UInt8(ascii: ":") where next == UInt8(ascii: "="):
            index += 2
            return .declare
        case UInt8(ascii: "."):
            if Self.isDigit(next) { return try number() }
            index += 1
            return Self.isNamePart(next) ? .field(name()) : .dot
        case UInt8(ascii: "$"):
            index += 1
            return .variable(name())
        case UInt8(ascii: "\""), UInt8(ascii: "`"): return .string(try quoted())
        case UInt8(ascii: "'"):
            let text = try quoted()
            guard let scalar = text.unicodeScalars.first, text.unicodeScalars.count == 1 else {
                throw TemplateError("malformed character constant: '\(text)'")
            }
            return .int(Int64(scalar.value))
        default:
            if Self.isDigit(byte) || ((byte == UInt8(ascii: "-") || byte == UInt8(ascii: "+")) && Self.isDigit(next)) {
                return try number()
            }
            guard Self.isNamePart(byte) else {
                throw TemplateError("unexpected \"\(String(decoding: [byte], as: UTF8.self))\" in command")
            }
            return .identifier(name())
        }
    }

    private mutating func single(_ kind: TemplateToken.Kind) -> TemplateToken.Kind {
        index += 1
        return kind
    }

    private mutating func name() -> String {
        let start = index
        while index < bytes.count, Self.isNamePart(bytes[index]) { index += 1 }
        return String(decoding: bytes[start..<index], as: UTF8.self)
    }

    private mutating func number() throws(TemplateError) -> TemplateToken.Kind {
        let start = index
        if bytes[index] == UInt8(ascii: "-") || bytes[index] == UInt8(ascii: "+") { index += 1 }
        while index < bytes.count, Self.isNamePart(bytes[index]) || bytes[index] == UInt8(ascii: ".") { index += 1 }
        let text = String(decoding: bytes[start..<index], as: UTF8.self).filter { $0 != "_" }
        if let value = Int64(text) { return .int(value) }
        if text.hasPrefix("0x"), let value = Int64(text.dropFirst(2), radix: 16) { return .int(value) }
        // Digits alone are an integer, and this one fits none.
        let isInteger = text.utf8.allSatisfy { Self.isDigit($0) }
        if !isInteger, let value = Double(text), value.isFinite { return .double(value) }
        throw TemplateError("bad number syntax: \"\(text)\"")
    }

    /// A Go string or character constant.
    private mutating func quoted() throws(TemplateError) -> String {
        let quote = bytes[index]
        index += 1
        var result: [UInt8] = []
        while index < bytes.count, bytes[index] != quote {
            if bytes[index] == UInt8(ascii: "\\"), quote != UInt8(ascii: "`"), index + 1 < bytes.count {
                let escape = bytes[index + 1]
                index += 2
                switch escape {
                case UInt8(ascii: "n"): result.append(10)
                case UInt8(ascii: "t"): result.append(9)
                case UInt8(ascii: "r"): result.append(13)
                case UInt8(ascii: "\\"), UInt8(ascii: "\""), UInt8(ascii: "'"): result.append(escape)
                case UInt8(ascii: "x"), UInt8(ascii: "u"), UInt8(ascii: "U"):
                    result += try codePoint(escape)
                default: throw TemplateError("invalid syntax")
                }
            } else {
                result.append(bytes[index])
                index += 1
            }
        }
        index += 1
        return String(decoding: result, as: UTF8.self)
    }

    private mutating func codePoint(_ escape: UInt8) throws(TemplateError) -> [UInt8] {
        let digits = escape == UInt8(ascii: "x") ? 2 : escape == UInt8(ascii: "u") ? 4 : 8
        guard index + digits <= bytes.count,
            let value = UInt32(String(decoding: bytes[index..<(index + digits)], as: UTF8.self), radix: 16)
        else { throw TemplateError("invalid syntax") }
        index += digits
        if digits == 2 { return [UInt8(truncatingIfNeeded: value)] }
        guard let scalar = Unicode.Scalar(value) else { throw TemplateError("invalid syntax") }
        return Array(String(Character(scalar)).utf8)
    }
}
