import JSON

/// The functions of Go's templates, and those of Docker's client: json, split, join, title, lower, upper, pad, truncate.
enum TemplateFunctions {
    static let names: Set<String> = [
        "and", "or", "not", "len", "index", "slice", "print", "printf", "println", "html", "urlquery", "eq", "ne", "lt",
        "le", "gt", "ge", "json", "split", "join", "title", "lower", "upper", "pad", "truncate",
    ]

    static func call(_ name: String, _ arguments: [TemplateValue]) throws(TemplateError) -> TemplateValue {
        switch name {
        case "eq", "ne", "lt", "le", "gt", "ge": return .init(.bool(try TemplateComparison.holds(name, arguments)))
        case "print": return string(TemplatePrinting.print(arguments))
        case "println": return string(arguments.map(\.text).joined(separator: " ") + "\n")
        case "printf":
            guard let format = arguments.first else { throw wrongCount(name, "at least 1", arguments) }
            return string(TemplatePrinting.format(format.text, Array(arguments.dropFirst())))
        case "index": return try index(arguments)
        case "slice": return try slice(arguments)
        case "split", "join": return try words(name, arguments)
        case "pad", "truncate": return try measured(name, arguments)
        case "html", "urlquery":
            let text = TemplatePrinting.print(arguments)
            return string(name == "html" ? TemplatePrinting.html(text) : TemplatePrinting.urlQuery(text))
        default: return try unary(name, arguments)
        }
    }

    /// Over headings Docker's functions give back what they get.
    static func heading(_ name: String, _ arguments: [TemplateValue]) throws(TemplateError) -> TemplateValue {
        switch name {
        case "json", "title", "lower", "upper", "truncate", "split", "join", "pad", "slice", "index":
            return arguments.first ?? .missing
        default: return try call(name, arguments)
        }
    }

    private static func unary(_ name: String, _ arguments: [TemplateValue]) throws(TemplateError) -> TemplateValue {
        guard arguments.count == 1 else { throw wrongCount(name, "1", arguments) }
        let value = arguments[0]
        switch name {
        case "not": return TemplateValue(.bool(!value.isTrue))
        case "json": return string(value.encoded)
        case "len":
            switch value.json {
            case .string(let text): return TemplateValue(.int(Int64(text.utf8.count)))
            case .array(let elements): return TemplateValue(.int(Int64(elements.count)))
            case .object(let members): return TemplateValue(.int(Int64(members.count)))
            case .null where !value.isMissing: return TemplateValue(.int(0))
            default: throw TemplateError("len of type \(value.typeName)")
            }
        case "lower": return string(try text(value).lowercased())
        case "upper": return string(try text(value).uppercased())
        case "title":
            var result = ""
            var starts = true
            for character in try text(value) {
                result += starts ? String(character).uppercased() : String(character)
                starts = character == " " || character == "\t" || character == "\n"
            }
            return string(result)
        default: throw TemplateError("function \"\(name)\" not defined")
        }
    }

    private static func index(_ arguments: [TemplateValue]) throws(TemplateError) -> TemplateValue {
        guard var value = arguments.first else { throw wrongCount("index", "at least 1", arguments) }
        for key in arguments.dropFirst() {
            switch (value.json, key.json) {
            case (.array(let elements), .int(let position)):
                guard position >= 0, position < Int64(elements.count) else {
                    throw TemplateError("index out of range: \(position)")
                }
                value = TemplateValue(elements[Int(position)])
            case (.string(let text), .int(let position)):
                let bytes = Array(text.utf8)
                guard position >= 0, position < Int64(bytes.count) else {
                    throw TemplateError("index out of range: \(position)")
                }
                value = TemplateValue(.int(Int64(bytes[Int(position)])))
            case (.object, .string(let name)):
                if let found = value.json[name] {
                    value = TemplateValue(found, name: name)
                } else {
                    value = value.zero
                }
            case (.null, _) where !value.isMissing && !value.name.isEmpty:
                value = value.zero
            case (.null, _): throw TemplateError("index of untyped nil")
            case (.array, _): throw TemplateError("cannot index slice/array with type \(key.typeName)")
            default: throw TemplateError("can't index item of type \(value.typeName)")
            }
        }
        return value
    }

    private static func slice(_ arguments: [TemplateValue]) throws(TemplateError) -> TemplateValue {
        guard let value = arguments.first, arguments.count <= 3 else { throw wrongCount("slice", "1 to 3", arguments) }
        let count: Int
        switch value.json {
        case .string(let text): count = text.utf8.count
        case .array(let elements): count = elements.count
        default: throw TemplateError("can't slice item of type \(value.typeName)")
        }
        var bounds = [0, count]
        for (place, argument) in arguments.dropFirst().enumerated() {
            guard let position = argument.json.int else {
                throw TemplateError("cannot index slice/array with type \(argument.typeName)")
            }
            guard position >= 0, position <= Int64(count) else { throw TemplateError("index out of range: \(position)") }
            bounds[place] = Int(position)
        }
        guard bounds[0] <= bounds[1] else { throw TemplateError("invalid slice index: \(bounds[0]) > \(bounds[1])") }
        switch value.json {
        case .string(let text):
            return string(String(decoding: Array(text.utf8)[bounds[0]..<bounds[1]], as: UTF8.self))
        case .array(let elements): return TemplateValue(.array(Array(elements[bounds[0]..<bounds[1]])))
        default: return value
        }
    }

