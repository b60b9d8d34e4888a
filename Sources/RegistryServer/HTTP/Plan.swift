import NIOHTTP1

/// A request without its body.
struct Request: Sendable {
    var method: HTTPMethod
    var target: RequestTarget
    var headers: HTTPHeaders

    /// `Content-Length`; nil when there is none, as with chunks.
    var contentLength: Int64? { headers.first(name: "content-length").flatMap { ByteRange.number(Substring($0).utf8) } }

    var hasBody: Bool { headers.contains(name: "transfer-encoding") || (contentLength ?? 0) > 0 }
}

/// How a request is to be worked off. The closures block, and run on threads for that.
enum Plan: Sendable {
    typealias Work = @Sendable () throws(APIFailure) -> Answer

    /// Needs no body.
    case work(Work)
    /// Needs the body as a whole.
    case collect(limit: Int, @Sendable ([UInt8]) throws(APIFailure) -> Answer)
    /// Writes the body as it comes.
    case upload(UploadPlan)
}

/// The steps of a request that brings a part of a blob.
struct UploadPlan: Sendable {
    typealias Writer = UploadSession.Writer

    /// Before anything is written.
    var open: @Sendable () throws(APIFailure) -> Writer
    /// The whole body was written.
    /// - Parameter received: its bytes.
    var finish: @Sendable (_ writer: Writer, _ received: Int64) throws(APIFailure) -> Answer
    /// The client has gone, or was refused.
    var abandon: @Sendable (Writer) -> Void
}
