import NIOCore
import NIOHTTP1

/// One request and its answer, on the event loop of its connection.
final class Exchange {
    enum State {
        /// It is not known yet what to do; what has come of the body is kept.
        case deciding
        case waiting(Plan.Work)
        case collecting(limit: Int, work: @Sendable ([UInt8]) throws(APIFailure) -> Answer)
        case uploading(UploadPlan)
        /// Work is under way, or the answer is.
        case settled
    }

    let head: HTTPRequestHead
    let began = NIODeadline.now()
    var state = State.deciding
    /// Body that has come and is not worked off.
    var pending: [ByteBuffer] = []
    var pendingBytes = 0
    /// Body bytes so far.
    var received: Int64 = 0
    /// Body bytes that nobody wanted.
    var discarded: Int64 = 0
    var user = ""
    var status: UInt = 0
    var sent: Int64 = 0
    /// The request is complete.
    var hasEnded = false
    /// The answer has begun.
    var isAnswered = false
    /// The answer is complete.
    var isDone = false
    var isLogged = false
    /// The connection ends with this exchange.
    var closes: Bool
    /// The client waits for a word before it sends the body.
    var expectsContinue = false
    /// A job writes a part of the body.
    var isBusy = false
    var writer: UploadSession.Writer?
    /// The connection is gone.
    var isAborted = false

    init(_ head: HTTPRequestHead) {
        self.head = head
        closes = !head.isKeepAlive
    }

    func take() -> [ByteBuffer] {
        defer { (pending, pendingBytes) = ([], 0) }
        return pending
    }
}
