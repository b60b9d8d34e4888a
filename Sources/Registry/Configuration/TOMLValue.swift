/// A value of a TOML document.
enum TOMLValue: Sendable, Hashable {
    case string(String)
    case integer(Int64)
    case bool(Bool)
    /// A float, date or time, as written: nothing here asks for one.
    case other(String)
    case array([TOMLValue])
    case table([String: TOMLValue])

    var string: String? {
        if case .string(let value) = self { value } else { nil }
    }

    var bool: Bool? {
        if case .bool(let value) = self { value } else { nil }
    }

    var array: [TOMLValue]? {
        if case .array(let elements) = self { elements } else { nil }
    }

    var table: [String: TOMLValue]? {
        if case .table(let members) = self { members } else { nil }
    }

    /// An array of strings and nothing else.
    var strings: [String]? {
        guard let array else { return nil }
        let strings = array.compactMap(\.string)
        return strings.count == array.count ? strings : nil
    }

    /// The kind of the value, for errors.
    var kind: String {
        switch self {
        case .string: "a string"
        case .integer: "a number"
        case .bool: "a boolean"
        case .other: "a number or date"
        case .array: "an array"
        case .table: "a table"
        }
    }
}

/// Why a TOML document was refused.
struct TOMLError: Error, Sendable, CustomStringConvertible {
    let line: Int
    let cause: String

    var description: String { "\(cause), in line \(line)" }
}
