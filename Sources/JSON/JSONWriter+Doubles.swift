extension JSONWriter {
    /// A finite double as Go writes it: shortest digits, no exponent from 1e-6 up to 1e21.
    static func text(of value: Double) -> [UInt8] {
        // `description` has the shortest digits that read back as the same value, only in another form.
        var digits: [UInt8] = []
        var exponent = 0
        var point: Int?
        let text = Array(value.magnitude.description.utf8)
        for (index, byte) in text.enumerated() {
            switch byte {
            case UInt8(ascii: "."): point = digits.count
            case UInt8(ascii: "e"):
                exponent = Int(String(decoding: text[(index + 1)...], as: UTF8.self)) ?? 0
            case UInt8(ascii: "0")...UInt8(ascii: "9"):
                // The digits of the exponent are read above.
                if !text[..<index].contains(UInt8(ascii: "e")) { digits.append(byte) }
            default: break
            }
        }
        // The value is 0.DIGITS · 10^exponent from here on.
        exponent += point ?? digits.count
        let zeros = digits.prefix { $0 == UInt8(ascii: "0") }.count
        digits.removeFirst(zeros)
        exponent -= zeros
        while digits.last == UInt8(ascii: "0") { digits.removeLast() }
        var output: [UInt8] = value.sign == .minus ? [UInt8(ascii: "-")] : []
        if digits.isEmpty { return output + [UInt8(ascii: "0")] }
        if exponent > 21 || exponent < -5 {
            output.append(digits.removeFirst())
            if !digits.isEmpty { output += [UInt8(ascii: ".")] + digits }
            let shown = exponent - 1
            return output + Array("e\(shown < 0 ? "-" : "+")".utf8) + Array(shown.magnitude.description.utf8)
        }
        let zero = UInt8(ascii: "0")
        if exponent <= 0 {
            return output + [zero, UInt8(ascii: ".")] + [UInt8](repeating: zero, count: -exponent) + digits
        }
        if exponent >= digits.count {
            return output + digits + [UInt8](repeating: zero, count: exponent - digits.count)
        }
        return output + digits[..<exponent] + [UInt8(ascii: ".")] + digits[exponent...]
    }
}
