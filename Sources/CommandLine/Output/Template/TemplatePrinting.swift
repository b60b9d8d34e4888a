import JSON

/// Go's fmt over template values.
enum TemplatePrinting {
    /// As `fmt.Sprint`: a blank between two operands when neither is text.
    static func print(_ values: [TemplateValue]) -> String {
        var result = ""
        var last: TemplateValue?
        for value in values {
            if let last, last.json.string == nil, value.json.string == nil { result += " " }
            result += value.text
            last = value
        }
        return result
    }

    private struct Verb {
        var left = false
        var zero = false
        var plus = false
        var alternate = false
        var width: Int?
        var precision: Int?
        var letter: UInt8 = 0
    }

    /// As `fmt.Sprintf`, with Go's marks for verbs that do not fit: `%!d(string=x)`, `%!s(MISSING)`, `%!(EXTRA int=1)`.
    static func format(_ format: String, _ values: [TemplateValue]) -> String {
        let bytes = Array(format.utf8)
        var result = ""
        var index = 0
        var next = 0
        while index < bytes.count {
            guard bytes[index] == UInt8(ascii: "%") else {
                let start = index
                while index < bytes.count, bytes[index] != UInt8(ascii: "%") { index += 1 }
                result += String(decoding: bytes[start..<index], as: UTF8.self)
                continue
            }
            index += 1
            let verb = readVerb(bytes, &index)
            let letter = String(decoding: [verb.letter], as: UTF8.self)
            if verb.letter == 0 {
                result += "%!(NOVERB)"
            } else if verb.letter == UInt8(ascii: "%") {
                result += "%"
            } else if next >= values.count {
                result += "%!\(letter)(MISSING)"
            } else {
                result += padded(formatted(values[next], verb, letter), verb)
                next += 1
            }
        }
        if next < values.count {
            result += "%!(EXTRA " + values[next...].map { "\($0.typeName)=\($0.text)" }.joined(separator: ", ") + ")"
        }
        return result
    }

    private static func readVerb(_ bytes: [UInt8], _ index: inout Int) -> Verb {
        var verb = Verb()
        flags: while index < bytes.count {
            switch bytes[index] {
            case UInt8(ascii: "-"): verb.left = true
            case UInt8(ascii: "0"): verb.zero = true
            case UInt8(ascii: "+"): verb.plus = true
            case UInt8(ascii: "#"): verb.alternate = true
            case UInt8(ascii: " "): break
            default: break flags
            }
            index += 1
        }
        verb.width = number(bytes, &index)
        if index < bytes.count, bytes[index] == UInt8(ascii: ".") {
            index += 1
            verb.precision = number(bytes, &index) ?? 0
        }
        if index < bytes.count {
            verb.letter = bytes[index]
            index += 1
        }
        return verb
    }

    /// Bounded, so that nobody asks for gigabytes of blanks.
    private static func number(_ bytes: [UInt8], _ index: inout Int) -> Int? {
        var result: Int?
        while index < bytes.count, bytes[index] >= UInt8(ascii: "0"), bytes[index] <= UInt8(ascii: "9") {
            result = min(10000, (result ?? 0) * 10 + Int(bytes[index] - UInt8(ascii: "0")))
            index += 1
        }
        return result
    }

    private static func formatted(_ value: TemplateValue, _ verb: Verb, _ letter: String) -> String {
        switch letter {
        case "v", "s":
            if letter == "s", value.json.int != nil || value.json.bool != nil { return bad(value, letter) }
            let text = value.text
            return verb.precision.map { String(text.prefix($0)) } ?? text
        case "q": return value.json.string.map(CommandText.quoted) ?? bad(value, letter)
        case "d":
            guard let number = value.json.int else { return bad(value, letter) }
            return verb.plus && number >= 0 ? "+\(number)" : "\(number)"
        case "x", "X":
            var text: String
            if let number = value.json.int {
                text = (verb.alternate ? "0x" : "") + String(number, radix: 16)
            } else if let string = value.json.string {
                text = string.utf8.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
            } else {
                return bad(value, letter)
            }
            if letter == "X" { text = text.uppercased() }
            return text
        case "o": return value.json.int.map { String($0, radix: 8) } ?? bad(value, letter)
        case "b": return value.json.int.map { String($0, radix: 2) } ?? bad(value, letter)
        case "c":
            guard let number = value.json.int, let code = UInt32(exactly: number), let scalar = Unicode.Scalar(code) else {
                return bad(value, letter)
            }
            return String(Character(scalar))
        case "t": return value.json.bool.map { $0 ? "true" : "false" } ?? bad(value, letter)
        case "f", "F":
            guard case .double(let number) = value.json else { return bad(value, letter) }
            return fixed(number, verb.precision ?? 6)
        case "g", "e":
            guard case .double(let number) = value.json else { return bad(value, letter) }
            return "\(number)"
        case "T": return value.typeName
        default: return bad(value, letter)
        }
    }

    private static func bad(_ value: TemplateValue, _ letter: String) -> String {
        value.isMissing || value.json.isNull ? "%!\(letter)(<nil>)" : "%!\(letter)(\(value.typeName)=\(value.text))"
    }

    private static func fixed(_ number: Double, _ precision: Int) -> String {
        let digits = min(precision, 15)
        var scale = 1.0
        for _ in 0..<digits { scale *= 10 }
        let scaled = (abs(number) * scale).rounded()
        guard scaled < 9e15 else { return "\(number)" }
        var text = "\(Int64(scaled))"
        if digits > 0 {
            if text.utf8.count <= digits { text = String(repeating: "0", count: digits + 1 - text.utf8.count) + text }
            text = text.dropLast(digits) + "." + text.suffix(digits)
        }
        return (number < 0 ? "-" : "") + text
    }

    private static func padded(_ text: String, _ verb: Verb) -> String {
        guard let width = verb.width, text.count < width else { return text }
        let missing = width - text.count
        if verb.left { return text + String(repeating: " ", count: missing) }
        guard verb.zero, verb.letter != UInt8(ascii: "s") else { return String(repeating: " ", count: missing) + text }
        let sign = text.hasPrefix("-") || text.hasPrefix("+") ? String(text.prefix(1)) : ""
        return sign + String(repeating: "0", count: missing) + text.dropFirst(sign.count)
    }

    static func html(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "&": result += "&amp;"
            case "\"": result += "&#34;"
            case "'": result += "&#39;"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    static func urlQuery(_ text: String) -> String {
        var result = ""
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"),
                UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."),
                UInt8(ascii: "~"):
                result.append(Character(Unicode.Scalar(byte)))
            case UInt8(ascii: " "): result += "+"
            default: result += "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
            }
        }
        return result
    }
}
