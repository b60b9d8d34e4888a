import CLinux
import Control
import Glibc
import Linux

/// The host's ports of an ordinary user's container: sockets of the host's network namespace, bound before this process left it,
/// and the process that forwards what comes to them.
final class UserPorts {
    /// One port: where it is on the host, and where it leads.
    struct Port {
        let socket: SharedFD
        let transport: PortPlan.Transport
        let target: InternetEndpoint
    }

    private let ports: [Port]
    private(set) var forwarder: Int32 = 0
    private var startedAt: Int64 = 0
    private var quickEnds = 0
    /// To the forwarder; its end ends it.
    private var control: SharedFD?

    private init(_ ports: [Port]) { self.ports = ports }

    /// Binds all ports of a plan, or none. In the host's network namespace.
    ///
    /// - Throws: one sentence naming the port and what to do.
    static func bind(_ plans: [PortPlan]) throws(LaunchFailure) -> UserPorts? {
        if plans.isEmpty { return nil }
        // A range of thousands of ports is as many descriptors. They get numbers above the usual limit, which stays what it was for
        // everything else of this process, and for the container.
        let usual = raiseDescriptorLimit()
        defer { if let usual { _ = cl_prlimit(0, 7 /* RLIMIT_NOFILE */, usual, nil) } }
        let lowest = Int32(clamping: plans.reduce(0) { $0 + Int($1.count) } < 64 ? 3 : usual?[0] ?? 3)
        var ports: [Port] = []
        for plan in plans {
            guard let host = IPAddress(plan.hostAddress), let target = IPAddress(plan.target) else {
                throw LaunchFailure("publish port: \"\(plan.hostAddress)\" or \"\(plan.target)\" is no address")
            }
            if plan.transport == .sctp { throw LaunchFailure("ports of sctp can be published by root only") }
            for offset in 0..<plan.count {
                let place = InternetEndpoint(host, port: plan.hostPort &+ offset)
                do throws(SystemError) {
                    let socket = try bind(plan.transport, place)
                    ports.append(
                        Port(
                            socket: SharedFD(try socket.fd.duplicate(atLeast: lowest)), transport: plan.transport,
                            target: InternetEndpoint(target, port: plan.containerPort &+ offset)))
                } catch {
                    throw failure(error.errno, plan.transport, place)
                }
            }
        }
        return UserPorts(ports)
    }

    private static func bind(_ transport: PortPlan.Transport, _ place: InternetEndpoint) throws(SystemError) -> OwnedFD {
        let isIPv6 = place.isIPv6
        let kind = transport == .tcp ? 1 /* SOCK_STREAM */ : 2 /* SOCK_DGRAM */
        let socket = OwnedFD(owning: try check(cl_socket(isIPv6 ? AF_INET6 : AF_INET, Int32(kind | 0o4000), 0), "make socket"))
        if isIPv6 { try check(cl_socket_option(socket.raw, 41, 26 /* IPV6_V6ONLY */, 1), "set up socket") }
        // Connections of a container before us may still be in TIME_WAIT; who listens holds the port all the same.
        if transport == .tcp { try check(cl_socket_option(socket.raw, 1, 2 /* SO_REUSEADDR */, 1), "set up socket") }
        if transport == .udp {
            // Answers go from the address that was asked.
            try check(
                cl_socket_option(socket.raw, isIPv6 ? 41 : 0, isIPv6 ? 49 /* RECVPKTINFO */ : 8 /* IP_PKTINFO */, 1), "set up socket")
        }
        var name = place.raw
        try check(cl_internet_bind(socket.raw, &name), "bind")
        // From now on nobody else gets the port; who connects before the container runs waits.
        if transport == .tcp { try check(cl_listen(socket.raw, 4096), "listen") }
        return socket
    }

    private static func failure(_ errno: Errno, _ transport: PortPlan.Transport, _ place: InternetEndpoint) -> LaunchFailure {
        let address = place.isIPv6 ? "[\(place.address)]" : "\(place.address)"
        var cause = errno.description
        if errno == .accessDenied {
            let text = (try? FD.cwd.readText("/proc/sys/net/ipv4/ip_unprivileged_port_start", limit: 64)) ?? "1024"
            let first = text.split(separator: "\n").first.map(String.init) ?? "1024"
            cause +=
                ": ports below \(first) are for root; choose another, or give them to all users with: "
                + "sudo sysctl net.ipv4.ip_unprivileged_port_start=\(place.port)"
        }
        return LaunchFailure("failed to bind host port \(address):\(place.port)/\(transport.rawValue): \(cause)")
    }

    /// - Returns: the limits as they were, where they have been raised.
    @discardableResult
    static func raiseDescriptorLimit() -> [UInt64]? {
        var limits: [UInt64] = [0, 0]
        guard cl_prlimit(0, 7 /* RLIMIT_NOFILE */, nil, &limits) == 0, limits[0] < limits[1] else { return nil }
        return cl_prlimit(0, 7, [limits[1], limits[1]], nil) == 0 ? limits : nil
    }

    // MARK: Forwarding

    /// Starts the process that forwards, in the namespaces this process is in. Again when it has ended.
    ///
    /// - Parameter keepsSource: the namespace lets sockets speak as the clients.
    func forward(keepsSource: Bool) throws(SystemError) {
        let pair = try makeSocketPair(.sequencedPacket).take()
        let ours = SharedFD(owning: pair.first)
        let theirs = OwnedFD(owning: pair.second)
        let null = try FD.cwd.open("/dev/null", .readWrite)
        var request = SpawnRequest("/proc/self/exe", ["berth-runtime", "forward-ports"] + (keepsSource ? [] : ["--plain"]))
        request.descriptors = [(null.fd, 0), (null.fd, 1), (null.fd, 2), (theirs.fd, 3)]
        request.workingDirectory = "/"
        let child = try spawn(request)
        close(theirs)
        control = ours
        forwarder = child.pid
        startedAt = monotonicNanoseconds()
        // As many descriptors as one message takes.
        var rest = ports[...]
        while !rest.isEmpty {
            let part = rest.prefix(16)
            rest = rest.dropFirst(16)
            try ours.fd.send(part.flatMap(ForwardedPort.encode), descriptors: part.map(\.socket.fd))
        }
    }

    /// - Returns: whether another try is worth it: one that ends again and again would keep us busy for nothing.
    func forwarderEnded() -> Bool {
        control = nil
        forwarder = 0
        quickEnds = monotonicNanoseconds() - startedAt < 1_000_000_000 ? quickEnds + 1 : 0
        return quickEnds < 5
    }
}

/// A port as the forwarder is told of it, beside its socket: 20 bytes.
enum ForwardedPort {
    static let size = 20

    static func encode(_ port: UserPorts.Port) -> [UInt8] {
        let address = port.target.address.bytes
        return [port.transport == .tcp ? 1 : 2, port.target.isIPv6 ? 1 : 0] + address + [UInt8](repeating: 0, count: 16 - address.count)
            + [UInt8(port.target.port >> 8), UInt8(port.target.port & 0xff)]
    }

    static func decode(_ bytes: ArraySlice<UInt8>) -> (isStream: Bool, target: InternetEndpoint)? {
        let bytes = Array(bytes)
        guard bytes.count == size, let address = IPAddress(bytes: Array(bytes[2..<(bytes[1] == 1 ? 18 : 6)])) else { return nil }
        return (bytes[0] == 1, InternetEndpoint(address, port: UInt16(bytes[18]) << 8 | UInt16(bytes[19])))
    }
}
