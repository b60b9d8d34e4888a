import CLinux
import Glibc

/// One netlink socket: requests with sequence numbers, answers checked against them.
///
/// Not for two threads at once. Kernel: Documentation/userspace-api/netlink/intro.rst; rtnetlink(7).
public struct NetlinkSocket: ~Copyable {
    public enum Family: Int32, Sendable {
        case route = 0
        case netfilter = 12
    }

    private let socket: OwnedFD
    private var sequence: UInt32 = 0
    /// Bytes that one send may have.
    public private(set) var sendLimit = 200 << 10

    public var fd: FD { socket.fd }

    /// Opens a socket in the network namespace of the calling thread.
    public init(_ family: Family = .route) throws(SystemError) {
        socket = OwnedFD(owning: try check(cl_socket(16 /* AF_NETLINK */, 3 /* SOCK_RAW */, family.rawValue), "open netlink socket"))
        set(270 /* SOL_NETLINK */, 11 /* NETLINK_EXT_ACK */, 1)
        set(270, 10 /* NETLINK_CAP_ACK */, 1)
        // Strict checking (Linux 4.20): unknown attributes are errors, not silence.
        set(270, 12 /* NETLINK_GET_STRICT_CHK */, 1)
        // An answer that does not fit is lost (ENOBUFS). Memory is used only while answers wait.
        set(1 /* SOL_SOCKET */, 8 /* SO_RCVBUF */, 1 << 20)
        set(1, 33 /* SO_RCVBUFFORCE */, 8 << 20)
    }

    /// Makes room for a large batch (the kernel takes one send of at most the socket's buffer). Without root of the host it stays at
    /// `net.core.wmem_max`.
    public mutating func reserve(sendLimit wanted: Int) {
        guard wanted > sendLimit else { return }
        let size = Int32(truncatingIfNeeded: min(wanted + 4096, 64 << 20))
        set(1, 7 /* SO_SNDBUF */, size)
        set(1, 32 /* SO_SNDBUFFORCE */, size)
        var got: Int32 = 0
        var length = socklen_t(4)
        guard getsockopt(socket.raw, 1, 7, &got, &length) == 0 else { return }
        sendLimit = max(sendLimit, Int(got) - 4096)
    }

    /// Receives what a multicast group is told. Fails without CAP_NET_ADMIN where the group asks for it.
    public func join(group: Int32) throws(SystemError) {
        // One without a port of its own is told nothing.
        try check(cl_netlink_bind(socket.raw), "bind netlink socket")
        var number = group
        if setsockopt(socket.raw, 270, 1 /* NETLINK_ADD_MEMBERSHIP */, &number, 4) != 0 {
            throw SystemError(Errno(rawValue: Glibc.errno), "join netlink group", "\(group)")
        }
    }

    /// Lets only messages through that a classic BPF program takes.
    public func attachFilter(_ program: [UInt64]) throws(SystemError) { try socket.fd.attachFilter(program) }

    private func set(_ level: Int32, _ option: Int32, _ value: Int32) {
        var value = value
        _ = setsockopt(socket.raw, level, option, &value, 4)
    }

    /// Sends one request and collects the payloads of its answers.
    /// - Parameter flags: with NLM_F_DUMP (0x300) a list, asked for again when it changed meanwhile.
    /// - Throws: the kernel's error, with `operation` and `object`.
    public mutating func request(
        _ type: UInt16, flags: UInt16, _ body: [UInt8], _ operation: String, _ object: String
    ) throws(SystemError) -> [[UInt8]] {
        var attempts = 0
        while true {
            var batch = NetlinkBatch()
            // A list ends with its own last message.
            batch.add(type, flags: flags & 0x300 == 0x300 ? flags : flags | 4 /* NLM_F_ACK */, operation, object) { $0.bytes += body }
            let result = try exchange(batch)
            if !result.interrupted { return result.answers.map(\.payload) }
            attempts += 1
            if attempts == 50 { throw SystemError(.again, operation, object) }
        }
    }

    /// Sends messages that answer nothing but success, all at once; the kernel carries them out in order.
    ///
    /// Where one fails, rtnetlink still carries out those behind it: undo is the caller's.
    /// - Throws: the first error.
    public mutating func send(_ batch: NetlinkBatch) throws(SystemError) {
        if batch.isEmpty { return }
        var batch = batch
        batch.setFlag(4 /* NLM_F_ACK */, at: batch.count - 1)
        _ = try exchange(batch)
    }

    /// Sends messages without waiting for the kernel to carry them out; nobody hears of errors. For what takes long.
    ///
    /// Done by a process beside this one; where there can be none, by this one. C function: `cl_defer_send` of CLinux.
    /// - Parameter kept: descriptors that this process is about to close, and whose last close takes long too; at most 8.
    public func sendLater(_ batch: NetlinkBatch, closing kept: [FD] = []) {
        let numbers = kept.map(\.rawValue)
        let result = batch.bytes.withUnsafeBytes { message in
            cl_defer_send(socket.raw, message.baseAddress, message.count, numbers, Int32(numbers.count))
        }
        if result < 0, !batch.isEmpty { try? socket.fd.send(batch.bytes) }
    }

    /// Sends messages of which each asks for one thing.
    /// - Returns: for each the answer, or the error.
    public mutating func ask(_ batch: NetlinkBatch) throws(SystemError) -> [Result<[UInt8], SystemError>] {
        var batch = batch
        for index in 0..<batch.count { batch.setFlag(4, at: index) }
        let outcome = try transfer(batch)
        return (0..<batch.count).map { index in
            if let error = outcome.errors.first(where: { $0.index == index }) { return .failure(error.error) }
            return .success(outcome.answers.first { $0.index == index }?.payload ?? [])
        }
    }

