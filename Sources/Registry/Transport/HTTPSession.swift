import Archive
import Linux
import NIOHTTP1

/// An answer whose head is there and whose body is still to be read.
final class Answer {
    let status: Int
    let headers: HTTPHeaders
    let exchange: Exchange
    /// Where it came from in the end.
    let address: WebAddress

    init(_ head: HTTPResponseHead, _ exchange: Exchange, _ address: WebAddress) {
        status = Int(head.status.code)
        headers = head.headers
        self.exchange = exchange
        self.address = address
    }

    /// The beginning of the body of an answer that is an error.
    private(set) lazy var errorBody = exchange.someOfBody(limit: HTTPSession.largestErrorBody)

    /// The first value of a header.
    func header(_ name: String) -> String? { headers.first(name: name) }
}

/// One request to a registry, before it is known which address and which credentials it takes.
struct Call {
    var host: RegistryHost
    var method: HTTPMethod
    /// Path and query at the registry…
    var target = ""
    /// … or a whole address that the registry gave (the `Location` of an upload).
    var address: WebAddress?
    var headers = HTTPHeaders()
    var body = WireRequest.Body.none
    var scopes: [Scope] = []
    /// What credentials are looked up for: `registry/path`.
    var name: String
    var progress: (@Sendable (Int64) -> Void)?
    /// What the request is about, for errors: `manifest library/alpine:3.20`.
    var subject = ""
    /// False for what must not be sent again without looking: the body of an upload.
    var isRepeatable = true
}

/// What all requests of one client share: connections, hosts, and the rules of retry, redirect and authorization.
final class HTTPSession: Sendable {
    static let largestErrorBody = 64 << 10
    private static let mostRedirects = 10
    /// With the first one, which usually goes without credentials.
    private static let mostAuthorizations = 3

    let configuration: RegistryConfiguration
    let options: RegistryOptions
    let transport: Transport
    private let hosts = Monitor<[HostKey: RegistryHost]>([:])
    private let certificates = Monitor<[String: CertificateDirectories.Certificates]>([:])
    private let known = Monitor<[String: Credentials?]>([:])

    private struct HostKey: Hashable {
        let registry: String
        let isInsecure: Bool
        let isMirror: Bool
    }

    init(_ configuration: RegistryConfiguration, _ options: RegistryOptions) {
        self.configuration = configuration
        self.options = options
        transport = Transport(options, systemAuthorities: configuration.systemAuthorities)
    }

    func notice(_ line: String) { options.notice?(line) }

    // MARK: Hosts and routes

    /// The one object for a registry, which remembers what the registry wants.
    func host(_ source: SourceName) throws(RegistryError) -> RegistryHost {
        let key = HostKey(registry: source.registry, isInsecure: source.isInsecure, isMirror: source.isMirror)
        if let known = hosts.withLock({ $0[key] }) { return known }
        let service = TokenService(session: self, notice: { [options] line in options.notice?(line) })
        let made = try RegistryHost(source, options, service)
        return hosts.withLock { hosts in
            if let other = hosts[key] { return other }
            hosts[key] = made
            return made
        }
    }

    /// How to connect to an address on behalf of a registry.
    private func route(_ address: WebAddress, for host: RegistryHost) throws(RegistryError) -> Route {
        let isOwn = address.host == host.address.host
        let name = isOwn ? host.certificateName : address.authority
        let key = name + (isOwn ? "" : " ")
        let found: CertificateDirectories.Certificates
        if let known = certificates.withLock({ $0[key] }) {
            found = known
        } else {
            found = try configuration.certificates.certificates(for: name, only: options.certificateDirectory)
            certificates.withLock { $0[key] = found }
        }
        var route = Route(verifies: host.verifies, authorities: found.authorities)
        // A client certificate says who the user is: only the host it was put there for sees it.
        if isOwn || options.certificateDirectory == nil {
            (route.clientCertificate, route.clientKey) = (found.certificate, found.key)
        }
        route.proxy = configuration.proxies.proxy(for: address)
        return route
    }

    /// The credentials for a name; asked for once.
    ///
    /// `--creds` are for the registry that the user named, not for its mirrors.
    func credentials(_ name: String, isMirror: Bool) throws(RegistryError) -> Credentials? {
        if let given = options.credentials { return isMirror ? nil : given }
        if let found = known.withLock({ $0[name] }) { return found }
        let found = try configuration.credentials(for: name, notice: notice, cancellation: options.cancellation)
        known.withLock { $0[name] = .some(found) }
        return found
    }

    /// Uses these credentials for a name, whatever the files say.
    func use(_ credentials: Credentials, for name: String) {
        known.withLock { $0[name] = .some(credentials) }
    }

    /// Lets go of the hosts, whose token services hold this object.
    func forgetHosts() {
        hosts.withLock { $0 = [:] }
    }

    // MARK: One request

    /// Sends a request until the answer has one of these statuses.
    ///
    /// - Parameter attempts: nil for as many as the options say.
    /// - Throws: what the last attempt threw, or the answer with another status as an error.
    func perform(_ call: Call, expecting statuses: [Int], attempts: Int? = nil) throws(RegistryError) -> Answer {
        try retrying(call.isRepeatable ? attempts : 1) { () throws(RegistryError) in
            let answer = try send(call)
            if statuses.contains(answer.status) { return answer }
            throw failure(answer, call)
        }
    }

