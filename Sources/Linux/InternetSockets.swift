import CLinux
import Glibc

/// Transports over IP that sockets know by type and protocol.
public struct InternetProtocol: Sendable, Hashable {
    let type: Int32
    let number: Int32
    public static let tcp = InternetProtocol(type: 1, number: 6)
    public static let udp = InternetProtocol(type: 2, number: 17)
    public static let sctp = InternetProtocol(type: 1, number: 132)
}

/// A socket of IPv4 or IPv6, CLOEXEC; one of IPv6 takes no IPv4 addresses.
public func makeInternetSocket(_ kind: InternetProtocol, isIPv6: Bool) throws(SystemError) -> OwnedFD {
    let socket = OwnedFD(owning: try check(cl_socket(isIPv6 ? AF_INET6 : AF_INET, kind.type, kind.number), "make socket"))
    if isIPv6 { try socket.fd.setOption(41 /* IPPROTO_IPV6 */, 26 /* IPV6_V6ONLY */, 1) }
    return socket
}

extension FD {
    /// Sets an option that is a number. The C function is `setsockopt(2)`.
    public func setOption(_ level: Int32, _ option: Int32, _ value: Int32) throws(SystemError) {
        var value = value
        if setsockopt(rawValue, level, option, &value, 4) != 0 {
            throw SystemError(Errno(rawValue: Glibc.errno), "set socket option", "\(level):\(option)")
        }
    }

    /// The C function is `bind(2)`.
    public func bind(_ address: IPAddress, port: UInt16) throws(SystemError) {
        try call("bind", address, port) { Glibc.bind(rawValue, $0, $1) }
    }

    /// The C function is `connect(2)`.
    public func connect(_ address: IPAddress, port: UInt16) throws(SystemError) {
        try call("connect", address, port) { Glibc.connect(rawValue, $0, $1) }
    }

    // SAFETY: the pointer is to a structure of the size beside it, which lives as long as the call.
    private func call(
        _ operation: String, _ address: IPAddress, _ port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) throws(SystemError) {
        var result: Int32
        if address.isIPv6 {
            var name = sockaddr_in6()
            name.sin6_family = sa_family_t(AF_INET6)
            name.sin6_port = port.bigEndian
            withUnsafeMutableBytes(of: &name.sin6_addr) { $0.copyBytes(from: address.bytes) }
            result = withUnsafePointer(to: &name) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_in6>.size)) }
            }
        } else {
            var name = sockaddr_in()
            name.sin_family = sa_family_t(AF_INET)
            name.sin_port = port.bigEndian
            withUnsafeMutableBytes(of: &name.sin_addr) { $0.copyBytes(from: address.bytes) }
            result = withUnsafePointer(to: &name) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
            }
        }
        if result != 0 {
            throw SystemError(Errno(rawValue: Glibc.errno), operation, address.isIPv6 ? "[\(address)]:\(port)" : "\(address):\(port)")
        }
    }

    /// Lets only packets through that a classic BPF program takes. The C function is `setsockopt(2)` with SO_ATTACH_FILTER.
    /// - Parameter program: instructions, each as a word: code, jump true, jump false, constant, as `struct sock_filter` lies in memory.
    public func attachFilter(_ program: [UInt64]) throws(SystemError) {
        let result = program.withUnsafeBufferPointer { cl_attach_filter(rawValue, $0.baseAddress, UInt16(truncatingIfNeeded: $0.count)) }
        try check(result, "attach socket filter")
    }
}

/// One instruction of classic BPF for ``FD/attachFilter(_:)``.
public func bpfInstruction(_ code: UInt16, _ constant: UInt32, ifTrue: UInt8 = 0, ifFalse: UInt8 = 0) -> UInt64 {
    var word: UInt64 = 0
    withUnsafeMutableBytes(of: &word) { bytes in
        bytes.storeBytes(of: code, as: UInt16.self)
        bytes[2] = ifTrue
        bytes[3] = ifFalse
        bytes.storeBytes(of: constant, toByteOffset: 4, as: UInt32.self)
    }
    return word
}
