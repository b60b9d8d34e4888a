/// One way to authenticate that a registry offers in `WWW-Authenticate`.
///
/// Spec: RFC 9110 section 11.6.1.
struct Challenge: Sendable, Hashable {
    /// In lower case: `basic`, `bearer`.
    var scheme: String
    /// Names in lower case; of a name that comes twice the first.
    var parameters: [String: String] = [:]

    /// Reads all values of the header, each of which may have several challenges.
    ///
    /// What cannot be understood ends the reading of its value: the challenges before it count.
    static func parse(_ values: [String]) -> [Challenge] {
        var out: [Challenge] = []
        for value in values.prefix(16) {
            var reader = Reader(bytes: Array(value.utf8.prefix(8 << 10)))
            out += reader.challenges()
        }
        return out
    }

    private struct Reader {
        let bytes: [UInt8]
        var position = 0

        var peek: UInt8? { position < bytes.count ? bytes[position] : nil }

        mutating func skipBlanks() {
            while let byte = peek, byte == 0x20 || byte == 0x09 { position += 1 }
        }

        mutating func skipSeparators() {
            while let byte = peek, byte == 0x20 || byte == 0x09 || byte == UInt8(ascii: ",") { position += 1 }
        }

        /// `scheme name=value, name="value", scheme …`: a word that `=` follows is a parameter, any other begins a challenge.
        mutating func challenges() -> [Challenge] {
            var out: [Challenge] = []
            while true {
                skipSeparators()
                guard let word = token() else { return out }
                skipBlanks()
                guard peek == UInt8(ascii: "="), !out.isEmpty else {
                    out.append(Challenge(scheme: word.lowercased()))
                    skipOpaque()
                    continue
                }
                position += 1
                skipBlanks()
                guard let value = peek == UInt8(ascii: "\"") ? quoted() : token() else { return out }
                let name = word.lowercased()
                if out[out.count - 1].parameters[name] == nil { out[out.count - 1].parameters[name] = value }
            }
        }

        /// The single word that some schemes have instead of parameters (`Negotiate YII…=`): of no use here.
        private mutating func skipOpaque() {
            let start = position
            guard token() != nil else { return }
            let isPadded = peek == UInt8(ascii: "=")
            while peek == UInt8(ascii: "=") { position += 1 }
            skipBlanks()
            let isWhole = peek == nil || peek == UInt8(ascii: ",")
            // `name=value`: the first parameter, to be read again.
            if !isPadded || !isWhole { position = start }
        }

        private mutating func token() -> String? {
            let start = position
            while let byte = peek, Challenge.isTokenByte(byte) { position += 1 }
            return position > start ? String(decoding: bytes[start..<position], as: UTF8.self) : nil
        }

        private mutating func quoted() -> String? {
            position += 1
            var out: [UInt8] = []
            while let byte = peek {
                position += 1
                switch byte {
                case UInt8(ascii: "\""): return String(decoding: out, as: UTF8.self)
                case UInt8(ascii: "\\"):
                    guard let next = peek else { return nil }
                    out.append(next)
                    position += 1
                default: out.append(byte)
                }
            }
            return nil
        }
    }

    /// Letters, digits, the signs of a token (RFC 9110 section 5.6.2), and those of unquoted addresses and base64, which occur.
    private static func isTokenByte(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x21, 0x23...0x27, 0x2A, 0x2B, 0x2D...0x3A, 0x41...0x5A, 0x5E...0x7A, 0x7C, 0x7E: true
        default: false
        }
    }
}
