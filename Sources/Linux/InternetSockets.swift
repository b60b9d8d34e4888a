import CLinux
import Glibc

/// An address and a port, without memory of its own.
public struct InternetEndpoint: Sendable, Hashable, CustomStringConvertible {
    public let isIPv6: Bool
    public let port: UInt16
    /// The interface's index of a link-local address; 0: none.
    public let scope: UInt32
    private let high: UInt64
    private let low: UInt64

    public init(_ address: IPAddress, port: UInt16) {
        isIPv6 = address.isIPv6
        self.port = port
        scope = 0
        var words: (UInt64, UInt64) = (0, 0)
        for (index, byte) in address.bytes.enumerated() {
            if index < 8 { words.0 = words.0 << 8 | UInt64(byte) } else { words.1 = words.1 << 8 | UInt64(byte) }
        }
        high = words.0
        low = words.1
    }

    /// Reads `1.1.1.1`, `1.1.1.1:5353`, `2606::1`, `[2606::1]:5353`. Nil where the text is none of these.
    public init?(_ text: String, defaultPort: UInt16) {
        if let address = IPAddress(text) {
            self.init(address, port: defaultPort)
            return
        }
        guard let colon = text.utf8.lastIndex(of: UInt8(ascii: ":")) else {
            guard text.utf8.first == UInt8(ascii: "["), text.utf8.last == UInt8(ascii: "]") else { return nil }
            self.init(String(text.dropFirst().dropLast()), defaultPort: defaultPort)
            return
        }
        var host = text[..<colon]
        var digits = text[text.index(after: colon)...]
        var isBracketed = false
        if host.utf8.first == UInt8(ascii: "[") {
            if text.utf8.last == UInt8(ascii: "]") {
                host = text.dropLast()
                digits = ""
            } else {
                guard host.utf8.last == UInt8(ascii: "]") else { return nil }
                host = host.dropLast()
            }
            host = host.dropFirst()
            isBracketed = true
        }
        guard let address = IPAddress(String(host)), address.isIPv6 == isBracketed,
            digits.utf8.allSatisfy({ (48...57).contains($0) }), let port = digits.isEmpty ? defaultPort : UInt16(digits), port > 0
        else { return nil }
        self.init(address, port: port)
    }

    /// As the C functions give it.
    public init(_ raw: cl_internet) {
        isIPv6 = raw.family == AF_INET6
        port = raw.port
        scope = raw.scope
        let count = isIPv6 ? 16 : 4
        var words: (UInt64, UInt64) = (0, 0)
        withUnsafeBytes(of: raw.bytes) { bytes in
            for index in 0..<count {
                if index < 8 { words.0 = words.0 << 8 | UInt64(bytes[index]) } else { words.1 = words.1 << 8 | UInt64(bytes[index]) }
            }
        }
        high = words.0
        low = words.1
    }

    /// As the C functions take it.
    public var raw: cl_internet {
        var raw = cl_internet()
        raw.family = isIPv6 ? AF_INET6 : AF_INET
        raw.port = port
        raw.scope = scope
        let high = high
        let low = low
        let isIPv6 = isIPv6
        withUnsafeMutableBytes(of: &raw.bytes) { bytes in
            if isIPv6 {
                bytes.storeBytes(of: high.bigEndian, as: UInt64.self)
                bytes.storeBytes(of: low.bigEndian, toByteOffset: 8, as: UInt64.self)
            } else {
                bytes.storeBytes(of: UInt32(truncatingIfNeeded: high).bigEndian, as: UInt32.self)
            }
        }
        return raw
    }

    public var address: IPAddress {
        var raw = raw
        let bytes = withUnsafeBytes(of: &raw.bytes) { Array($0.prefix(isIPv6 ? 16 : 4)) }
        return IPAddress(bytes: bytes) ?? IPAddress(four: (127, 0, 0, 1))
    }

    /// Any port of the same address.
    public var withoutPort: InternetEndpoint {
        var raw = raw
        raw.port = 0
        return InternetEndpoint(raw)
    }

