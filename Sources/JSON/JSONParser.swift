/// A pull parser: the caller asks for the value it expects and gets it or an error.
///
/// Strict about the text (RFC 8259, UTF-8, no lone surrogates, no duplicate keys, no trailing bytes), tolerant about the document
/// the way Go's encoding/json is: a member whose value is `null` counts as absent, a `null` object or array is empty.
/// Unknown keys must be passed over with `skip()`.
///
/// ```swift
/// var object = try parser.beginObject()
/// while let key = try parser.nextKey(&object) {
///     switch key {
///     case "path": path = try parser.string()
///     default: try parser.skip()
///     }
/// }
/// ```
/// The parser points into the bytes it was given and must not outlive them: start with `JSONParser.parse`.
public struct JSONParser {
    let bytes: UnsafeRawBufferPointer
    /// Offset of the next byte to read.
    public internal(set) var position = 0
    let limits: JSONLimits
    var depth = 0
    /// Hashes of the keys of all open objects, innermost last.
    var keyHashes: [UInt64] = []
    /// Where the last key stands, for errors.
    var lastKey: Range<Int> = 0..<0

    /// A parser at the start of `bytes`.
    ///
    /// - Throws: `.tooLarge` before looking at any byte.
    public init(_ bytes: UnsafeRawBufferPointer, limits: JSONLimits = .standard) throws(JSONError) {
        self.bytes = bytes
        self.limits = limits
        guard bytes.count <= limits.size else {
            throw JSONError(
                code: .tooLarge,
                cause: "document of \(bytes.count) bytes is larger than the limit of \(limits.size)")
        }
    }

    /// Parses a whole document: runs `body` on a parser and then requires the end of the text.
    ///
    /// - Throws: what `body` throws, `.tooLarge`, `.trailingBytes`.
    @inlinable
    public static func parse<T>(
        _ bytes: [UInt8], limits: JSONLimits = .standard,
        _ body: (inout JSONParser) throws(JSONError) -> T
    ) throws(JSONError) -> T {
        try bytes.withUnsafeBufferPointer { (buffer: UnsafeBufferPointer<UInt8>) throws(JSONError) -> T in
            // SAFETY: the parser does not leave this closure, where the buffer is valid.
            try parse(UnsafeRawBufferPointer(buffer), limits: limits, body)
        }
    }

    /// Parses a whole document out of memory the caller keeps alive.
    ///
    /// - Throws: what `body` throws, `.tooLarge`, `.trailingBytes`.
    @inlinable
    public static func parse<T>(
        _ bytes: UnsafeRawBufferPointer, limits: JSONLimits = .standard,
        _ body: (inout JSONParser) throws(JSONError) -> T
    ) throws(JSONError) -> T {
        var parser = try JSONParser(bytes, limits: limits)
        let value = try body(&parser)
        try parser.end()
        return value
    }

    /// Requires that only white space is left.
    ///
    /// - Throws: `.trailingBytes`.
    public mutating func end() throws(JSONError) {
        skipSpace()
        guard position == bytes.count else { throw failure(.trailingBytes, "trailing bytes after the value") }
    }

    /// An error at the current position, for a caller that finds a value it cannot accept.
    public func failure(_ code: JSONError.Code, _ cause: String) -> JSONError {
        var key = ""
        if !lastKey.isEmpty {
            // SAFETY: `lastKey` was set from a range that was read. A hostile key must not fill the terminal.
            let shown = lastKey.lowerBound..<min(lastKey.upperBound, lastKey.lowerBound + 64)
            key = String(decoding: UnsafeRawBufferPointer(rebasing: bytes[shown]), as: UTF8.self)
        }
        return JSONError(code: code, cause: cause, offset: position, key: key)
    }

    // MARK: Bytes

    @inline(__always)
    mutating func skipSpace() {
        while position < bytes.count {
            switch bytes[position] {
            case 0x20, 0x0A, 0x0D, 0x09: position += 1
            default: return
            }
        }
    }

    /// The first byte of the next token, not consumed.
    @inline(__always)
    mutating func peek() throws(JSONError) -> UInt8 {
        skipSpace()
        guard position < bytes.count else { throw failure(.truncated, "unexpected end") }
        return bytes[position]
    }

    /// Consumes `literal` if it stands at the position.
    mutating func consume(_ literal: StaticString) -> Bool {
        let count = literal.utf8CodeUnitCount
        guard bytes.count - position >= count else { return false }
        // SAFETY: both have `count` bytes.
        for index in 0..<count where literal.utf8Start[index] != bytes[position + index] { return false }
        position += count
        return true
    }

    func mismatch(_ expected: String, _ byte: UInt8) -> JSONError {
        let found: String
        switch byte {
        case UInt8(ascii: "{"): found = "an object"
        case UInt8(ascii: "["): found = "an array"
        case UInt8(ascii: "\""): found = "a string"
        case UInt8(ascii: "t"), UInt8(ascii: "f"): found = "a boolean"
        case UInt8(ascii: "n"): found = "null"
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): found = "a number"
        default: return failure(.syntax, "unexpected byte, expected " + expected)
        }
        return failure(.typeMismatch, "expected " + expected + ", found " + found)
    }

    // MARK: Scalars

    /// Reads `true` or `false`.
    ///
    /// - Throws: `.typeMismatch`, `.syntax`.
    public mutating func bool() throws(JSONError) -> Bool {
        let byte = try peek()
        if byte == UInt8(ascii: "t"), consume("true") { return true }
        if byte == UInt8(ascii: "f"), consume("false") { return false }
        if byte == UInt8(ascii: "t") || byte == UInt8(ascii: "f") {
            throw failure(.syntax, "unexpected byte, expected true or false")
        }
        throw mismatch("a boolean", byte)
    }

    /// Consumes a `null` if that is the next value, and says so.
    ///
    /// - Throws: `.syntax` for a word that only starts like it.
    public mutating func isNull() throws(JSONError) -> Bool {
        guard try peek() == UInt8(ascii: "n") else { return false }
        guard consume("null") else { throw failure(.syntax, "unexpected byte, expected null") }
        return true
    }

    /// What the next value is, judged by its first byte, which is not consumed.
    ///
    /// - Throws: `.truncated`; `.syntax` when no value starts so.
    public mutating func kind() throws(JSONError) -> JSONKind {
        let byte = try peek()
        switch byte {
        case UInt8(ascii: "{"): return .object
        case UInt8(ascii: "["): return .array
        case UInt8(ascii: "\""): return .string
        case UInt8(ascii: "t"), UInt8(ascii: "f"): return .bool
        case UInt8(ascii: "n"): return .null
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return .number
        default: throw failure(.syntax, "unexpected byte, expected a value")
        }
    }
}

/// The six kinds of JSON value.
public enum JSONKind: Sendable, Hashable {
    case null, bool, number, string, array, object
}
