/// Parsing of cgroupfs files without intermediate strings.
///
/// The kernel wrote the text, but a wrong file must not trap: every number is read with overflow checks.
struct KeyedText {
    let bytes: [UInt8]
    init(_ bytes: [UInt8]) { self.bytes = bytes }

    /// Every line, split at blanks.
    func forEachLine(_ body: ([ArraySlice<UInt8>]) -> Void) {
        for line in bytes.split(separator: 10) {
            let fields = line.split(separator: 32)
            if !fields.isEmpty { body(fields) }
        }
    }

    /// The number after `key` on a line of its own (`oom_kill 3`), or nil.
    func value(_ key: String) -> UInt64? {
        for line in bytes.split(separator: 10) {
            guard let blank = line.firstIndex(of: 32), line[..<blank].elementsEqual(key.utf8) else { continue }
            return number(line[(blank + 1)...])
        }
        return nil
    }

    /// The whole text as one number; `max` and v1's -1 mean no limit (`UInt64.max`).
    var single: UInt64? {
        let text = bytes.split(whereSeparator: { $0 == 10 || $0 == 32 }).first ?? []
        if text.elementsEqual("max".utf8) || text.elementsEqual("-1".utf8) { return .max }
        return number(text)
    }

    var isBlank: Bool { !bytes.contains { $0 > 32 } }

    /// The text without white space at its ends.
    var trimmed: String {
        let start = bytes.firstIndex { $0 > 32 } ?? bytes.endIndex
        let end = bytes.lastIndex { $0 > 32 }.map { $0 + 1 } ?? start
        return String(decoding: bytes[start..<end], as: UTF8.self)
    }
}

/// A decimal number, or nil when it is empty, has other characters, or does not fit.
func number(_ digits: some Collection<UInt8>) -> UInt64? {
    if digits.isEmpty { return nil }
    var result: UInt64 = 0
    for digit in digits {
        guard digit >= 48, digit <= 57 else { return nil }
        let (tens, overflow) = result.multipliedReportingOverflow(by: 10)
        let (sum, carry) = tens.addingReportingOverflow(UInt64(digit - 48))
        if overflow || carry { return nil }
        result = sum
    }
    return result
}

func text(_ bytes: some Collection<UInt8>) -> String { String(decoding: bytes, as: UTF8.self) }