    /// Not reachable from, or of no meaning in, another network namespace: loopback and link-local addresses.
    public var belongsToItsHost: Bool {
        if !isIPv6 { return high >> 24 & 0xff == 127 }
        return high >> 56 == 0xfe || (high == 0 && low == 1)
    }

    public var description: String { isIPv6 ? "[\(address)]:\(port)" : "\(address):\(port)" }
}

/// A socket of the internet's families in the calling thread's network namespace: CLOEXEC, not blocking. The C function is
/// `socket(2)`.
public func makeInternetSocket(_ kind: SocketKind, isIPv6: Bool) throws(SystemError) -> OwnedFD {
    let type = kind.rawValue | 0o4000 /* SOCK_NONBLOCK */
    return OwnedFD(owning: try check(cl_socket(isIPv6 ? AF_INET6 : AF_INET, type, 0), "make socket"))
}

extension FD {
    public func bind(to endpoint: InternetEndpoint) throws(SystemError) {
        var raw = endpoint.raw
        try check(cl_internet_bind(rawValue, &raw), "bind", endpoint.description)
    }

    public func listen(backlog: Int32) throws(SystemError) { try check(cl_listen(rawValue, backlog), "listen") }

    /// - Parameter endpoint: nil gives up the address, and the port that the kernel had chosen.
    /// - Throws: `.inProgress` for a stream that is not connected yet: it becomes writable.
    public func connect(to endpoint: InternetEndpoint?) throws(SystemError) {
        guard let endpoint else {
            try check(cl_internet_connect(rawValue, nil), "disconnect")
            return
        }
        var raw = endpoint.raw
        try check(cl_internet_connect(rawValue, &raw), "connect", endpoint.description)
    }

    /// The address the socket is bound to. The C function is `getsockname(2)`.
    public func localEndpoint() throws(SystemError) -> InternetEndpoint {
        var raw = cl_internet()
        try check(cl_internet_name(rawValue, &raw), "read address of socket")
        return InternetEndpoint(raw)
    }

    public func setOption(_ level: Int32, _ name: Int32, _ value: Int32) throws(SystemError) {
        try check(cl_socket_option(rawValue, level, name, value), "set socket option")
    }

    /// One datagram, or what a stream has. Negative: -errno; `-EAGAIN` where there is nothing.
    ///
    /// - Parameter buffer: filled from its begin; its length does not change. A longer datagram's length is returned all the same.
    public func receive(into buffer: inout [UInt8]) -> (count: Int, from: InternetEndpoint) {
        var raw = cl_internet()
        let count = buffer.withUnsafeMutableBytes {
            cl_internet_receive(rawValue, $0.baseAddress, $0.count, 0x20 /* MSG_TRUNC */ | 0x40 /* MSG_DONTWAIT */, &raw)
        }
        return (count, InternetEndpoint(raw))
    }

    /// What a stream has; 0 at its end. Negative: -errno.
    public func receiveStream(into buffer: inout [UInt8]) -> Int {
        buffer.withUnsafeMutableBytes { cl_internet_receive(rawValue, $0.baseAddress, $0.count, 0x40 /* MSG_DONTWAIT */, nil) }
    }

    /// Sends without waiting; never raises SIGPIPE. Returns the count of bytes, or -errno.
    ///
    /// - Parameter start: of the bytes, where to begin.
    public func sendNow(_ bytes: [UInt8], from start: Int = 0, to endpoint: InternetEndpoint? = nil) -> Int {
        guard start <= bytes.count else { return -Int(EINVAL) }
        return bytes.withUnsafeBytes { buffer in
            let rest = UnsafeRawBufferPointer(rebasing: buffer[start...])
            guard let endpoint else { return cl_internet_send(rawValue, rest.baseAddress, rest.count, 0x40, nil) }
            var raw = endpoint.raw
            return cl_internet_send(rawValue, rest.baseAddress, rest.count, 0x40, &raw)
        }
    }

    /// The error that a connection ended with, as a positive number; 0: none. The C function is `getsockopt(2)` with SO_ERROR.
    public func pendingError() -> Int32 { -cl_socket_error(rawValue) }
}
