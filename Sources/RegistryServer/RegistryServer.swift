import CLinux
import Glibc
import Linux
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL

/// The embedded registry.
public enum RegistryServer {
    /// Serves until SIGINT or SIGTERM, then lets running requests end for up to five seconds.
    ///
    /// Blocks. Prints the address on standard output as soon as clients can connect, and a line for each request on standard
    /// error. Changes the signal mask and the limit of open files of this process: nothing else should follow in it.
    /// - Throws: `.invalid`, `.address`, `.inUse`, `.storage`.
    public static func run(_ options: RegistryServerOptions) throws(RegistryServerError) {
        // Before there is a second thread: all of them inherit it, and only the wait below takes the signals.
        var signals = sigset_t()
        sigemptyset(&signals)
        for signal in [SIGINT, SIGTERM] { sigaddset(&signals, signal) }
        pthread_sigmask(SIG_BLOCK, &signals, nil)
        signal(SIGPIPE, SIG_IGN)
        raiseFileLimit(for: options.limits.connections)

        let log = RequestLog(isQuiet: options.isQuiet)
        defer { log.close() }
        let tls = try secureContext(options)
        var authenticator: Authenticator?
        if let passwords = options.passwords {
            authenticator = try Authenticator(path: passwords) { text in log.complain(text) }
        }
        let storage = try RegistryStorage(
            path: options.data, isReadOnly: options.isReadOnly, keepUnlinked: options.keepUnlinked
        ) { text in log.complain(text) }
        let service = Service(
            api: RegistryAPI(storage: storage, manifestLimit: options.limits.manifest), authenticator: authenticator,
            limits: options.limits, isTLS: tls != nil, log: log)
        let group = MultiThreadedEventLoopGroup(numberOfThreads: max(2, min(System.coreCount, 8)))
        let connections = ClientConnections(limit: options.limits.connections)
        let server = try listen(options, group, service, connections, tls)
        announce(options, server, log)
        let housekeeping = keepHouse(storage, service, group.next(), options)
        _ = wait(for: signals, seconds: nil)

        housekeeping.cancel()
        server.close(promise: nil)
        connections.drain()
        let end = monotonicNanoseconds() + 5_000_000_000
        // A second signal ends the patience.
        while !connections.isEmpty, monotonicNanoseconds() < end, !wait(for: signals, seconds: 0.02) {}
        storage.writeIndex()
    }

    /// - Returns: whether a signal came.
    private static func wait(for signals: sigset_t, seconds: Double?) -> Bool {
        var signals = signals
        guard let seconds else {
            var number: Int32 = 0
            return sigwait(&signals, &number) == 0
        }
        var time = timespec(tv_sec: Int(seconds), tv_nsec: Int(seconds.truncatingRemainder(dividingBy: 1) * 1e9))
        return sigtimedwait(&signals, nil, &time) > 0
    }

