/// ASCII classes of the grammars here. Unicode has other lower-case letters and digits; none of them is meant.
enum Characters {
    static func isDigit(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") }
    static func isLower(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "a") && byte <= UInt8(ascii: "z") }
    static func isUpper(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "A") && byte <= UInt8(ascii: "Z") }
    static func isLowerAlphanumeric(_ byte: UInt8) -> Bool { isDigit(byte) || isLower(byte) }
    static func isAlphanumeric(_ byte: UInt8) -> Bool { isDigit(byte) || isLower(byte) || isUpper(byte) }
    static func isLowerHex(_ byte: UInt8) -> Bool {
        isDigit(byte) || byte >= UInt8(ascii: "a") && byte <= UInt8(ascii: "f")
    }
    static func isHex(_ byte: UInt8) -> Bool {
        isLowerHex(byte) || byte >= UInt8(ascii: "A") && byte <= UInt8(ascii: "F")
    }
}

/// Text from outside, made fit for an error message.
enum Printable {
    /// At most 128 bytes, with everything but printable ASCII replaced: it ends up on a terminal or in a log.
    static func short(_ text: String) -> String {
        var bytes: [UInt8] = []
        for byte in text.utf8.prefix(128) {
            bytes.append(byte >= 0x20 && byte < 0x7F && byte != UInt8(ascii: "\"") ? byte : UInt8(ascii: "?"))
        }
        if text.utf8.count > 128 { bytes.append(contentsOf: "...".utf8) }
        return String(decoding: bytes, as: UTF8.self)
    }
}
