import CLinux
import Control
import Glibc
import Linux
import Networks

/// Sockets of the host's network namespace, for a supervisor that has left it for its user's networks.
///
/// A socket belongs to the namespace in which it was made, wherever it is bound and connected. They are made by the process that holds
/// the networks (``NetworkHolder``), which stays in the host's namespaces. One thread.
final class HostSockets {
    /// As many as one message carries.
    static let limit = 16
    private let connection: SharedFD
    private var sequence: UInt8 = 0
    /// Monotonic time until which one that did not answer is not waited for again.
    private var restsUntil: Int64 = 0

    init(_ connection: SharedFD) { self.connection = connection }

    /// Not bound, not blocking.
    ///
    /// - Parameter patience: milliseconds; it may have to wait for a new pasta.
    /// - Throws: `.brokenPipe` when the holder was killed.
    func make(_ kind: SocketKind, isIPv6: Bool, count: Int = 1, patience: Int32 = 10_000) throws(SystemError) -> [SharedFD] {
        let made = try ask(.make(isStream: kind == .stream, isIPv6: isIPv6, count: min(count, Self.limit)), patience).descriptors
        if made.isEmpty { throw SystemError(.io, "make socket") }
        return made
    }

    /// For what can do without: one that has not answered is left alone for a while.
    func makeQuickly(_ kind: SocketKind, isIPv6: Bool, count: Int) throws(SystemError) -> [SharedFD] {
        if monotonicNanoseconds() < restsUntil { throw SystemError(.timedOut, "make socket") }
        return try make(kind, isIPv6: isIPv6, count: count, patience: 500)
    }

    /// Who has a port of the host: `nginx, process 1234`; nil when that cannot be seen.
    func findHolder(of key: PortBindings.Key) -> String? {
        guard let answer = try? ask(.find(key), 2_000), answer.bytes.count > 2 else { return nil }
        return String(decoding: answer.bytes.dropFirst(2), as: UTF8.self)
    }

    private func ask(_ request: HostSocketRequest, _ patience: Int32) throws(SystemError) -> Message {
        sequence &+= 1
        try connection.fd.send(request.encoded(sequence), flags: 0x40 /* MSG_DONTWAIT */)
        let deadline = monotonicNanoseconds() + Int64(patience) * 1_000_000
        while true {
            var number = connection.raw
            var wanted = Int16(POLLIN)
            var got: Int16 = 0
            let left = max(0, (deadline - monotonicNanoseconds() + 999_999) / 1_000_000)
            if cl_poll(&number, &wanted, &got, 1, Int32(clamping: left)) == 0 {
                restsUntil = monotonicNanoseconds() + 10_000_000_000
                throw SystemError(.timedOut, "make socket")
            }
            let answer = try connection.fd.receive(limit: 512, flags: 0x40)
            if answer.bytes.isEmpty { throw SystemError(.brokenPipe, "make socket") }
            // One that came too late for its question.
            guard answer.bytes.count >= 2, answer.bytes[0] == sequence else { continue }
            if answer.bytes[1] != 0 { throw SystemError(Errno(rawValue: Int32(answer.bytes[1])), "make socket") }
            return answer
        }
    }
}

/// What a supervisor asks of the holder: 5 or 22 bytes. The answer is the number of the question, an error or 0, and what was asked for.
enum HostSocketRequest {
    case make(isStream: Bool, isIPv6: Bool, count: Int)
    case find(PortBindings.Key)

    func encoded(_ sequence: UInt8) -> [UInt8] {
        switch self {
        case .make(let isStream, let isIPv6, let count):
            return [sequence, 1, isStream ? 1 : 2, isIPv6 ? 1 : 0, UInt8(clamping: count)]
        case .find(let key):
            let address = key.address.bytes
            return [sequence, 2, key.transport.number, key.address.isIPv6 ? 1 : 0, UInt8(key.port >> 8), UInt8(key.port & 0xff)] + address
                + [UInt8](repeating: 0, count: 16 - address.count)
        }
    }

    private init?(_ bytes: [UInt8]) {
        if bytes.count == 5, bytes[1] == 1 {
            self = .make(isStream: bytes[2] == 1, isIPv6: bytes[3] == 1, count: min(Int(bytes[4]), HostSockets.limit))
            return
        }
        guard bytes.count == 22, bytes[1] == 2, let address = IPAddress(bytes: Array(bytes[6..<(bytes[3] == 1 ? 22 : 10)])) else {
            return nil
        }
        let transport = bytes[2] == PortPlan.Transport.udp.number ? PortPlan.Transport.udp : .tcp
        self = .find(PortBindings.Key(transport: transport, address: address, port: UInt16(bytes[4]) << 8 | UInt16(bytes[5])))
    }

    /// Carries out a question in the namespaces of the host.
    static func answer(_ bytes: [UInt8]) -> (bytes: [UInt8], descriptors: [SharedFD]) {
        let sequence = bytes.first ?? 0
        guard let request = HostSocketRequest(bytes) else { return ([sequence, UInt8(EINVAL)], []) }
        switch request {
        case .find(let key): return ([sequence, 0] + Array((PortHolder.find(key) ?? "").utf8.prefix(500)), [])
        case .make(let isStream, let isIPv6, let count):
            var made: [SharedFD] = []
            do throws(SystemError) {
                for _ in 0..<count { made.append(SharedFD(try makeInternetSocket(isStream ? .stream : .datagram, isIPv6: isIPv6))) }
                return ([sequence, 0], made)
            } catch {
                return ([sequence, UInt8(clamping: error.errno.rawValue)], [])
            }
        }
    }
}
