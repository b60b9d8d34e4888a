import Archive
import Linux
import NIOHTTP1
import OCI

/// The bytes of one blob, as they come.
///
/// One thread reads; any thread may ``cancel()``. A connection that breaks is resumed where it broke, out of the reader's sight.
/// The bytes are not verified here: whoever reads them hashes them anyway.
public final class BlobStream: ByteReader, Sendable {
    private struct State {
        var position: Int64
        var exchange: Exchange?
        /// Bytes of the current answer that were read before it broke.
        var toSkip: Int64 = 0
        var isCancelled = false
        var failure: RegistryError?
        /// Index of the source that is asked.
        var source: Int
        /// Whether `Range` is of no use with this source.
        var ignoresRange = false
        /// Attempts since the last byte came, and resumptions in all.
        var delays: RetryDelays
        var resumptions = 0
        var rate: RateMeter
    }

    public let descriptor: Descriptor
    private let repository: Repository
    private let state: Monitor<State>
    private let lastSource: Int

    /// A blob that breaks more often than this is given up.
    private static let mostResumptions = 50

    /// - Parameter source: the first source to ask; the ones after it are asked when it fails.
    init(_ repository: Repository, _ descriptor: Descriptor, from offset: Int64, source: Int = 0) {
        self.repository = repository
        self.descriptor = descriptor
        lastSource = repository.sources.count - 1
        let isLast = source >= lastSource
        state = Monitor(
            State(
                position: offset, source: source, delays: BlobStream.delays(repository, isLast: isLast),
                rate: RateMeter(repository.session.options.limits)))
    }

    deinit { state.withLock { $0.exchange }?.cancel() }

    private static func delays(_ repository: Repository, isLast: Bool) -> RetryDelays {
        let limits = repository.session.options.limits
        return RetryDelays(limits, attempts: isLast ? limits.attempts : Repository.attemptsAtMirrors)
    }

    /// Why `read` threw.
    public var failure: RegistryError? { state.withLock { $0.failure } }

    /// The offset of the next byte in the blob.
    public var position: Int64 { state.withLock { $0.position } }

    /// Index of the source that is asked now.
    var source: Int { state.withLock { $0.source } }

    private var subject: String { "blob \(descriptor.digest) of \(repository.reference.familiarName)" }

    // MARK: Reading

    /// Gives the next bytes, 0 at the end of the blob: never more in sum than the descriptor says, and an error when it
    /// were less.
    public func read(into buffer: UnsafeMutableRawBufferPointer) throws(ArchiveError) -> Int {
        do throws(RegistryError) {
            return try next(into: buffer)
        } catch {
            state.withLock { if $0.failure == nil { $0.failure = error } }
            throw ArchiveError(
                error.code == .cancelled ? .cancelled : .system, "read blob", descriptor.digest.description, cause: error.cause)
        }
    }

    // SAFETY: `buffer` is the caller's for the time of the call and is only passed on, or cut shorter.
    private func next(into buffer: UnsafeMutableRawBufferPointer) throws(RegistryError) -> Int {
        if let failure { throw failure }
        while true {
            let left = descriptor.size - position
            if left == 0 {
                try finish()
                return 0
            }
            do throws(RegistryError) {
                let exchange = try current()
                try skip(exchange)
                let room = UnsafeMutableRawBufferPointer(rebasing: buffer[..<Int(min(Int64(buffer.count), left))])
                if room.isEmpty { return 0 }
                let begin = monotonicNanoseconds()
                let count = try exchange.read(into: room)
                guard count > 0 else { throw ended(exchange) }
                let waited = monotonicNanoseconds() - begin
                let isTooSlow = state.withLock { state in
                    state.position += Int64(count)
                    return state.rate.isTooSlow(after: count, waited: waited)
                }
                if isTooSlow { throw exchange.tooSlow() }
                state.withLock { state in
                    state.delays = BlobStream.delays(repository, isLast: state.source >= lastSource)
                }
                return count
            } catch {
                try recover(from: error)
            }
        }
    }

    private func ended(_ exchange: Exchange) -> RegistryError {
        .transient(.network, "\(exchange.host) ended \(subject) at byte \(position) of \(descriptor.size)")
    }