    /// Runs something again as long as it fails in a way that may pass.
    func retrying<T>(_ attempts: Int?, _ body: () throws(RegistryError) -> T) throws(RegistryError) -> T {
        var delays = RetryDelays(options.limits, attempts: attempts ?? options.limits.attempts)
        while true {
            do throws(RegistryError) {
                return try body()
            } catch {
                guard error.isTransient, let seconds = delays.next(after: error) else { throw error }
                notice("\(error.cause); next attempt in \(RetryDelays.shown(seconds))")
                try pause(seconds: seconds, options.cancellation)
            }
        }
    }

    /// Sends a request once, with what it takes to be let in.
    private func send(_ call: Call) throws(RegistryError) -> Answer {
        var call = call
        let credentials = try credentials(call.name, isMirror: call.host.isMirror)
        var tries = 0
        while true {
            tries += 1
            let (answer, used) = try sendOnce(call, credentials)
            guard answer.status == 401, answer.address.origin == call.host.address.origin,
                tries < HTTPSession.mostAuthorizations
            else { return answer }
            let isWorthIt = try call.host.authorizer.learn(
                from: answer.headers, used: used, &call.scopes, credentials, call.host)
            guard isWorthIt else { return answer }
            _ = answer.exchange.someOfBody(limit: HTTPSession.largestErrorBody)
        }
    }

    /// Tries the schemes that the registry may have, until one works; then only that.
    private func sendOnce(_ call: Call, _ credentials: Credentials?) throws(RegistryError) -> (Answer, String?) {
        let schemes = call.host.schemes
        var first: RegistryError?
        for scheme in schemes {
            let base = call.host.address(scheme)
            let address = call.address ?? base.with(target: call.target)
            // Only the registry itself gets credentials, by the scheme it has.
            let header =
                address.origin == base.origin
                ? try call.host.authorizer.header(call.scopes, credentials, call.host) : nil
            do throws(RegistryError) {
                let answer = try follow(call, address, header)
                if schemes.count > 1, address.origin == base.origin { call.host.decide(scheme) }
                return (answer, header)
            } catch {
                // Only where plain HTTP is allowed at all are there two schemes.
                guard scheme == .https, schemes.count > 1, error.isPlain || error.isRefused || error.code == .network else {
                    throw first ?? error
                }
                first = error.isPlain ? nil : error
            }
        }
        throw first ?? RegistryError(.network, "\(call.host.name) cannot be reached")
    }

    /// Sends a request and follows redirects: credentials stay behind where the origin changes.
    private func follow(_ call: Call, _ start: WebAddress, _ header: String?) throws(RegistryError) -> Answer {
        var address = start
        for _ in 0...HTTPSession.mostRedirects {
            var request = WireRequest(method: call.method, address: address, headers: call.headers, body: call.body)
            if let header, address.origin == start.origin { request.headers.replaceOrAdd(name: "Authorization", value: header) }
            let shown = address.origin == start.origin ? call.host.name : address.authority
            let (head, exchange) = try transport.send(
                request, over: try route(address, for: call.host), host: shown, progress: call.progress)
            let answer = Answer(head, exchange, address)
            guard let next = try redirect(answer, call) else { return answer }
            _ = exchange.someOfBody(limit: 4096)
            address = next
        }
        throw RegistryError(.protocol, "\(call.host.name) redirects more than \(HTTPSession.mostRedirects) times")
    }

    /// Where an answer sends the client; nil when it is the final one.
    private func redirect(_ answer: Answer, _ call: Call) throws(RegistryError) -> WebAddress? {
        let changesMethod = [301, 302, 303].contains(answer.status) && call.method != .GET && call.method != .HEAD
        guard [301, 302, 303, 307, 308].contains(answer.status), !changesMethod else { return nil }
        guard let location = answer.header("Location"), let next = answer.address.resolving(location) else {
            throw RegistryError(.protocol, "\(call.host.name) redirects to no address of the web")
        }
        if answer.address.scheme == .https, next.scheme == .http {
            throw RegistryError(.tls, "\(call.host.name) redirects from HTTPS to HTTP (\(next.shown)), which is not followed")
        }
        return next
    }

    // MARK: Tokens

    /// The body of a token service's answer.
    func token(_ request: WireRequest, _ realm: WebAddress, _ host: RegistryHost) throws(RegistryError) -> [UInt8] {
        var call = Call(host: host, method: request.method, name: host.name)
        call.headers = request.headers
        call.headers.remove(name: "Authorization")
        call.body = request.body
        let credentials = request.headers.first(name: "Authorization")
        do throws(RegistryError) {
            return try retrying(nil) { () throws(RegistryError) in
                let answer = try follow(call, request.address, credentials)
                if answer.status == 200 { return try answer.exchange.body(limit: TokenService.largestAnswer, of: "a token") }
                guard [400, 401, 403].contains(answer.status) else {
                    throw ErrorText.failure(answer, host: host.name, subject: "a token (\(realm.shown))")
                }
                let isKnown = credentials != nil || request.method == .POST
                throw RegistryError(
                    .unauthorized,
                    (isKnown ? "\(host.name): the user name, password or token is wrong" : "\(host.name) wants to know who asks")
                        + ErrorText.said(answer) + "; run \"berth login \(host.name)\"", status: answer.status)
            }
        } catch {
            // The attempts are used up: the request that wanted the token does not begin anew.
            var final = error
            final.isTransient = false
            throw final
        }
    }

    private func failure(_ answer: Answer, _ call: Call) -> RegistryError {
        let shown = answer.address.origin == call.host.address.origin ? call.host.name : answer.address.authority
        return ErrorText.failure(answer, host: shown, subject: call.subject)
    }
}
