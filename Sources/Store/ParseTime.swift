/// Nanoseconds since 1970 of an RFC 3339 time; nil for anything else.
///
/// Years 1 to 9999; fractions beyond nanoseconds are cut off. What does not fit into 64 bits (before 1678, after 2261; also
/// Go's zero time) gives nil.
public func parseTime(_ text: String) -> Int64? {
    let bytes = Array(text.utf8)
    guard bytes.count >= 20, bytes.count <= 64 else { return nil }
    func number(_ range: Range<Int>) -> Int64? {
        var value: Int64 = 0
        for byte in bytes[range] {
            guard byte >= 0x30, byte <= 0x39 else { return nil }
            value = value * 10 + Int64(byte - 0x30)
        }
        return value
    }
    guard bytes[4] == 0x2d, bytes[7] == 0x2d, bytes[10] == 0x54 || bytes[10] == 0x74 || bytes[10] == 0x20,
        bytes[13] == 0x3a, bytes[16] == 0x3a, let year = number(0..<4), let month = number(5..<7), let day = number(8..<10),
        let hour = number(11..<13), let minute = number(14..<16), let second = number(17..<19), (1...12).contains(month),
        (1...31).contains(day), hour < 24, minute < 60, second <= 60
    else { return nil }
    var index = 19
    var fraction: Int64 = 0
    if bytes[index] == 0x2e {
        index += 1
        var digits = 0
        while index < bytes.count, bytes[index] >= 0x30, bytes[index] <= 0x39 {
            if digits < 9 { fraction = fraction * 10 + Int64(bytes[index] - 0x30) }
            digits += 1
            index += 1
        }
        guard digits > 0 else { return nil }
        for _ in min(digits, 9)..<9 { fraction *= 10 }
    }
    guard index < bytes.count else { return nil }
    var offset: Int64 = 0
    if bytes[index] == 0x5a || bytes[index] == 0x7a {
        guard index + 1 == bytes.count else { return nil }
    } else {
        guard index + 6 == bytes.count, bytes[index] == 0x2b || bytes[index] == 0x2d, bytes[index + 3] == 0x3a,
            let hours = number((index + 1)..<(index + 3)), let minutes = number((index + 4)..<(index + 6)), hours < 24,
            minutes < 60
        else { return nil }
        offset = (hours * 60 + minutes) * (bytes[index] == 0x2b ? 60 : -60)
    }
    // Days from the civil date, counted from March so that the leap day is the year's last.
    let shifted = month > 2 ? year : year - 1
    let era = shifted >= 0 ? shifted / 400 : -1
    let yearOfEra = shifted - era * 400
    let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
    let days = era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    let seconds = days * 86_400 + hour * 3600 + minute * 60 + second - offset
    let (scaled, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
    let (total, carry) = scaled.addingReportingOverflow(fraction)
    return overflow || carry ? nil : total
}
