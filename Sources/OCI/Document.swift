import JSON

/// Reads whole documents, turning the parser's error into this library's.
enum Document {
    /// Documents whose strings end up in C strings: a NUL would cut a path short behind every check made on it.
    static let noNUL = JSONLimits(allowsNUL: false)

    static func decode<T>(
        _ bytes: [UInt8], _ operation: String, _ limits: JSONLimits,
        _ body: (inout JSONParser) throws(JSONError) -> T
    ) throws(OCIError) -> T {
        do {
            return try JSONParser.parse(bytes, limits: limits, body)
        } catch {
            throw OCIError(operation, error)
        }
    }

    /// Writes a document; pretty means two spaces.
    static func encode(pretty: Bool, _ body: (inout JSONWriter) -> Void) -> [UInt8] {
        JSONWriter.document(indent: pretty ? "  " : nil, body)
    }
}
