/// Ranges of bytes in headers.
enum ByteRange {
    enum Selection: Sendable, Hashable {
        /// No range, or one that may be ignored (RFC 9110 section 14.2).
        case everything
        /// Never empty.
        case part(Range<Int64>)
        case unsatisfiable
    }

    /// Reads a `Range` header. Several ranges at once are answered with everything.
    static func select(_ header: String?, size: Int64) -> Selection {
        guard let header else { return .everything }
        let bytes = Substring(header).utf8
        let unit = "bytes="
        guard bytes.starts(with: unit.utf8) else { return .everything }
        let text = bytes.dropFirst(unit.utf8.count)
        guard let dash = text.firstIndex(of: UInt8(ascii: "-")), !text.contains(UInt8(ascii: ",")) else { return .everything }
        let (before, after) = (text[..<dash], text[text.index(after: dash)...])
        if before.isEmpty {
            // The last n bytes.
            guard let count = number(after) else { return .everything }
            if count == 0 || size == 0 { return .unsatisfiable }
            return .part(max(0, size - count)..<size)
        }
        guard let first = number(before) else { return .everything }
        var end = size
        if !after.isEmpty {
            guard let last = number(after) else { return .everything }
            // Backwards: the OCI conformance suite wants it refused (RFC 9110 section 15.5.17), not ignored.
            if last < first { return .unsatisfiable }
            end = last >= size ? size : last + 1
        }
        return first < end ? .part(first..<end) : .unsatisfiable
    }

    /// Reads a `Content-Range` of an upload: `0-99`; also `bytes 0-99/*`, which HTTP knows.
    ///
    /// - Returns: first and last byte; nil when it is neither.
    static func uploaded(_ header: String) -> ClosedRange<Int64>? {
        var text = Substring(header).utf8
        for unit in ["bytes ", "bytes="] where text.starts(with: unit.utf8) { text = text.dropFirst(unit.utf8.count) }
        if let slash = text.firstIndex(of: UInt8(ascii: "/")) { text = text[..<slash] }
        guard let dash = text.firstIndex(of: UInt8(ascii: "-")), let first = number(text[..<dash]),
            let last = number(text[text.index(after: dash)...]), last >= first, last < Int64.max
        else { return nil }
        return first...last
    }

    /// Decimal digits, nothing else, below 2⁶³.
    static func number(_ text: Substring.UTF8View) -> Int64? {
        guard !text.isEmpty, text.count <= 19 else { return nil }
        var value: Int64 = 0
        for byte in text {
            guard byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") else { return nil }
            let (scaled, tooLarge) = value.multipliedReportingOverflow(by: 10)
            let (sum, overflowed) = scaled.addingReportingOverflow(Int64(byte - UInt8(ascii: "0")))
            if tooLarge || overflowed { return nil }
            value = sum
        }
        return value
    }
}
