extension GoSyntax {
    /// Reads `1h30m`, `10s`, `1.5m`, `-2ms` (`time.ParseDuration`).
    /// - Returns: nanoseconds.
    static func duration(_ text: String) throws(InvalidValue) -> Int64 {
        var rest = text.utf8[...]
        var negative = false
        if let first = rest.first, first == UInt8(ascii: "-") || first == UInt8(ascii: "+") {
            negative = first == UInt8(ascii: "-")
            rest = rest.dropFirst()
        }
        if rest.count == 1, rest.first == UInt8(ascii: "0") { return 0 }
        if rest.isEmpty { throw invalidDuration(text) }
        var total: UInt64 = 0
        while !rest.isEmpty {
            let part = try durationPart(&rest, of: text)
            let (sum, overflowed) = total.addingReportingOverflow(part)
            if overflowed || sum > 1 << 63 { throw invalidDuration(text) }
            total = sum
        }
        if negative { return Int64(truncatingIfNeeded: 0 &- total) }
        guard let value = Int64(exactly: total) else { throw invalidDuration(text) }
        return value
    }

    /// One number with its unit, as nanoseconds.
    private static func durationPart(
        _ rest: inout Substring.UTF8View, of text: String
    ) throws(InvalidValue) -> UInt64 {
        let (whole, wholeDigits) = try leadingInteger(&rest, of: text)
        var (fraction, scale, fractionDigits): (UInt64, Double, Int) = (0, 1, 0)
        if rest.first == UInt8(ascii: ".") {
            rest = rest.dropFirst()
            (fraction, scale, fractionDigits) = leadingFraction(&rest)
        }
        guard wholeDigits + fractionDigits > 0 else { throw invalidDuration(text) }
        let unitText = rest.prefix { $0 != UInt8(ascii: ".") && !isDigit($0) }
        guard !unitText.isEmpty else {
            throw InvalidValue("time: missing unit in duration \(quoted(text))")
        }
        let unitName = String(decoding: unitText, as: UTF8.self)
        guard let unit = nanoseconds(in: unitName) else {
            throw InvalidValue("time: unknown unit \(quoted(unitName)) in duration \(quoted(text))")
        }
        rest = rest[unitText.endIndex...]
        let (product, overflowed) = whole.multipliedReportingOverflow(by: unit)
        let extra = UInt64(Double(fraction) * (Double(unit) / scale))
        let (sum, carried) = product.addingReportingOverflow(extra)
        if overflowed || carried || sum > 1 << 63 { throw invalidDuration(text) }
        return sum
    }

    private static func leadingInteger(
        _ rest: inout Substring.UTF8View, of text: String
    ) throws(InvalidValue) -> (UInt64, Int) {
        var value: UInt64 = 0
        var count = 0
        while let byte = rest.first, isDigit(byte) {
            let (product, overflowed) = value.multipliedReportingOverflow(by: 10)
            let (sum, carried) = product.addingReportingOverflow(UInt64(byte - UInt8(ascii: "0")))
            if overflowed || carried || sum > 1 << 63 { throw invalidDuration(text) }
            value = sum
            count += 1
            rest = rest.dropFirst()
        }
        return (value, count)
    }

    /// Digits beyond what 63 bits hold are read and have no effect.
    private static func leadingFraction(_ rest: inout Substring.UTF8View) -> (UInt64, Double, Int) {
        var value: UInt64 = 0
        var scale = 1.0
        var count = 0
        var full = false
        while let byte = rest.first, isDigit(byte) {
            rest = rest.dropFirst()
            count += 1
            if full { continue }
            let (product, overflowed) = value.multipliedReportingOverflow(by: 10)
            let (sum, carried) = product.addingReportingOverflow(UInt64(byte - UInt8(ascii: "0")))
            if overflowed || carried || sum > 1 << 63 {
                full = true
                continue
            }
            value = sum
            scale *= 10
        }
        return (value, scale, count)
    }

    private static func nanoseconds(in unit: String) -> UInt64? {
        switch unit {
        case "ns": return 1
        case "us", "\u{B5}s", "\u{3BC}s": return 1_000
        case "ms": return 1_000_000
        case "s": return 1_000_000_000
        case "m": return 60_000_000_000
        case "h": return 3_600_000_000_000
        default: return nil
        }
    }

    private static func invalidDuration(_ text: String) -> InvalidValue {
        InvalidValue("time: invalid duration \(quoted(text))")
    }

    static func isDigit(_ byte: UInt8) -> Bool {
        byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9")
    }
}
