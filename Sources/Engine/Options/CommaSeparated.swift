/// One record of comma-separated values with Go's quoting (`encoding/csv`): `a,"b,c",d` has three fields.
enum CommaSeparated {
    static func fields(_ text: String) throws(EngineError) -> [String] {
        var fields: [String] = []
        var field: [UInt8] = []
        let bytes = Array(text.utf8)
        var index = 0
        while true {
            field.removeAll(keepingCapacity: true)
            if index < bytes.count, bytes[index] == UInt8(ascii: "\"") {
                index += 1
                while true {
                    guard index < bytes.count else { throw .invalid("missing closing quote in '\(text)'") }
                    let byte = bytes[index]
                    index += 1
                    if byte != UInt8(ascii: "\"") {
                        field.append(byte)
                    } else if index < bytes.count, bytes[index] == UInt8(ascii: "\"") {
                        field.append(byte)
                        index += 1
                    } else {
                        break
                    }
                }
                if index < bytes.count, bytes[index] != UInt8(ascii: ",") {
                    throw .invalid("text after a closing quote in '\(text)'")
                }
            } else {
                while index < bytes.count, bytes[index] != UInt8(ascii: ",") {
                    if bytes[index] == UInt8(ascii: "\"") { throw .invalid("bare quote in '\(text)'") }
                    field.append(bytes[index])
                    index += 1
                }
            }
            fields.append(String(decoding: field, as: UTF8.self))
            if index >= bytes.count { return fields }
            index += 1  // the comma
        }
    }
}
