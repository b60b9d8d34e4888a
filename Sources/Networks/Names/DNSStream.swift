import Glibc
import Linux

/// One question over TCP: each message has two bytes of its length before it (RFC 1035, 4.2.2).
public struct DNSStream {
    private let output: [UInt8]
    private var sent = 0
    private var input: [UInt8] = []

    public enum Step {
        /// For the socket to become writable while ``isSending``, then readable.
        case waiting
        case failed
        case answered([UInt8])
    }

    public init(_ message: [UInt8]) {
        output = [UInt8(message.count >> 8 & 0xff), UInt8(message.count & 0xff)] + message
    }

    public var isSending: Bool { sent < output.count }

    /// Does what can be done now.
    ///
    /// - Parameters:
    ///   - socket: connected, or on the way.
    ///   - buffer: for what comes at once; of any length but 0.
    public mutating func advance(_ socket: FD, _ buffer: inout [UInt8]) -> Step {
        while isSending {
            let count = socket.sendNow(output, from: sent)
            if count == -Int(EAGAIN) || count == -Int(ENOTCONN) { return .waiting }
            if count <= 0 { return .failed }
            sent += count
        }
        while true {
            let count = socket.receiveStream(into: &buffer)
            if count == -Int(EAGAIN) { return .waiting }
            if count <= 0 { return .failed }
            input += buffer[..<count]
            guard input.count >= 2 else { continue }
            let length = Int(input[0]) << 8 | Int(input[1])
            if input.count >= 2 + length { return .answered(Array(input[2..<(2 + length)])) }
        }
    }
}
