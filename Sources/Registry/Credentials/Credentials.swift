/// A name and a secret for a registry. Its description does not show the secret.
public struct Credentials: Sendable, Hashable, CustomStringConvertible {
    public var user: String
    public var password: String
    /// An OAuth refresh token that takes the place of both; empty when there is none.
    public var identityToken: String

    public init(user: String, password: String, identityToken: String = "") {
        self.user = user
        self.password = password
        self.identityToken = identityToken
    }

    /// Reads `user:password`, the value of `--creds`; a text without colon is a user without password.
    public init(_ text: String) {
        let colon = text.firstIndex(of: ":")
        user = String(text[..<(colon ?? text.endIndex)])
        password = colon.map { String(text[text.index(after: $0)...]) } ?? ""
        identityToken = ""
    }

    public var description: String { identityToken.isEmpty ? "credentials of \(user)" : "an identity token" }
}
