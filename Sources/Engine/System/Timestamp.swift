import Glibc

/// RFC 3339 times with nanoseconds, without the C library's locale and zone files.
public enum Timestamp {
    /// `2026-01-02T03:04:05.123456789Z`, trailing zeros of the fraction left out as Go does; Go's zero time for 0.
    public static func text(_ nanoseconds: Int64) -> String {
        if nanoseconds == 0 { return "0001-01-01T00:00:00Z" }
        var seconds = nanoseconds / 1_000_000_000
        var fraction = nanoseconds % 1_000_000_000
        if fraction < 0 {
            fraction += 1_000_000_000
            seconds -= 1
        }
        var days = seconds / 86400
        var clock = seconds % 86400
        if clock < 0 {
            clock += 86400
            days -= 1
        }
        let (year, month, day) = civil(days)
        var text =
            "\(pad(year, 4))-\(pad(month, 2))-\(pad(day, 2))T\(pad(clock / 3600, 2)):\(pad(clock / 60 % 60, 2)):\(pad(clock % 60, 2))"
        if fraction > 0 {
            var digits = pad(fraction, 9)
            while digits.hasSuffix("0") { digits.removeLast() }
            text += "." + digits
        }
        return text + "Z"
    }

    private static func pad(_ number: Int64, _ width: Int) -> String {
        let text = "\(number)"
        return text.utf8.count < width ? String(repeating: "0", count: width - text.utf8.count) + text : text
    }

    /// Year, month and day of a count of days since 1970 in the proleptic Gregorian calendar.
    private static func civil(_ days: Int64) -> (Int64, Int64, Int64) {
        // Years are taken to begin in March, so that the leap day is the last of a year; eras have 400 of them.
        let shifted = days + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let month = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * month + 2) / 5 + 1
        let calendarMonth = month < 10 ? month + 3 : month - 9
        return (yearOfEra + era * 400 + (calendarMonth <= 2 ? 1 : 0), calendarMonth, day)
    }

    private static func days(_ year: Int64, _ month: Int64, _ day: Int64) -> Int64 {
        let shifted = month <= 2 ? year - 1 : year
        let era = (shifted >= 0 ? shifted : shifted - 399) / 400
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        return era * 146_097 + dayOfEra - 719_468
    }

    /// Nanoseconds since 1970 of `YYYY-MM-DD[THH:MM[:SS[.fraction]]][Z|±HH:MM]`; without a zone it is UTC.
    public static func parse(_ text: String) -> Int64? {
        var bytes = Array(text.utf8)[...]
        guard let year = number(&bytes, 4), take(&bytes, "-"), let month = number(&bytes, 2), take(&bytes, "-"),
            let day = number(&bytes, 2), (1...12).contains(month), (1...31).contains(day)
        else { return nil }
        var seconds = days(year, month, day) * 86400
        var fraction: Int64 = 0
        if take(&bytes, "T") || take(&bytes, "t") || take(&bytes, " ") {
            guard let hour = number(&bytes, 2), take(&bytes, ":"), let minute = number(&bytes, 2), hour < 24,
                minute < 60
            else {
                return nil
            }
            seconds += hour * 3600 + minute * 60
            if take(&bytes, ":") {
                guard let second = number(&bytes, 2), second <= 60 else { return nil }
                seconds += second
                if take(&bytes, ".") { fraction = self.fraction(&bytes) }
            }
        }
        if bytes.isEmpty || (bytes.count == 1 && (bytes.first == 0x5A || bytes.first == 0x7A)) {
            return seconds * 1_000_000_000 + fraction
        }
        let negative = bytes.first == UInt8(ascii: "-")
        guard take(&bytes, "-") || take(&bytes, "+"), let hours = number(&bytes, 2) else { return nil }
        _ = take(&bytes, ":")
        guard let minutes = number(&bytes, 2), bytes.isEmpty, hours < 24, minutes < 60 else { return nil }
        let offset = (hours * 60 + minutes) * 60
        return (seconds + (negative ? offset : -offset)) * 1_000_000_000 + fraction
    }

    private static func number(_ bytes: inout ArraySlice<UInt8>, _ digits: Int) -> Int64? {
        guard bytes.count >= digits else { return nil }
        var value: Int64 = 0
        for byte in bytes.prefix(digits) {
            guard byte >= 0x30, byte <= 0x39 else { return nil }
            value = value * 10 + Int64(byte - 0x30)
        }
        bytes = bytes.dropFirst(digits)
        return value
    }

    private static func fraction(_ bytes: inout ArraySlice<UInt8>) -> Int64 {
        var value: Int64 = 0
        var scale: Int64 = 100_000_000
        while let byte = bytes.first, byte >= 0x30, byte <= 0x39 {
            value += Int64(byte - 0x30) * scale
            scale /= 10
            bytes = bytes.dropFirst()
        }
        return value
    }

    private static func take(_ bytes: inout ArraySlice<UInt8>, _ character: Unicode.Scalar) -> Bool {
        guard bytes.first == UInt8(ascii: character) else { return false }
        bytes = bytes.dropFirst()
        return true
    }
}
