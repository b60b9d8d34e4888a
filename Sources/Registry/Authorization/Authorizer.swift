import Archive
import Linux
import NIOHTTP1
import OCI

/// What one registry host wants to see before it answers, and the tokens it was satisfied with so far.
///
/// Thread-safe: several threads that need the same token wait for one fetch.
/// Spec: distribution's token authentication; RFC 7617.
final class Authorizer: Sendable {
    private enum Method {
        /// Not asked for anything yet.
        case unknown
        case basic
        case bearer(realm: WebAddress, service: String)
    }

    private struct Key: Hashable {
        var scopes: [Scope]
        var user: Credentials?
    }

    private struct Token {
        var value: String
        /// On the monotonic clock.
        var end: Int64
    }

    private struct State {
        var method = Method.unknown
        var tokens: [Key: Token] = [:]
        var fetching: Set<Key> = []
    }

    /// Seconds that a token lives when the service does not say, and at most.
    private static let defaultLife = 60
    private static let longestLife = 24 * 3600

    private let service: TokenService
    private let cancellation: Cancellation?
    private let state = Monitor(State())

    init(_ service: TokenService, _ cancellation: Cancellation?) {
        self.service = service
        self.cancellation = cancellation
    }

    /// The value of the `Authorization` header; nil when none is wanted (yet), or there is nothing to offer.
    func header(
        _ scopes: [Scope], _ credentials: Credentials?, _ host: RegistryHost
    ) throws(RegistryError) -> String? {
        switch state.withLock({ $0.method }) {
        case .unknown: return nil
        case .basic: return credentials.flatMap { $0.identityToken.isEmpty ? $0.basicHeader : nil }
        case .bearer(let realm, let name):
            return "Bearer " + (try token(Key(scopes: scopes, user: credentials), realm, name, host))
        }
    }

    /// Learns from a 401.
    ///
    /// - Parameters:
    ///   - used: the header that was refused.
    ///   - scopes: extended by what the registry says is needed.
    /// - Returns: whether another try can have another result.
    /// - Throws: `.unauthorized` when the registry wants something that is not supported.
    func learn(
        from headers: HTTPHeaders, used: String?, _ scopes: inout [Scope], _ credentials: Credentials?, _ host: RegistryHost
    ) throws(RegistryError) -> Bool {
        let challenges = Challenge.parse(headers["WWW-Authenticate"])
        if let bearer = challenges.first(where: { $0.scheme == "bearer" && $0.parameters["realm"] != nil }) {
            let realm = try service.realm(bearer.parameters["realm"] ?? "", host)
            let before = scopes
            scopes = Scope.union(scopes, Scope.parse(bearer.parameters["scope"] ?? ""))
            let key = Key(scopes: before, user: credentials)
            state.withLock { state in
                state.method = .bearer(realm: realm, service: bearer.parameters["service"] ?? "")
                // Only the token that was refused is thrown away: another thread may have a new one already.
                if let used, let token = state.tokens[key], used == "Bearer " + token.value { state.tokens[key] = nil }
            }
            // Without a header too: another thread may have learnt all this while this one's request was on its way.
            return true
        }
        if challenges.contains(where: { $0.scheme == "basic" }) {
            state.withLock { $0.method = .basic }
            guard let credentials, credentials.identityToken.isEmpty else { return false }
            return used != credentials.basicHeader
        }
        guard let first = challenges.first else { return false }
        throw RegistryError(
            .unauthorized,
            "\(host.name) wants authentication of type \(Failures.printable(first.scheme, limit: 32)), which is not supported", status: 401)
    }

    /// The identity token that the token service gives for credentials; nil when there is no such service or it gives none.
    func identity(_ credentials: Credentials, _ host: RegistryHost) throws(RegistryError) -> String? {
        guard case .bearer(let realm, let name) = state.withLock({ $0.method }), credentials.identityToken.isEmpty else { return nil }
        let token = try service.fetch(realm, service: name, [], credentials, host, offline: true)
        return token.refreshToken.isEmpty ? nil : token.refreshToken
    }

    // MARK: Tokens

    private enum Turn {
        case have(String)
        case fetch
    }

    private func token(
        _ key: Key, _ realm: WebAddress, _ name: String, _ host: RegistryHost
    ) throws(RegistryError) -> String {
        let turn = try state.wait(until: .max, cancellation) { state -> Turn? in
            if let token = state.tokens[key], token.end > monotonicNanoseconds() { return .have(token.value) }
            guard state.fetching.insert(key).inserted else { return nil }
            return .fetch
        }
        if case .have(let value) = turn { return value }
        do throws(RegistryError) {
            let token = try service.fetch(realm, service: name, key.scopes, key.user, host)
            let asked = token.expiresIn > 0 ? min(token.expiresIn, Authorizer.longestLife) : Authorizer.defaultLife
            // A little early, so that it does not end on its way.
            let life = Double(asked) - min(10, Double(asked) / 4)
            state.withLock { state in
                state.fetching.remove(key)
                state.tokens[key] = Token(value: token.token, end: deadline(in: life))
            }
            return token.token
        } catch {
            state.withLock { _ = $0.fetching.remove(key) }
            throw error
        }
    }
}

extension Credentials {
    /// Spec: RFC 7617.
    var basicHeader: String { "Basic " + Base64.encode(Array("\(user):\(password)".utf8)) }
}
