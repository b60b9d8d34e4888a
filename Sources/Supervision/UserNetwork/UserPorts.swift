import CLinux
import Control
import Glibc
import Linux
import Networks

/// The host's ports of an ordinary user's container: sockets of the host's network namespace, and the process that forwards what comes
/// to them. One thread.
final class UserPorts {
    typealias Key = PortBindings.Key

    /// One port: where it is on the host is its key; where it leads.
    struct Port {
        let socket: SharedFD
        let target: InternetEndpoint
        /// By which the forwarder knows it.
        let number: UInt32
    }

    /// What is to be different; new sockets are bound already. Nothing has happened when it is dropped.
    struct Change {
        fileprivate var ports: [Key: Port] = [:]
        fileprivate var added: [Key] = []
        fileprivate var removed: [UInt32] = []
    }

    private var ports: [Key: Port] = [:]
    private var lastNumber: UInt32 = 0
    private(set) var forwarder: Int32 = 0
    private var startedAt: Int64 = 0
    private var quickEnds = 0
    /// To the forwarder; its end ends it.
    private var control: SharedFD?

    var isEmpty: Bool { ports.isEmpty }

    // MARK: Binding

    /// Binds what a plan has and this has not: all of it, or nothing.
    ///
    /// - Parameters:
    ///   - makeSocket: of the host's network namespace.
    ///   - findHolder: says who has a port that is in use.
    /// - Throws: one sentence naming the port and what to do.
    func prepare(
        _ plans: [PortPlan], makeSocket: (SocketKind, Bool) throws(SystemError) -> SharedFD, findHolder: (Key) -> String?
    ) throws(LaunchFailure) -> Change {
        let wanted = try Self.targets(plans)
        var change = Change()
        change.removed = ports.filter { wanted.targets[$0.key] != $0.value.target }.map(\.value.number)
        // A range of thousands of ports is as many descriptors. They get numbers above the usual limit, which stays what it was for
        // everything else of this process, and for the container.
        let usual = Self.raiseDescriptorLimit()
        defer { if let usual { _ = cl_prlimit(0, 7 /* RLIMIT_NOFILE */, usual, nil) } }
        let lowest = Int32(clamping: wanted.order.count < 64 ? 3 : usual?[0] ?? 3)
        for key in wanted.order {
            guard let target = wanted.targets[key] else { continue }
            let known = ports[key]
            if let known, known.target == target {
                change.ports[key] = known
                continue
            }
            lastNumber &+= 1
            do throws(SystemError) {
                let socket: SharedFD
                if let known {
                    socket = known.socket
                } else {
                    let made = try makeSocket(key.transport == .tcp ? .stream : .datagram, key.address.isIPv6)
                    try Self.bind(made.fd, key)
                    socket = lowest > 3 ? SharedFD(try made.fd.duplicate(atLeast: lowest)) : made
                }
                change.ports[key] = Port(socket: socket, target: target, number: lastNumber)
                change.added.append(key)
            } catch {
                throw Self.failure(error.errno, key, findHolder)
            }
        }
        return change
    }

    /// As ``prepare(_:makeSocket:findHolder:)``, by a process that is in the host's network namespace.
    func prepareHere(_ plans: [PortPlan]) throws(LaunchFailure) -> Change {
        try prepare(
            plans,
            makeSocket: { kind, isIPv6 throws(SystemError) in SharedFD(try makeInternetSocket(kind, isIPv6: isIPv6)) },
            findHolder: PortHolder.find)
    }

    private static func targets(_ plans: [PortPlan]) throws(LaunchFailure) -> (order: [Key], targets: [Key: InternetEndpoint]) {
        var order: [Key] = []
        var targets: [Key: InternetEndpoint] = [:]
        for plan in plans {
            guard let host = IPAddress(plan.hostAddress), let target = IPAddress(plan.target) else {
                throw LaunchFailure("publish port: \"\(plan.hostAddress)\" or \"\(plan.target)\" is no address")
            }
            if plan.transport == .sctp {
                throw LaunchFailure(
                    geteuid() == 0
                        ? "ports of sctp cannot be published with [network] respect_input_firewall"
                        : "ports of sctp can be published by root only")
            }
            for offset in 0..<plan.count {
                let key = Key(transport: plan.transport, address: host, port: plan.hostPort &+ offset)
                if targets.updateValue(InternetEndpoint(target, port: plan.containerPort &+ offset), forKey: key) == nil {
                    order.append(key)
                }
            }
        }
        return (order, targets)
    }

    private static func bind(_ socket: FD, _ key: Key) throws(SystemError) {
        let isIPv6 = key.address.isIPv6
        if isIPv6 { try socket.setOption(41 /* IPPROTO_IPV6 */, 26 /* IPV6_V6ONLY */, 1) }
        // Connections of a container before us may still be in TIME_WAIT; who listens holds the port all the same.
        if key.transport == .tcp { try socket.setOption(1 /* SOL_SOCKET */, 2 /* SO_REUSEADDR */, 1) }
        // Answers go from the address that was asked.
        if key.transport == .udp { try socket.setOption(isIPv6 ? 41 : 0, isIPv6 ? 49 /* RECVPKTINFO */ : 8 /* IP_PKTINFO */, 1) }
        try socket.bind(to: InternetEndpoint(key.address, port: key.port))
        // From now on nobody else gets the port; who connects before the container runs waits.
        if key.transport == .tcp { try socket.listen(backlog: 4096) }
    }

