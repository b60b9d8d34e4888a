import CLinux
import Glibc

/// One rtnetlink socket: requests with sequence numbers, answers checked against them.
///
/// Kernel: Documentation/userspace-api/netlink/intro.rst; rtnetlink(7).
public struct NetlinkSocket: ~Copyable {
    private let socket: OwnedFD
    private var sequence: UInt32 = 0

    /// Opens a socket in the network namespace of the calling thread.
    public init() throws(SystemError) {
        socket = OwnedFD(owning: try check(cl_socket(16 /* AF_NETLINK */, 3 /* SOCK_RAW */, 0), "open netlink socket"))
        // NETLINK_EXT_ACK and strict checking (Linux 4.20): unknown attributes are errors, not silence.
        var one: Int32 = 1
        _ = setsockopt(socket.raw, 270 /* SOL_NETLINK */, 12 /* NETLINK_GET_STRICT_CHK */, &one, 4)
    }

    /// Sends one request and collects the payloads of its answers.
    /// - Throws: the kernel's error, with `operation` and `object`.
    public mutating func request(
        _ type: UInt16, flags: UInt16, _ body: [UInt8], _ operation: String, _ object: String
    ) throws(SystemError) -> [[UInt8]] {
        sequence &+= 1
        var message = NetlinkBytes()
        message.append(UInt32(16 + body.count))
        message.append(type)
        message.append(flags | 1 /* NLM_F_REQUEST */ | 4 /* NLM_F_ACK */)
        message.append(sequence)
        message.append(UInt32(0))
        message.bytes += body
        try socket.fd.send(message.bytes)
        var answers: [[UInt8]] = []
        while true {
            let received = try socket.fd.receive(limit: 64 << 10)
            if received.truncated { throw SystemError(.tooBig, operation, object) }
            if try collect(received.bytes, &answers, operation, object) { return answers }
        }
    }

    /// - Returns: true when the request is answered completely.
    private func collect(
        _ bytes: [UInt8], _ answers: inout [[UInt8]], _ operation: String, _ object: String
    ) throws(SystemError) -> Bool {
        var offset = 0
        while bytes.count - offset >= 16 {
            let length = Int(NetlinkBytes.read(bytes, offset, UInt32.self))
            guard length >= 16, length <= bytes.count - offset else { throw SystemError(.io, operation, object) }
            let type = NetlinkBytes.read(bytes, offset + 4, UInt16.self)
            let number = NetlinkBytes.read(bytes, offset + 8, UInt32.self)
            if number == sequence {
                if type == 2 /* NLMSG_ERROR */ {
                    guard length >= 20 else { throw SystemError(.io, operation, object) }
                    let code = NetlinkBytes.read(bytes, offset + 16, Int32.self)
                    if code == 0 { return true }
                    throw SystemError(Errno(rawValue: -code), operation, object)
                }
                if type == 3 /* NLMSG_DONE */ { return true }
                answers.append(Array(bytes[(offset + 16)..<(offset + length)]))
            }
            offset += (length + 3) & ~3
        }
        return false
    }
}

/// Little helpers to write and read netlink's aligned attributes.
public struct NetlinkBytes {
    public var bytes: [UInt8] = []
    public init() {}

    public mutating func append<T: FixedWidthInteger>(_ value: T) {
        var value = value
        withUnsafeBytes(of: &value) { bytes.append(contentsOf: $0) }
    }

    /// One attribute, padded to four bytes.
    public mutating func attribute(_ type: UInt16, _ value: [UInt8]) {
        append(UInt16(4 + value.count))
        append(type)
        bytes += value
        while bytes.count & 3 != 0 { bytes.append(0) }
    }

    public mutating func attribute(_ type: UInt16, _ text: String) { attribute(type, Array(text.utf8) + [0]) }

    public mutating func attribute(_ type: UInt16, _ number: UInt32) {
        var inner = NetlinkBytes()
        inner.append(number)
        attribute(type, inner.bytes)
    }

    /// 0 where the bytes end too early.
    public static func read<T: FixedWidthInteger>(_ bytes: [UInt8], _ offset: Int, _: T.Type) -> T {
        guard offset >= 0, offset + MemoryLayout<T>.size <= bytes.count else { return 0 }
        return bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: T.self) }
    }

    /// The attributes of a message behind its fixed header.
    public static func attributes(_ bytes: [UInt8], after header: Int) -> [(type: UInt16, value: [UInt8])] {
        var result: [(type: UInt16, value: [UInt8])] = []
        var offset = header
        while bytes.count - offset >= 4 {
            let length = Int(read(bytes, offset, UInt16.self))
            guard length >= 4, length <= bytes.count - offset else { break }
            result.append((read(bytes, offset + 2, UInt16.self) & 0x3fff, Array(bytes[(offset + 4)..<(offset + length)])))
            offset += (length + 3) & ~3
        }
        return result
    }
}
