/// The bytes that mean something in a Dockerfile.
enum Byte {
    static let newline = UInt8(ascii: "\n")
    static let tab = UInt8(ascii: "\t")
    static let carriageReturn = UInt8(ascii: "\r")
    static let space = UInt8(ascii: " ")
    static let hash = UInt8(ascii: "#")
    static let dash = UInt8(ascii: "-")
    static let equals = UInt8(ascii: "=")
    static let slash = UInt8(ascii: "/")
    static let backslash = UInt8(ascii: "\\")
    static let quote = UInt8(ascii: "\"")
    static let apostrophe = UInt8(ascii: "'")
    static let dollar = UInt8(ascii: "$")
    static let less = UInt8(ascii: "<")
    static let bracket = UInt8(ascii: "[")
    static let bang = UInt8(ascii: "!")

    static func isDigit(_ byte: UInt8) -> Bool { byte >= 0x30 && byte <= 0x39 }
    static func isLower(_ byte: UInt8) -> Bool { byte >= 0x61 && byte <= 0x7A }
    static func isUpper(_ byte: UInt8) -> Bool { byte >= 0x41 && byte <= 0x5A }
    static func isLetter(_ byte: UInt8) -> Bool { isLower(byte) || isUpper(byte) }

    /// What separates words: blanks, but not the newline.
    static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0B || byte == 0x0C || byte == 0x0D }

    /// Blanks and the newline.
    static func isSpace(_ byte: UInt8) -> Bool { isBlank(byte) || byte == newline }

    static func lowered(_ byte: UInt8) -> UInt8 { isUpper(byte) ? byte + 32 : byte }
}

extension Collection<UInt8> {
    var text: String { String(decoding: self, as: UTF8.self) }

    /// Whether all of it is UTF-8.
    var isUTF8: Bool {
        if allSatisfy({ $0 < 0x80 }) { return true }
        return text.utf8.elementsEqual(self)
    }
}

extension BidirectionalCollection<UInt8> {
    /// Without white space at both ends.
    var trimmed: SubSequence {
        guard let first = firstIndex(where: { !Byte.isSpace($0) }), let last = lastIndex(where: { !Byte.isSpace($0) }) else {
            return self[endIndex..<endIndex]
        }
        return self[first...last]
    }
}

extension String {
    var trimmed: String {
        guard let first = utf8.first, let last = utf8.last, Byte.isSpace(first) || Byte.isSpace(last) else { return self }
        return utf8.trimmed.text
    }

    /// Lower case of ASCII, as names of stages and instructions are compared.
    var loweredASCII: String {
        utf8.contains(where: Byte.isUpper) ? utf8.map(Byte.lowered).text : self
    }

    var upperedASCII: String {
        utf8.contains(where: Byte.isLower) ? utf8.map { Byte.isLower($0) ? $0 - 32 : $0 }.text : self
    }

    func has(_ byte: UInt8) -> Bool { utf8.contains(byte) }

    /// What stands before and behind the first such byte; nil without one.
    func cut(_ byte: UInt8) -> (String, String)? {
        guard let index = utf8.firstIndex(of: byte) else { return nil }
        return (utf8[..<index].text, utf8[utf8.index(after: index)...].text)
    }

    func fields(_ byte: UInt8) -> [String] {
        utf8.split(separator: byte, omittingEmptySubsequences: false).map(\.text)
    }

    func starts(_ prefix: StaticString) -> Bool {
        prefix.withUTF8Buffer { utf8.starts(with: $0) }
    }
}
