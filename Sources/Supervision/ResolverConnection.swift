import CLinux
import Glibc
import Linux
import Networks

/// Who asked.
enum ResolverClient {
    case datagram(InternetEndpoint)
    case connection(ResolverConnection)

    /// What an answer may have, in bytes.
    func limit(_ query: DNSQuery) -> Int {
        switch self {
        case .datagram: query.datagramLimit
        case .connection: 65535
        }
    }

    var isDatagram: Bool {
        switch self {
        case .datagram: true
        case .connection: false
        }
    }
}

/// A client that asks over TCP: any number of questions, answered in the order in which answers are known (RFC 7766).
///
/// While a client does not take its answers no further question of it is read.
final class ResolverConnection {
    let socket: SharedFD
    var token: EventLoop.Token?
    /// Questions that have no answer yet.
    var inFlight = 0
    /// To be closed.
    var isOver = false
    private(set) var lastActive: Int64
    private var input: [UInt8] = []
    private var output: [UInt8] = []
    private var sent = 0
    private var isAtEnd = false

    /// A question is at most this long: with EDNS's options, 512 bytes are many.
    private static let longestQuestion = 4096

    init(_ socket: SharedFD, now: Int64) {
        self.socket = socket
        lastActive = now
    }

    var hasOutput: Bool { !output.isEmpty }
    private var takesQuestions: Bool { !hasOutput && inFlight < Resolver.Limit.inFlightPerConnection }

    func read(_ buffer: inout [UInt8]) {
        guard input.count < ResolverConnection.longestQuestion + 2 else { return }
        let count = socket.fd.receiveStream(into: &buffer)
        if count == -Int(EAGAIN) { return }
        if count <= 0 {
            isAtEnd = true
            // What it asked before it said that it has no more is still answered.
            if count < 0 || (inFlight == 0 && !hasOutput && input.isEmpty) { isOver = true }
            return
        }
        input += buffer[..<count]
        lastActive = monotonicNanoseconds()
    }

    /// The next question that is there as a whole, while there is room for its answer.
    func nextMessage() -> [UInt8]? {
        guard takesQuestions else { return nil }
        guard input.count >= 2 else { return endsHere() }
        let length = Int(input[0]) << 8 | Int(input[1])
        guard length <= ResolverConnection.longestQuestion else {
            isOver = true
            return nil
        }
        guard input.count >= 2 + length else { return endsHere() }
        let message = Array(input[2..<(2 + length)])
        input.removeFirst(2 + length)
        return message
    }

    private func endsHere() -> [UInt8]? {
        if isAtEnd, inFlight == 0, !hasOutput { isOver = true }
        return nil
    }

    /// Sends the answer to one question.
    func send(_ bytes: [UInt8], _ loop: EventLoop) {
        if inFlight > 0 { inFlight -= 1 }
        guard !isOver, bytes.count <= 65535 else { return }
        output.reserveCapacity(output.count + bytes.count + 2)
        output.append(UInt8(bytes.count >> 8))
        output.append(UInt8(bytes.count & 0xff))
        output += bytes
        flush(loop)
    }

    func flush(_ loop: EventLoop) {
        while sent < output.count {
            let count = socket.fd.sendNow(output, from: sent)
            if count == -Int(EAGAIN) { break }
            if count <= 0 {
                isOver = true
                return
            }
            sent += count
            lastActive = monotonicNanoseconds()
        }
        if sent == output.count {
            output = []
            sent = 0
        }
        watch(loop)
    }

    /// Waits for what can be gone on with.
    func watch(_ loop: EventLoop) {
        guard let token else { return }
        var events: EventLoop.Events = []
        if hasOutput { events.insert(.writable) }
        if takesQuestions, !isAtEnd, input.count < ResolverConnection.longestQuestion + 2 { events.insert(.readable) }
        loop.change(token, events)
    }

    func end(_ loop: EventLoop) {
        isOver = true
        if let token { loop.remove(token) }
        token = nil
    }
}
