/// RFC 3339 times without the C library: no locale, no zone files, no allocation.
public enum TimeText {
    /// Length of ``write(_:to:)``'s result.
    public static let length = 30

    /// Writes `2026-01-02T03:04:05.123456789Z`.
    ///
    /// - Parameters:
    ///   - nanoseconds: since 1970; negative counts as 0.
    ///   - buffer: at least ``length`` bytes.
    // SAFETY: writes the fixed positions 0 to 29, after the check that there are so many; keeps nothing.
    public static func write(_ nanoseconds: Int64, to buffer: UnsafeMutableRawBufferPointer) {
        guard buffer.count >= length else { return }
        let clamped = max(nanoseconds, 0)
        let seconds = clamped / 1_000_000_000
        let date = civil(days: seconds / 86_400)
        let second = seconds % 86_400
        digits(date.year, 4, buffer, 0)
        buffer[4] = UInt8(ascii: "-")
        digits(date.month, 2, buffer, 5)
        buffer[7] = UInt8(ascii: "-")
        digits(date.day, 2, buffer, 8)
        buffer[10] = UInt8(ascii: "T")
        digits(second / 3600, 2, buffer, 11)
        buffer[13] = UInt8(ascii: ":")
        digits(second / 60 % 60, 2, buffer, 14)
        buffer[16] = UInt8(ascii: ":")
        digits(second % 60, 2, buffer, 17)
        buffer[19] = UInt8(ascii: ".")
        digits(clamped % 1_000_000_000, 9, buffer, 20)
        buffer[29] = UInt8(ascii: "Z")
    }

    /// `2026-01-02T03:04:05.123456789Z` as a string.
    public static func string(_ nanoseconds: Int64) -> String {
        String(unsafeUninitializedCapacity: length) { buffer in
            write(nanoseconds, to: UnsafeMutableRawBufferPointer(buffer))
            return length
        }
    }

    /// Reads an RFC 3339 time with up to nine digits of fraction; nil when it is none.
    ///
    /// - Returns: nanoseconds since 1970.
    public static func parse(_ text: UnsafeRawBufferPointer) -> Int64? {
        guard text.count >= 20, let year = number(text, 0, 4), let month = number(text, 5, 2), let day = number(text, 8, 2),
            let hour = number(text, 11, 2), let minute = number(text, 14, 2), let second = number(text, 17, 2),
            text[4] == UInt8(ascii: "-"), text[7] == UInt8(ascii: "-"), text[10] == UInt8(ascii: "T"),
            text[13] == UInt8(ascii: ":"), text[16] == UInt8(ascii: ":"),
            year >= 1970, year <= 2261, (1...12).contains(month), (1...31).contains(day), hour < 24, minute < 60, second < 61
        else { return nil }
        var position = 19
        var fraction: Int64 = 0
        if text[position] == UInt8(ascii: ".") {
            position += 1
            var scale: Int64 = 100_000_000
            while position < text.count, let digit = number(text, position, 1) {
                fraction += digit * scale
                scale /= 10
                position += 1
            }
        }
        guard let offset = zone(text, position) else { return nil }
        let seconds = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset
        return seconds * 1_000_000_000 + fraction
    }

    /// Reads an RFC 3339 time; nil when it is none.
    public static func parse(string text: String) -> Int64? {
        var text = text
        return text.withUTF8 { parse(UnsafeRawBufferPointer($0)) }
    }

    /// The zone at `position`, which must end the text, in seconds east.
    private static func zone(_ text: UnsafeRawBufferPointer, _ position: Int) -> Int64? {
        guard position < text.count else { return nil }
        if text[position] == UInt8(ascii: "Z") { return position + 1 == text.count ? 0 : nil }
        guard position + 6 == text.count, text[position + 3] == UInt8(ascii: ":"),
            let hours = number(text, position + 1, 2), let minutes = number(text, position + 4, 2), hours < 24, minutes < 60
        else { return nil }
        switch text[position] {
        case UInt8(ascii: "+"): return hours * 3600 + minutes * 60
        case UInt8(ascii: "-"): return -(hours * 3600 + minutes * 60)
        default: return nil
        }
    }

    private static func number(_ text: UnsafeRawBufferPointer, _ start: Int, _ count: Int) -> Int64? {
        guard start + count <= text.count else { return nil }
        var value: Int64 = 0
        for index in start..<(start + count) {
            let digit = text[index] &- UInt8(ascii: "0")
            guard digit < 10 else { return nil }
            value = value * 10 + Int64(digit)
        }
        return value
    }

    private static func digits(_ value: Int64, _ width: Int, _ buffer: UnsafeMutableRawBufferPointer, _ start: Int) {
        var rest = value
        var index = start + width
        while index > start {
            index -= 1
            buffer[index] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
            rest /= 10
        }
    }

    /// Days since 1970 to a date of the proleptic Gregorian calendar: eras of 400 years that begin on 1 March.
    private static func civil(days: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let shifted = days + 719_468
        let era = shifted / 146_097
        let dayOfEra = shifted % 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * monthFromMarch + 2) / 5 + 1)
    }

    private static func days(_ year: Int64, _ month: Int64, _ day: Int64) -> Int64 {
        let y = month <= 2 ? year - 1 : year
        let yearOfEra = y % 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        return y / 400 * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }
}
