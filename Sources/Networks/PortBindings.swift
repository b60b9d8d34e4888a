import CLinux
import Control
import Glibc
import Linux

/// The host's ports that a container has: sockets bound to them and listening to nothing, so that a port in use is found at once
/// and nobody else takes one. Packets never reach them: the firewall leads those to the container before.
package struct PortBindings {
    package struct Key: Hashable {
        package let transport: PortPlan.Transport
        package let address: IPAddress
        package let port: UInt16

        package init(transport: PortPlan.Transport, address: IPAddress, port: UInt16) {
            self.transport = transport
            self.address = address
            self.port = port
        }

        package var text: String {
            "\(address.isIPv6 ? "[\(address)]" : "\(address)"):\(port)/\(transport.rawValue)"
        }
    }

    /// Nil for ports of a transport that the kernel does not know, which nobody can listen on.
    private var sockets: [Key: SharedFD?] = [:]
    var isEmpty: Bool { sockets.isEmpty }

    /// The ports of a plan.
    static func keys(_ ports: [PortPlan]) throws(NetworkError) -> Set<Key> {
        var keys: Set<Key> = []
        for port in ports {
            let host = try PortElements.addresses(of: port).host
            for offset in 0..<port.count { keys.insert(Key(transport: port.transport, address: host, port: port.hostPort &+ offset)) }
        }
        return keys
    }

    /// Binds those of these ports that are not bound yet; all or none.
    /// - Returns: those that were bound now.
    /// - Throws: `.inUse` when somebody else has one, with his name where /proc shows it.
    mutating func bind(_ wanted: Set<Key>) throws(NetworkError) -> Set<Key> {
        let missing = wanted.filter { !sockets.keys.contains($0) }
        if missing.isEmpty { return [] }
        let limit = DescriptorLimit(room: missing.count)
        defer { limit.restore() }
        var bound: [Key: SharedFD?] = [:]
        bound.reserveCapacity(missing.count)
        // In order, so that of several ports in use always the same is told.
        for key in missing.sorted(by: { $0.port < $1.port }) {
            do throws(SystemError) {
                var shared: SharedFD?
                if let socket = try Self.bind(key) { shared = SharedFD(try limit.moveUp(socket)) }
                bound.updateValue(shared, forKey: key)
            } catch {
                throw Self.describe(error, key)
            }
        }
        sockets.merge(bound) { first, _ in first }
        return missing
    }

    mutating func release(_ keys: Set<Key>) {
        for key in keys { sockets.removeValue(forKey: key) }
    }

    mutating func releaseAll() { sockets = [:] }

    /// Nil where the kernel does not know the transport: nobody can have its ports then.
    private static func bind(_ key: Key) throws(SystemError) -> OwnedFD? {
        do throws(SystemError) {
            return try bind(key, reusing: false)
        } catch {
            if [.protocolNotSupported, .socketTypeNotSupported].contains(error.errno) { return nil }
            guard error.errno == .addressInUse, key.transport == .tcp else { throw error }
        }
        // Connections that somebody who has ended left behind (TIME_WAIT) hold nobody up; whoever listens still does.
        let socket = try bind(key, reusing: true)
        try socket.fd.setOption(1, 2, 0)
        return socket
    }

    private static func bind(_ key: Key, reusing: Bool) throws(SystemError) -> OwnedFD {
        let kind: InternetProtocol =
            switch key.transport {
            case .tcp: .tcp
            case .udp: .udp
            case .sctp: .sctp
            }
        let socket = try makeInternetSocket(kind, isIPv6: key.address.isIPv6)
        if reusing { try socket.fd.setOption(1 /* SOL_SOCKET */, 2 /* SO_REUSEADDR */, 1) }
        // Datagrams that come while the firewall is flushed would fill its buffer.
        if key.transport == .udp { try socket.fd.attachFilter([bpfInstruction(0x06 /* BPF_RET */, 0)]) }
        try socket.fd.bind(to: InternetEndpoint(key.address, port: key.port))
        return socket
    }

    private static func describe(_ error: SystemError, _ key: Key) -> NetworkError {
        let operation = "failed to bind host port \(key.text)"
        switch error.errno {
        case .addressInUse:
            let holder = PortHolder.find(key).map { " (\($0))" } ?? ""
            return NetworkError(.inUse, operation, cause: "address already in use\(holder)")
        case .accessDenied:
            let first = Sysctl.read("net/ipv4/ip_unprivileged_port_start") ?? "1024"
            return NetworkError(
                .system, operation,
                cause: "\(error.errno.description) (ports below \(first) are root's: sysctl net.ipv4.ip_unprivileged_port_start)")
        default: return NetworkError(.system, operation, cause: error.errno.description)
        }
    }
}

extension Errno {
    fileprivate static let addressInUse = Errno(rawValue: EADDRINUSE)
    static let protocolNotSupported = Errno(rawValue: EPROTONOSUPPORT)
    fileprivate static let socketTypeNotSupported = Errno(rawValue: ESOCKTNOSUPPORT)
}

/// Room for many descriptors, without taking the small numbers away from others and without handing a larger limit on to children.
private struct DescriptorLimit {
    private var soft: UInt64 = 0
    private var hard: UInt64 = 0
    private var isRaised = false

    init(room: Int) {
        guard room > 200 else { return }
        var limits: [UInt64] = [0, 0]
        guard cl_prlimit(0, Int32(RLIMIT_NOFILE.rawValue), nil, &limits) == 0 else { return }
        (soft, hard) = (limits[0], limits[1])
        // Above the old limit, where those of earlier calls may lie too.
        let raised = [min(hard, soft + 200_000), hard]
        isRaised = cl_prlimit(0, Int32(RLIMIT_NOFILE.rawValue), raised, nil) == 0
    }

    func moveUp(_ socket: consuming OwnedFD) throws(SystemError) -> OwnedFD {
        guard isRaised, hard > soft else { return socket }
        return try socket.fd.duplicate(atLeast: Int32(truncatingIfNeeded: soft))
    }

    func restore() {
        if isRaised { _ = cl_prlimit(0, Int32(RLIMIT_NOFILE.rawValue), [soft, hard], nil) }
    }
}
