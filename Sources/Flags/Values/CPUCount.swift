/// Numbers of CPUs as `--cpus` takes them: `1.5`, `2`, `.25`, `1e-1`, `1/4`.
enum CPUCount {
    /// - Returns: billionths of a CPU.
    static func nanoCPUs(_ text: String) throws(InvalidValue) -> Int64 {
        var rest = text.utf8[...]
        var negative = false
        if let first = rest.first, first == UInt8(ascii: "-") || first == UInt8(ascii: "+") {
            negative = first == UInt8(ascii: "-")
            rest = rest.dropFirst()
        }
        let value: Int64
        if let slash = rest.firstIndex(of: UInt8(ascii: "/")) {
            value = try fraction(rest[..<slash], rest[rest.index(after: slash)...], of: text)
        } else {
            value = try decimal(rest, of: text)
        }
        return negative ? -value : value
    }

    private static func fraction(
        _ upper: Substring.UTF8View, _ lower: Substring.UTF8View, of text: String
    ) throws(InvalidValue) -> Int64 {
        guard let numerator = digits(upper), let denominator = digits(lower), denominator != 0 else {
            throw unreadable(text)
        }
        let (scaled, overflowed) = numerator.multipliedReportingOverflow(by: 1_000_000_000)
        if overflowed { throw unreadable(text) }
        if scaled % denominator != 0 { throw InvalidValue("value is too precise") }
        return scaled / denominator
    }

    private static func decimal(_ input: Substring.UTF8View, of text: String) throws(InvalidValue) -> Int64 {
        var mantissa = input
        var exponent: Int64 = 9
        if let mark = input.firstIndex(where: { $0 | 0x20 == UInt8(ascii: "e") }) {
            mantissa = input[..<mark]
            var power = input[input.index(after: mark)...]
            let down = power.first == UInt8(ascii: "-")
            if down || power.first == UInt8(ascii: "+") { power = power.dropFirst() }
            // No real value needs more than two digits, and ten to it must not cost time.
            guard power.count <= 2, let size = digits(power) else { throw unreadable(text) }
            exponent += down ? -size : size
        }
        var joined = mantissa.filter { $0 != UInt8(ascii: ".") }
        if let dot = mantissa.firstIndex(of: UInt8(ascii: ".")) {
            exponent -= Int64(mantissa.distance(from: dot, to: mantissa.endIndex) - 1)
            guard mantissa.count - joined.count == 1 else { throw unreadable(text) }
        }
        while exponent < 0, joined.count > 1, joined.last == UInt8(ascii: "0") {
            joined.removeLast()
            exponent += 1
        }
        guard var value = digits(joined[...]) else { throw unreadable(text) }
        if value == 0 { return 0 }
        if exponent < 0 { throw InvalidValue("value is too precise") }
        for _ in 0..<exponent {
            let (product, overflowed) = value.multipliedReportingOverflow(by: 10)
            if overflowed { throw unreadable(text) }
            value = product
        }
        return value
    }

    private static func digits(_ text: some Collection<UInt8>) -> Int64? {
        guard !text.isEmpty else { return nil }
        var value: Int64 = 0
        for byte in text {
            guard GoSyntax.isDigit(byte) else { return nil }
            let (product, overflowed) = value.multipliedReportingOverflow(by: 10)
            let (sum, carried) = product.addingReportingOverflow(Int64(byte - UInt8(ascii: "0")))
            if overflowed || carried { return nil }
            value = sum
        }
        return value
    }

    private static func unreadable(_ text: String) -> InvalidValue {
        InvalidValue("failed to parse \(text) as a rational number")
    }
}
