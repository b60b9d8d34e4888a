import NIOCore
import NIOHTTP1
import NIOPosix

/// Takes the requests of one connection, one after the other, and answers them.
///
/// Runs on the connection's event loop and blocks nowhere: work is handed to threads, and while a part of an upload waits for
/// the disk nothing more is read from the client.
final class RequestHandler: ChannelDuplexHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    /// Bytes of body that are read ahead while others are written.
    static let readAhead = 256 << 10
    /// Bytes of unwanted body that are read before the connection is closed.
    static let discardLimit: Int64 = 16 << 20

    let service: Service
    let watch: ConnectionWatch
    var exchange: Exchange?
    private var isHeld = false
    private var readWaits = false

    init(service: Service, watch: ConnectionWatch) {
        self.service = service
        self.watch = watch
    }

    func handlerAdded(context: ChannelHandlerContext) {
        watch.expire = { [weak self] phase in self?.expired(phase, context) ?? false }
    }

    // MARK: Reading

    func read(context: ChannelHandlerContext) {
        if isHeld {
            readWaits = true
        } else {
            context.read()
        }
    }

    /// Stops reading from the client, or goes on.
    func hold(_ on: Bool, _ context: ChannelHandlerContext) {
        guard on != isHeld else { return }
        isHeld = on
        watch.hold(on)
        if !on, readWaits {
            readWaits = false
            context.read()
        }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch Self.unwrapInboundIn(data) {
        case .head(let head):
            let exchange = Exchange(head)
            self.exchange = exchange
            watch.enter(.body)
            begin(exchange, context)
        case .body(let buffer):
            guard let exchange else { return }
            exchange.received += Int64(buffer.readableBytes)
            watch.progress(buffer.readableBytes)
            receive(buffer, exchange, context)
        case .end:
            guard let exchange else { return }
            exchange.hasEnded = true
            if !exchange.isAnswered { watch.enter(.work) }
            advance(exchange, context)
        }
    }

    private func receive(_ buffer: ByteBuffer, _ exchange: Exchange, _ context: ChannelHandlerContext) {
        switch exchange.state {
        case .deciding, .uploading:
            exchange.pending.append(buffer)
            exchange.pendingBytes += buffer.readableBytes
            if exchange.pendingBytes >= RequestHandler.readAhead { hold(true, context) }
            advance(exchange, context)
        case .collecting(let limit, _):
            exchange.pending.append(buffer)
            exchange.pendingBytes += buffer.readableBytes
            // The work sees that it is too much, and says so.
            if exchange.pendingBytes > limit { collect(exchange, context) }
        case .waiting, .settled: discard(Int64(buffer.readableBytes), exchange, context)
        }
    }

    private func discard(_ count: Int64, _ exchange: Exchange, _ context: ChannelHandlerContext) {
        exchange.discarded += count
        if exchange.discarded > RequestHandler.discardLimit { context.close(promise: nil) }
    }

    // MARK: Deciding

    private func begin(_ exchange: Exchange, _ context: ChannelHandlerContext) {
        if let failure = RequestHandler.check(exchange.head) {
            exchange.closes = true
            return answer(Answer(failure), exchange, context)
        }
        exchange.expectsContinue = exchange.head.headers.contains(name: "expect")
        guard let authenticator = service.authenticator else { return decide(exchange, context) }
        switch authenticator.check(exchange.head.headers.first(name: "authorization")) {
        case .accepted(let user):
            exchange.user = user
            decide(exchange, context)
        case .refused: answer(Answer(Authenticator.failure), exchange, context)
        case .unknown(let credentials):
            // bcrypt is slow on purpose.
            service.run(service.guards, context.eventLoop) { () throws(APIFailure) in
                authenticator.verify(credentials)
            }.assumeIsolated().whenComplete { result in
                guard !exchange.isAborted else { return }
                if case .success(.success(true)) = result {
                    exchange.user = credentials.user
                    self.decide(exchange, context)
                } else {
                    self.answer(Answer(Authenticator.failure), exchange, context)
                }
            }
        }
    }

    /// What is wrong with a request whatever it wants (attack row S76).
    static func check(_ head: HTTPRequestHead) -> APIFailure? {
        let headers = head.headers
        let encodings = headers["transfer-encoding"]
        if !encodings.isEmpty {
            // Both at once, or a coding that is not understood: two programs would see two different requests.
            guard encodings.count == 1, encodings[0].lowercased() == "chunked", !headers.contains(name: "content-length"),
                head.version == .http1_1
            else { return APIFailure(400, .unsupported, "unclear length of the body: Content-Length or chunked, not both") }
        }
        let lengths = headers["content-length"]
        guard lengths.count <= 1, lengths.allSatisfy({ ByteRange.number(Substring($0).utf8) != nil }) else {
            return APIFailure(400, .sizeInvalid, "invalid Content-Length")
        }
        guard head.version.major == 1 else { return APIFailure(505, .unsupported, "HTTP/1.1 is spoken here") }
        if head.version == .http1_1, headers["host"].count != 1 {
            return APIFailure(400, .unsupported, "exactly one Host header is expected")
        }
        let expectations = headers["expect"]
        guard expectations.isEmpty || expectations.count == 1 && expectations[0].lowercased() == "100-continue" else {
            return APIFailure(417, .unsupported, "unknown expectation")
        }
        // No client of a registry is a web page; a page that pushes or deletes is somebody else's (attack row S75).
        if head.method != .GET, head.method != .HEAD, headers.contains(name: "origin") {
            return APIFailure(403, .denied, "requests of web pages are refused")
        }
        return nil
    }

    private func decide(_ exchange: Exchange, _ context: ChannelHandlerContext) {
        do throws(APIFailure) {
            guard let target = RequestTarget(exchange.head.uri) else {
                throw APIFailure(400, .nameInvalid, "the request's path cannot be read")
            }
            let request = Request(method: exchange.head.method, target: target, headers: exchange.head.headers)
            switch try service.api.plan(request) {
            case .work(let work): exchange.state = .waiting(work)
            case .collect(let limit, let work): exchange.state = .collecting(limit: limit, work: work)
            case .upload(let plan): exchange.state = .uploading(plan)
            }
        } catch {
            return answer(Answer(error), exchange, context)
        }
        switch exchange.state {
        case .collecting, .uploading:
            if exchange.expectsContinue, !exchange.hasEnded, exchange.received == 0 {
                let head = HTTPResponseHead(version: .http1_1, status: .continue)
                context.writeAndFlush(Self.wrapOutboundOut(.head(head)), promise: nil)
            }
            exchange.expectsContinue = false
        default:
            discard(Int64(exchange.pendingBytes), exchange, context)
            _ = exchange.take()
        }
        hold(false, context)
        advance(exchange, context)
    }

    // MARK: Working

    /// Does the next step, if there is one that can be done now.
    func advance(_ exchange: Exchange, _ context: ChannelHandlerContext) {
        switch exchange.state {
        case .deciding: return
        case .settled:
            if exchange.hasEnded, exchange.isDone { finish(exchange, context) }
        case .waiting(let work):
            guard exchange.hasEnded else { return }
            exchange.state = .settled
            run(exchange, context, on: [.GET, .HEAD].contains(exchange.head.method) ? service.quick : service.slow, work)
        case .collecting:
            if exchange.hasEnded { collect(exchange, context) }
        case .uploading(let plan): upload(plan, exchange, context)
        }
    }

    private func collect(_ exchange: Exchange, _ context: ChannelHandlerContext) {
        guard case .collecting(_, let work) = exchange.state else { return }
        exchange.state = .settled
        let buffers = exchange.take()
        run(exchange, context, on: service.slow) { () throws(APIFailure) in
            var bytes: [UInt8] = []
            for buffer in buffers { bytes += buffer.readableBytesView }
            return try work(bytes)
        }
    }

    private func run(
        _ exchange: Exchange, _ context: ChannelHandlerContext, on pool: NIOThreadPool, _ work: @escaping Plan.Work
    ) {
        service.run(pool, context.eventLoop, work).assumeIsolated().whenComplete { result in
            self.settle(result, exchange, context)
        }
    }

    private func settle(
        _ result: Result<Result<Answer, APIFailure>, any Error>, _ exchange: Exchange, _ context: ChannelHandlerContext
    ) {
        guard !exchange.isAborted else { return }
        switch result {
        case .success(.success(let answer)): self.answer(answer, exchange, context)
        case .success(.failure(let failure)):
            if let inside = failure.inside { service.log.complain(inside) }
            self.answer(Answer(failure), exchange, context)
        // The server is ending and its threads are gone.
        case .failure: self.answer(Answer(APIFailure(503, .unknown, "the registry is shutting down")), exchange, context)
        }
    }

    /// Writes what has come, one job at a time; the last one ends the upload.
    private func upload(_ plan: UploadPlan, _ exchange: Exchange, _ context: ChannelHandlerContext) {
        guard !exchange.isBusy else { return }
        let isLast = exchange.hasEnded
        guard isLast || exchange.isAborted || exchange.writer == nil || exchange.pendingBytes > 0 else { return }
        let buffers = exchange.take()
        if exchange.isAborted, buffers.isEmpty { return abandon(plan, exchange) }
        exchange.isBusy = true
        hold(false, context)
        let (writer, received) = (exchange.writer, exchange.received)
        service.run(service.slow, context.eventLoop) { () throws(APIFailure) -> (UploadSession.Writer, Answer?) in
            let current: UploadSession.Writer
            if let writer { current = writer } else { current = try plan.open() }
            do throws(APIFailure) {
                try current.session.append(buffers, current)
                return (current, isLast ? try plan.finish(current, received) : nil)
            } catch {
                plan.abandon(current)
                throw error
            }
        }.assumeIsolated().whenComplete { result in
            exchange.isBusy = false
            switch result {
            case .success(.success(let (writer, answer))):
                exchange.writer = writer
                if let answer {
                    exchange.state = .settled
                    self.settle(.success(.success(answer)), exchange, context)
                } else {
                    self.advance(exchange, context)
                }
            case .success(.failure(let failure)):
                exchange.state = .settled
                self.hold(false, context)
                self.settle(.success(.failure(failure)), exchange, context)
            case .failure(let error):
                exchange.state = .settled
                self.settle(.failure(error), exchange, context)
            }
        }
    }

    private func abandon(_ plan: UploadPlan, _ exchange: Exchange) {
        exchange.state = .settled
        guard let writer = exchange.writer else { return }
        service.slow.submit { _ in plan.abandon(writer) }
    }

    // MARK: The end

    func channelInactive(context: ChannelHandlerContext) {
        if let exchange {
            exchange.isAborted = true
            log(exchange, context)
            // What has come is kept: the client may go on from there.
            if case .uploading(let plan) = exchange.state { upload(plan, exchange, context) }
            self.exchange = nil
        }
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard let error = error as? HTTPParserError else {
            if exchange == nil { service.log.complain("connection of \(peer(context)): \(error)") }
            return context.close(promise: nil)
        }
        // The decoder closes the connection as soon as this returns: nothing here may wait.
        let status: HTTPResponseStatus = error == .headerOverflow ? .requestHeaderFieldsTooLarge : .badRequest
        if exchange?.isAnswered != true {
            let headers = HTTPHeaders([("Connection", "close"), ("Content-Length", "0")])
            context.write(Self.wrapOutboundOut(.head(HTTPResponseHead(version: .http1_1, status: status, headers: headers))), promise: nil)
            context.writeAndFlush(Self.wrapOutboundOut(.end(nil)), promise: nil)
        }
        if exchange == nil { service.log.refused(peer(context), status.code, "\(error)") }
        exchange?.isAnswered = true
        exchange?.status = status.code
        context.close(promise: nil)
    }

    /// - Returns: whether the client can still be told.
    private func expired(_ phase: ConnectionWatch.Phase, _ context: ChannelHandlerContext) -> Bool {
        if phase == .fresh || phase == .idle { return false }
        guard let exchange else {
            service.log.refused(peer(context), 408, "the request did not arrive in time")
            return true
        }
        if exchange.isAnswered { return false }
        exchange.isAnswered = true
        exchange.status = 408
        return true
    }
}
