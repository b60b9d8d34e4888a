import CLinux
import Glibc
import Linux

/// A connection of a client, and the one to the container that stands for it.
final class ForwardedStream {
    /// One way: what came in is in a pipe until the other side takes it. Bytes never enter this process.
    struct Direction {
        var pipe: PipePool.Pipe?
        var waiting = 0
        var hasEnded = false
        var endIsPassedOn = false
    }

    let client: OwnedFD
    let server: OwnedFD
    var slot = PortForwarder.Slot.Token(index: 0, generation: 0)
    var toServer = Direction()
    var toClient = Direction()
    var isConnected = false
    var isClosed = false

    init(client: consuming OwnedFD, server: consuming OwnedFD) {
        self.client = client
        self.server = server
    }
}

/// Pipes that carry data wait here for the next who needs one: an idle connection has none.
struct PipePool {
    final class Pipe {
        let reader: SharedFD
        let writer: SharedFD
        /// Set while it has `PipePool.wideCapacity`.
        fileprivate var wide: WideCount?

        fileprivate init(reader: SharedFD, writer: SharedFD) {
            self.reader = reader
            self.writer = writer
        }

        // Also where a connection is closed with something left in its pipe.
        deinit { wide?.value -= 1 }
    }

    fileprivate final class WideCount { var value = 0 }

    /// Bytes; what an ordinary user may ask for (fs.pipe-max-size). A quarter of it moves a fifth less.
    static let wideCapacity = 1 << 20
    /// What is in a pipe stays there while a client does not read, and counts against what all pipes of the user may have
    /// (fs.pipe-user-pages-soft, 64 MiB): who takes nothing holds back 8 MiB, and the rest go on with 64 KiB each.
    private static let maximumWide = 8
    private static let maximumIdle = 4
    private let wide = WideCount()
    private var idle: [Pipe] = []

    mutating func take() -> Pipe? {
        if let index = idle.lastIndex(where: { $0.wide != nil }) { return idle.remove(at: index) }
        // A narrow one may become wide when those that were have gone.
        guard let pipe = idle.popLast() ?? make() else { return nil }
        // Refused where the user has too many already.
        if wide.value < Self.maximumWide, cl_fcntl(pipe.writer.raw, 1031 /* F_SETPIPE_SZ */, Self.wideCapacity) >= 0 {
            wide.value += 1
            pipe.wide = wide
        }
        return pipe
    }

    private func make() -> Pipe? {
        var fds: [Int32] = [-1, -1]
        guard cl_pipe2(&fds, Int32(O_NONBLOCK)) >= 0 else { return nil }
        return Pipe(reader: SharedFD(owning: fds[0]), writer: SharedFD(owning: fds[1]))
    }

    /// Only an empty one.
    mutating func give(_ pipe: Pipe) { if idle.count < Self.maximumIdle { idle.append(pipe) } }
}

extension PortForwarder {
    func accept(_ port: HostPort) {
        for _ in 0..<64 {
            if streamCount >= maximumStreams { return setPaused(true) }
            var name = cl_internet()
            let number = cl_internet_accept(port.socket.raw, &name)
            if number == -EMFILE || number == -ENFILE || number == -ENOMEM || number == -ENOBUFS { return setPaused(true) }
            // A client that has gone again (ECONNABORTED) is no reason to stop; there is another turn anyway.
            guard number >= 0 else { return }
            open(OwnedFD(owning: number), InternetEndpoint(name), port)
        }
    }

    private func open(_ client: consuming OwnedFD, _ address: InternetEndpoint, _ port: HostPort) {
        guard let server = connect(1 /* SOCK_STREAM */, as: address, to: port.target) else {
            _ = cl_reset_on_close(client.raw)
            return
        }
        for number in [client.raw, server.raw] {
            _ = cl_socket_option(number, 6 /* IPPROTO_TCP */, 1 /* TCP_NODELAY */, 1)
            _ = cl_socket_option(number, 1 /* SOL_SOCKET */, 9 /* SO_KEEPALIVE */, 1)
        }
        let stream = ForwardedStream(client: client, server: server)
        guard let slot = try? watch(stream.client.raw, Self.edges, .stream(stream)) else { return }
        stream.slot = slot
        streamCount += 1
        if (try? watchToo(stream.server.raw, Self.edges, slot)) == nil { close(stream, resetting: true) }
    }

    /// Moves what can be moved, both ways, until both sides say "not now": events come only when that changes.
    func move(_ stream: ForwardedStream) {
        if !stream.isConnected {
            if cl_socket_error(stream.server.raw) < 0 { return close(stream, resetting: true) }
            var fd = stream.server.raw
            var wanted = Int16(POLLOUT)
            var got: Int16 = 0
            guard cl_poll(&fd, &wanted, &got, 1, 0) > 0, got & Int16(POLLOUT) != 0 else { return }
            stream.isConnected = true
        }
        var budget = 4 * PipePool.wideCapacity
        var isWhole = move(&stream.toServer, stream.client.raw, stream.server.raw, &budget)
        isWhole = move(&stream.toClient, stream.server.raw, stream.client.raw, &budget) && isWhole
        if !isWhole { return close(stream, resetting: true) }
        if stream.toServer.endIsPassedOn, stream.toClient.endIsPassedOn { return close(stream, resetting: false) }
        if budget <= 0 { busy.append(stream) }
    }

    /// - Returns: false when the connection has broken.
    private func move(_ way: inout ForwardedStream.Direction, _ from: Int32, _ to: Int32, _ budget: inout Int) -> Bool {
        if way.endIsPassedOn { return true }
        if way.pipe == nil { way.pipe = pipes.take() }
        guard let pipe = way.pipe else { return false }
        defer {
            if way.waiting == 0 {
                pipes.give(pipe)
                way.pipe = nil
            }
        }
        // SPLICE_F_MOVE | SPLICE_F_NONBLOCK; with SPLICE_F_MORE the kernel would hold back what fills no packet for 200 ms. A full pipe
        // and an empty socket both say EAGAIN, so after either side has moved the other is asked again.
        while budget > 0 {
            var moved = 0
            if !way.hasEnded {
                let count = cl_splice(from, pipe.writer.raw, PipePool.wideCapacity, 3)
                if count == 0 { way.hasEnded = true }
                if count < 0, count != -EAGAIN { return false }
                if count > 0 { (way.waiting, moved) = (way.waiting + count, count) }
            }
            if way.waiting > 0 {
                let count = cl_splice(pipe.reader.raw, to, way.waiting, 3)
                if count < 0, count != -EAGAIN { return false }
                if count > 0 { (way.waiting, moved) = (way.waiting - count, moved + count) }
            }
            if way.hasEnded, way.waiting == 0 {
                _ = cl_shutdown(to, Int32(SHUT_WR))
                way.endIsPassedOn = true
                return true
            }
            if moved == 0 { return true }
            budget -= moved
        }
        return true
    }

    /// - Parameter resetting: both sides see that the connection was not ended in order.
    func close(_ stream: ForwardedStream, resetting: Bool) {
        if stream.isClosed { return }
        stream.isClosed = true
        if resetting {
            _ = cl_reset_on_close(stream.client.raw)
            _ = cl_reset_on_close(stream.server.raw)
        }
        // The last references are the slot's and those of this turn: descriptors are closed at its end.
        forget(stream.slot)
        streamCount -= 1
        if streamCount < maximumStreams { setPaused(false) }
    }
}
