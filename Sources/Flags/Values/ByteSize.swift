/// Sizes as Docker reads them: `1024`, `512m`, `1.5g`, `64KiB`, `2 GB`; every prefix is a power of 1024.
package enum ByteSize {
    /// - Returns: bytes.
    package static func parse(_ text: String) -> Int64? {
        try? read(text)
    }

    static func read(_ text: String) throws(InvalidValue) -> Int64 {
        let bytes = text.utf8
        guard let last = bytes.lastIndex(where: { GoSyntax.isDigit($0) || $0 == UInt8(ascii: ".") || $0 == 0x20 })
        else { throw invalid(text) }
        let next = bytes.index(after: last)
        // One space may stand between number and suffix.
        let number = String(bytes[last] == 0x20 ? text[..<last] : text[..<next])
        let suffix = String(decoding: bytes[next...].map(lowercased), as: UTF8.self)
        let size = try GoSyntax.float(number)
        guard size >= 0 else { throw invalid(text) }
        let scaled = size * (try multiplier(suffix))
        // 2^63 is the first double that does not fit.
        guard scaled < 9_223_372_036_854_775_808 else { throw invalid(text) }
        return Int64(scaled)
    }

    private static func multiplier(_ suffix: String) throws(InvalidValue) -> Double {
        switch suffix {
        case "", "b": return 1
        case "k", "kb", "kib": return 1024
        case "m", "mb", "mib": return 1_048_576
        case "g", "gb", "gib": return 1_073_741_824
        case "t", "tb", "tib": return 1_099_511_627_776
        case "p", "pb", "pib": return 1_125_899_906_842_624
        default: throw InvalidValue("invalid suffix: '\(suffix)'")
        }
    }

    private static func invalid(_ text: String) -> InvalidValue {
        InvalidValue("invalid size: '\(text)'")
    }

    private static func lowercased(_ byte: UInt8) -> UInt8 {
        byte >= UInt8(ascii: "A") && byte <= UInt8(ascii: "Z") ? byte | 0x20 : byte
    }
}
