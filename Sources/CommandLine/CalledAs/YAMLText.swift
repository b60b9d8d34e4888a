import JSON

/// A JSON document as YAML in blocks, which podman's `info` prints.
enum YAMLText {
    static func lines(_ value: JSONValue, indent: Int = 0) -> [String] {
        let space = String(repeating: " ", count: indent)
        switch value {
        case .object(let members):
            return members.flatMap { member -> [String] in
                if isBlock(member.value) {
                    // Elements of a list stand below its key.
                    let deeper = if case .array = member.value { indent } else { indent + 2 }
                    return [space + member.key + ":"] + lines(member.value, indent: deeper)
                }
                return [space + member.key + ": " + scalar(member.value)]
            }
        case .array(let elements): return elements.map { space + "- " + scalar($0) }
        default: return [space + scalar(value)]
        }
    }

    private static func isBlock(_ value: JSONValue) -> Bool {
        switch value {
        case .object(let members): !members.isEmpty
        case .array(let elements): !elements.isEmpty
        default: false
        }
    }

    private static func scalar(_ value: JSONValue) -> String {
        switch value {
        case .string(let text): return isPlain(text) ? text : CommandText.quoted(text)
        case .object(let members) where members.isEmpty: return "{}"
        case .array(let elements) where elements.isEmpty: return "[]"
        default: return String(decoding: JSONWriter.document { $0.value(value) }, as: UTF8.self)
        }
    }

    /// What nobody takes for anything but this text: it begins with a letter or a slash, and has nothing that means more in YAML.
    private static func isPlain(_ text: String) -> Bool {
        guard let first = text.unicodeScalars.first, first == "/" || first.properties.isAlphabetic else { return false }
        if ["true", "false", "null", "yes", "no", "on", "off", "y", "n"].contains(text.lowercased()) { return false }
        return text.utf8.allSatisfy { byte in
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, UInt8(ascii: "/"), UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_"),
                UInt8(ascii: "("), UInt8(ascii: ")"), 0x20:
                true
            default: false
            }
        }
    }
}