    struct Outcome {
        var answers: [(index: Int, payload: [UInt8])] = []
        var errors: [(index: Int, error: SystemError)] = []
        /// A list changed while it was read.
        var interrupted = false
        var finished = false
    }

    private mutating func exchange(_ batch: NetlinkBatch) throws(SystemError) -> Outcome {
        let outcome = try transfer(batch)
        if let first = outcome.errors.min(by: { $0.index < $1.index }) { throw first.error }
        return outcome
    }

    /// The last message ends it: by its acknowledgement, its error, or the end of its list. So does an error of the first message of
    /// a netfilter batch, behind which nothing else is looked at.
    private mutating func transfer(_ batch: NetlinkBatch) throws(SystemError) -> Outcome {
        guard let last = batch.purposes.last else { return Outcome() }
        let base = sequence &+ 1
        sequence = sequence &+ UInt32(batch.count)
        var bytes = batch.bytes
        for (index, start) in batch.starts.enumerated() {
            withUnsafeBytes(of: base &+ UInt32(index)) { bytes.replaceSubrange((start + 8)..<(start + 12), with: $0) }
        }
        reserve(sendLimit: bytes.count)
        do throws(SystemError) {
            try socket.fd.send(bytes)
        } catch {
            throw SystemError(error.errno, last.operation, last.object, detail: "message of \(bytes.count) bytes")
        }
        var outcome = Outcome()
        while !outcome.finished {
            do throws(SystemError) {
                let received = try socket.fd.receive(limit: 64 << 10)
                if received.truncated || received.bytes.isEmpty { throw SystemError(.tooBig, last.operation, last.object) }
                try collect(received.bytes, batch, base, &outcome)
            } catch {
                throw SystemError(error.errno, last.operation, last.object, detail: error.detail)
            }
        }
        return outcome
    }

    private func collect(
        _ bytes: [UInt8], _ batch: NetlinkBatch, _ base: UInt32, _ outcome: inout Outcome
    ) throws(SystemError) {
        var offset = 0
        while bytes.count - offset >= 16 {
            let length = Int(NetlinkBytes.read(bytes, offset, UInt32.self))
            guard length >= 16, length <= bytes.count - offset else { throw SystemError(.io, "read netlink answer") }
            let type = NetlinkBytes.read(bytes, offset + 4, UInt16.self)
            let flags = NetlinkBytes.read(bytes, offset + 6, UInt16.self)
            // What is not an answer to this batch is none of ours: left over from a batch that failed before its end.
            let index = Int(NetlinkBytes.read(bytes, offset + 8, UInt32.self) &- base)
            if index < batch.count {
                if flags & 0x10 /* NLM_F_DUMP_INTR */ != 0 { outcome.interrupted = true }
                let message = Array(bytes[offset..<(offset + length)])
                switch type {
                case 2 /* NLMSG_ERROR */, 3 /* NLMSG_DONE */:
                    let error = failure(message, batch.purposes[index], isEnd: type == 3)
                    if let error { outcome.errors.append((index, error)) }
                    // A batch whose first message fails is refused as a whole.
                    let refused = error != nil && index == 0 && batch.isTransaction
                    if index == batch.lastAnswered || refused { outcome.finished = true }
                default:
                    outcome.answers.append((index, Array(message[16...])))
                }
            }
            offset += (length + 3) & ~3
        }
    }

    /// Nil for an acknowledgement, and for the end of a list that came whole.
    private func failure(_ message: [UInt8], _ purpose: (operation: String, object: String), isEnd: Bool) -> SystemError? {
        let code = NetlinkBytes.read(message, 16, Int32.self)
        if code >= 0 { return nil }
        var detail: String?
        let flags = NetlinkBytes.read(message, 6, UInt16.self)
        if flags & 0x200 /* NLM_F_ACK_TLVS */ != 0 {
            // struct nlmsgerr is the code and the request: its header, and the rest unless it was cut off (NLM_F_CAPPED).
            var start = 20
            if !isEnd { start = 36 + (flags & 0x100 != 0 ? 0 : max(0, Int(NetlinkBytes.read(message, 20, UInt32.self)) - 16 + 3) & ~3) }
            let text = NetlinkBytes.attributes(message, after: start).first { $0.type == 1 /* NLMSGERR_ATTR_MSG */ }
            detail = text.map { lowerFirst(NetlinkBytes.text($0.value)) }
        }
        return SystemError(Errno(rawValue: code == .min ? EIO : -code), purpose.operation, purpose.object, detail: detail)
    }

    private func lowerFirst(_ text: String) -> String {
        var bytes = Array(text.utf8)
        // `IPv6 is disabled` stays as it is.
        if bytes.count > 1, (65...90).contains(bytes[0]), bytes[1] >= 97 { bytes[0] += 32 }
        if bytes.last == UInt8(ascii: ".") { bytes.removeLast() }
        return String(decoding: bytes, as: UTF8.self)
    }
}

extension NetlinkBatch {
    /// The last message that is acknowledged: the end of a transaction is not (before Linux 6.10).
    var lastAnswered: Int { isTransaction ? count - 2 : count - 1 }

    /// Adds a flag to a message.
    public mutating func setFlag(_ flag: UInt16, at index: Int) {
        guard starts.indices.contains(index) else { return }
        let flags = NetlinkBytes.read(bytes, starts[index] + 6, UInt16.self) | flag
        withUnsafeBytes(of: flags) { bytes.replaceSubrange((starts[index] + 6)..<(starts[index] + 8), with: $0) }
    }
}
