/// A line of docker's `json-file`, decoded in the memory it stands in: what is decoded is never longer.
///
/// Anything that is not of the format gives no record, and costs no more than its length.
struct JSONLogLine {
    // SAFETY: every index is checked against the count; what is handed out are views into the same memory.
    private let bytes: UnsafeMutableRawBufferPointer
    private var index = 0

    static func decode(_ line: UnsafeMutableRawBufferPointer) -> LogRecord? {
        var parser = JSONLogLine(bytes: line)
        return parser.record()
    }

    private mutating func record() -> LogRecord? {
        var log: Range<Int>?
        var time: Range<Int>?
        var stream: LogRecord.Stream?
        guard take("{") else { return nil }
        while true {
            guard let key = string(), take(":") else { return nil }
            switch name(key) {
            case "log": log = string()
            case "time": time = string()
            case "stream":
                guard let value = string() else { return nil }
                stream = name(value) == "stdout" ? .output : name(value) == "stderr" ? .error : nil
            default: guard skip() else { return nil }
            }
            if take(",") { continue }
            guard take("}") else { return nil }
            break
        }
        guard var log, let time, let stream, index == bytes.count, let point = TimeText.parse(view(time)) else { return nil }
        let isWhole = !log.isEmpty && bytes[log.upperBound - 1] == UInt8(ascii: "\n")
        if isWhole { log = log.lowerBound..<(log.upperBound - 1) }
        return LogRecord(time: point, stream, isPartial: !isWhole, text: view(log), timeText: view(time))
    }

    private func view(_ range: Range<Int>) -> UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: bytes[range]) }

    /// A short one as text; anything else is nothing we know.
    private func name(_ range: Range<Int>) -> String {
        range.count > 16 ? "" : String(decoding: bytes[range], as: UTF8.self)
    }

    private mutating func take(_ character: Unicode.Scalar) -> Bool {
        while index < bytes.count, bytes[index] == UInt8(ascii: " ") { index += 1 }
        guard index < bytes.count, bytes[index] == UInt8(ascii: character) else { return false }
        index += 1
        return true
    }

    /// Passes over a value.
    private mutating func skip() -> Bool {
        var depth = 0
        while index < bytes.count {
            switch bytes[index] {
            case UInt8(ascii: "\""):
                guard string() != nil else { return false }
                if depth == 0 { return true }
                continue
            case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                if depth == 0 { return true }
                depth -= 1
                if depth == 0 {
                    index += 1
                    return true
                }
            case UInt8(ascii: ",") where depth == 0: return true
            default: break
            }
            index += 1
        }
        return false
    }

    /// A string's content, decoded to where it began.
    private mutating func string() -> Range<Int>? {
        guard take("\"") else { return nil }
        let start = index
        var end = start
        while index < bytes.count {
            let byte = bytes[index]
            index += 1
            if byte == UInt8(ascii: "\"") { return start..<end }
            if byte != UInt8(ascii: "\\") {
                bytes[end] = byte
                end += 1
                continue
            }
            guard index < bytes.count else { return nil }
            let escape = bytes[index]
            index += 1
            switch escape {
            case UInt8(ascii: "n"): bytes[end] = 10
            case UInt8(ascii: "r"): bytes[end] = 13
            case UInt8(ascii: "t"): bytes[end] = 9
            case UInt8(ascii: "b"): bytes[end] = 8
            case UInt8(ascii: "f"): bytes[end] = 12
            case UInt8(ascii: "u"):
                guard let scalar = unicodeScalar() else { return nil }
                for byte in UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter {
                    bytes[end] = byte
                    end += 1
                }
                continue
            default: bytes[end] = escape
            }
            end += 1
        }
        return nil
    }

    /// What follows `\u`; two of them where they are one character.
    private mutating func unicodeScalar() -> Unicode.Scalar? {
        guard let first = hexadecimal() else { return nil }
        if let scalar = Unicode.Scalar(first) { return scalar }
        let isPair =
            first < 0xDC00 && index + 1 < bytes.count && bytes[index] == UInt8(ascii: "\\") && bytes[index + 1] == UInt8(ascii: "u")
        guard isPair else { return "\u{FFFD}" }
        let before = index
        index += 2
        guard let second = hexadecimal() else { return nil }
        guard (0xDC00..<0xE000).contains(second) else {
            index = before
            return "\u{FFFD}"
        }
        return Unicode.Scalar(0x10000 + (first - 0xD800) << 10 + (second - 0xDC00)) ?? "\u{FFFD}"
    }

    private mutating func hexadecimal() -> UInt32? {
        guard index + 4 <= bytes.count else { return nil }
        var value: UInt32 = 0
        for byte in bytes[index..<(index + 4)] {
            let digit: UInt8
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = byte - 48
            case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = byte - 87
            case UInt8(ascii: "A")...UInt8(ascii: "F"): digit = byte - 55
            default: return nil
            }
            value = value << 4 | UInt32(digit)
        }
        index += 4
        return value
    }
}
