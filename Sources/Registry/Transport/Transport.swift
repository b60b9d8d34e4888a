import Archive
import AsyncHTTPClient
import Glibc
import Linux
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL

/// What a connection trusts and how it goes out: one HTTP client for each.
struct Route: Sendable, Hashable {
    /// False: any certificate is taken, and plain HTTP may be used.
    var verifies = true
    /// Files of certificates that are trusted besides the system's.
    var authorities: [String] = []
    var clientCertificate: String?
    var clientKey: String?
    var proxy: ProxySettings.Proxy?
}

/// One request on the wire.
struct WireRequest: Sendable {
    enum Body: Sendable {
        case none
        case bytes([UInt8])
        case file(FD, offset: Int64, count: Int64)

        var count: Int64 {
            switch self {
            case .none: 0
            case .bytes(let bytes): Int64(bytes.count)
            case .file(_, offset: _, let count): count
            }
        }
    }

    var method: HTTPMethod
    var address: WebAddress
    var headers: HTTPHeaders
    var body = Body.none
}

/// The HTTP clients of one registry client, made when first needed.
final class Transport: Sendable {
    private struct State {
        var clients: [Route: HTTPClient] = [:]
        var isShutDown = false
    }

    private let options: RegistryOptions
    private let trustRoots: NIOSSLTrustRoots
    private let state = Monitor(State())

    /// The event loops of the process. Never stopped: they end with the process.
    ///
    /// Made with all signals blocked, so that a signal goes to the thread that waits for it.
    private static let loops: MultiThreadedEventLoopGroup = {
        var all = sigset_t()
        var old = sigset_t()
        sigfillset(&all)
        pthread_sigmask(SIG_SETMASK, &all, &old)
        defer { pthread_sigmask(SIG_SETMASK, &old, nil) }
        // TLS is worked on by these threads: more than one, so that blobs in parallel use more than one processor.
        return MultiThreadedEventLoopGroup(numberOfThreads: min(4, max(2, System.coreCount)))
    }()

    /// - Parameter authorities: a file that takes the place of the system's certificates (`$SSL_CERT_FILE`); nil for those.
    init(_ options: RegistryOptions, systemAuthorities: String?) {
        self.options = options
        trustRoots = systemAuthorities.map { .file($0) } ?? .default
    }

    deinit { shutdown() }

    /// Closes what is open. Waits for it, but not long: nothing depends on it.
    func shutdown() {
        let clients = state.withLock { state in
            defer { state.clients = [:] }
            state.isShutDown = true
            return Array(state.clients.values)
        }
        for client in clients {
            let closed = Monitor(false)
            client.shutdown().whenComplete { _ in closed.withLock { $0 = true } }
            _ = try? closed.wait(until: deadline(in: 1), nil) { $0 ? true : nil }
        }
    }

    /// Sends a request and waits for the head of the answer. Redirects are not followed here.
    ///
    /// - Parameters:
    ///   - host: named in errors.
    ///   - progress: for a body that is a file: bytes sent so far.
    func send(
        _ request: WireRequest, over route: Route, host: String, progress: (@Sendable (Int64) -> Void)? = nil
    ) throws(RegistryError) -> (head: HTTPResponseHead, exchange: Exchange) {
        if let cancellation = options.cancellation, cancellation.isCancelled { throw .cancelled }
        let client = try client(for: route)
        let exchange = Exchange(host: host, options.limits, options.cancellation)
        let task: HTTPClient.Task<Void>
        let loop = Transport.loops.next()
        do {
            task = client.execute(
                request: try wire(request, exchange, loop), delegate: exchange, eventLoop: Transport.place(of: request, loop))
        } catch {
            throw Failures.translate(error, host: host)
        }
        exchange.attach(task)
        if case .file(let file, let offset, let count) = request.body {
            try exchange.feed(file, from: offset, count: count, progress: progress)
        }
        return (try exchange.head(), exchange)
    }

    /// async-http-client 1.37 traps ("A connection that we don't know was released") where a request's body ends behind its answer on
    /// another loop than the connection's and the connection is closed meanwhile: such a request has one loop for both.
    private static func place(of request: WireRequest, _ loop: any EventLoop) -> HTTPClient.EventLoopPreference {
        if case .file = request.body { .delegateAndChannel(on: loop) } else { .indifferent }
    }

