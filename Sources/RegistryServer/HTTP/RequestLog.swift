import Linux
import NIOPosix
import Synchronization

/// Lines on standard error, written by a thread of their own: a reader that stalls must not stall the server.
///
/// One line for each request, blanks between the fields, unknown ones as `-`:
/// `TIME CLIENT USER METHOD PATH STATUS RECEIVED SENT MILLISECONDSms "AGENT"`.
final class RequestLog: Sendable {
    struct Entry: Sendable {
        var peer: String
        var user: String
        var method: String
        var path: String
        var status: UInt
        /// Body bytes.
        var received: Int64
        var sent: Int64
        var milliseconds: Int64
        var agent: String
    }

    private let isQuiet: Bool
    private let writer = NIOThreadPool(numberOfThreads: 1)
    private let waiting = Mutex(0)
    /// Lines that wait for a stalled reader; more are left out.
    private static let limit = 10_000

    init(isQuiet: Bool) {
        self.isQuiet = isQuiet
        writer.start()
    }

    func request(_ entry: Entry) {
        if isQuiet { return }
        write(RequestLog.line(entry, wallClockNanoseconds()))
    }

    /// A request that never became one.
    func refused(_ peer: String, _ status: UInt, _ cause: String) {
        if isQuiet { return }
        write(
            "\(RequestLog.time(wallClockNanoseconds())) \(peer) - - - \(status) 0 0 0ms \"\(RequestLog.printable(cause, 200, blanks: true))\"\n"
        )
    }

    /// Something that whoever runs the server should know; also when quiet.
    func complain(_ text: String) { write("berth registry: \(RequestLog.printable(text, 500, blanks: true))\n") }

    private func write(_ line: String) {
        let isRoom = waiting.withLock { waiting in
            guard waiting < RequestLog.limit else { return false }
            waiting += 1
            return true
        }
        guard isRoom else { return }
        writer.submit { _ in
            try? FD.standardError.writeAll(line)
            self.waiting.withLock { $0 -= 1 }
        }
    }

    /// Waits until everything is written.
    func close() { try? writer.syncShutdownGracefully() }

    static func line(_ entry: Entry, _ nanoseconds: Int64) -> String {
        let fields = [
            time(nanoseconds), entry.peer, entry.user.isEmpty ? "-" : printable(entry.user, 64), printable(entry.method, 16),
            printable(entry.path, 1024), String(entry.status), String(entry.received), String(entry.sent),
            "\(entry.milliseconds)ms", "\"" + (entry.agent.isEmpty ? "-" : printable(entry.agent, 200, blanks: true)) + "\"",
        ]
        return fields.joined(separator: " ") + "\n"
    }

    /// Milliseconds are enough, and the same number of digits each time.
    private static func time(_ nanoseconds: Int64) -> String {
        let text = rfc3339(nanoseconds - nanoseconds % 1_000_000)
        let whole = text.prefix(19)
        let thousandth = String(nanoseconds / 1_000_000 % 1000 + 1000).dropFirst()
        return whole + "." + thousandth + "Z"
    }

    /// What clients send may hold line breaks and terminal escapes (attack rows S78, S79).
    static func printable(_ text: String, _ limit: Int, blanks: Bool = false) -> String {
        var bytes: [UInt8] = []
        for byte in text.utf8.prefix(limit) {
            let isPlain = byte > 0x20 && byte < 0x7F && byte != UInt8(ascii: "\"") || blanks && byte == 0x20
            bytes.append(isPlain ? byte : UInt8(ascii: "?"))
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
