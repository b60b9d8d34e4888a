/// One value of a YAML document, with the place where it stands.
///
/// Aliases are resolved, merge keys (`<<`) are merged, plain scalars have the types of the core schema (``YAMLSchema``). Mappings keep
/// the order of their members, and their keys are texts: `80: x` has the key `80`.
///
/// Spec: YAML 1.2.2; the syntax is libyaml's, which is that of YAML 1.1 (no difference in what people write).
public struct YAMLNode: Sendable, Hashable {
    /// One member of a mapping.
    public struct Member: Sendable, Hashable {
        public var key: String
        public var value: YAMLNode
        /// Of the key, from 1.
        public var line: Int
        public var column: Int

        public init(key: String, value: YAMLNode, line: Int = 0, column: Int = 0) {
            self.key = key
            self.value = value
            self.line = line
            self.column = column
        }
    }

    public enum Value: Sendable, Hashable {
        case null
        case bool(Bool)
        case int(Int64)
        /// An integer above `Int64.max`.
        case uint(UInt64)
        case double(Double)
        case string(String)
        case sequence([YAMLNode])
        case mapping([Member])
    }

    public var value: Value
    /// From 1; 0 for a node that was not read. Of an alias: where the alias stands.
    public var line: Int
    /// In characters, from 1.
    public var column: Int
    /// A tag of the application's own (`!reset`), with its exclamation mark; empty for none and for those of YAML itself.
    public var tag: String
    /// A scalar as it is written, without quotes: `0644`, `1.10`, `yes`. Empty for collections.
    public var text: String

    public init(_ value: Value, line: Int = 0, column: Int = 0, tag: String = "", text: String = "") {
        self.value = value
        self.line = line
        self.column = column
        self.tag = tag
        self.text = text
    }

    /// Reads a text with one document in it. A text with none is a null.
    ///
    /// - Throws: with line and column. `.invalidValue` for a second document.
    public static func parse(_ bytes: [UInt8], limits: YAMLLimits = .standard) throws(YAMLError) -> YAMLNode {
        let documents = try parseAll(bytes, limits: limits)
        if documents.count > 1 {
            let second = documents[1]
            throw YAMLError(.invalidValue, cause: "only one document is expected", line: second.line, column: second.column)
        }
        return documents.first ?? YAMLNode(.null, line: 1, column: 1)
    }

    /// Reads all documents of a text (separated by `---`).
    ///
    /// - Throws: with line and column.
    public static func parseAll(_ bytes: [UInt8], limits: YAMLLimits = .standard) throws(YAMLError) -> [YAMLNode] {
        try YAMLComposer.documents(of: bytes, limits: limits)
    }

    /// The value of a member; nil when this is no mapping or has no such member.
    public subscript(_ key: String) -> YAMLNode? {
        guard case .mapping(let members) = value else { return nil }
        return members.first { $0.key == key }?.value
    }

    /// An element; nil when this is no sequence or is shorter.
    public subscript(_ index: Int) -> YAMLNode? {
        guard case .sequence(let elements) = value, elements.indices.contains(index) else { return nil }
        return elements[index]
    }

    public var isNull: Bool { value == .null }

    public var bool: Bool? {
        if case .bool(let value) = value { value } else { nil }
    }

    /// The value as an `Int64`; nil when it is no integer or does not fit.
    public var int: Int64? {
        if case .int(let value) = value { value } else { nil }
    }

    /// The value as an `UInt64`; nil when it is no integer or is negative.
    public var uint: UInt64? {
        switch value {
        case .int(let value): UInt64(exactly: value)
        case .uint(let value): value
        default: nil
        }
    }

    /// Any number as a double.
    public var double: Double? {
        switch value {
        case .int(let value): Double(value)
        case .uint(let value): Double(value)
        case .double(let value): value
        default: nil
        }
    }

    /// A text; nil for everything else, numbers too.
    public var string: String? {
        if case .string(let value) = value { value } else { nil }
    }

    /// Any scalar but null as it is written: what a field gets that wants a text where somebody wrote `8080` or `yes`.
    public var scalarText: String? {
        switch value {
        case .null, .sequence, .mapping: nil
        default: text
        }
    }

    public var sequence: [YAMLNode]? {
        if case .sequence(let elements) = value { elements } else { nil }
    }

    public var mapping: [Member]? {
        if case .mapping(let members) = value { members } else { nil }
    }

    /// What kind of value this is, for messages: `a text`, `a list`.
    public var kind: String {
        switch value {
        case .null: "nothing"
        case .bool: "true or false"
        case .int, .uint, .double: "a number"
        case .string: "a text"
        case .sequence: "a list"
        case .mapping: "a mapping"
        }
    }

    /// An error at this node's place.
    public func failure(_ cause: String, _ code: YAMLError.Code = .invalidValue) -> YAMLError {
        YAMLError(code, cause: cause, line: line, column: column)
    }
}
