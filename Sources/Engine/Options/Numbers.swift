/// Strict readers for numbers from outside: decimal digits only, no blanks, no sign unless allowed, no overflow.
enum Numbers {
    /// A decimal without sign or leading zero: what a uid may look like.
    static func unsigned(_ text: some StringProtocol) -> UInt32? {
        let bytes = text.utf8
        guard !bytes.isEmpty, bytes.count <= 10, bytes.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }) else { return nil }
        if bytes.count > 1, bytes.first == 0x30 { return nil }
        return UInt32(text)
    }

    static func integer(_ text: some StringProtocol) -> Int64? {
        guard let first = text.utf8.first, first == UInt8(ascii: "-") || (first >= 0x30 && first <= 0x39) else {
            return nil
        }
        return Int64(text)
    }

    /// A mode as octal digits, at most 07777.
    static func octal(_ text: some StringProtocol) -> UInt32? {
        guard let value = UInt32(text, radix: 8), value <= 0o7777, text.utf8.first != UInt8(ascii: "+") else {
            return nil
        }
        return value
    }

    /// Go's strconv.ParseBool.
    static func bool(_ text: some StringProtocol) -> Bool? {
        switch String(text) {
        case "1", "t", "T", "true", "TRUE", "True": true
        case "0", "f", "F", "false", "FALSE", "False": false
        default: nil
        }
    }
}

extension StringProtocol {
    /// The parts before and after the first `separator`, or nil when there is none.
    func splitOnce(_ separator: Character) -> (head: SubSequence, tail: SubSequence)? {
        guard let index = firstIndex(of: separator) else { return nil }
        return (self[..<index], self[self.index(after: index)...])
    }
}

/// A path as text, made canonical: `.` and `..` and double slashes resolved within `/`; never above it.
///
/// For targets inside a container only as a name: the runtime still resolves every component by `openat2`.
public func cleanContainerPath(_ path: String) -> String {
    var parts: [Substring] = []
    for part in path.split(separator: "/", omittingEmptySubsequences: true) {
        switch part {
        case ".": continue
        case "..": _ = parts.popLast()
        default: parts.append(part)
        }
    }
    return "/" + parts.joined(separator: "/")
}
