import CLinux
import Linux
import NIOCore
import OCI
import Synchronization

/// One blob that is on its way in.
///
/// What has come is the file's size, so that a session outlives the server. One request writes at a time; a new one takes the
/// session over from one whose client is gone, which the server may not have noticed yet. All calls block on the disk.
final class UploadSession: Sendable {
    let id: String
    let repository: String
    let file: SharedFD
    private let state: Mutex<State>

    /// The right to write, until the next request gets one.
    struct Writer: Sendable {
        fileprivate let number: UInt64
        let session: UploadSession
        /// Bytes in the session when the request began.
        let start: Int64
    }

    private struct State {
        var offset: Int64
        /// Nil after a restart, until somebody writes.
        var hash: RunningHash?
        var writer: UInt64 = 0
        /// What a request that turns out to be wrong goes back to.
        var checkpoint: (offset: Int64, hash: RunningHash)?
        /// Up to here the kernel has been asked to write to the disk.
        var flushed: Int64 = 0
        var isOver = false
    }

    let algorithm: Digest.Algorithm

    /// What can be asked without waiting for the disk.
    private struct Activity {
        var offset: Int64
        var isWriting = false
        /// Monotonic nanoseconds.
        var lastUse = monotonicNanoseconds()
    }

    private let activity: Mutex<Activity>

    init(
        id: String, repository: String, algorithm: Digest.Algorithm, file: SharedFD, offset: Int64, isNew: Bool
    ) {
        self.id = id
        self.repository = repository
        self.algorithm = algorithm
        self.file = file
        state = Mutex(State(offset: offset, hash: isNew ? RunningHash(algorithm) : nil))
        activity = Mutex(Activity(offset: offset))
    }

    /// Bytes that are in the session.
    var offset: Int64 { activity.withLock { $0.offset } }

    /// Whether a request is writing.
    var isWriting: Bool { activity.withLock { $0.isWriting } }

    /// Whether nobody has used it for as many nanoseconds.
    func isIdle(for time: Int64) -> Bool {
        activity.withLock { !$0.isWriting && $0.lastUse < monotonicNanoseconds() - time }
    }

    private func note(_ offset: Int64, isWriting: Bool) {
        activity.withLock { $0 = Activity(offset: offset, isWriting: isWriting) }
    }

    private static let unknown = APIFailure(404, .blobUploadUnknown, "blob upload unknown to registry")
    private static let takenOver = APIFailure(
        409, .blobUploadInvalid, "another request has taken this upload over")

    func outOfRange(_ offset: Int64) -> APIFailure {
        APIFailure(416, .blobUploadInvalid, "the range does not begin where the upload ends, at \(offset)")
            .with("Location", location).with("Range", UploadSession.range(offset))
    }

    var location: String { "/v2/\(repository)/blobs/uploads/\(id)" }

    /// The `Range` header of an upload. Nothing at all looks like one byte: distribution says it so, and clients know.
    static func range(_ offset: Int64) -> String { "0-\(max(0, offset - 1))" }

    /// Makes the caller the one who writes.
    ///
    /// - Parameter range: what the request says it brings; nil to go on wherever the session is.
    /// - Throws: 416 when `range` does not begin there.
    func begin(_ range: ClosedRange<Int64>?) throws(APIFailure) -> Writer {
        try locked { (state: inout State) throws(APIFailure) in
            if let range, range.lowerBound != state.offset { throw outOfRange(state.offset) }
            if state.hash == nil { state.hash = try RunningHash.ofFile(file.fd, algorithm) }
            state.writer += 1
            note(state.offset, isWriting: true)
            if let hash = state.hash { state.checkpoint = (state.offset, hash) }
            return Writer(number: state.writer, session: self, start: state.offset)
        }
    }

    /// Runs `body` under the lock, while the session is not over.
    private func locked<T: Sendable>(_ body: (inout State) throws(APIFailure) -> T) throws(APIFailure) -> T {
        try state.withLock { (state) throws(APIFailure) in
            if state.isOver { throw UploadSession.unknown }
            return try body(&state)
        }
    }

    private func locked<T: Sendable>(_ writer: Writer, _ body: (inout State) throws(APIFailure) -> T) throws(APIFailure) -> T {
        try locked { (state: inout State) throws(APIFailure) in
            guard state.writer == writer.number else { throw UploadSession.takenOver }
            return try body(&state)
        }
    }

    /// Writes and hashes what has come. On failure the session is as before the call.
    func append(_ buffers: [ByteBuffer], _ writer: Writer) throws(APIFailure) {
        try locked(writer) { (state: inout State) throws(APIFailure) in
            for buffer in buffers {
                // The file was opened for appending: it ends at `offset`.
                let result: Result<Void, SystemError> = buffer.withUnsafeReadableBytes { bytes in
                    Result { () throws(SystemError) in try file.fd.writeAll(bytes) }
                }
                do throws(SystemError) { try result.get() } catch {
                    // Half of it may be there when the disk is full.
                    _ = cl_ftruncate(file.raw, state.offset)
                    throw APIFailure(error)
                }
                state.hash?.update(buffer)
                state.offset += Int64(buffer.readableBytes)
            }
            note(state.offset, isWriting: true)
            // The disk works while the network does; the sync at the end finds little left to do.
            if state.offset - state.flushed >= UploadSession.flushSize {
                startWriteback(file.fd, from: state.flushed, count: state.offset - state.flushed)
                state.flushed = state.offset
            }
        }
    }

    private static let flushSize: Int64 = 16 << 20

    /// Forgets what this request brought.
    func rollBack(_ writer: Writer) throws(APIFailure) {
        try locked(writer) { (state: inout State) throws(APIFailure) in
            guard let checkpoint = state.checkpoint else { return }
            try kernel { () throws(SystemError) -> Void in
                try check(cl_ftruncate(file.raw, checkpoint.offset), "truncate upload")
            }
            state.offset = checkpoint.offset
            state.hash = checkpoint.hash
            note(state.offset, isWriting: true)
        }
    }

    /// Ends a request; the session stays. Also for one that was taken over.
    func release(_ writer: Writer) {
        state.withLock { state in
            guard state.writer == writer.number else { return }
            note(state.offset, isWriting: false)
            state.checkpoint = nil
        }
    }

    /// Ends the session: everything has come, or nobody wants it any more.
    ///
    /// - Parameter digest: what the client says it is; the algorithm may be another than the one computed so far.
    /// - Returns: the size.
    /// - Throws: 400 when the bytes have another digest. The session is over then too: which bytes are wrong is unknown.
    func complete(_ writer: Writer, _ digest: Digest) throws(APIFailure) -> Int64 {
        try locked(writer) { (state: inout State) throws(APIFailure) in
            // Somebody else's bytes in the file are not in the hash.
            let size = try kernel { () throws(SystemError) in try file.fd.status().st_size }
            guard Int64(size) == state.offset else {
                throw APIFailure(500, .unknown, "the upload was changed behind the registry")
            }
            let hash: RunningHash
            if let known = state.hash, known.algorithm == digest.algorithm {
                hash = known
            } else {
                hash = try RunningHash.ofFile(file.fd, digest.algorithm)
            }
            let actual = try hash.digest()
            state.isOver = true
            guard actual == digest else {
                var failure = APIFailure(400, .digestInvalid, "provided digest did not match uploaded content")
                failure.details = ["the content has the digest \(actual)"]
                throw failure
            }
            return state.offset
        }
    }

    /// Takes the session away from whoever writes.
    func cancel() { state.withLock { $0.isOver = true } }
}
