import Archive
import AsyncHTTPClient
import Glibc
import Linux
import NIOCore
import NIOHTTP1

/// One HTTP request and its answer, made blocking: the event loop fills a bounded buffer, the calling thread empties it.
///
/// The event loop is told to stop reading from the connection while the buffer is full.
final class Exchange: HTTPClientResponseDelegate {
    typealias Response = Void

    private struct State {
        var task: HTTPClient.Task<Void>?
        var head: HTTPResponseHead?
        var parts: [ByteBuffer] = []
        var buffered = 0
        /// Completed when there is room again.
        var resume: EventLoopPromise<Void>?
        var hasEnded = false
        var error: (any Error)?
        // The body of the request, when it is a file.
        var writer: HTTPClient.Body.StreamWriter?
        var bodyEnd: EventLoopPromise<Void>?
        var writing = 0
    }

    /// Bytes of the answer that are kept for a reader that is busy.
    private static let highWater = 2 << 20
    private static let lowWater = 1 << 20
    /// How a file is read and how many such pieces are on their way to the connection.
    private static let pieceSize = 256 << 10
    private static let piecesInFlight = 4

    /// Named in errors.
    let host: String
    private let limits: RegistryOptions.Limits
    private let cancellation: Cancellation?
    private let monitor: Monitor<State>

    init(host: String, _ limits: RegistryOptions.Limits, _ cancellation: Cancellation?) {
        self.host = host
        self.limits = limits
        self.cancellation = cancellation
        monitor = Monitor(State())
    }

    deinit {
        // A promise that is dropped without an answer is a programming error to NIO.
        let (resume, bodyEnd) = monitor.withLock { ($0.resume, $0.bodyEnd) }
        resume?.succeed(())
        bodyEnd?.fail(ChannelError.eof)
    }

    func attach(_ task: HTTPClient.Task<Void>) {
        monitor.withLock { $0.task = task }
        // The delegate is not told when the client refuses to start.
        task.futureResult.whenFailure { [weak self] error in self?.fail(error) }
    }

    // MARK: On the event loop

    func didReceiveHead(task: HTTPClient.Task<Void>, _ head: HTTPResponseHead) -> EventLoopFuture<Void> {
        monitor.withLock { $0.head = head }
        return task.eventLoop.makeSucceededVoidFuture()
    }

    func didReceiveBodyPart(task: HTTPClient.Task<Void>, _ buffer: ByteBuffer) -> EventLoopFuture<Void> {
        let promise = monitor.withLock { state -> EventLoopPromise<Void>? in
            guard buffer.readableBytes > 0 else { return nil }
            state.parts.append(buffer)
            state.buffered += buffer.readableBytes
            guard state.buffered >= Exchange.highWater else { return nil }
            let promise = task.eventLoop.makePromise(of: Void.self)
            state.resume = promise
            return promise
        }
        return promise?.futureResult ?? task.eventLoop.makeSucceededVoidFuture()
    }

    func didReceiveError(task: HTTPClient.Task<Void>, _ error: any Error) { fail(error) }

    func didFinishRequest(task: HTTPClient.Task<Void>) throws {
        monitor.withLock { $0.hasEnded = true }
    }

    private func fail(_ error: any Error) {
        monitor.withLock { state in
            if state.error == nil, !state.hasEnded { state.error = error }
        }
    }

    /// The body of a request that is streamed from a file: called when the connection is ready for it.
    func begin(_ writer: HTTPClient.Body.StreamWriter, _ promise: EventLoopPromise<Void>) {
        monitor.withLock { state in
            state.writer = writer
            state.bodyEnd = promise
        }
    }

    // MARK: On the calling thread

    /// Ends the request, whatever it is doing; idempotent. Whoever waits for it fails at once.
    func cancel() {
        let task = monitor.withLock { state -> HTTPClient.Task<Void>? in
            if state.error == nil, !state.hasEnded { state.error = HTTPClientError.cancelled }
            return state.task
        }
        task?.cancel()
    }

    /// Waits for status and headers.
    func head() throws(RegistryError) -> HTTPResponseHead {
        let found = try wait(seconds: limits.head) { state in
            state.head.map(Result.success) ?? state.error.map(Result.failure)
        }
        switch found {
        case .success(let head): return head
        case .failure(let error): throw Failures.translate(error, host: host)
        case nil:
            cancel()
            throw .transient(.network, "\(host) did not answer within \(Failures.seconds(limits.head))")
        }
    }

