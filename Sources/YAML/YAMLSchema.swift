/// What a plain scalar means: the core schema of YAML 1.2, so `yes`, `on`, `2026-01-01` and `1:30` are texts.
///
/// One thing is read as YAML 1.1 has it and as docker, podman and kubernetes read it: an integer with a leading zero is octal
/// (`mode: 0644`). A decimal reading would give the mode 01204.
///
/// Spec: YAML 1.2.2, 10.3 "Core Schema".
enum YAMLSchema {
    static func value(of text: String) -> YAMLNode.Value {
        switch text {
        case "", "~", "null", "Null", "NULL": return .null
        case "true", "True", "TRUE": return .bool(true)
        case "false", "False", "FALSE": return .bool(false)
        case ".nan", ".NaN", ".NAN": return .double(.nan)
        case ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF": return .double(.infinity)
        case "-.inf", "-.Inf", "-.INF": return .double(-.infinity)
        default: return number(text) ?? .string(text)
        }
    }

    private static func number(_ text: String) -> YAMLNode.Value? {
        var digits = text.utf8[...]
        guard let first = digits.first, first < 0x3A else { return nil }
        let isNegative = first == UInt8(ascii: "-")
        let isSigned = isNegative || first == UInt8(ascii: "+")
        if isSigned { digits.removeFirst() }
        guard let second = digits.first else { return nil }
        if second == UInt8(ascii: "0"), digits.count > 1 {
            let rest = digits.dropFirst(2)
            switch digits[digits.index(after: digits.startIndex)] {
            // Without a sign in the core schema.
            case UInt8(ascii: "x"): return isSigned ? nil : integer(rest, radix: 16, isNegative: false)
            case UInt8(ascii: "o"): return isSigned ? nil : integer(rest, radix: 8, isNegative: false)
            default: break
            }
            if digits.allSatisfy({ $0 >= 0x30 && $0 < 0x38 }) { return integer(digits, radix: 8, isNegative: isNegative) }
        }
        if digits.allSatisfy(isDigit), let value = integer(digits, radix: 10, isNegative: isNegative) { return value }
        return isFloat(digits) ? Double(text).map { .double($0) } : nil
    }

    /// - Returns: nil for what has other signs in it, or is too large.
    private static func integer(_ digits: Substring.UTF8View, radix: UInt64, isNegative: Bool) -> YAMLNode.Value? {
        var total: UInt64 = 0
        if digits.isEmpty { return nil }
        for byte in digits {
            let digit: UInt8
            switch byte {
            case 0x30...0x39: digit = byte - 0x30
            case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = byte - UInt8(ascii: "a") + 10
            case UInt8(ascii: "A")...UInt8(ascii: "F"): digit = byte - UInt8(ascii: "A") + 10
            default: return nil
            }
            guard digit < radix else { return nil }
            let (product, isTooLarge) = total.multipliedReportingOverflow(by: radix)
            let (sum, overflows) = product.addingReportingOverflow(UInt64(digit))
            if isTooLarge || overflows { return nil }
            total = sum
        }
        if isNegative {
            if total == 1 << 63 { return .int(Int64.min) }
            return Int64(exactly: total).map { .int(-$0) }
        }
        return Int64(exactly: total).map { .int($0) } ?? .uint(total)
    }

    /// `(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
    private static func isFloat(_ text: Substring.UTF8View) -> Bool {
        let whole = text.prefix(while: isDigit)
        var rest = text[whole.endIndex...]
        var fraction = 0
        if rest.first == UInt8(ascii: ".") {
            rest.removeFirst()
            let digits = rest.prefix(while: isDigit)
            fraction = digits.count
            rest = rest[digits.endIndex...]
        }
        guard !whole.isEmpty || fraction > 0 else { return false }
        guard let mark = rest.first else { return true }
        guard mark == UInt8(ascii: "e") || mark == UInt8(ascii: "E") else { return false }
        rest.removeFirst()
        if rest.first == UInt8(ascii: "-") || rest.first == UInt8(ascii: "+") { rest.removeFirst() }
        return !rest.isEmpty && rest.allSatisfy(isDigit)
    }

    private static func isDigit(_ byte: UInt8) -> Bool { byte >= 0x30 && byte <= 0x39 }
}
