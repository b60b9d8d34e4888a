import JSON

/// One page of the tags of a repository.
///
/// Spec: OCI distribution-spec 1.1 "Listing Tags".
public struct TagList: Sendable, Hashable {
    public var name: String
    public var tags: [String]

    public init(name: String = "", tags: [String] = []) {
        self.name = name
        self.tags = tags
    }

    /// - Throws: `.invalidJSON`; `.tooLarge` above 4 MiB.
    public static func decode(_ bytes: [UInt8]) throws(OCIError) -> TagList {
        try Document.decode(bytes, "parse tag list", JSONLimits(size: 4 << 20)) {
            (parser: inout JSONParser) throws(JSONError) in
            var list = TagList()
            var object = try parser.beginObject()
            while let key = try parser.nextKey(&object) {
                switch key {
                case "name": list.name = try parser.string()
                case "tags": list.tags = try parser.strings()
                default: try parser.skip()
                }
            }
            return list
        }
    }
}

/// What a registry says went wrong.
///
/// Spec: OCI distribution-spec 1.1 "Error Codes".
public struct RegistryErrors: Sendable, Hashable {
    public struct Entry: Sendable, Hashable {
        /// `MANIFEST_UNKNOWN` and so on.
        public var code: String
        public var message: String

        public init(code: String = "", message: String = "") {
            self.code = code
            self.message = message
        }

        init(json parser: inout JSONParser) throws(JSONError) {
            self.init()
            var object = try parser.beginObject()
            while let key = try parser.nextKey(&object) {
                switch key {
                case "code": code = try parser.string()
                case "message": message = try parser.string()
                // `detail` is of any shape.
                default: try parser.skip()
                }
            }
        }
    }

    public var errors: [Entry]

    public init(errors: [Entry] = []) {
        self.errors = errors
    }

    /// - Throws: `.invalidJSON`; `.tooLarge` above 1 MiB.
    public static func decode(_ bytes: [UInt8]) throws(OCIError) -> RegistryErrors {
        try Document.decode(bytes, "parse registry error", JSONLimits(size: 1 << 20)) {
            (parser: inout JSONParser) throws(JSONError) in
            var list = RegistryErrors()
            var object = try parser.beginObject()
            while let key = try parser.nextKey(&object) {
                switch key {
                case "errors": list.errors = try parser.array(Entry.init(json:))
                default: try parser.skip()
                }
            }
            return list
        }
    }
}

/// What an authorization service answers; its description does not show the secret.
///
/// Spec: distribution's token authentication specification.
public struct RegistryToken: Sendable, Hashable, CustomStringConvertible {
    /// The bearer token, from `token` or `access_token`.
    public var token: String
    /// Seconds from `issuedAt`; 60 when the service does not say.
    public var expiresIn: Int
    /// RFC 3339; empty when the service does not say.
    public var issuedAt: String
    /// What takes the place of a password from now on, where one was asked for; else empty.
    public var refreshToken: String

    public init(token: String, expiresIn: Int = 60, issuedAt: String = "", refreshToken: String = "") {
        self.refreshToken = refreshToken
        self.token = token
        self.expiresIn = expiresIn
        self.issuedAt = issuedAt
    }

    /// - Throws: `.invalidJSON`; `.invalidDocument` without a token; `.tooLarge` above 1 MiB.
    public static func decode(_ bytes: [UInt8]) throws(OCIError) -> RegistryToken {
        let answer = try Document.decode(bytes, "parse registry token", JSONLimits(size: 1 << 20, allowsNUL: false)) {
            (parser: inout JSONParser) throws(JSONError) in
            var answer = RegistryToken(token: "")
            var object = try parser.beginObject()
            while let key = try parser.nextKey(&object) {
                switch key {
                case "token": answer.token = try parser.string()
                // OAuth's name for the same; `token` wins when both are there.
                case "access_token":
                    let token = try parser.string()
                    if answer.token.isEmpty { answer.token = token }
                case "expires_in": answer.expiresIn = try parser.int()
                case "refresh_token": answer.refreshToken = try parser.string()
                case "issued_at": answer.issuedAt = try parser.string()
                default: try parser.skip()
                }
            }
            return answer
        }
        // A line break would end the header that the token goes into.
        guard !answer.token.isEmpty, answer.token.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
            throw OCIError(code: .invalidDocument, operation: "parse registry token", cause: "no usable token")
        }
        return answer
    }

    public var description: String { "registry token, \(expiresIn) s" }
}
