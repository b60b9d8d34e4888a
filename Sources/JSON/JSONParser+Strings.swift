/// A string token, without its quotes.
struct JSONStringSpan {
    var start: Int
    var end: Int
    var escaped: Bool
}

extension JSONParser {
    /// Reads a string.
    ///
    /// - Throws: `.typeMismatch`, `.invalidString`, `.truncated`.
    public mutating func string() throws(JSONError) -> String {
        let span = try scanString()
        if span.escaped { return String(decoding: try unescape(span), as: UTF8.self) }
        // SAFETY: the scan stayed inside the bytes, and validated them.
        return String(decoding: UnsafeRawBufferPointer(rebasing: bytes[span.start..<span.end]), as: UTF8.self)
    }

    func key(_ span: JSONStringSpan) throws(JSONError) -> JSONKey {
        // An object has been entered, so there is a base address.
        guard let base = bytes.baseAddress else { throw failure(.truncated, "unexpected end") }
        if span.escaped {
            let unescaped = try unescape(span)
            return JSONKey(start: base, count: unescaped.count, unescaped: unescaped)
        }
        // SAFETY: the scan stayed inside the bytes.
        return JSONKey(start: base + span.start, count: span.end - span.start, unescaped: nil)
    }

    /// Consumes a string token and validates all of it: escapes, surrogate pairs, control characters, UTF-8.
    mutating func scanString() throws(JSONError) -> JSONStringSpan {
        let quote = try peek()
        guard quote == UInt8(ascii: "\"") else { throw mismatch("a string", quote) }
        position += 1
        let start = position
        var index = start
        var escaped = false
        var allBytes: UInt8 = 0
        let count = bytes.count
        while true {
            index = skipPlainBytes(from: index)
            guard index < count else { break }
            let byte = bytes[index]
            if byte == UInt8(ascii: "\"") {
                if allBytes >= 0x80 { try validateUTF8(start, index) }
                position = index + 1
                return JSONStringSpan(start: start, end: index, escaped: escaped)
            }
            if byte == UInt8(ascii: "\\") {
                escaped = true
                _ = try scalar(escapedAt: &index)
                continue
            }
            guard byte >= 0x20 else {
                position = index
                throw failure(.invalidString, "control character in a string")
            }
            allBytes |= byte
            index += 1
        }
        position = count
        throw failure(.truncated, "unexpected end of a string")
    }

