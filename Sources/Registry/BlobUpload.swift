import Linux
import NIOHTTP1
import OCI

/// An upload that a registry has begun: where the next bytes go.
struct UploadSession: Sendable {
    var location: WebAddress
    /// Bytes that a chunk must have at least (`OCI-Chunk-Min-Length`); 0 when the registry takes everything at once.
    var minimum: Int64 = 0

    /// - Throws: `.protocol` without a usable `Location`; `.tls` when it leads from HTTPS to HTTP.
    init(_ answer: Answer, _ host: String) throws(RegistryError) {
        guard let text = answer.header("Location"), let location = answer.address.resolving(text) else {
            throw RegistryError(.protocol, "\(host) does not say where to upload to")
        }
        if answer.address.scheme == .https, location.scheme == .http {
            throw RegistryError(.tls, "\(host) wants uploads without TLS (\(location.shown)), which is not done")
        }
        self.location = location
        minimum = max(0, answer.header("OCI-Chunk-Min-Length").flatMap { Int64($0) } ?? 0)
    }
}

/// The upload of one blob: a session, what the registry has of it, and how to go on after a failure.
///
/// Spec: OCI distribution-spec 1.1 "Pushing blobs".
struct BlobUpload {
    private let repository: Repository
    private let source: Repository.Source
    private let descriptor: Descriptor
    private let file: FD
    private let progress: (@Sendable (Int64) -> Void)?

    var session: UploadSession?
    /// Bytes that the registry has.
    private var sent: Int64 = 0
    /// Whether the one request with everything in it has failed: from then on the registry is asked what it has.
    private var isBroken = false
    private var hasBegunAnew = false
    /// Whether the registry refused to begin at 0: then its `0-0` means one byte, not none.
    private var isNotEmpty = false

    /// Chunks are not smaller than this, whatever the registry takes: each costs a round trip.
    private static let usefulChunk: Int64 = 16 << 20

    init(
        _ repository: Repository, _ source: Repository.Source, _ descriptor: Descriptor, _ file: FD,
        _ progress: (@Sendable (Int64) -> Void)?
    ) {
        self.repository = repository
        self.source = source
        self.descriptor = descriptor
        self.file = file
        self.progress = progress
    }

    private var subject: String { "upload of blob \(descriptor.digest) to \(repository.reference.familiarName)" }

    mutating func run() throws(RegistryError) {
        let http = repository.session
        var delays = RetryDelays(http.options.limits, attempts: http.options.limits.attempts)
        while true {
            do throws(RegistryError) {
                return try attempt()
            } catch {
                isNotEmpty = error.status == 416 && sent == 0
                let isLost = session != nil && (error.status == 416 || error.status == 404)
                // After a resumption wrong content is as likely the registry's doing: once more from the beginning.
                let isWrong = error.code == .digestMismatch && isBroken && !hasBegunAnew
                guard error.isTransient || isLost || isWrong, let delay = delays.next(after: error) else { throw error }
                http.notice("\(error.cause); next attempt in \(RetryDelays.shown(delay))")
                try pause(seconds: delay, http.options.cancellation)
                if isWrong {
                    hasBegunAnew = true
                    beginAnew()
                } else if try recover() {
                    return
                }
            }
        }
    }

    private mutating func beginAnew() {
        session = nil
        sent = 0
    }

    private mutating func attempt() throws(RegistryError) {
        let current: UploadSession
        if let session { current = session } else { current = try begin() }
        session = current
        if isBroken || current.minimum > 0 {
            try sendChunks()
            try close()
        } else {
            try sendWhole(current)
        }
    }

    // MARK: Requests

    private func call(_ method: HTTPMethod, _ address: WebAddress?) -> Call {
        var call = source.call(method, "blobs/uploads/", ["pull", "push"], subject)
        call.address = address
        return call
    }

    private func begin() throws(RegistryError) -> UploadSession {
        let answer = try repository.session.perform(call(.POST, nil), expecting: [202])
        answer.drain()
        return try UploadSession(answer, source.host.name)
    }

    private func closing(_ location: WebAddress) -> Call {
        call(.PUT, location.adding(query: "digest=" + WebAddress.queryEscaped(descriptor.digest.description)))
    }

    /// Everything in the request that closes the session.
    private func sendWhole(_ session: UploadSession) throws(RegistryError) {
        var call = closing(session.location)
        attach(&call, from: 0, count: descriptor.size)
        let answer = try repository.session.perform(call, expecting: [201, 204])
        answer.drain()
    }

    private func attach(_ call: inout Call, from offset: Int64, count: Int64) {
        call.headers.add(name: "Content-Type", value: "application/octet-stream")
        call.body = .file(file, offset: offset, count: count)
        call.isRepeatable = false
        if let progress { call.progress = { progress(offset + $0) } }
    }

    private mutating func sendChunks() throws(RegistryError) {
        while sent < descriptor.size, let current = session {
            let rest = descriptor.size - sent
            let count = current.minimum == 0 ? rest : min(rest, max(current.minimum, BlobUpload.usefulChunk))
            var call = call(.PATCH, current.location)
            attach(&call, from: sent, count: count)
            call.headers.add(name: "Content-Range", value: "\(sent)-\(sent + count - 1)")
            let answer = try repository.session.perform(call, expecting: [202, 201, 204])
            answer.drain()
            var next = try UploadSession(answer, source.host.name)
            next.minimum = current.minimum
            session = next
            // What the registry says it has counts, where it is possible at all.
            let told = BlobUpload.received(answer.header("Range"))
            sent = told.map { $0 > sent && $0 <= sent + count ? $0 : sent + count } ?? sent + count
        }
    }

    private func close() throws(RegistryError) {
        guard let session else { return }
        var call = closing(session.location)
        call.isRepeatable = false
        let answer = try repository.session.perform(call, expecting: [201, 204])
        answer.drain()
    }

    // MARK: After a failure

    /// Asks the registry what it has; begins anew when it does not know.
    ///
    /// - Returns: whether the blob has arrived after all.
    private mutating func recover() throws(RegistryError) -> Bool {
        isBroken = true
        guard let current = session else { return false }
        do throws(RegistryError) {
            let answer = try repository.session.perform(call(.GET, current.location), expecting: [204, 200, 202], attempts: 1)
            answer.drain()
            sent = min(BlobUpload.received(answer.header("Range"), orOne: isNotEmpty) ?? 0, descriptor.size)
            if answer.header("Location") != nil {
                var next = try UploadSession(answer, source.host.name)
                next.minimum = current.minimum
                session = next
            }
        } catch {
            if error.code == .cancelled { throw error }
            beginAnew()
            // A session that is gone may have been closed by the request whose answer was lost.
            if error.code == .notFound { return try repository.hasBlob(descriptor.digest) }
        }
        return false
    }

    /// How many bytes `0-99` means. `0-0` is what registries say of a session without any, and of one with one byte.
    static func received(_ range: String?, orOne: Bool = false) -> Int64? {
        guard let range else { return nil }
        let text = range.hasPrefix("bytes=") ? range.dropFirst(6) : Substring(range)
        let ends = text.split(separator: "-", omittingEmptySubsequences: false)
        guard ends.count == 2, ends[0] == "0", let last = Int64(ends[1]), last >= 0, last < .max else { return nil }
        return last == 0 && !orOne ? 0 : last + 1
    }
}