    private static func failure(_ errno: Errno, _ key: Key, _ findHolder: (Key) -> String?) -> LaunchFailure {
        var cause = errno.description
        if errno.rawValue == EADDRINUSE, let holder = findHolder(key) { cause += " (\(holder))" }
        if errno == .brokenPipe {
            cause = "the process berth-network, which could, was killed: stop and start the container"
        }
        if errno == .accessDenied {
            let text = (try? FD.cwd.readText("/proc/sys/net/ipv4/ip_unprivileged_port_start", limit: 64)) ?? "1024"
            let first = text.split(separator: "\n").first.map(String.init) ?? "1024"
            cause +=
                ": ports below \(first) are for root; choose another, or give them to all users with: "
                + "sudo sysctl net.ipv4.ip_unprivileged_port_start=\(key.port)"
        }
        return LaunchFailure("failed to bind host port \(key.text): \(cause)")
    }

    /// - Returns: the limits as they were, where they have been raised.
    @discardableResult
    static func raiseDescriptorLimit() -> [UInt64]? {
        var limits: [UInt64] = [0, 0]
        guard cl_prlimit(0, 7 /* RLIMIT_NOFILE */, nil, &limits) == 0, limits[0] < limits[1] else { return nil }
        return cl_prlimit(0, 7, [limits[1], limits[1]], nil) == 0 ? limits : nil
    }

    // MARK: Forwarding

    /// Carries out a change: what is not published any more is closed everywhere when this returns.
    func apply(_ change: Change) {
        ports = change.ports
        guard forwarder != 0, let control, !change.removed.isEmpty || !change.added.isEmpty else { return }
        do throws(SystemError) {
            // Ports that lead elsewhere now are removed and added again.
            try ForwardedPort.remove(change.removed, through: control.fd)
            try send(change.added, through: control.fd)
        } catch {
            // It has ended, or somebody has stopped it: the next one gets all ports as they are now.
            _ = cl_kill(forwarder, SIGKILL)
        }
    }

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
        try send(Array(ports.keys), through: ours.fd)
    }

    /// As many as one message takes at a time.
    private func send(_ keys: [Key], through control: FD) throws(SystemError) {
        var rest = keys[...]
        while !rest.isEmpty {
            var bytes: [UInt8] = []
            var descriptors: [FD] = []
            for key in rest.prefix(16) {
                guard let port = ports[key] else { continue }
                bytes += ForwardedPort.encode(key, port)
                descriptors.append(port.socket.fd)
            }
            rest = rest.dropFirst(16)
            try ForwardedPort.awaitEvent(Int16(POLLOUT), on: control)
            try control.send(bytes, descriptors: descriptors)
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

/// How the forwarder is told of ports: a message with descriptors adds as many, with 24 bytes for each; one without removes those whose
/// numbers it has, and is answered by one byte when they are closed.
enum ForwardedPort {
    static let size = 24
    /// Numbers in one message; each message is shorter than 4096 bytes.
    private static let atOnce = 512

    static func encode(_ key: PortBindings.Key, _ port: UserPorts.Port) -> [UInt8] {
        let address = port.target.address.bytes
        return bytes(of: port.number) + [key.transport == .tcp ? 1 : 2, port.target.isIPv6 ? 1 : 0] + address
            + [UInt8](repeating: 0, count: 16 - address.count) + [UInt8(port.target.port >> 8), UInt8(port.target.port & 0xff)]
    }

    static func decode(_ bytes: ArraySlice<UInt8>) -> (number: UInt32, isStream: Bool, target: InternetEndpoint)? {
        let bytes = Array(bytes)
        guard bytes.count == size, let number = numbers(bytes[..<4]).first,
            let address = IPAddress(bytes: Array(bytes[6..<(bytes[5] == 1 ? 22 : 10)]))
        else { return nil }
        return (number, bytes[4] == 1, InternetEndpoint(address, port: UInt16(bytes[22]) << 8 | UInt16(bytes[23])))
    }

    /// Waits until the forwarder has closed them: from then on others can have the ports.
    static func remove(_ numbers: [UInt32], through control: FD) throws(SystemError) {
        var rest = numbers[...]
        while !rest.isEmpty {
            try awaitEvent(Int16(POLLOUT), on: control)
            try control.send(rest.prefix(atOnce).flatMap(bytes))
            rest = rest.dropFirst(atOnce)
            try awaitEvent(Int16(POLLIN), on: control)
            if try control.receive(limit: 16, flags: 0x40 /* MSG_DONTWAIT */).bytes.isEmpty {
                throw SystemError(.brokenPipe, "remove ports")
            }
        }
    }

    static func numbers(_ bytes: ArraySlice<UInt8>) -> [UInt32] {
        stride(from: bytes.startIndex, to: bytes.endIndex - 3, by: 4).map { index in
            bytes[index..<(index + 4)].reduce(0) { $0 << 8 | UInt32($1) }
        }
    }

    private static func bytes(of number: UInt32) -> [UInt8] {
        [UInt8(number >> 24), UInt8(number >> 16 & 0xff), UInt8(number >> 8 & 0xff), UInt8(number & 0xff)]
    }

    /// The forwarder never waits for anybody: one that does not answer within seconds has been stopped.
    static func awaitEvent(_ event: Int16, on control: FD) throws(SystemError) {
        var number = control.rawValue
        var wanted = event
        var got: Int16 = 0
        if cl_poll(&number, &wanted, &got, 1, 5_000) == 0 { throw SystemError(.timedOut, "wait for forwarder") }
    }
}
