/// Any JSON value, for cold paths where the shape is not known.
///
/// Objects keep the order of their members.
public enum JSONValue: Sendable, Hashable {
    /// One member of an object.
    public struct Member: Sendable, Hashable {
        public var key: String
        public var value: JSONValue
        public init(key: String, value: JSONValue) {
            self.key = key
            self.value = value
        }
    }

    case null
    case bool(Bool)
    case int(Int64)
    /// An integer above `Int64.max`.
    case uint(UInt64)
    /// A number with a fraction or an exponent, or an integer that fits no 64 bits.
    case double(Double)
    case string(String)
    case array([JSONValue])
    case object([Member])

    /// Parses a whole document.
    ///
    /// - Throws: what `JSONParser` throws.
    public static func parse(_ bytes: [UInt8], limits: JSONLimits = .standard) throws(JSONError) -> JSONValue {
        try JSONParser.parse(bytes, limits: limits) { (parser: inout JSONParser) throws(JSONError) -> JSONValue in
            try JSONValue(json: &parser)
        }
    }

    /// Reads the next value.
    ///
    /// - Throws: what `JSONParser` throws.
    public init(json parser: inout JSONParser) throws(JSONError) {
        switch try parser.kind() {
        case .null:
            _ = try parser.isNull()
            self = .null
        case .bool: self = .bool(try parser.bool())
        case .string: self = .string(try parser.string())
        case .number: self = try parser.number()
        case .array:
            var array = try parser.beginArray()
            var elements: [JSONValue] = []
            while try parser.nextElement(&array) { elements.append(try JSONValue(json: &parser)) }
            self = .array(elements)
        case .object:
            var object = try parser.beginObject()
            var members: [Member] = []
            while let key = try parser.nextMember(&object) {
                members.append(Member(key: key.string, value: try JSONValue(json: &parser)))
            }
            self = .object(members)
        }
    }

    /// The value of a member; nil when this is no object or has no such member.
    public subscript(_ key: String) -> JSONValue? {
        guard case .object(let members) = self else { return nil }
        return members.first { $0.key == key }?.value
    }

    /// An element; nil when this is no array or is shorter.
    public subscript(_ index: Int) -> JSONValue? {
        guard case .array(let elements) = self, elements.indices.contains(index) else { return nil }
        return elements[index]
    }

    public var isNull: Bool { self == .null }

    public var bool: Bool? {
        if case .bool(let value) = self { value } else { nil }
    }

    public var string: String? {
        if case .string(let value) = self { value } else { nil }
    }

    /// The value as an `Int64`; nil when it is no integer or does not fit.
    public var int: Int64? {
        if case .int(let value) = self { value } else { nil }
    }

    /// The value as an `UInt64`; nil when it is no integer or is negative.
    public var uint: UInt64? {
        switch self {
        case .int(let value): UInt64(exactly: value)
        case .uint(let value): value
        default: nil
        }
    }

    /// Any number as a double.
    public var double: Double? {
        switch self {
        case .int(let value): Double(value)
        case .uint(let value): Double(value)
        case .double(let value): value
        default: nil
        }
    }

    public var array: [JSONValue]? {
        if case .array(let elements) = self { elements } else { nil }
    }

    public var object: [Member]? {
        if case .object(let members) = self { members } else { nil }
    }
}

extension JSONParser {
    /// Reads a number of unknown type.
    mutating func number() throws(JSONError) -> JSONValue {
        let span = try scanNumber()
        guard span.isPlainInteger, let integer = try? integer(span) else { return .double(try double(span)) }
        if let value = integer.value(Int64.self) { return .int(value) }
        if let value = integer.value(UInt64.self) { return .uint(value) }
        return .double(try double(span))
    }
}

extension JSONValue: ExpressibleByStringLiteral, ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral,
    ExpressibleByFloatLiteral, ExpressibleByNilLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    public init(stringLiteral value: String) { self = .string(value) }
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    public init(integerLiteral value: Int64) { self = .int(value) }
    public init(floatLiteral value: Double) { self = .double(value) }
    public init(nilLiteral: ()) { self = .null }
    public init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
    public init(dictionaryLiteral elements: (String, JSONValue)...) {
        self = .object(elements.map { Member(key: $0.0, value: $0.1) })
    }
}