    private func wire(_ request: WireRequest, _ exchange: Exchange, _ loop: any EventLoop) throws -> HTTPClient.Request {
        let body: HTTPClient.Body?
        switch request.body {
        case .none: body = nil
        case .bytes(let bytes): body = .byteBuffer(ByteBuffer(bytes: bytes))
        case .file(_, offset: _, let count):
            // An empty body is never asked for, so that it would never be begun.
            body =
                count == 0
                ? .byteBuffer(ByteBuffer())
                : .stream(contentLength: count) { writer in
                    let promise = loop.makePromise(of: Void.self)
                    exchange.begin(writer, promise)
                    return promise.futureResult
                }
        }
        var headers = request.headers
        headers.replaceOrAdd(name: "User-Agent", value: options.userAgent)
        return try HTTPClient.Request(url: request.address.text, method: request.method, headers: headers, body: body)
    }

    // MARK: Clients

    private func client(for route: Route) throws(RegistryError) -> HTTPClient {
        if let client = try existing(route) { return client }
        let made = HTTPClient(eventLoopGroupProvider: .shared(Transport.loops), configuration: try configuration(route))
        let kept = state.withLock { state -> HTTPClient? in
            if state.isShutDown { return nil }
            if let other = state.clients[route] { return other }
            state.clients[route] = made
            return made
        }
        // Somebody was faster: a client must be shut down before it goes.
        if kept !== made { _ = made.shutdown() }
        guard let kept else { throw .cancelled }
        return kept
    }

    private func existing(_ route: Route) throws(RegistryError) -> HTTPClient? {
        let (client, isShutDown) = state.withLock { ($0.clients[route], $0.isShutDown) }
        if isShutDown { throw .cancelled }
        return client
    }

    private func configuration(_ route: Route) throws(RegistryError) -> HTTPClient.Configuration {
        var configuration = HTTPClient.Configuration(
            tlsConfiguration: try tls(route), redirectConfiguration: .disallow,
            timeout: .init(connect: .nanoseconds(Int64(options.limits.connect * 1e9))), decompression: .disabled)
        // One stream of a blob in HTTP/2 is slower than a connection of its own, and its windows are small.
        configuration.httpVersion = .http1Only
        // Retries are counted in one place, and it is not this.
        configuration.connectionPool.retryConnectionEstablishment = false
        // A blob whose reader is busy keeps its connection: others must not queue behind it.
        configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = max(32, options.maxParallel * 4)
        configuration.connectionPool.idleTimeout = .seconds(30)
        configuration.proxy = route.proxy.map(Transport.proxy)
        configuration.http1_1ConnectionDebugInitializer = { channel in
            // Large reads: a quarter of the system calls and wake-ups of the default.
            channel.setOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: 256 << 10))
        }
        return configuration
    }

    private static func proxy(_ proxy: ProxySettings.Proxy) -> HTTPClient.Configuration.Proxy {
        if proxy.isSOCKS { return .socksServer(host: proxy.host, port: proxy.port) }
        let authorization = proxy.credentials.map { HTTPClient.Authorization.basic(credentials: $0) }
        return .server(host: proxy.host, port: proxy.port, authorization: authorization)
    }

    private func tls(_ route: Route) throws(RegistryError) -> TLSConfiguration {
        var tls = TLSConfiguration.makeClientConfiguration()
        tls.minimumTLSVersion = .tlsv12
        tls.trustRoots = trustRoots
        tls.certificateVerification = route.verifies ? .fullVerification : .none
        do {
            var authorities: [NIOSSLCertificate] = []
            for file in route.authorities { authorities += try NIOSSLCertificate.fromPEMFile(file) }
            if !authorities.isEmpty { tls.additionalTrustRoots = [.certificates(authorities)] }
        } catch {
            throw RegistryError(
                .configuration, "read certificates \"\(route.authorities.joined(separator: ", "))\": not in PEM format")
        }
        guard let certificate = route.clientCertificate, let key = route.clientKey else { return tls }
        do {
            tls.certificateChain = try NIOSSLCertificate.fromPEMFile(certificate).map { .certificate($0) }
            tls.privateKey = .privateKey(try NIOSSLPrivateKey(file: key, format: .pem))
        } catch {
            throw RegistryError(.configuration, "read client certificate \"\(certificate)\" and its key: not in PEM format")
        }
        return tls
    }
}
