import JSON
import Linux
import Store

/// What a client is told when a request cannot be answered.
///
/// Spec: OCI distribution-spec 1.1 "Error Codes".
struct APIFailure: Error, Sendable {
    /// The identifiers of the specification.
    struct Code: RawRepresentable, Sendable, Hashable {
        let rawValue: String
        init(rawValue: String) { self.rawValue = rawValue }

        static let blobUnknown = Code(rawValue: "BLOB_UNKNOWN")
        static let blobUploadInvalid = Code(rawValue: "BLOB_UPLOAD_INVALID")
        static let blobUploadUnknown = Code(rawValue: "BLOB_UPLOAD_UNKNOWN")
        static let digestInvalid = Code(rawValue: "DIGEST_INVALID")
        static let manifestBlobUnknown = Code(rawValue: "MANIFEST_BLOB_UNKNOWN")
        static let manifestInvalid = Code(rawValue: "MANIFEST_INVALID")
        static let manifestUnknown = Code(rawValue: "MANIFEST_UNKNOWN")
        static let nameInvalid = Code(rawValue: "NAME_INVALID")
        static let nameUnknown = Code(rawValue: "NAME_UNKNOWN")
        static let sizeInvalid = Code(rawValue: "SIZE_INVALID")
        static let unauthorized = Code(rawValue: "UNAUTHORIZED")
        static let denied = Code(rawValue: "DENIED")
        static let unsupported = Code(rawValue: "UNSUPPORTED")
        static let tooManyRequests = Code(rawValue: "TOOMANYREQUESTS")
        /// Not in the table of the specification: the server's own fault (status 5xx).
        static let unknown = Code(rawValue: "UNKNOWN")
    }

    var status: Int
    var code: Code
    var message: String
    /// One error for each, with the digest or name as its detail; a single one without detail when empty.
    var details: [String] = []
    var headers: [(name: String, value: String)] = []
    /// For the log, not for the client: what exactly failed inside.
    var inside: String?

    init(_ status: Int, _ code: Code, _ message: String) {
        self.status = status
        self.code = code
        self.message = message
    }

    init(_ error: StoreError) {
        if error.code == .noSpace {
            self.init(507, .unknown, "no space left on the registry's disk")
        } else {
            self.init(500, .unknown, "the registry's storage failed")
        }
        inside = error.description
    }

    init(_ error: SystemError) { self.init(StoreError(error)) }

    func with(_ name: String, _ value: String) -> APIFailure {
        var copy = self
        copy.headers.append((name, value))
        return copy
    }

    var json: [UInt8] {
        JSONWriter.document { w in
            w.object { w in
                w.key("errors")
                w.array { w in
                    for detail in details.isEmpty ? [""] : details {
                        w.object { w in
                            w.field("code", code.rawValue)
                            w.field("message", message)
                            if !detail.isEmpty { w.field("detail", detail) }
                        }
                    }
                }
            }
        }
    }

    static func unknownName(_ name: String) -> APIFailure {
        var failure = APIFailure(404, .nameUnknown, "repository name not known to registry")
        failure.details = [name]
        return failure
    }

    static let unsupportedMethod = APIFailure(405, .unsupported, "the operation is unsupported")
}

/// Runs kernel calls and gives their errors as the server's.
@inline(__always)
func kernel<T: ~Copyable>(_ body: () throws(SystemError) -> T) throws(APIFailure) -> T {
    do { return try body() } catch { throw APIFailure(error) }
}
