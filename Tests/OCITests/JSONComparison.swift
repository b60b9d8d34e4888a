import JSON

/// A value with the members of all its objects sorted, so that two documents compare by meaning.
func sorted(_ value: JSONValue) -> JSONValue {
    switch value {
    case .array(let elements): .array(elements.map(sorted))
    case .object(let members):
        .object(
            members.map { JSONValue.Member(key: $0.key, value: sorted($0.value)) }
                .sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) })
    default: value
    }
}

func meaning(_ text: String) throws -> JSONValue { sorted(try JSONValue.parse(Array(text.utf8))) }
func meaning(_ bytes: [UInt8]) throws -> JSONValue { sorted(try JSONValue.parse(bytes)) }
func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }
