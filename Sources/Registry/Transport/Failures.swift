import AsyncHTTPClient
import Glibc
import Linux
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL

/// The errors of the libraries below, in words, with what can be done.
extension Failures {
    /// - Parameter host: the registry's, as the user knows it.
    static func translate(_ error: any Error, host: String) -> RegistryError {
        switch error {
        case let error as RegistryError: return error
        case let error as NIOConnectionError: return translate(error, host)
        case let error as HTTPClientError: return translate(error, host)
        case let error as NIOSSLError: return translate(error, host)
        case is NIOSSLExtraError:
            return RegistryError(.tls, "the certificate of \(host) is for another name")
        case let error as BoringSSLError: return handshake("\(error)", host)
        case let error as HTTPParserError: return translate(error, host)
        case let error as IOError: return system(error.errnoCode, host)
        case ChannelError.connectTimeout(let time):
            return .transient(.network, "no connection to \(host) within \(seconds(Double(time.nanoseconds) / 1e9))")
        case is ChannelError: return broken(host)
        default: return .transient(.network, "request to \(host) failed: \(printable("\(error)"))")
        }
    }

    private static func broken(_ host: String) -> RegistryError {
        .transient(.network, "\(host) closed the connection")
    }

    private static func system(_ number: CInt, _ host: String) -> RegistryError {
        var result = RegistryError.transient(.network, "connect to \(host): \(Errno(rawValue: number))")
        switch number {
        case ECONNREFUSED, ENETUNREACH, EHOSTUNREACH, EADDRNOTAVAIL: result.isRefused = true
        case ECONNRESET, EPIPE: result.cause = "\(host) reset the connection"
        default: break
        }
        return result
    }

    private static func translate(_ error: NIOConnectionError, _ host: String) -> RegistryError {
        if let first = error.connectionErrors.first {
            return translate(first.error, host: host)
        }
        var result = RegistryError.transient(.network, "look up \(error.host): no such host")
        result.isRefused = true
        return result
    }

    private static func translate(_ error: HTTPClientError, _ host: String) -> RegistryError {
        switch error {
        case .cancelled: return .cancelled
        case .remoteConnectionClosed, .requestStreamCancelled: return broken(host)
        case .connectTimeout, .tlsHandshakeTimeout, .getConnectionFromPoolTimeout, .httpProxyHandshakeTimeout,
            .socksHandshakeTimeout:
            return .transient(.network, "no connection to \(host) in time")
        case .proxyAuthenticationRequired:
            return RegistryError(.network, "the proxy for \(host) wants a user and a password: set them in HTTPS_PROXY")
        case .invalidProxyResponse: return RegistryError(.network, "the proxy for \(host) did not connect to it")
        case .alreadyShutdown: return .cancelled
        case .invalidURL, .emptyHost: return RegistryError(.protocol, "\(host) is no address that can be connected to")
        default: return .transient(.network, "request to \(host) failed: \(printable("\(error)"))")
        }
    }

    private static func translate(_ error: NIOSSLError, _ host: String) -> RegistryError {
        switch error {
        case .handshakeFailed(let cause): return handshake("\(cause)", host)
        case .uncleanShutdown: return broken(host)
        case .unableToValidateCertificate, .noCertificateToValidate, .cannotFindPeerIP: return untrusted(host)
        default: return .transient(.network, "TLS with \(host) failed: \(printable("\(error)"))")
        }
    }

    private static func handshake(_ text: String, _ host: String) -> RegistryError {
        if text.includes("CERTIFICATE_VERIFY_FAILED") { return untrusted(host) }
        if text.includes("WRONG_VERSION_NUMBER") || text.includes("HTTP_REQUEST") {
            var result = RegistryError(
                .tls,
                "\(host) gave an HTTP response to an HTTPS request; if it may be used without TLS, "
                    + "add it to registries.conf with insecure = true, or use --tls-verify=false")
            result.isPlain = true
            return result
        }
        if text.includes("PROTOCOL_VERSION") || text.includes("UNSUPPORTED_PROTOCOL") {
            return RegistryError(.tls, "\(host) does not speak TLS 1.2 or later")
        }
        if text.includes("CERTIFICATE_REQUIRED") || text.includes("BAD_CERTIFICATE") || text.includes("HANDSHAKE_FAILURE") {
            return RegistryError(
                .tls,
                "\(host) refused the TLS connection; if it wants a client certificate, put client.cert and client.key "
                    + "into /etc/containers/certs.d/\(host)/")
        }
        var result = RegistryError.transient(.tls, "TLS with \(host) failed: \(printable(text))")
        // EOF in the middle of a handshake: whoever is there may speak HTTP only.
        result.isPlain = true
        return result
    }

    private static func untrusted(_ host: String) -> RegistryError {
        RegistryError(
            .tls,
            "the certificate of \(host) cannot be verified (unknown authority, expired, or for another name); "
                + "to trust its authority, put it into /etc/containers/certs.d/\(host)/ca.crt")
    }

    private static func translate(_ error: HTTPParserError, _ host: String) -> RegistryError {
        switch error {
        case .headerOverflow: return RegistryError(.tooLarge, "\(host) sent larger headers than are accepted")
        case .invalidEOFState, .closedConnection: return broken(host)
        default: return RegistryError(.protocol, "\(host) sent something that is not HTTP (\(printable("\(error)")))")
        }
    }

    /// `60 s`, `0.5 s`.
    static func seconds(_ value: Double) -> String {
        value == value.rounded() && value < 1e9 ? "\(Int(value)) s" : "\(value) s"
    }
}
