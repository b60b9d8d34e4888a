import Engine
import Flags
import Glibc
import Linux

/// Times and spans in words.
enum HumanTime {
    /// A span as Docker says it: `5 minutes`, `About an hour`.
    static func span(nanoseconds: Int64) -> String {
        let seconds = nanoseconds / 1_000_000_000
        let minutes = seconds / 60
        // Rounded, as Go's units package does.
        let hours = (seconds + 1800) / 3600
        if seconds < 1 { return "Less than a second" }
        if seconds == 1 { return "1 second" }
        if seconds < 60 { return "\(seconds) seconds" }
        if minutes == 1 { return "About a minute" }
        if minutes < 60 { return "\(minutes) minutes" }
        if hours == 1 { return "About an hour" }
        if hours < 48 { return "\(hours) hours" }
        if hours < 24 * 7 * 2 { return "\(hours / 24) days" }
        if hours < 24 * 30 * 2 { return "\(hours / 24 / 7) weeks" }
        if hours < 24 * 365 * 2 { return "\(hours / 24 / 30) months" }
        return "\(seconds / 3600 / 24 / 365) years"
    }

    static func ago(_ nanoseconds: Int64, now: Int64) -> String {
        if nanoseconds <= 0 { return "N/A" }
        return span(nanoseconds: max(0, now &- nanoseconds)) + " ago"
    }

    /// `2026-01-02 03:04:05 +0000 UTC` in the local zone, as `ps --format {{.CreatedAt}}` has it.
    static func local(_ nanoseconds: Int64) -> String {
        var time = time_t(nanoseconds / 1_000_000_000)
        var parts = tm()
        localtime_r(&time, &parts)
        let offset = parts.tm_gmtoff / 60
        let sign = offset < 0 ? "-" : "+"
        let zone = parts.tm_zone.map { String(cString: $0) } ?? "UTC"
        return "\(Int(parts.tm_year) + 1900)-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday)) "
            + "\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec)) "
            + "\(sign)\(two(Int32(abs(offset) / 60)))\(two(Int32(abs(offset) % 60))) \(zone)"
    }

    /// `2026-01-02T03:04:05+01:00` in the local zone, `Z` for UTC, as Go writes RFC 3339.
    ///
    /// - Parameter fraction: with nine digits after the seconds.
    static func rfc3339(_ nanoseconds: Int64, nanoseconds fraction: Bool = false) -> String {
        var time = time_t(nanoseconds / 1_000_000_000)
        var parts = tm()
        localtime_r(&time, &parts)
        let offset = parts.tm_gmtoff / 60
        let zone =
            offset == 0
            ? "Z" : "\(offset < 0 ? "-" : "+")\(two(Int32(abs(offset) / 60))):\(two(Int32(abs(offset) % 60)))"
        var year = "\(Int(parts.tm_year) + 1900)"
        while year.utf8.count < 4 { year = "0" + year }
        return "\(year)-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday))T"
            + "\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec))\(fraction ? digits(nanoseconds) : "")\(zone)"
    }

    private static func digits(_ nanoseconds: Int64) -> String {
        let text = "\(max(0, nanoseconds) % 1_000_000_000)"
        return "." + String(repeating: "0", count: 9 - text.utf8.count) + text
    }

    private static func two(_ number: Int32) -> String { number < 10 ? "0\(number)" : "\(number)" }

    /// A point in time from a person: RFC 3339, a date, Unix seconds, or a span before now (`10m`).
    static func point(_ text: String, now: Int64) -> Int64? {
        if let span = DurationOption.parse(text) { return now - span }
        if let (whole, fraction) = decimalSeconds(text) { return whole &* 1_000_000_000 &+ fraction }
        return Timestamp.parse(text)
    }

    /// `--since`, `--until`: nil when it is not given.
    static func bound(_ name: String, _ arguments: ParsedArguments, now: Int64) throws(CommandError) -> Int64? {
        guard arguments.isSet(name) else { return nil }
        let text = arguments.string(name)
        if let time = point(text, now: now) { return time }
        throw .invalid("invalid value for \"\(name)\": failed to parse value as time or duration: \"\(text)\"")
    }

    private static func decimalSeconds(_ text: String) -> (Int64, Int64)? {
        let parts = text.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
        guard let first = parts.first, first.utf8.count >= 5, first.utf8.count <= 10,
            first.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }),
            let whole = Int64(first)
        else { return nil }
        guard parts.count == 2 else { return (whole, 0) }
        let digits = parts[1].prefix(9)
        guard digits.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }) else { return nil }
        let padded = digits + String(repeating: "0", count: 9 - digits.count)
        return Int64(padded).map { (whole, $0) }
    }
}
