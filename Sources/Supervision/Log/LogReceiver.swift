import CLinux
import Control
import Glibc
import Linux

/// The connection to who gets a container's lines: a queue that is bounded, and a socket that is never waited for.
///
/// A receiver that is slow or away costs the container nothing: what does not fit any more is counted, and the count is told when
/// the receiver takes messages again. One thread.
final class LogReceiver {
    /// Connects; the socket may not be connected yet.
    typealias Connect = () throws(SystemError) -> SharedFD

    private let loop: EventLoop
    private let connect: Connect
    private let capacity: Int
    /// Messages are whole or not at all there; otherwise bytes follow each other.
    private let isStream: Bool
    private var socket: SharedFD?
    private var token: EventLoop.Token?
    private var queue: [[UInt8]] = []
    /// Bytes of the first message that were sent.
    private var sent = 0
    private var waiting = 0
    private var lost = 0
    /// Monotonic time before which it is not tried again.
    private var retryAt: Int64 = 0
    /// Makes the message that tells how many were lost.
    var describeLoss: (Int) -> [UInt8] = { _ in [] }

    /// - Parameter capacity: bytes that may wait.
    init(_ loop: EventLoop, isStream: Bool, capacity: Int, _ connect: @escaping Connect) {
        self.loop = loop
        self.isStream = isStream
        self.capacity = capacity
        self.connect = connect
    }

    /// The first connection, which has to succeed within five seconds.
    func open() throws(SystemError) {
        let made = try connect()
        if isStream {
            var number = made.raw
            var wanted = Int16(POLLOUT)
            var got: Int16 = 0
            guard cl_poll(&number, &wanted, &got, 1, 5000) > 0 else { throw SystemError(.timedOut, "connect") }
            let failure = made.fd.pendingError()
            if failure != 0 { throw SystemError(Errno(rawValue: failure), "connect") }
        }
        socket = made
    }

    func send(_ message: [UInt8]) {
        guard waiting + message.count <= capacity else {
            lost += 1
            // Perhaps there is somebody again.
            if token == nil { flush() }
            return
        }
        if lost > 0, queue.isEmpty {
            // In its place among the others.
            let note = describeLoss(lost)
            lost = 0
            queue.append(note)
            waiting += note.count
        }
        queue.append(message)
        waiting += message.count
        if token == nil { flush() }
    }

    /// The run is over: what waits has a second to get through.
    func finish() {
        let deadline = monotonicNanoseconds() + 1_000_000_000
        while !queue.isEmpty, let socket, monotonicNanoseconds() < deadline {
            var number = socket.raw
            var wanted = Int16(POLLOUT)
            var got: Int16 = 0
            _ = cl_poll(&number, &wanted, &got, 1, 100)
            flush()
        }
        if queue.isEmpty { queue = [] }
    }

    private func flush() {
        guard let socket = connected() else { return }
        var done = 0
        defer {
            queue.removeFirst(done)
            watch(!queue.isEmpty)
        }
        while done < queue.count {
            let message = queue[done]
            let count = socket.fd.sendNow(message, from: sent)
            if count == -Int(EAGAIN) { return }
            if count == -Int(EMSGSIZE) {
                lost += 1
            } else if count < 0 {
                close()
                return
            } else if isStream, sent + count < message.count {
                sent += count
                return
            }
            sent = 0
            waiting -= message.count
            done += 1
        }
    }

    /// - Returns: nil when there is nobody; asked again after a second.
    private func connected() -> SharedFD? {
        if let socket { return socket }
        guard monotonicNanoseconds() >= retryAt else { return nil }
        guard let made = try? connect() else {
            retryAt = monotonicNanoseconds() + 1_000_000_000
            return nil
        }
        socket = made
        return made
    }

    private func close() {
        if let token { loop.remove(token) }
        token = nil
        socket = nil
        // The receiver has part of a message at most: a new connection begins with a whole one.
        sent = 0
        retryAt = monotonicNanoseconds() + 1_000_000_000
    }

    private func watch(_ on: Bool) {
        if !on {
            if let token { loop.remove(token) }
            token = nil
        } else if token == nil, let socket {
            token = try? loop.add(socket.fd, .writable) { [unowned self] events in
                if events.contains(.error), socket.fd.pendingError() != 0 { close() } else { flush() }
            }
        }
    }
}
