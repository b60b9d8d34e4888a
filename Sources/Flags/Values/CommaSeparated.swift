/// One line of comma separated values with RFC 4180 quotes: `a,"b,c"`. `--mount` and list flags use it.
package enum CommaSeparated {
    package static func parse(_ text: String) -> [String]? {
        try? fields(text)
    }

    static func fields(_ text: String) throws(InvalidValue) -> [String] {
        if text.isEmpty { return [] }
        if !text.utf8.contains(UInt8(ascii: "\"")) {
            return text.utf8.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false)
                .map { String(decoding: $0, as: UTF8.self) }
        }
        var result: [String] = []
        var rest = text.utf8[...]
        while true {
            result.append(try field(&rest))
            guard rest.first == UInt8(ascii: ",") else { break }
            rest = rest.dropFirst()
        }
        return result
    }

    /// Reads up to the next comma or the end.
    private static func field(_ rest: inout Substring.UTF8View) throws(InvalidValue) -> String {
        guard rest.first == UInt8(ascii: "\"") else {
            let plain = rest.prefix { $0 != UInt8(ascii: ",") }
            if plain.contains(UInt8(ascii: "\"")) {
                throw InvalidValue("bare \" in non-quoted field")
            }
            rest = rest[plain.endIndex...]
            return String(decoding: plain, as: UTF8.self)
        }
        rest = rest.dropFirst()
        var bytes: [UInt8] = []
        while let byte = rest.first {
            rest = rest.dropFirst()
            guard byte == UInt8(ascii: "\"") else {
                bytes.append(byte)
                continue
            }
            if rest.first == UInt8(ascii: "\"") {
                bytes.append(byte)
                rest = rest.dropFirst()
            } else if rest.isEmpty || rest.first == UInt8(ascii: ",") {
                return String(decoding: bytes, as: UTF8.self)
            } else {
                throw InvalidValue("extraneous or missing \" in quoted-field")
            }
        }
        throw InvalidValue("extraneous or missing \" in quoted-field")
    }
}
