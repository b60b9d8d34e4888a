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
