import NIOHTTP1
import OCI

/// Fetches tokens from the service that a registry names.
///
/// The registry is a stranger: what it names gets credentials only over TLS (or where the registry itself has none), no address of the
/// local link is asked for it, and what is not its own host is told to the user.
struct TokenService: Sendable {
    static let largestAnswer = 1 << 20
    static let clientName = "berth"

    let session: HTTPSession
    let notice: @Sendable (String) -> Void

    /// Checks the realm of a challenge.
    ///
    /// - Throws: `.unauthorized` when nothing may be sent there.
    func realm(_ text: String, _ host: RegistryHost) throws(RegistryError) -> WebAddress {
        let (origin, name) = (host.address, host.name)
        guard let realm = WebAddress(text) else {
            throw RegistryError(
                .unauthorized, "\(name) names a token service that cannot be used: \"\(Failures.printable(text))\"", status: 401)
        }
        if origin.scheme == .https, realm.scheme == .http {
            throw RegistryError(
                .unauthorized, "\(name) names a token service without TLS (\(realm.shown)); no credentials are sent there",
                status: 401)
        }
        if realm.isLinkLocal, realm.host != origin.host {
            throw RegistryError(
                .unauthorized, "\(name) names a token service on the local link (\(realm.shown)), which is not asked", status: 401)
        }
        return realm
    }

    /// Fetches a token for scopes: with a refresh token by POST, else by GET with user and password, or with nothing.
    ///
    /// - Throws: `.unauthorized` when the credentials are wrong.
    func fetch(
        _ realm: WebAddress, service: String, _ scopes: [Scope], _ credentials: Credentials?, _ host: RegistryHost,
        offline: Bool = false
    ) throws(RegistryError) -> RegistryToken {
        if realm.host != host.address.host { notice("\(host.name) gets its tokens from \(realm.shown)") }
        var fields: [(String, String)] = []
        if !service.isEmpty { fields.append(("service", service)) }
        for scope in scopes { fields.append(("scope", scope.text)) }
        var request = WireRequest(method: .GET, address: realm, headers: ["Accept": "application/json"])
        if let credentials, !credentials.identityToken.isEmpty {
            // The form has one field for all scopes.
            fields = fields.filter { $0.0 != "scope" } + [("scope", scopes.map(\.text).joined(separator: " "))]
            fields += [
                ("grant_type", "refresh_token"), ("client_id", TokenService.clientName),
                ("refresh_token", credentials.identityToken),
            ]
            request.method = .POST
            request.headers.add(name: "Content-Type", value: "application/x-www-form-urlencoded")
            request.body = .bytes(Array(TokenService.form(fields).utf8))
        } else {
            if offline { fields += [("offline_token", "true"), ("client_id", TokenService.clientName)] }
            if let credentials {
                fields.append(("account", credentials.user))
                request.headers.add(name: "Authorization", value: credentials.basicHeader)
            }
            if !fields.isEmpty { request.address = realm.adding(query: TokenService.form(fields)) }
        }
        let answer = try session.token(request, realm, host)
        do throws(OCIError) {
            return try RegistryToken.decode(answer)
        } catch {
            throw RegistryError(.protocol, "the token service of \(host.name) (\(realm.shown)): \(error.cause)")
        }
    }

    private static func form(_ fields: [(String, String)]) -> String {
        fields.map { WebAddress.queryEscaped($0.0) + "=" + WebAddress.queryEscaped($0.1) }.joined(separator: "&")
    }
}