    /// The first offset from `start` on that may hold a quote, a backslash, a control character or a byte above ASCII.
    ///
    /// Eight bytes at a time, because strings are most of a document.
    @inline(__always)
    private func skipPlainBytes(from start: Int) -> Int {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let highs: UInt64 = 0x8080_8080_8080_8080
        var index = start
        while bytes.count - index >= 8 {
            // SAFETY: eight bytes are left.
            let word = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self))
            // A byte minus a larger one borrows into its highest bit. The borrow also reaches the byte above, so that only
            // the lowest marked byte is sure; nothing below it is ever missed.
            let quotes = word ^ (ones &* 0x22)
            let escapes = word ^ (ones &* 0x5C)
            let marked =
                ((quotes &- ones) & ~quotes | (escapes &- ones) & ~escapes | (word &- ones &* 0x20) & ~word | word) & highs
            if marked != 0 { return index + marked.trailingZeroBitCount / 8 }
            index += 8
        }
        return index
    }

    /// The bytes of a string that has escapes.
    func unescape(_ span: JSONStringSpan) throws(JSONError) -> [UInt8] {
        var output: [UInt8] = []
        output.reserveCapacity(span.end - span.start)
        var index = span.start
        while index < span.end {
            let byte = bytes[index]
            if byte == UInt8(ascii: "\\") {
                output.append(contentsOf: UTF8.encode(try scalar(escapedAt: &index)) ?? UTF8.encodedReplacementCharacter)
            } else {
                output.append(byte)
                index += 1
            }
        }
        return output
    }

    /// Reads the escape whose backslash stands at `index` and moves `index` behind it.
    func scalar(escapedAt index: inout Int) throws(JSONError) -> Unicode.Scalar {
        guard index + 1 < bytes.count else { throw invalidString("unexpected end of a string", index, .truncated) }
        let letter = bytes[index + 1]
        if letter == UInt8(ascii: "u") { return try scalar(unicodeEscapeAt: &index) }
        let scalar: Unicode.Scalar
        switch letter {
        case UInt8(ascii: "\""): scalar = "\""
        case UInt8(ascii: "\\"): scalar = "\\"
        case UInt8(ascii: "/"): scalar = "/"
        case UInt8(ascii: "b"): scalar = "\u{8}"
        case UInt8(ascii: "f"): scalar = "\u{C}"
        case UInt8(ascii: "n"): scalar = "\n"
        case UInt8(ascii: "r"): scalar = "\r"
        case UInt8(ascii: "t"): scalar = "\t"
        default: throw invalidString("invalid escape in a string", index)
        }
        index += 2
        return scalar
    }

    private func scalar(unicodeEscapeAt index: inout Int) throws(JSONError) -> Unicode.Scalar {
        let first = try codeUnit(at: index)
        if let scalar = Unicode.Scalar(UInt32(first)) {
            if first == 0, !limits.allowsNUL { throw invalidString("NUL in a string", index) }
            index += 6
            return scalar
        }
        // What is left is a surrogate. A high one needs a low one behind it; a replacement character instead would let
        // two different names become equal.
        guard first < 0xDC00, index + 7 < bytes.count, bytes[index + 6] == UInt8(ascii: "\\"),
            bytes[index + 7] == UInt8(ascii: "u")
        else { throw invalidString("lone surrogate in a string", index) }
        let second = try codeUnit(at: index + 6)
        guard second >= 0xDC00, second < 0xE000,
            let scalar = Unicode.Scalar(0x10000 + (UInt32(first) - 0xD800) << 10 + (UInt32(second) - 0xDC00))
        else { throw invalidString("lone surrogate in a string", index) }
        index += 12
        return scalar
    }

    /// The four hexadecimal digits of the `\uXXXX` at `index`.
    private func codeUnit(at index: Int) throws(JSONError) -> UInt16 {
        guard index + 6 <= bytes.count else { throw invalidString("unexpected end of a string", index, .truncated) }
        var unit: UInt16 = 0
        for offset in 2..<6 {
            let digit = bytes[index + offset]
            switch digit {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): unit = unit << 4 | UInt16(digit - UInt8(ascii: "0"))
            case UInt8(ascii: "a")...UInt8(ascii: "f"): unit = unit << 4 | UInt16(digit - UInt8(ascii: "a") + 10)
            case UInt8(ascii: "A")...UInt8(ascii: "F"): unit = unit << 4 | UInt16(digit - UInt8(ascii: "A") + 10)
            default: throw invalidString("invalid escape in a string", index)
            }
        }
        return unit
    }

    private func invalidString(_ cause: String, _ index: Int, _ code: JSONError.Code = .invalidString) -> JSONError {
        var error = failure(code, cause)
        error.offset = index
        return error
    }

    /// Refuses overlong forms, surrogates and values above U+10FFFF (Unicode 15, table 3-7).
    private mutating func validateUTF8(_ start: Int, _ end: Int) throws(JSONError) {
        var index = start
        while index < end {
            let lead = bytes[index]
            if lead < 0x80 {
                index += 1
                continue
            }
            let length: Int
            var low: UInt8 = 0x80
            var high: UInt8 = 0xBF
            switch lead {
            case 0xC2...0xDF: length = 2
            case 0xE0...0xEF:
                length = 3
                if lead == 0xE0 { low = 0xA0 }
                if lead == 0xED { high = 0x9F }
            case 0xF0...0xF4:
                length = 4
                if lead == 0xF0 { low = 0x90 }
                if lead == 0xF4 { high = 0x8F }
            default: throw invalidString("bytes that are not UTF-8 in a string", index)
            }
            guard index + length <= end else { throw invalidString("bytes that are not UTF-8 in a string", index) }
            for offset in 1..<length {
                let byte = bytes[index + offset]
                guard byte >= low, byte <= high else {
                    throw invalidString("bytes that are not UTF-8 in a string", index)
                }
                (low, high) = (0x80, 0xBF)
            }
            index += length
        }
    }
}
