import Glibc
import Linux
import OCI

/// Answers that are errors, in words.
enum ErrorText {
    /// The error that an answer is. Reads (some of) its body.
    static func failure(_ answer: Answer, host: String, subject: String) -> RegistryError {
        let said = said(answer)
        let about = subject.isEmpty ? "" : " for \(subject)"
        switch answer.status {
        case 401:
            return RegistryError(.unauthorized, "\(host) wants authentication\(about)\(said); run \"berth login \(host)\"", status: 401)
        case 403:
            return RegistryError(.denied, "\(host) denies access\(about)\(said)", status: 403)
        case 404:
            return RegistryError(.notFound, "\(subject.isEmpty ? "it" : subject) was not found at \(host)\(said)", status: 404)
        case 413:
            return RegistryError(.tooLarge, "\(host) finds it too large\(about)\(said)", status: 413)
        case 408, 429:
            var error = RegistryError.transient(
                .tooManyRequests, "\(host) asks to come back later\(about)\(said)", status: answer.status)
            error.retryAfter = retryAfter(answer)
            return error
        case 501, 505:
            return RegistryError(.unavailable, "\(host) cannot do that\(about) (status \(answer.status))\(said)", status: answer.status)
        case 500...599:
            var error = RegistryError.transient(
                .unavailable, "\(host) fails\(about) with status \(answer.status)\(said)", status: answer.status)
            error.retryAfter = retryAfter(answer)
            return error
        default:
            let code: RegistryError.Code = codes(answer).contains("DIGEST_INVALID") ? .digestMismatch : .protocol
            return RegistryError(code, "\(host) answers\(about) with status \(answer.status)\(said)", status: answer.status)
        }
    }

    /// What the registry says about an error, as the end of a sentence: `: manifest unknown`; empty when it says nothing fit to print.
    static func said(_ answer: Answer) -> String {
        let text = message(answer.errorBody, isText: answer.header("Content-Type").map { !$0.includes("html") } ?? true)
        return text.isEmpty ? "" : ": " + text
    }

    static func message(_ body: [UInt8], isText: Bool) -> String {
        if let list = try? RegistryErrors.decode(body), let first = list.errors.first {
            let text = first.message.isEmpty ? first.code : first.message
            return Failures.printable(trimmed(text))
        }
        guard isText, body.first != UInt8(ascii: "<"), body.first != UInt8(ascii: "{") else { return "" }
        return Failures.printable(trimmed(String(decoding: body.prefix(1024), as: UTF8.self)))
    }

    private static func codes(_ answer: Answer) -> [String] {
        (try? RegistryErrors.decode(answer.errorBody))?.errors.map(\.code) ?? []
    }

    /// Seconds until the registry wants to be asked again, whichever way it says so.
    private static func retryAfter(_ answer: Answer) -> Double? {
        answer.header("Retry-After").flatMap { RetryAfter.seconds($0, now: wallClockNanoseconds()) }
    }
}

/// The `Retry-After` header.
///
/// Spec: RFC 9110 section 10.2.3.
enum RetryAfter {
    /// Seconds from now; nil for what is neither a number nor a date.
    ///
    /// - Parameter now: nanoseconds since 1970.
    static func seconds(_ text: String, now: Int64) -> Double? {
        let text = trimmed(text)
        if !text.isEmpty, text.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }) {
            return text.utf8.count > 12 ? 1e12 : Double(text)
        }
        guard let date = date(text) else { return nil }
        return max(0, Double(date) - Double(now) / 1e9)
    }

    private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

    /// `Sun, 06 Nov 1994 08:49:37 GMT` in seconds since 1970; the two older forms are not read.
    private static func date(_ text: String) -> Int64? {
        let words = text.split(separator: " ")
        guard words.count == 6, words[0].hasSuffix(","), words[5] == "GMT", let day = Int32(words[1]),
            let month = months.firstIndex(of: String(words[2])), let year = Int32(words[3]), (1970...9999).contains(year)
        else { return nil }
        let time = words[4].split(separator: ":").compactMap { Int32($0) }
        guard time.count == 3, (1...31).contains(day), (0...23).contains(time[0]), (0...59).contains(time[1]),
            (0...60).contains(time[2])
        else { return nil }
        var parts = tm()
        (parts.tm_year, parts.tm_mon, parts.tm_mday) = (year - 1900, Int32(month), day)
        (parts.tm_hour, parts.tm_min, parts.tm_sec) = (time[0], time[1], time[2])
        return Int64(timegm(&parts))
    }
}

/// The `Link` header.
///
/// Spec: RFC 8288.
enum LinkHeader {
    /// The target of the link whose relation is `next`; nil when there is none.
    static func next(_ values: [String]) -> String? {
        for value in values {
            var rest = Substring(value)
            while let open = rest.firstIndex(of: "<"), let close = rest[open...].firstIndex(of: ">") {
                let target = rest[rest.index(after: open)..<close]
                rest = rest[rest.index(after: close)...]
                // A comma ends the parameters of one link; the relations asked for here have none in them.
                let parameters = rest.prefix { $0 != "," }
                rest = rest.dropFirst(parameters.count)
                for parameter in parameters.split(separator: ";") {
                    let parts = parameter.split(separator: "=", maxSplits: 1).map { trimmed($0) }
                    guard parts.count == 2, parts[0].lowercased() == "rel" else { continue }
                    let relations = parts[1].filter { $0 != "\"" }.lowercased().split(separator: " ")
                    if relations.contains("next") { return String(target) }
                }
            }
        }
        return nil
    }
}
