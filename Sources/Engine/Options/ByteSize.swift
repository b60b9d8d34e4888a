/// Sizes as people write them: `64m`, `1.5g`, `10KiB`, `512`. Units are powers of 1024, as in Docker's `--memory`.
public enum ByteSize {
    /// Bytes of a size with an optional unit (b, k, m, g, t, p; `kb` and `kib` mean the same; any case).
    ///
    /// - Throws: `.invalid` for signs, blanks, unknown units and sizes over 2^63 - 1.
    public static func parse(_ text: String) throws(EngineError) -> Int64 {
        let failure = EngineError.invalid("invalid size: '\(text)'")
        var whole: Int64 = 0
        var fraction = 0.0
        var scale = 0.1
        var digits = 0
        var bytes = text.utf8[...]
        while let byte = bytes.first, byte >= 0x30, byte <= 0x39 {
            let (product, overflow) = whole.multipliedReportingOverflow(by: 10)
            let (sum, carry) = product.addingReportingOverflow(Int64(byte - 0x30))
            if overflow || carry { throw failure }
            whole = sum
            digits += 1
            bytes = bytes.dropFirst()
        }
        if bytes.first == UInt8(ascii: ".") {
            bytes = bytes.dropFirst()
            while let byte = bytes.first, byte >= 0x30, byte <= 0x39 {
                fraction += Double(byte - 0x30) * scale
                scale /= 10
                digits += 1
                bytes = bytes.dropFirst()
            }
        }
        if digits == 0 { throw failure }
        guard let unit = unit(bytes) else { throw failure }
        let (size, overflow) = whole.multipliedReportingOverflow(by: unit)
        if overflow { throw failure }
        let (total, carry) = size.addingReportingOverflow(Int64(fraction * Double(unit)))
        if carry { throw failure }
        return total
    }

    private static func unit(_ bytes: Substring.UTF8View) -> Int64? {
        let lower = bytes.map { $0 >= 65 && $0 <= 90 ? $0 + 32 : $0 }
        guard let letter = lower.first else { return 1 }
        let rest = Array(lower.dropFirst())
        if letter == UInt8(ascii: "b") { return rest.isEmpty ? 1 : nil }
        let isBytes = rest.isEmpty || rest == Array("b".utf8) || rest == Array("ib".utf8)
        guard isBytes, let power = Array("kmgtp".utf8).firstIndex(of: letter) else { return nil }
        return 1 << (10 * Int64(power + 1))
    }

    /// Docker's human form with decimal units and up to three digits: `4.26MB`, `0B`, `77.8kB`.
    public static func decimal(_ bytes: Int64) -> String {
        human(bytes, base: 1000, ["B", "kB", "MB", "GB", "TB", "PB"])
    }

    /// As ``decimal(_:)`` with up to four digits, where Docker counts what is on disk: `4.263MB`.
    public static func decimalOnDisk(_ bytes: Int64) -> String {
        human(bytes, base: 1000, ["B", "kB", "MB", "GB", "TB", "PB"], digits: 4)
    }

    /// Docker's human form with binary units: `64MiB`, `1.5GiB`.
    public static func binary(_ bytes: Int64) -> String {
        human(bytes, base: 1024, ["B", "KiB", "MiB", "GiB", "TiB", "PiB"])
    }

    private static func human(_ bytes: Int64, base: Double, _ units: [String], digits: Int? = nil) -> String {
        var value = Double(bytes)
        var unit = 0
        while value >= base, unit < units.count - 1 {
            value /= base
            unit += 1
        }
        return significant(value, digits: digits ?? (base == 1024 ? 4 : 3)) + units[unit]
    }

    /// Decimal sizes have three significant digits, binary ones four (Go's `%.3g` and `%.4g` in go-units).
    private static func significant(_ value: Double, digits: Int) -> String {
        var decimals = digits - 1
        if value >= 10 { decimals -= 1 }
        if value >= 100 { decimals -= 1 }
        if value >= 1000 { decimals -= 1 }
        return decimal(value, digits: max(decimals, 0))
    }

    /// A non-negative number with at most `digits` decimals and no trailing zeros.
    public static func decimal(_ value: Double, digits: Int) -> String {
        var scale = 1.0
        for _ in 0..<digits { scale *= 10 }
        let scaled = Int64(exactly: (value * scale).rounded()) ?? 0
        let step = Int64(scale)
        var text = "\(scaled / step)"
        var rest = scaled % step
        if rest == 0 { return text }
        var padded = "\(rest)"
        while padded.utf8.count < digits { padded = "0" + padded }
        while rest % 10 == 0 {
            rest /= 10
            padded.removeLast()
        }
        text += "." + padded
        return text
    }
}
