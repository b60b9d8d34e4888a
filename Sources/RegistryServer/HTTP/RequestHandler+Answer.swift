import Linux
import NIOCore
import NIOHTTP1
import NIOPosix

/// Sending answers.
extension RequestHandler {
    /// Bytes of a file that are sent at once; each piece has to be taken in time.
    private static let pieceSize = 1 << 20
    /// Through TLS the bytes pass through memory.
    private static let tlsPieceSize = 256 << 10
    /// Bytes of body that are worth reading so that the connection can go on.
    private static let keepWorth: Int64 = 1 << 20

    func answer(_ answer: Answer, _ exchange: Exchange, _ context: ChannelHandlerContext) {
        guard !exchange.isAnswered, !exchange.isAborted else { return }
        exchange.isAnswered = true
        exchange.state = .settled
        exchange.status = answer.status.code
        _ = exchange.take()
        hold(false, context)
        if !exchange.hasEnded {
            let length = exchange.head.headers.first(name: "content-length").flatMap { ByteRange.number(Substring($0).utf8) }
            let rest = length.map { $0 - exchange.received } ?? Int64.max
            // A client that still waits for "100 Continue" may send the body or leave it out: both cannot be told apart.
            if rest > RequestHandler.keepWorth || exchange.expectsContinue { exchange.closes = true }
        }
        var headers = answer.headers
        headers.add(name: "Docker-Distribution-API-Version", value: "registry/2.0")
        headers.add(name: "X-Content-Type-Options", value: "nosniff")
        if let length = answer.length { headers.add(name: "Content-Length", value: String(length)) }
        if exchange.closes { headers.add(name: "Connection", value: "close") }
        if !exchange.closes, exchange.head.version == .http1_0 { headers.add(name: "Connection", value: "keep-alive") }
        watch.enter(.answer)
        let head = HTTPResponseHead(version: exchange.head.version, status: answer.status, headers: headers)
        context.write(Self.wrapOutboundOut(.head(head)), promise: nil)
        switch answer.body {
        case .none: end(exchange, context)
        case .bytes(let bytes):
            if exchange.head.method != .HEAD {
                exchange.sent = Int64(bytes.count)
                context.write(Self.wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: bytes)))), promise: nil)
            }
            end(exchange, context)
        case .file(let file, let range):
            do throws(SystemError) {
                let copy = try file.fd.duplicate()
                let handle = NIOFileHandle(_deprecatedTakingOwnershipOfDescriptor: copy.take())
                send(handle, range.lowerBound, range.upperBound, exchange, context)
            } catch {
                service.log.complain(error.description)
                context.close(promise: nil)
            }
        }
    }

    /// Sends a file piece by piece, the next when the one before is gone.
    private func send(
        _ handle: NIOFileHandle, _ start: Int64, _ end: Int64, _ exchange: Exchange, _ context: ChannelHandlerContext
    ) {
        guard start < end else {
            try? handle.close()
            return self.end(exchange, context)
        }
        let size = service.isTLS ? RequestHandler.tlsPieceSize : RequestHandler.pieceSize
        let next = min(end, start + Int64(size))
        let sent: EventLoopFuture<Void>
        if service.isTLS {
            let loop = context.eventLoop
            sent = service.files.read(
                fileHandle: handle, fromOffset: start, byteCount: Int(next - start), allocator: context.channel.allocator,
                eventLoop: loop
            ).assumeIsolated().flatMap { buffer in
                // Shorter than its row says: somebody has truncated it. The connection breaks, so that the client notices.
                guard buffer.readableBytes == Int(next - start) else { return loop.makeFailedFuture(ChannelError.eof) }
                return context.writeAndFlush(Self.wrapOutboundOut(.body(.byteBuffer(buffer))))
            }.nonisolated()
        } else {
            let region = FileRegion(fileHandle: handle, readerIndex: Int(start), endIndex: Int(next))
            sent = context.writeAndFlush(Self.wrapOutboundOut(.body(.fileRegion(region))))
        }
        sent.assumeIsolated().whenComplete { result in
            guard case .success = result, !exchange.isAborted else {
                try? handle.close()
                return context.close(promise: nil)
            }
            exchange.sent += next - start
            self.watch.progress()
            self.send(handle, next, end, exchange, context)
        }
    }

    private func end(_ exchange: Exchange, _ context: ChannelHandlerContext) {
        context.writeAndFlush(Self.wrapOutboundOut(.end(nil))).assumeIsolated().whenComplete { result in
            exchange.isDone = true
            guard !exchange.isAborted else { return }
            self.log(exchange, context)
            guard case .success = result else { return context.close(promise: nil) }
            if exchange.hasEnded { return self.finish(exchange, context) }
            self.watch.enter(.body)
            guard exchange.closes else { return }
            // Closing at once would reset the connection under the client, which then never sees the answer.
            context.eventLoop.assumeIsolated().scheduleTask(in: .seconds(2)) { context.close(promise: nil) }
        }
    }

    /// Both the request and the answer are complete.
    func finish(_ exchange: Exchange, _ context: ChannelHandlerContext) {
        guard self.exchange === exchange else { return }
        self.exchange = nil
        if exchange.closes { return context.close(promise: nil) }
        watch.enter(.idle)
    }

    // MARK: Log

    func peer(_ context: ChannelHandlerContext) -> String {
        guard let address = context.remoteAddress else { return "-" }
        return (address.ipAddress ?? "-") + ":" + String(address.port ?? 0)
    }

    func log(_ exchange: Exchange, _ context: ChannelHandlerContext) {
        if exchange.isLogged { return }
        exchange.isLogged = true
        service.log.request(
            RequestLog.Entry(
                peer: peer(context), user: exchange.user, method: exchange.head.method.rawValue, path: exchange.head.uri,
                // As nginx has it: the client went before it was answered.
                status: exchange.isDone || exchange.isAnswered ? exchange.status : 499, received: exchange.received,
                sent: exchange.sent, milliseconds: (NIODeadline.now() - exchange.began).nanoseconds / 1_000_000,
                agent: exchange.head.headers.first(name: "user-agent") ?? ""))
    }
}
