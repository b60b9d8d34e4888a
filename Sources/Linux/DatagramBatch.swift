import CLinux
import Glibc

/// Datagrams that are received together, and the answers that go back together. One thread.
///
/// The memory is made once and stays until the batch is let go.
public final class DatagramBatch {
    /// Of one batch.
    public static let capacity = Int(CL_DATAGRAMS)
    /// Bytes of one datagram that are kept; a longer one is told by its length.
    public static let slot = 4096

    /// What was received: the datagram of number n begins at n × ``slot``.
    public private(set) var input: [UInt8]
    /// How many there are.
    public private(set) var count = 0
    private var sizes: [UInt32]
    private var peers: [cl_internet]

    /// The answers, one behind the other.
    private var output: [UInt8] = []
    /// Where each ends, and whose it is.
    private var ends: [UInt32] = []
    private var clients: [cl_internet] = []

    public init() {
        input = [UInt8](repeating: 0, count: DatagramBatch.capacity * DatagramBatch.slot)
        sizes = [UInt32](repeating: 0, count: DatagramBatch.capacity)
        peers = [cl_internet](repeating: cl_internet(), count: DatagramBatch.capacity)
    }

    /// Takes what is there already, without waiting. The C function is `recvmmsg(2)`.
    ///
    /// - Returns: how many; negative: -errno, `-EAGAIN` where there is none.
    public func receive(from socket: FD) -> Int {
        let received = input.withUnsafeMutableBytes {
            cl_internet_receive_many(
                socket.rawValue, $0.baseAddress, DatagramBatch.slot, &peers, &sizes, UInt32(DatagramBatch.capacity))
        }
        count = max(received, 0)
        return received
    }

    /// Where a datagram stands in ``input``; nil when it was longer than a slot, or has no port that could be answered.
    public func message(_ number: Int) -> Range<Int>? {
        guard number < count, sizes[number] <= DatagramBatch.slot, peers[number].port != 0 else { return nil }
        let start = number * DatagramBatch.slot
        return start..<(start + Int(sizes[number]))
    }

    /// Who sent a datagram.
    public func sender(_ number: Int) -> InternetEndpoint { InternetEndpoint(peers[number]) }

    /// Whether two datagrams are the same from a byte on.
    public func isSame(_ number: Int, as other: Int, from start: Int) -> Bool {
        guard number < count, other < count else { return false }
        let size = Int(sizes[number])
        guard sizes[other] == sizes[number], size >= start, size <= DatagramBatch.slot else { return false }
        return input.withUnsafeBytes { bytes in
            // SAFETY: both lie within their slots.
            guard let base = bytes.baseAddress else { return false }
            return memcmp(base + number * DatagramBatch.slot + start, base + other * DatagramBatch.slot + start, size - start) == 0
        }
    }

    // MARK: Answers

    /// How many there are.
    public var answers: Int { ends.count }

    /// Puts an answer to what is sent with the others. - Returns: false when there is no room: more than were asked.
    public func answer(_ bytes: [UInt8], to client: InternetEndpoint) -> Bool { put(bytes, to: client.raw) }

    /// As ``answer(_:to:)``, to the sender of a datagram.
    public func answer(_ bytes: [UInt8], to number: Int) -> Bool { put(bytes, to: peers[number]) }

    /// Puts an answer that is there already once more, for the sender of another datagram, with that one's first bytes.
    public func repeatAnswer(_ answer: Int, to number: Int, replacing first: Int) {
        guard answer < ends.count, ends.count < DatagramBatch.capacity else { return }
        let start = answer > 0 ? Int(ends[answer - 1]) : 0
        let end = Int(ends[answer])
        guard first <= end - start else { return }
        let source = number * DatagramBatch.slot
        let rest = Array(output[(start + first)..<end])
        output += input[source..<(source + first)]
        output += rest
        ends.append(UInt32(output.count))
        clients.append(peers[number])
    }

    private func put(_ bytes: [UInt8], to client: cl_internet) -> Bool {
        guard ends.count < DatagramBatch.capacity else { return false }
        output += bytes
        ends.append(UInt32(output.count))
        clients.append(client)
        return true
    }

    /// Sends all answers without waiting. What the kernel does not take is lost, as datagrams are, and does not hold up the others.
    /// The C function is `sendmmsg(2)`.
    public func send(on socket: FD) {
        if ends.isEmpty { return }
        _ = output.withUnsafeBytes { cl_internet_send_many(socket.rawValue, $0.baseAddress, ends, clients, UInt32(ends.count)) }
        output.removeAll(keepingCapacity: true)
        ends.removeAll(keepingCapacity: true)
        clients.removeAll(keepingCapacity: true)
    }
}
