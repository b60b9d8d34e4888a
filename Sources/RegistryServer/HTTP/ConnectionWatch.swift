import NIOCore

/// Ends connections that take without giving: slow headers, trickling bodies, framing without content, idleness.
///
/// Stands where the bytes of HTTP come in (behind TLS, which it times as well). The request handler tells it what is going on.
final class ConnectionWatch: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundOut = ByteBuffer

    enum Phase {
        /// Nothing has come yet, the TLS handshake included.
        case fresh
        /// Between two requests.
        case idle
        case head
        case body
        /// The server has what it needs.
        case work
        /// The client has to take the answer.
        case answer
    }

    private let limits: RegistryServerOptions.Limits
    private(set) var phase = Phase.fresh
    private var since: NIODeadline
    /// Bytes since `since`.
    private var received = 0
    /// Bytes of this request on the wire, and those of them that are body.
    private var onWire = 0
    private var content = 0
    /// The server itself does not read.
    private var wasHeld = false
    private var isHeld = false
    private var isGone = false
    private var tick: Scheduled<Void>?
    /// Told when time is up, before the connection is closed; says whether no answer has begun.
    var expire: ((Phase) -> Bool)?

    init(limits: RegistryServerOptions.Limits) {
        self.limits = limits
        since = .now()
    }

    func handlerAdded(context: ChannelHandlerContext) { schedule(context) }

    func handlerRemoved(context: ChannelHandlerContext) { stop() }

    func channelInactive(context: ChannelHandlerContext) {
        stop()
        context.fireChannelInactive()
    }

    private func stop() {
        isGone = true
        tick?.cancel()
        expire = nil
    }

    private func schedule(_ context: ChannelHandlerContext) {
        guard !isGone else { return }
        tick = context.eventLoop.assumeIsolated().scheduleTask(in: .seconds(1)) {
            self.look(context)
            self.schedule(context)
        }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let count = Self.unwrapInboundIn(data).readableBytes
        if phase == .fresh || phase == .idle { enter(.head) }
        received += count
        onWire += count
        // Chunk extensions and chunks of one byte cost the server more than the client.
        if phase == .body, onWire - content > 256 << 10, onWire / 16 > content {
            return end(context)
        }
        context.fireChannelRead(data)
    }

    func enter(_ phase: Phase) {
        if phase == .idle || phase == .fresh { (onWire, content) = (0, 0) }
        self.phase = phase
        restart()
    }

    private func restart() {
        since = .now()
        received = 0
        wasHeld = isHeld
    }

    func hold(_ on: Bool) {
        isHeld = on
        if on { wasHeld = true }
    }

    /// Body bytes have come, or a piece of the answer has gone.
    func progress(_ count: Int = 0) {
        content += count
        if phase == .answer { since = .now() }
    }

    private func look(_ context: ChannelHandlerContext) {
        let seconds = (NIODeadline.now() - since).nanoseconds / 1_000_000_000
        let isLate: Bool
        switch phase {
        case .fresh, .head: isLate = seconds >= limits.headerSeconds
        case .idle: isLate = seconds >= limits.idleSeconds
        case .body:
            isLate = seconds >= limits.bodySeconds && received < limits.bodyBytes && !wasHeld
            if seconds >= limits.bodySeconds, !isLate { restart() }
        case .work: isLate = false
        case .answer: isLate = seconds >= limits.answerSeconds
        }
        if isLate { end(context) }
    }

    private func end(_ context: ChannelHandlerContext) {
        // Written here and not as an answer: the handlers behind know of no request yet.
        if expire?(phase) == true {
            let answer = "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
            context.writeAndFlush(Self.wrapOutboundOut(ByteBuffer(string: answer)), promise: nil)
        }
        context.close(promise: nil)
    }
}