    private static func words(_ name: String, _ arguments: [TemplateValue]) throws(TemplateError) -> TemplateValue {
        guard arguments.count == 2 else { throw wrongCount(name, "2", arguments) }
        let separator = try text(arguments[1])
        if name == "split" {
            let whole = try text(arguments[0])
            return TemplateValue(.array(split(whole, separator).map { .string($0) }))
        }
        switch arguments[0].json {
        case .array(let elements): return string(elements.map { TemplateValue($0).text }.joined(separator: separator))
        case .null where !arguments[0].isMissing: return string("")
        default: throw TemplateError("wrong type for value; expected []string; got \(arguments[0].typeName)")
        }
    }

    private static func split(_ whole: String, _ separator: String) -> [String] {
        if separator.isEmpty { return whole.map { String($0) } }
        let wanted = Array(separator.utf8)
        var parts: [String] = []
        var rest = Array(whole.utf8)[...]
        var part: [UInt8] = []
        while let byte = rest.first {
            if rest.starts(with: wanted) {
                parts.append(String(decoding: part, as: UTF8.self))
                part = []
                rest = rest.dropFirst(wanted.count)
            } else {
                part.append(byte)
                rest = rest.dropFirst()
            }
        }
        return parts + [String(decoding: part, as: UTF8.self)]
    }

    private static func measured(_ name: String, _ arguments: [TemplateValue]) throws(TemplateError) -> TemplateValue {
        let wanted = name == "pad" ? 3 : 2
        guard arguments.count == wanted else { throw wrongCount(name, "\(wanted)", arguments) }
        let whole = try text(arguments[0])
        var numbers: [Int] = []
        for argument in arguments.dropFirst() {
            guard let number = argument.json.int, number >= 0, number <= 1_000_000 else {
                throw TemplateError("wrong type for value; expected int; got \(argument.typeName)")
            }
            numbers.append(Int(number))
        }
        if name == "truncate" { return string(String(whole.prefix(numbers[0]))) }
        if whole.isEmpty { return string("") }
        return string(String(repeating: " ", count: numbers[0]) + whole + String(repeating: " ", count: numbers[1]))
    }

    // MARK: Parts

    private static func string(_ text: String) -> TemplateValue { TemplateValue(.string(text)) }

    private static func text(_ value: TemplateValue) throws(TemplateError) -> String {
        guard case .string(let text) = value.json else {
            throw TemplateError("wrong type for value; expected string; got \(value.typeName)")
        }
        return text
    }

    private static func wrongCount(_ name: String, _ wanted: String, _ arguments: [TemplateValue]) -> TemplateError {
        TemplateError("wrong number of args for \(name): want \(wanted) got \(arguments.count)")
    }
}

/// Go's `eq ne lt le gt ge`.
enum TemplateComparison {
    static func holds(_ name: String, _ arguments: [TemplateValue]) throws(TemplateError) -> Bool {
        guard arguments.count >= 2, name == "eq" || arguments.count == 2 else {
            throw TemplateError("wrong number of args for \(name): want \(name == "eq" ? "at least 2" : "2") got \(arguments.count)")
        }
        let first = arguments[0]
        switch name {
        case "eq":
            // All are compared, so that a bad type is told wherever it stands.
            var found = false
            for other in arguments.dropFirst() where try equal(first, other) { found = true }
            return found
        case "ne": return try !equal(first, arguments[1])
        default:
            let order = try order(first, arguments[1])
            switch name {
            case "lt": return order < 0
            case "le": return order <= 0
            case "gt": return order > 0
            default: return order >= 0
            }
        }
    }

    private static func equal(_ a: TemplateValue, _ b: TemplateValue) throws(TemplateError) -> Bool {
        if case .null = a.json { return b.json.isNull }
        if case .null = b.json { return false }
        if case .bool(let x) = a.json, case .bool(let y) = b.json { return x == y }
        return try order(a, b) == 0
    }

    private static func order(_ a: TemplateValue, _ b: TemplateValue) throws(TemplateError) -> Int {
        if case .string(let x) = a.json, case .string(let y) = b.json { return x == y ? 0 : x < y ? -1 : 1 }
        if let x = a.json.int, let y = b.json.int { return x == y ? 0 : x < y ? -1 : 1 }
        if let x = a.json.double, let y = b.json.double { return x == y ? 0 : x < y ? -1 : 1 }
        switch a.json {
        case .bool, .array, .object, .null: throw TemplateError("invalid type for comparison")
        default: throw TemplateError("incompatible types for comparison")
        }
    }
}
