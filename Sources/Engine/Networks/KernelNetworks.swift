import CLinux
import Glibc
import Linux

/// All that the engine itself asks the kernel about networks. What a container needs is made by its supervisor.
struct KernelNetworks {
    /// What the host reaches by another way than its default route: no network may lie there.
    var routes: () -> [IPPrefix] = { (try? KernelNetworks.hostRoutes()) ?? [] }
    /// Whether no program has a port of the host.
    var isPortFree: (_ transport: String, _ address: IPAddress, _ port: UInt16) -> Bool = KernelNetworks.isFree
    /// Takes a network's devices and rules away; nothing where there are none.
    var remove: (_ network: NetworkDefinition, _ device: String) -> Void = { _, _ in }

    /// Where the kernel, and so everybody, takes ports from that nobody named (ip(7)).
    static func ephemeralPorts() -> ClosedRange<UInt16> {
        let text = (try? FD.cwd.readText("/proc/sys/net/ipv4/ip_local_port_range", limit: 64)) ?? ""
        let numbers = text.split(whereSeparator: { $0 == "\t" || $0 == " " || $0 == "\n" }).compactMap { UInt16($0) }
        guard numbers.count == 2, numbers[0] > 0, numbers[0] <= numbers[1] else { return 32768...60999 }
        return numbers[0]...numbers[1]
    }

    /// rtnetlink(7): RTM_GETROUTE, all tables.
    private static func hostRoutes() throws(SystemError) -> [IPPrefix] {
        var socket = try NetlinkSocket()
        var result: [IPPrefix] = []
        for family in [UInt8(AF_INET), UInt8(AF_INET6)] {
            let header = [family] + [UInt8](repeating: 0, count: 11)
            let answers = try socket.request(26 /* RTM_GETROUTE */, flags: 0x300 /* NLM_F_DUMP */, header, "list", "routes")
            for answer in answers where answer.count >= 12 && answer[7] == 1 /* RTN_UNICAST */ && answer[1] > 0 {
                let attributes = NetlinkBytes.attributes(answer, after: 12)
                guard let bytes = attributes.first(where: { $0.type == 1 /* RTA_DST */ })?.value,
                    let address = IPAddress(bytes: bytes), let prefix = IPPrefix(address, length: Int(answer[1]))
                else { continue }
                result.append(prefix)
            }
        }
        return result
    }

    /// Only a look: whoever starts the container takes the port. SCTP is not asked: its module may not be there.
    private static func isFree(_ transport: String, _ address: IPAddress, _ port: UInt16) -> Bool {
        guard transport != "sctp" else { return true }
        let raw = cl_socket(address.isIPv6 ? AF_INET6 : AF_INET, transport == "udp" ? 2 : 1 /* SOCK_DGRAM, SOCK_STREAM */, 0)
        guard raw >= 0 else { return true }
        let socket = OwnedFD(owning: raw)
        let big = port.bigEndian
        if address.isIPv6 {
            var one: Int32 = 1
            _ = setsockopt(socket.raw, 41 /* IPPROTO_IPV6 */, 26 /* IPV6_V6ONLY */, &one, 4)
            var name = sockaddr_in6()
            name.sin6_family = sa_family_t(AF_INET6)
            name.sin6_port = big
            withUnsafeMutableBytes(of: &name.sin6_addr) { $0.copyBytes(from: address.bytes) }
            return bound(socket.fd, &name)
        }
        var name = sockaddr_in()
        name.sin_family = sa_family_t(AF_INET)
        name.sin_port = big
        withUnsafeMutableBytes(of: &name.sin_addr) { $0.copyBytes(from: address.bytes) }
        return bound(socket.fd, &name)
    }

    // SAFETY: the address is a whole socket address of `MemoryLayout<T>.size` bytes, read during the call.
    private static func bound<T>(_ socket: FD, _ name: inout T) -> Bool {
        let result = withUnsafePointer(to: &name) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(socket.rawValue, $0, socklen_t(MemoryLayout<T>.size)) }
        }
        return result == 0 || errno != EADDRINUSE
    }
}
