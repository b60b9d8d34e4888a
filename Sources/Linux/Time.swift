import CLinux
import Glibc

/// Nanoseconds since 1970 on the wall clock.
public func wallClockNanoseconds() -> Int64 {
    var t = timespec()
    clock_gettime(CLOCK_REALTIME, &t)
    return Int64(t.tv_sec) &* 1_000_000_000 &+ Int64(t.tv_nsec)
}

/// Nanoseconds on the monotonic clock: for timeouts and back-off, never for records.
public func monotonicNanoseconds() -> Int64 {
    var t = timespec()
    clock_gettime(CLOCK_MONOTONIC, &t)
    return Int64(t.tv_sec) &* 1_000_000_000 &+ Int64(t.tv_nsec)
}

/// The id the kernel made at this boot (36 characters), or "" when procfs does not say.
public func bootIdentifier() -> String {
    guard let text = try? FD.cwd.readText("/proc/sys/kernel/random/boot_id", limit: 128) else { return "" }
    return String(text.prefix { $0 != "\n" })
}

/// Random bytes from the kernel. The C function is `getrandom(2)`.
public func randomBytes(_ count: Int) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
        var done = 0
        while done < count {
            let n = cl_getrandom(buffer.baseAddress.map { $0 + done }, count - done, 0)
            if n > 0 { done += n }
        }
        initialized = count
    }
}

private let hexDigits: [UInt8] = Array("0123456789abcdef".utf8)

/// Lower-case hexadecimal.
public func hexadecimal(_ bytes: [UInt8]) -> String {
    var out: [UInt8] = []
    out.reserveCapacity(2 * bytes.count)
    for b in bytes {
        out.append(hexDigits[Int(b >> 4)])
        out.append(hexDigits[Int(b & 15)])
    }
    return String(decoding: out, as: UTF8.self)
}

/// RFC 3339 in UTC with nanoseconds: `2026-01-02T03:04:05.123456789Z`.
///
/// Our own arithmetic (days to civil date, proleptic Gregorian): no locale, no time zone files, no allocation but the
/// result.
public func rfc3339(_ nanoseconds: Int64) -> String {
    String(decoding: rfc3339Bytes(nanoseconds), as: UTF8.self)
}

/// The 30 ASCII bytes of ``rfc3339(_:)``.
public func rfc3339Bytes(_ nanoseconds: Int64) -> [UInt8] {
    let second: Int64 = 1_000_000_000
    var seconds = nanoseconds / second
    var fraction = nanoseconds % second
    if fraction < 0 {
        fraction += second
        seconds -= 1
    }
    var days = seconds / 86400
    var time = seconds % 86400
    if time < 0 {
        time += 86400
        days -= 1
    }
    // Civil from days: eras of 400 years that start on 1 March 0000.
    let z = days + 719_468
    let era = (z >= 0 ? z : z - 146_096) / 146_097
    let dayOfEra = z - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shifted = (5 * dayOfYear + 2) / 153
    let day = dayOfYear - (153 * shifted + 2) / 5 + 1
    let month = shifted < 10 ? shifted + 3 : shifted - 9
    let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    var out: [UInt8] = []
    out.reserveCapacity(30)
    func put(_ value: Int64, _ width: Int) {
        var divisor: Int64 = 1
        for _ in 1..<width { divisor *= 10 }
        while divisor > 0 {
            out.append(UInt8(48 + value / divisor % 10))
            divisor /= 10
        }
    }
    put(year, 4)
    out.append(45)
    put(month, 2)
    out.append(45)
    put(day, 2)
    out.append(84)
    put(time / 3600, 2)
    out.append(58)
    put(time / 60 % 60, 2)
    out.append(58)
    put(time % 60, 2)
    out.append(46)
    put(fraction, 9)
    out.append(90)
    return out
}
