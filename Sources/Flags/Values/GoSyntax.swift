/// Readers of the textual forms that Docker's flags take from Go's standard library, with its sentences.
package enum GoSyntax {
    /// `strconv.ParseBool`.
    static func bool(_ text: String) throws(InvalidValue) -> Bool {
        switch text {
        case "1", "t", "T", "true", "TRUE", "True": return true
        case "0", "f", "F", "false", "FALSE", "False": return false
        default: throw invalidSyntax("ParseBool", text)
        }
    }

    /// `strconv.ParseInt(text, 0, 64)`.
    static func integer(_ text: String) throws(InvalidValue) -> Int64 {
        var digits = text.utf8[...]
        var negative = false
        if let first = digits.first, first == UInt8(ascii: "-") || first == UInt8(ascii: "+") {
            negative = first == UInt8(ascii: "-")
            digits = digits.dropFirst()
        }
        let magnitude = try magnitude(digits, of: text, function: "ParseInt", limit: .max)
        if negative {
            if magnitude > UInt64(Int64.max) + 1 { throw outOfRange("ParseInt", text) }
            return Int64(truncatingIfNeeded: 0 &- magnitude)
        }
        guard let value = Int64(exactly: magnitude) else { throw outOfRange("ParseInt", text) }
        return value
    }

    /// `strconv.ParseUint(text, 0, bits)`.
    static func unsigned(_ text: String, bits: Int) throws(InvalidValue) -> UInt64 {
        let limit: UInt64 = bits >= 64 ? .max : (1 << UInt64(bits)) - 1
        return try magnitude(text.utf8[...], of: text, function: "ParseUint", limit: limit)
    }

    /// `strconv.ParseFloat(text, 64)`.
    static func float(_ text: String) throws(InvalidValue) -> Double {
        guard let value = Double(text) else { throw invalidSyntax("ParseFloat", text) }
        // Swift reads 1e999 as infinity; Go says it does not fit.
        if value.isInfinite, !text.utf8.contains(where: { $0 | 0x20 == UInt8(ascii: "i") }) {
            throw outOfRange("ParseFloat", text)
        }
        return value
    }

    static func invalidSyntax(_ function: String, _ text: String) -> InvalidValue {
        InvalidValue("strconv.\(function): parsing \(quoted(text)): invalid syntax")
    }

    static func outOfRange(_ function: String, _ text: String) -> InvalidValue {
        InvalidValue("strconv.\(function): parsing \(quoted(text)): value out of range")
    }

    /// Digits with an optional base prefix; an underscore may stand between digits or after the prefix.
    private static func magnitude(
        _ input: Substring.UTF8View, of text: String, function: String, limit: UInt64
    ) throws(InvalidValue) -> UInt64 {
        var digits = input
        var base: UInt64 = 10
        var previousIsDigit = false
        if digits.count > 1, digits.first == UInt8(ascii: "0") {
            let letter = digits[digits.index(after: digits.startIndex)] | 0x20
            previousIsDigit = true
            switch letter {
            case UInt8(ascii: "x"): (base, digits) = (16, digits.dropFirst(2))
            case UInt8(ascii: "o"): (base, digits) = (8, digits.dropFirst(2))
            case UInt8(ascii: "b"): (base, digits) = (2, digits.dropFirst(2))
            default: (base, digits) = (8, digits.dropFirst())
            }
        }
        guard !digits.isEmpty else { throw invalidSyntax(function, text) }
        var value: UInt64 = 0
        for byte in digits {
            if byte == UInt8(ascii: "_") {
                guard previousIsDigit else { throw invalidSyntax(function, text) }
                previousIsDigit = false
                continue
            }
            guard let digit = digitValue(byte), digit < base else { throw invalidSyntax(function, text) }
            let (product, overflowed) = value.multipliedReportingOverflow(by: base)
            let (sum, carried) = product.addingReportingOverflow(digit)
            if overflowed || carried || sum > limit { throw outOfRange(function, text) }
            value = sum
            previousIsDigit = true
        }
        guard previousIsDigit else { throw invalidSyntax(function, text) }
        return value
    }

    private static func digitValue(_ byte: UInt8) -> UInt64? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): return UInt64(byte - UInt8(ascii: "0"))
        case UInt8(ascii: "a")...UInt8(ascii: "f"): return UInt64(byte - UInt8(ascii: "a")) + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): return UInt64(byte - UInt8(ascii: "A")) + 10
        default: return nil
        }
    }
}
