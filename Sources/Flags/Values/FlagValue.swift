/// What the text of a flag was read as.
public enum FlagValue: Sendable, Equatable {
    case bool(Bool)
    /// Also durations (nanoseconds), sizes (bytes) and CPU counts (billionths).
    case integer(Int64)
    case unsigned(UInt64)
    case double(Double)
    /// One bare occurrence of a `count`.
    case step
    case text(String)
    case texts([String])
}

/// Says what is wrong with the text of a value.
struct InvalidValue: Error, Equatable {
    let sentence: String

    init(_ sentence: String) {
        self.sentence = sentence
    }
}

extension Flag {
    /// Reads and checks a value.
    func read(_ text: String) throws(InvalidValue) -> FlagValue {
        let value = try kind.read(text)
        if let check, let sentence = check(text) {
            throw InvalidValue(sentence)
        }
        return value
    }
}

extension Flag.Kind {
    func read(_ text: String) throws(InvalidValue) -> FlagValue {
        switch self {
        case .bool: return .bool(try GoSyntax.bool(text))
        case .count: return text == "+1" ? .step : .integer(try GoSyntax.integer(text))
        case .string, .list, .map: return .text(text)
        case .int: return .integer(try GoSyntax.integer(text))
        case .uint: return .unsigned(try GoSyntax.unsigned(text, bits: 64))
        case .uint16: return .unsigned(try GoSyntax.unsigned(text, bits: 16))
        case .float: return .double(try GoSyntax.float(text))
        case .duration: return .integer(try GoSyntax.duration(text))
        case .bytes: return .integer(try ByteSize.read(text))
        case .signedBytes: return .integer(text == "-1" ? -1 : try ByteSize.read(text))
        case .nanoCPUs: return .integer(try CPUCount.nanoCPUs(text))
        case .stringSlice: return .texts(try CommaSeparated.fields(text))
        }
    }

    /// The word help shows after the flag; empty for switches.
    var word: String {
        switch self {
        case .bool: return ""
        case .count: return "count"
        case .string: return "string"
        case .int: return "int"
        case .uint: return "uint"
        case .uint16: return "uint16"
        case .float: return "float"
        case .duration: return "duration"
        case .bytes, .signedBytes: return "bytes"
        case .nanoCPUs: return "decimal"
        case .list: return "list"
        case .stringSlice: return "strings"
        case .map: return "map"
        }
    }
}
