import JSON

/// The part of Go's text/template that `--format` needs most: text, fields, and `json`.
///
/// Read once, rendered for every object. What is not understood is refused by name; the whole language comes later.
struct Template {
    private enum Piece {
        case text(String)
        /// Path of a field; empty is the object itself.
        case value(path: [String], json: Bool)
    }

    private let pieces: [Piece]
    /// `table …` was given: a heading and aligned columns.
    let isTable: Bool
    /// The whole format is `json`: one document for each object.
    let isJSON: Bool

    /// - Throws: `.invalid` naming the construct that is not supported.
    init(_ format: String) throws(CommandError) {
        var text = format
        isJSON = text == "json"
        isTable = text == "table" || text.hasPrefix("table ")
        if isTable { text = String(text.dropFirst(5).drop { $0 == " " }) }
        pieces = isJSON ? [.value(path: [], json: true)] : try Template.parse(Template.unescaped(text))
    }

    /// Fields in the order they stand, for headings.
    var fields: [[String]] {
        pieces.compactMap { piece in
            if case .value(let path, _) = piece { return path }
            return nil
        }
    }

    /// A `table` without anything after it uses the command's own columns.
    var isBareTable: Bool { isTable && pieces.isEmpty }

    /// Docker reads `\t` and `\n` in formats, because shells do not.
    private static func unescaped(_ text: String) -> String {
        var result = ""
        var escaped = false
        for character in text {
            if escaped {
                switch character {
                case "t": result.append("\t")
                case "n": result.append("\n")
                default:
                    result.append("\\")
                    result.append(character)
                }
                escaped = false
            } else if character == "\\" {
                escaped = true
            } else {
                result.append(character)
            }
        }
        return escaped ? result + "\\" : result
    }

    private static func parse(_ text: String) throws(CommandError) -> [Piece] {
        var pieces: [Piece] = []
        var rest = text[...]
        while let open = rest.firstRange(of: "{{") {
            var before = String(rest[..<open.lowerBound])
            rest = rest[open.upperBound...]
            guard let close = rest.firstRange(of: "}}") else {
                throw .invalid("template parsing error: unclosed action in \"\(text)\"")
            }
            var action = rest[..<close.lowerBound]
            rest = rest[close.upperBound...]
            if action.hasPrefix("- ") {
                action = action.dropFirst(2)
                while let last = before.last, last == " " || last == "\n" || last == "\t" { before.removeLast() }
            }
            if action.hasSuffix(" -") {
                action = action.dropLast(2)
                rest = rest.drop { $0 == " " || $0 == "\n" || $0 == "\t" }
            }
            if !before.isEmpty { pieces.append(.text(before)) }
            pieces.append(try piece(action, text))
        }
        if !rest.isEmpty { pieces.append(.text(String(rest))) }
        return pieces
    }

    private static func piece(_ action: Substring, _ format: String) throws(CommandError) -> Piece {
        var words = action.split(separator: " ").map(String.init)
        var json = false
        if words.count == 2, words[0] == "json" {
            json = true
            words.removeFirst()
        } else if words.count == 3, words[1] == "|", words[2] == "json" {
            json = true
            words.removeLast(2)
        }
        if words.count == 1, words[0].hasPrefix("\""), words[0].hasSuffix("\""), words[0].count > 1 {
            return .text(String(words[0].dropFirst().dropLast()))
        }
        guard words.count == 1, let word = words.first, word.hasPrefix(".") else {
            throw .invalid(
                "template \"\(format)\": \"{{\(action)}}\" is not supported yet: use {{.Field}}, {{json .}} or {{json .Field}}"
            )
        }
        let path = word.dropFirst().split(separator: ".", omittingEmptySubsequences: false).map(String.init)
        if word == "." { return .value(path: [], json: json) }
        guard path.allSatisfy({ !$0.isEmpty && $0.allSatisfy { $0.isLetter || $0.isNumber || $0 == "_" } }) else {
            throw .invalid("template \"\(format)\": bad field \"\(word)\"")
        }
        return .value(path: path, json: json)
    }

    /// - Throws: `.invalid` for a field the object does not have.
    func render(_ object: JSONValue, of type: String) throws(CommandError) -> String {
        var result = ""
        for piece in pieces {
            switch piece {
            case .text(let text): result += text
            case .value(let path, let json):
                let value = try Template.lookup(object, path, type)
                result +=
                    json
                    ? String(decoding: JSONWriter.document { $0.value(value) }, as: UTF8.self) : Template.text(value)
            }
        }
        return result
    }

    private static func lookup(_ object: JSONValue, _ path: [String], _ type: String) throws(CommandError) -> JSONValue {
        var value = object
        for (depth, name) in path.enumerated() {
            guard case .object(let members) = value else {
                throw .invalid("template parsing error: can't evaluate field \(name) in \(type)")
            }
            if let next = members.first(where: { $0.key == name })?.value {
                value = next
            } else if depth == 0 {
                throw .invalid("template parsing error: can't evaluate field \(name) in type \(type)")
            } else {
                return .string("<no value>")
            }
        }
        return value
    }

    /// As Go prints values.
    private static func text(_ value: JSONValue) -> String {
        switch value {
        case .null: "<no value>"
        case .bool(let on): on ? "true" : "false"
        case .int(let number): "\(number)"
        case .uint(let number): "\(number)"
        case .double(let number): "\(number)"
        case .string(let text): text
        case .array(let elements): "[" + elements.map(text).joined(separator: " ") + "]"
        case .object(let members): "map[" + members.map { "\($0.key):\(text($0.value))" }.joined(separator: " ") + "]"
        }
    }
}

extension Substring {
    /// The first place where `needle` stands.
    fileprivate func firstRange(of needle: String) -> Range<Index>? {
        let wanted = Array(needle.utf8)
        var index = startIndex
        while index < endIndex {
            if utf8[index...].starts(with: wanted) {
                return index..<utf8.index(index, offsetBy: wanted.count)
            }
            index = utf8.index(after: index)
        }
        return nil
    }
}