    /// Gives the next bytes of the body, 0 at its end.
    ///
    /// - Throws: `.network`, transient, when the connection breaks or nothing comes.
    func read(into target: UnsafeMutableRawBufferPointer) throws(RegistryError) -> Int {
        if target.isEmpty { return 0 }
        let found = try wait(seconds: limits.progress) { state -> Result<Int, any Error>? in
            if state.buffered > 0 { return .success(Exchange.move(&state, into: target)) }
            if state.hasEnded { return .success(0) }
            return state.error.map(Result.failure)
        }
        switch found {
        case .success(let count):
            resumeIfLow()
            return count
        case .failure(let error): throw Failures.translate(error, host: host)
        case nil:
            cancel()
            throw .transient(.network, "\(host) sent nothing for \(Failures.seconds(limits.progress))")
        }
    }

    /// Copies as much as there is and fits.
    // SAFETY: `target` is the caller's for the time of the call; every copy is bounded by what is left of it.
    private static func move(_ state: inout State, into target: UnsafeMutableRawBufferPointer) -> Int {
        var filled = 0
        var done = 0
        while filled < target.count, done < state.parts.count {
            let count = min(state.parts[done].readableBytes, target.count - filled)
            state.parts[done].readWithUnsafeReadableBytes { bytes in
                UnsafeMutableRawBufferPointer(rebasing: target[filled..<(filled + count)])
                    .copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[0..<count]))
                return count
            }
            filled += count
            if state.parts[done].readableBytes == 0 { done += 1 }
        }
        state.parts.removeFirst(done)
        state.buffered -= filled
        return filled
    }

    private func resumeIfLow() {
        let promise = monitor.withLock { state -> EventLoopPromise<Void>? in
            guard state.buffered < Exchange.lowWater else { return nil }
            defer { state.resume = nil }
            return state.resume
        }
        promise?.succeed(())
    }

    /// The whole body.
    ///
    /// - Throws: `.tooLarge` above `limit` bytes; nothing more is read then.
    func body(limit: Int, of what: String) throws(RegistryError) -> [UInt8] {
        var out: [UInt8] = []
        var meter = RateMeter(limits)
        if let declared = try declaredLength(), declared > limit { throw tooLarge(limit, what) }
        while true {
            let size = max(1, min(64 << 10, limit - out.count + 1))
            let begin = monotonicNanoseconds()
            var piece = [UInt8](repeating: 0, count: size)
            let count = try piece.withUnsafeMutableBytes { bytes in Result { () throws(RegistryError) in try read(into: bytes) } }.get()
            if count == 0 { return out }
            out += piece[..<count]
            guard out.count <= limit else { throw tooLarge(limit, what) }
            if meter.isTooSlow(after: count, waited: monotonicNanoseconds() - begin) { throw tooSlow() }
        }
    }

    private func tooLarge(_ limit: Int, _ what: String) -> RegistryError {
        cancel()
        return RegistryError(.tooLarge, "\(host) sends more than \(limit) bytes for \(what)")
    }

    /// Ends a body that trickles.
    func tooSlow() -> RegistryError {
        cancel()
        return .transient(.network, "\(host) sends less than \(Int(limits.minimumRate)) bytes a second")
    }

    /// The `Content-Length` of the answer; nil when it has none.
    ///
    /// - Throws: `.protocol` when it is no number that can be counted to.
    func declaredLength() throws(RegistryError) -> Int64? {
        guard let text = monitor.withLock({ $0.head?.headers.first(name: "Content-Length") }) else { return nil }
        if let length = Int64(text), length >= 0 { return length }
        cancel()
        throw RegistryError(.protocol, "\(host) announces a body of \(Failures.printable(text, limit: 40)) bytes")
    }

    /// At most `limit` bytes of the body, for an error message; failures are of no interest any more.
    func someOfBody(limit: Int) -> [UInt8] {
        var out: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 4096)
        while out.count < limit {
            guard let count = try? piece.withUnsafeMutableBytes({ try read(into: $0) }), count > 0 else { return out }
            out += piece[..<min(count, limit - out.count)]
        }
        cancel()
        return out
    }

    /// Whether bytes come after what was read; waits shortly for the end. A connection that breaks now has no more.
    func hasMore() -> Bool {
        let answer = try? monitor.wait(until: deadline(in: 5), cancellation) { state -> Bool? in
            if state.buffered > 0 { return true }
            return state.hasEnded || state.error != nil ? false : nil
        }
        if answer == nil { cancel() }
        return answer ?? false
    }

    private func wait<R>(seconds: Double, _ body: (inout State) -> R?) throws(RegistryError) -> R? {
        do throws(RegistryError) {
            return try monitor.wait(until: deadline(in: seconds), cancellation, body)
        } catch {
            cancel()
            throw error
        }
    }

    // MARK: Request body

    /// Sends a part of a file; returns early when the answer comes before the end, which is then the answer to read.
    ///
    /// - Throws: what ended the connection.
    func feed(_ file: FD, from offset: Int64, count: Int64, progress: (@Sendable (Int64) -> Void)?) throws(RegistryError) {
        var sent: Int64 = 0
        while sent < count {
            guard let writer = try writerWithRoom() else { return endEarly() }
            let size = Int(min(count - sent, Int64(Exchange.pieceSize)))
            let piece = try read(file, at: offset + sent, size)
            monitor.withLock { $0.writing += 1 }
            writer.write(.byteBuffer(piece)).whenComplete { [monitor] result in
                monitor.withLock { state in
                    state.writing -= 1
                    if case .failure(let error) = result, state.error == nil, !state.hasEnded { state.error = error }
                }
            }
            sent += Int64(size)
            progress?(sent)
        }
        let promise = monitor.withLock { state in
            defer { state.bodyEnd = nil }
            return state.bodyEnd
        }
        promise?.succeed(())
    }

    /// Gives up the rest of the request's body because the answer is there.
    ///
    /// The client below ends an answer only after the request: what there is of it is waited for shortly, then the request is ended by
    /// force. What was buffered can still be read.
    private func endEarly() {
        _ = try? monitor.wait(until: deadline(in: 1), cancellation) { state -> Bool? in
            let length = state.head?.headers.first(name: "Content-Length").flatMap { Int($0) } ?? .max
            return state.hasEnded || state.error != nil || state.buffered >= length ? true : nil
        }
        let promise = monitor.withLock { state in
            defer { state.bodyEnd = nil }
            return state.bodyEnd
        }
        promise?.fail(HTTPClientError.requestStreamCancelled)
    }

    /// Waits until the connection takes more; nil when the answer is there already.
    private func writerWithRoom() throws(RegistryError) -> HTTPClient.Body.StreamWriter? {
        // Connecting is part of the first wait.
        let patience = limits.connect + limits.progress
        let found = try wait(seconds: patience) { state -> Result<HTTPClient.Body.StreamWriter?, any Error>? in
            if state.head != nil { return .success(nil) }
            if let error = state.error { return .failure(error) }
            guard let writer = state.writer, state.writing < Exchange.piecesInFlight else { return nil }
            return .success(writer)
        }
        switch found {
        case .success(let writer): return writer
        case .failure(let error): throw Failures.translate(error, host: host)
        case nil:
            cancel()
            throw .transient(.network, "\(host) took nothing for \(Failures.seconds(patience))")
        }
    }

    private func read(_ file: FD, at offset: Int64, _ size: Int) throws(RegistryError) -> ByteBuffer {
        var buffer = ByteBufferAllocator().buffer(capacity: size)
        while buffer.readableBytes < size {
            let rest = size - buffer.readableBytes
            let place = offset + Int64(buffer.readableBytes)
            var result = 0
            buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: rest) { bytes in
                repeat { result = pread(file.rawValue, bytes.baseAddress, rest, Int(place)) } while result < 0 && errno == EINTR
                return max(0, result)
            }
            guard result > 0 else {
                cancel()
                let cause = result < 0 ? Errno(rawValue: errno).description : "the file is shorter than the blob"
                throw RegistryError(.configuration, "read blob to upload: \(cause)")
            }
        }
        return buffer
    }
}

/// Notices a body that comes, but only just: an average over the time that was spent with waiting, so that a slow reader does not count.
struct RateMeter {
    private let window: Int64
    private let least: Int
    private var waited: Int64 = 0
    private var bytes = 0

    init(_ limits: RegistryOptions.Limits) {
        window = Int64(max(0, min(limits.progress, 1e6)) * 1e9)
        least = Int(max(0, min(limits.progress * limits.minimumRate, 1e12)))
    }

    /// Counts bytes that came, and the nanoseconds it took; whether the last window had too few.
    mutating func isTooSlow(after count: Int, waited time: Int64) -> Bool {
        bytes += count
        waited += time
        guard waited >= window else { return false }
        defer {
            waited = 0
            bytes = 0
        }
        return bytes < least
    }
}
