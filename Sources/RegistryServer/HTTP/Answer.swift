import Linux
import NIOHTTP1

/// What is sent back.
struct Answer: Sendable {
    enum Body: Sendable {
        case none
        case bytes([UInt8])
        case file(SharedFD, Range<Int64>)
    }

    var status: HTTPResponseStatus
    var headers: HTTPHeaders
    var body: Body
    /// What `Content-Length` says; more than the body has in the answer to HEAD. Nil for 204 and 304.
    var length: Int64?

    init(_ status: HTTPResponseStatus, _ headers: [(String, String)] = [], body: Body = .none, length: Int64? = nil) {
        self.status = status
        self.headers = HTTPHeaders(headers)
        self.body = body
        switch body {
        case .none: self.length = length ?? 0
        case .bytes(let bytes): self.length = Int64(bytes.count)
        case .file(_, let range): self.length = range.upperBound - range.lowerBound
        }
        if status == .noContent || status == .notModified { self.length = nil }
    }

    static func json(_ bytes: [UInt8], type: String = "application/json", _ headers: [(String, String)] = []) -> Answer {
        Answer(.ok, [("Content-Type", type)] + headers, body: .bytes(bytes))
    }

    init(_ failure: APIFailure) {
        self.init(
            HTTPResponseStatus(statusCode: failure.status), [("Content-Type", "application/json")],
            body: .bytes(failure.json))
        for header in failure.headers { headers.add(name: header.name, value: header.value) }
    }
}