    /// Reads what was read before, where the registry can only begin at the beginning.
    private func skip(_ exchange: Exchange) throws(RegistryError) {
        var left = state.withLock { $0.toSkip }
        guard left > 0 else { return }
        // SAFETY: local scratch memory, freed on every way out.
        let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: pipelineBufferSize, alignment: 16)
        defer { scratch.deallocate() }
        while left > 0 {
            let count = try exchange.read(into: UnsafeMutableRawBufferPointer(rebasing: scratch[..<Int(min(left, Int64(scratch.count)))]))
            guard count > 0 else { throw ended(exchange) }
            left -= Int64(count)
        }
        state.withLock { $0.toSkip = 0 }
    }

    /// Takes the end of the answer, so that the connection can be used again. More bytes than the blob has are an error.
    private func finish() throws(RegistryError) {
        guard let exchange = state.withLock({ $0.exchange }) else { return }
        state.withLock { $0.exchange = nil }
        guard exchange.hasMore() else { return }
        exchange.cancel()
        throw RegistryError(.digestMismatch, "\(exchange.host) sends more than \(descriptor.size) bytes for \(subject)")
    }

    /// Ends the request. A `read` that waits throws `.cancelled` at once; idempotent.
    public func cancel() {
        let exchange = state.withLock { state -> Exchange? in
            state.isCancelled = true
            return state.exchange
        }
        exchange?.cancel()
    }

    // MARK: Connections

    private func current() throws(RegistryError) -> Exchange {
        let (exchange, isCancelled) = state.withLock { ($0.exchange, $0.isCancelled) }
        if isCancelled { throw .cancelled }
        if let exchange { return exchange }
        return try connect()
    }

    /// Sends the request, so that errors like "not found" are known before the first read.
    func open() throws(RegistryError) {
        guard position < descriptor.size else { return }
        while true {
            do throws(RegistryError) {
                _ = try current()
                return
            } catch {
                do throws(RegistryError) {
                    try recover(from: error)
                } catch {
                    state.withLock { $0.failure = error }
                    throw error
                }
            }
        }
    }

    /// Waits for the next attempt, or goes on to the next source; throws the error when there is neither.
    private func recover(from error: RegistryError) throws(RegistryError) {
        let (exchange, isCancelled) = state.withLock { state -> (Exchange?, Bool) in
            defer { state.exchange = nil }
            state.toSkip = 0
            state.resumptions += 1
            return (state.exchange, state.isCancelled)
        }
        exchange?.cancel()
        if isCancelled || error.code == .cancelled { throw .cancelled }
        let session = repository.session
        let delay = state.withLock { state -> Double? in
            guard error.isTransient, state.resumptions <= BlobStream.mostResumptions else { return nil }
            return state.delays.next(after: error)
        }
        if let delay {
            session.notice("\(error.cause); next attempt in \(RetryDelays.shown(delay))")
            return try pause(seconds: delay, session.options.cancellation)
        }
        let hasNext = state.withLock { state -> Bool in
            guard state.source < lastSource else { return false }
            state.source += 1
            state.ignoresRange = false
            state.delays = BlobStream.delays(repository, isLast: state.source >= lastSource)
            return true
        }
        guard hasNext else { throw error }
        session.notice("mirror: \(error.cause)")
    }

    /// One attempt at the current source.
    private func connect() throws(RegistryError) -> Exchange {
        let (position, index, ignoresRange) = state.withLock { ($0.position, $0.source, $0.ignoresRange) }
        guard repository.sources.indices.contains(index) else { throw RegistryError(.configuration, "no registry for \(subject)") }
        let source = repository.sources[index]
        var call = source.call(.GET, "blobs/" + descriptor.digest.description, ["pull"], subject)
        let asksForPart = position > 0 && !ignoresRange
        if asksForPart { call.headers.add(name: "Range", value: "bytes=\(position)-") }
        let answer = try repository.session.perform(call, expecting: asksForPart ? [200, 206, 416] : [200], attempts: 1)
        let begin = try self.begin(of: answer, asksForPart ? position : 0, source.host.name)
        let isCancelled = state.withLock { state -> Bool in
            state.toSkip = position - begin
            state.exchange = answer.exchange
            return state.isCancelled
        }
        // Cancelled while the request was sent: whoever did it found nothing to cancel.
        if isCancelled {
            answer.exchange.cancel()
            throw .cancelled
        }
        return answer.exchange
    }

    /// The offset in the blob of the first byte of an answer. An answer of another length than the blob is refused at once.
    private func begin(of answer: Answer, _ wanted: Int64, _ host: String) throws(RegistryError) -> Int64 {
        var begin: Int64 = 0
        if answer.status == 206 || answer.status == 416 {
            guard answer.status == 206, ContentRange(answer.header("Content-Range"))?.fits(wanted, descriptor.size) == true else {
                // A wrong part could never be joined to the others: everything again, and the beginning is skipped.
                answer.exchange.cancel()
                state.withLock { $0.ignoresRange = true }
                throw .transient(.protocol, "\(host) sent another part of \(subject) than it was asked for")
            }
            begin = wanted
        }
        if let length = try answer.exchange.declaredLength(), length != descriptor.size - begin {
            answer.exchange.cancel()
            throw RegistryError(
                .digestMismatch, "\(host) announces \(length) bytes of \(subject), of which \(descriptor.size - begin) are to come")
        }
        return begin
    }
}

/// The `Content-Range` of an answer: `bytes 100-199/200`.
///
/// Spec: RFC 9110 section 14.4.
struct ContentRange {
    let first: Int64
    let last: Int64
    /// Nil when the server does not know: `*`.
    let size: Int64?

    init?(_ text: String?) {
        guard let text, text.lowercased().hasPrefix("bytes ") else { return nil }
        let parts = text.dropFirst(6).split(separator: "/", maxSplits: 1)
        let ends = (parts.first ?? "").split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, ends.count == 2, let first = Int64(trimmed(ends[0])), let last = Int64(trimmed(ends[1])),
            first >= 0, last >= first
        else { return nil }
        (self.first, self.last) = (first, last)
        let whole = trimmed(parts[1])
        if whole == "*" {
            size = nil
        } else {
            guard let size = Int64(whole) else { return nil }
            self.size = size
        }
    }

    /// Whether this is everything from an offset on, of something of this size.
    func fits(_ offset: Int64, _ whole: Int64) -> Bool {
        first == offset && last == whole - 1 && (size ?? whole) == whole
    }
}
