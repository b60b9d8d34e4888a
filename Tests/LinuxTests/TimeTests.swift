import Glibc
import Testing

@testable import Linux

struct TimeTests {
    static let known: [(Int64, String)] = [
        (0, "1970-01-01T00:00:00.000000000Z"),
        (1, "1970-01-01T00:00:00.000000001Z"),
        (-1, "1969-12-31T23:59:59.999999999Z"),
        (-1_000_000_000, "1969-12-31T23:59:59.000000000Z"),
        (951_782_400_000_000_000, "2000-02-29T00:00:00.000000000Z"),
        (951_868_799_999_999_999, "2000-02-29T23:59:59.999999999Z"),
        (4_107_542_400_000_000_000, "2100-03-01T00:00:00.000000000Z"),
        (1_767_323_045_123_456_789, "2026-01-02T03:04:05.123456789Z"),
        (1_709_164_800_000_000_000, "2024-02-29T00:00:00.000000000Z"),
        (Int64.max, "2262-04-11T23:47:16.854775807Z"),
        (Int64.min, "1677-09-21T00:12:43.145224192Z"),
    ]

    @Test(arguments: known)
    func timesAreWrittenInUTCWithNanoseconds(nanoseconds: Int64, text: String) {
        #expect(rfc3339(nanoseconds) == text)
        #expect(rfc3339Bytes(nanoseconds).count == 30)
    }

    /// Against the C library, over 600 years in steps that hit every month and leap day.
    @Test func theCalendarAgreesWithTheCLibrary() {
        var seconds: Int64 = -9_200_000_000
        while seconds < 9_200_000_000 {
            var parts = tm()
            var time = time_t(seconds)
            gmtime_r(&time, &parts)
            let year = Int(parts.tm_year) + 1900
            let date = [year, Int(parts.tm_mon) + 1, Int(parts.tm_mday)].map { $0 < 10 ? "0\($0)" : "\($0)" }
            let clock = [parts.tm_hour, parts.tm_min, parts.tm_sec].map { $0 < 10 ? "0\($0)" : "\($0)" }
            let expected = "\(date.joined(separator: "-"))T\(clock.joined(separator: ":")).000000000Z"
            guard rfc3339(seconds * 1_000_000_000) == expected else {
                Issue.record("\(seconds): \(rfc3339(seconds * 1_000_000_000)) instead of \(expected)")
                return
            }
            seconds += 1_234_567
        }
    }

    @Test func clocksAdvance() {
        let start = monotonicNanoseconds()
        #expect(wallClockNanoseconds() > 1_700_000_000_000_000_000)
        #expect(monotonicNanoseconds() >= start)
    }

    @Test func hexadecimalIsLowerCaseAndPadded() {
        #expect(hexadecimal([0x00, 0x0f, 0xa0, 0xff]) == "000fa0ff")
        #expect(hexadecimal([]) == "")
    }

    @Test func randomBytesDiffer() {
        #expect(randomBytes(0).isEmpty)
        #expect(randomBytes(4096).count == 4096)
        #expect(randomBytes(32) != randomBytes(32))
    }

    @Test func theBootHasAnIdentifier() {
        #expect(bootIdentifier().utf8.count == 36)
        #expect(bootIdentifier() == bootIdentifier())
    }
}
