import NIOCore
import NIOPosix

/// What all connections share.
final class Service: Sendable {
    let api: RegistryAPI
    let authenticator: Authenticator?
    let limits: RegistryServerOptions.Limits
    let isTLS: Bool
    let log: RequestLog
    /// Short work: the database, opening files.
    let quick: NIOThreadPool
    /// Work that waits for the disk: uploads and commits.
    let slow: NIOThreadPool
    /// Passwords: whoever tries many keeps nobody else waiting.
    let guards: NIOThreadPool
    let files: NonBlockingFileIO

    init(
        api: RegistryAPI, authenticator: Authenticator?, limits: RegistryServerOptions.Limits, isTLS: Bool, log: RequestLog
    ) {
        self.api = api
        self.authenticator = authenticator
        self.limits = limits
        self.isTLS = isTLS
        self.log = log
        quick = NIOThreadPool(numberOfThreads: 4)
        slow = NIOThreadPool(numberOfThreads: 16)
        guards = NIOThreadPool(numberOfThreads: 2)
        files = NonBlockingFileIO(threadPool: slow)
        quick.start()
        slow.start()
        guards.start()
    }

    /// Runs blocking work; the result comes back to the event loop.
    func run<T: Sendable>(
        _ pool: NIOThreadPool, _ eventLoop: any EventLoop, _ body: @escaping @Sendable () throws(APIFailure) -> T
    ) -> EventLoopFuture<Result<T, APIFailure>> {
        pool.runIfActive(eventLoop: eventLoop) { Result { () throws(APIFailure) in try body() } }
    }
}