    /// Each connection may have a socket, a blob that it reads and one that it writes.
    private static func raiseFileLimit(for connections: Int) {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(UInt32(RLIMIT_NOFILE.rawValue)), &limit) == 0 else { return }
        limit.rlim_cur = max(limit.rlim_cur, min(limit.rlim_max, rlim_t(connections * 4 + 256)))
        setrlimit(__rlimit_resource_t(UInt32(RLIMIT_NOFILE.rawValue)), &limit)
    }

    // MARK: Listening

    private static func secureContext(_ options: RegistryServerOptions) throws(RegistryServerError) -> NIOSSLContext? {
        guard let certificate = options.certificate, let key = options.key else {
            if options.certificate == nil, options.key == nil { return nil }
            throw RegistryServerError(.invalid, "serve with TLS", cause: "--tls-cert and --tls-key are needed together")
        }
        // Their own errors say little about a file that is not there.
        for path in [certificate, key] {
            do throws(SystemError) { _ = try FD.cwd.open(path, .readOnly) } catch {
                throw RegistryServerError(.invalid, "serve with TLS", path, cause: error.errno.description)
            }
        }
        do {
            var configuration = TLSConfiguration.makeServerConfiguration(
                certificateChain: try NIOSSLCertificate.fromPEMFile(certificate).map { .certificate($0) },
                privateKey: .privateKey(try NIOSSLPrivateKey(file: key, format: .pem)))
            configuration.minimumTLSVersion = .tlsv12
            configuration.applicationProtocols = ["http/1.1"]
            return try NIOSSLContext(configuration: configuration)
        } catch {
            throw RegistryServerError(
                .invalid, "serve with TLS", certificate, cause: "the certificate or its key cannot be used: \(error)")
        }
    }

    private static func listen(
        _ options: RegistryServerOptions, _ group: MultiThreadedEventLoopGroup, _ service: Service,
        _ connections: ClientConnections, _ tls: NIOSSLContext?
    ) throws(RegistryServerError) -> any Channel {
        let bootstrap = ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 512)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.maxMessagesPerRead, value: 1)
            .childChannelOption(
                .recvAllocator, value: AdaptiveRecvByteBufferAllocator(minimum: 2048, initial: 8192, maximum: 128 << 10)
            )
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    guard connections.add(channel) else { throw TooManyConnections() }
                    try configure(channel.pipeline.syncOperations, service, tls)
                }
            }
        do {
            return try bootstrap.bind(host: options.host, port: options.port).wait()
        } catch {
            throw refusal(error, options)
        }
    }

    private struct TooManyConnections: Error {}

    private static func configure(
        _ pipeline: ChannelPipeline.SynchronousOperations, _ service: Service, _ tls: NIOSSLContext?
    ) throws {
        if let tls { try pipeline.addHandler(NIOSSLServerHandler(context: tls)) }
        let watch = ConnectionWatch(limits: service.limits)
        var limits = NIOHTTPDecoderLimitConfiguration()
        limits.maxHeaderFieldSize = service.limits.headerField
        limits.maxHeaderListSize = service.limits.headers
        limits.maxHeaderFieldCount = service.limits.headerCount
        try pipeline.addHandler(watch)
        try pipeline.addHandler(HTTPResponseEncoder())
        try pipeline.addHandler(ByteToMessageHandler(HTTPRequestDecoder(leftOverBytesStrategy: .dropBytes, limitConfiguration: limits)))
        try pipeline.addHandler(HTTPServerPipelineHandler())
        try pipeline.addHandler(NIOHTTPResponseHeadersValidator())
        try pipeline.addHandler(RequestHandler(service: service, watch: watch))
    }

    private static func refusal(_ error: any Error, _ options: RegistryServerOptions) -> RegistryServerError {
        let name = (options.host.utf8.contains(UInt8(ascii: ":")) ? "[\(options.host)]" : options.host) + ":\(options.port)"
        guard let failure = error as? IOError else {
            return RegistryServerError(
                .address, "listen on", name, cause: "no such host; --listen takes an address or a name of this machine")
        }
        let cause =
            switch failure.errnoCode {
            case EADDRINUSE: "the address is in use; choose another, e.g. --listen 127.0.0.1:0 for any free port"
            case EADDRNOTAVAIL: "this machine does not have the address"
            case EACCES: "ports below 1024 are for root; choose a higher one"
            default: Errno(rawValue: failure.errnoCode).description
            }
        return RegistryServerError(.address, "listen on", name, cause: cause)
    }

    private static func announce(_ options: RegistryServerOptions, _ server: any Channel, _ log: RequestLog) {
        if !options.isLoopback, options.certificate == nil || options.passwords == nil {
            let missing = [
                options.certificate == nil ? "TLS (--tls-cert, --tls-key)" : nil, options.passwords == nil ? "passwords (--htpasswd)" : nil,
            ]
            log.complain(
                "warning: other machines can connect, without \(missing.compactMap { $0 }.joined(separator: " and "))")
        }
        let host = options.host.utf8.contains(UInt8(ascii: ":")) ? "[\(options.host)]" : options.host
        let port = server.localAddress?.port ?? options.port
        try? FD.standardOutput.writeAll("registry listening on \(options.isTLS ? "https" : "http")://\(host):\(port)\n")
    }

    // MARK: Housekeeping

    /// Collects garbage now and then, and writes the layout's index a moment after a change.
    private static func keepHouse(
        _ storage: RegistryStorage, _ service: Service, _ loop: any EventLoop, _ options: RegistryServerOptions
    ) -> RepeatedTask {
        let period = max(1, min(600, options.keepUnlinked / 4_000_000_000))
        let seconds = RepeatCount()
        return loop.scheduleRepeatedAsyncTask(initialDelay: .seconds(1), delay: .seconds(1)) { _ in
            let collects = seconds.next() % period == 0
            return service.slow.runIfActive(eventLoop: loop) {
                storage.writeIndex()
                if collects { storage.collect() }
            }
        }
    }
}
