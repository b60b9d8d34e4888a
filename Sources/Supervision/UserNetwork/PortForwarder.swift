import CLinux
import Glibc
import Linux

/// `berth-runtime forward-ports`: between the ports of the host and a container, of all ports of one container.
///
/// Runs in the namespaces of the user's networks and has the host's sockets from its supervisor (descriptor 3), whose end it ends
/// with. It connects to the container as the client, so that the container sees who asks; see ``TransparentReplies``.
/// - Parameter arguments: what follows `forward-ports`: `--plain` connects as the bridge.
package func forwardPortsMain(arguments: [String]) -> Int32 {
    guard let info = try? FD(3).status(), info.st_mode & S_IFMT == S_IFSOCK else {
        try? FD.standardError.writeAll("berth-runtime: forward-ports is started by supervisors only\n")
        return 2
    }
    _ = cl_signal_ignore(SIGPIPE)
    let name: StaticString = "berth-ports"
    _ = cl_prctl(15 /* PR_SET_NAME */, UInt(bitPattern: name.utf8Start), 0, 0, 0)
    UserPorts.raiseDescriptorLimit()
    guard let forwarder = try? PortForwarder(control: SharedFD(owning: 3), keepsSource: !arguments.contains("--plain")) else { return 1 }
    forwarder.run()
    return 0
}

/// One thread, one epoll. Nothing in it waits for one client while others have something to say.
final class PortForwarder {
    /// What an event is about.
    enum Watched {
        case none
        case control
        case port(HostPort)
        case stream(ForwardedStream)
        case datagrams(DatagramSession)
    }

    /// A bound socket of the host.
    final class HostPort {
        /// By which the supervisor knows it.
        let number: UInt32
        let socket: SharedFD
        let isStream: Bool
        let target: InternetEndpoint
        var slot = Slot.Token(index: 0, generation: 0)

        init(_ number: UInt32, _ socket: SharedFD, isStream: Bool, target: InternetEndpoint) {
            self.number = number
            self.socket = socket
            self.isStream = isStream
            self.target = target
        }
    }

    struct Slot {
        struct Token: Hashable {
            var index: Int
            var generation: UInt32
            var packed: UInt64 { UInt64(generation) << 32 | UInt64(UInt32(truncatingIfNeeded: index)) }
        }
        var generation: UInt32 = 0
        var watched = Watched.none
    }

    static let readable: UInt32 = 0x1
    static let writable: UInt32 = 0x4
    /// EPOLLRDHUP | EPOLLET with both directions.
    static let edges: UInt32 = 0x1 | 0x4 | 0x2000 | 0x8000_0000

    private let epoll: OwnedFD
    private let control: SharedFD
    let keepsSource: Bool
    private var slots: [Slot] = []
    private var free: [Int] = []
    private var ports: [UInt32: HostPort] = [:]
    private var isPaused = false
    private var resumeAt = Int64.max
    private var endSilentAt = Int64.max
    private var isStopped = false
    /// Connections with more to move than one turn allows.
    var busy: [ForwardedStream] = []
    var streamCount = 0
    let maximumStreams: Int
    var pipes = PipePool()
    var sessions: [DatagramSession.Key: DatagramSession] = [:]
    let maximumSessions: Int
    /// For one datagram; made when the first comes.
    var buffer: [UInt8] = []

    init(control: SharedFD, keepsSource: Bool) throws(SystemError) {
        self.control = control
        self.keepsSource = keepsSource
        epoll = OwnedFD(owning: try check(cl_epoll_create1(0), "make epoll"))
        var limits: [UInt64] = [1024, 1024]
        _ = cl_prlimit(0, 7 /* RLIMIT_NOFILE */, nil, &limits)
        let room = Int(clamping: min(limits[0], 1 << 20))
        // A connection has two sockets, and two pipes while data waits in it.
        maximumStreams = max(16, room / 8)
        maximumSessions = max(16, min(4096, room / 8))
        _ = try watch(control.raw, Self.readable, .control)
    }

    func run() {
        withUnsafeTemporaryAllocation(of: UInt64.self, capacity: 64) { data in
            withUnsafeTemporaryAllocation(of: UInt32.self, capacity: 64) { events in
                while !isStopped {
                    let count = cl_epoll_wait(epoll.raw, data.baseAddress, events.baseAddress, 64, timeout())
                    var index = 0
                    while index < Int(count) {
                        dispatch(data[index], events[index])
                        index += 1
                    }
                    let again = busy
                    busy = []
                    for stream in again where !stream.isClosed { move(stream) }
                    if isPaused, monotonicNanoseconds() >= resumeAt { setPaused(false) }
                    endSilentSessionsWhenDue()
                }
            }
        }
    }

    /// Every ten seconds, however much comes by other ports meanwhile.
    private func endSilentSessionsWhenDue() {
        if sessions.isEmpty { return endSilentAt = Int64.max }
        let now = monotonicNanoseconds()
        if endSilentAt == Int64.max { endSilentAt = now + 10_000_000_000 }
        if now < endSilentAt { return }
        endSilentSessions()
        endSilentAt = now + 10_000_000_000
    }

    private func timeout() -> Int32 {
        if !busy.isEmpty { return 0 }
        if isPaused { return 100 }
        return sessions.isEmpty ? -1 : 10_000
    }

    // MARK: Descriptors

    func watch(_ fd: Int32, _ events: UInt32, _ watched: Watched) throws(SystemError) -> Slot.Token {
        let index: Int
        if let last = free.popLast() {
            index = last
        } else {
            index = slots.count
            slots.append(Slot())
        }
        slots[index].watched = watched
        let token = Slot.Token(index: index, generation: slots[index].generation)
        let result = cl_epoll_ctl(epoll.raw, 1 /* ADD */, fd, events, token.packed)
        if result < 0 { forget(token) }
        try check(result, "watch descriptor")
        return token
    }

    /// A second descriptor with the same owner.
    func watchToo(_ fd: Int32, _ events: UInt32, _ token: Slot.Token) throws(SystemError) {
        try check(cl_epoll_ctl(epoll.raw, 1, fd, events, token.packed), "watch descriptor")
    }

    /// The descriptors leave epoll by being closed.
    func forget(_ token: Slot.Token) {
        guard slots[token.index].generation == token.generation else { return }
        slots[token.index].generation &+= 1
        slots[token.index].watched = .none
        free.append(token.index)
    }

    private func dispatch(_ packed: UInt64, _ events: UInt32) {
        let index = Int(truncatingIfNeeded: packed & 0xffff_ffff)
        guard index < slots.count, slots[index].generation == UInt32(truncatingIfNeeded: packed >> 32) else { return }
        switch slots[index].watched {
        case .none: break
        case .control: receivePorts()
        case .port(let port): if port.isStream { accept(port) } else { receive(port) }
        case .stream(let stream): move(stream)
        case .datagrams(let session): answer(session)
        }
    }

    // MARK: Ports

    private func receivePorts() {
        guard let message = try? control.fd.receive(limit: 4096, flags: 0x40 /* MSG_DONTWAIT */), !message.bytes.isEmpty else {
            isStopped = true
            return
        }
        if message.descriptors.isEmpty {
            for number in ForwardedPort.numbers(message.bytes[...]) { remove(number) }
            try? control.fd.send([1], flags: 0x40)
            return
        }
        for (index, socket) in message.descriptors.enumerated() {
            let start = index * ForwardedPort.size
            guard start + ForwardedPort.size <= message.bytes.count,
                let (number, isStream, target) = ForwardedPort.decode(message.bytes[start..<(start + ForwardedPort.size)])
            else { continue }
            let port = HostPort(number, socket, isStream: isStream, target: target)
            guard let slot = try? watch(socket.raw, isPaused && isStream ? 0 : Self.readable, .port(port)) else { continue }
            port.slot = slot
            ports[number] = port
        }
    }

    /// Connections that came by it stay: they are the clients' and the container's business.
    private func remove(_ number: UInt32) {
        guard let port = ports.removeValue(forKey: number) else { return }
        // Not by being closed: the supervisor may have the socket still, to lead it elsewhere.
        _ = cl_epoll_ctl(epoll.raw, 2 /* DEL */, port.socket.raw, 0, 0)
        endSessions(of: port)
        forget(port.slot)
    }

    /// Too many connections, or no descriptors: those that wait stay in the kernel's queue. Watching on would be a busy loop.
    func setPaused(_ paused: Bool) {
        if paused { resumeAt = monotonicNanoseconds() + 100_000_000 }
        if paused == isPaused { return }
        isPaused = paused
        for port in ports.values where port.isStream {
            _ = cl_epoll_ctl(epoll.raw, 3 /* MOD */, port.socket.raw, paused ? 0 : Self.readable, port.slot.packed)
        }
    }

    // MARK: Sockets of clients

    /// A socket connected to the container, with the client's own address where that can be.
    ///
    /// A client at an address that means something only on its own host (127.0.0.1) is seen as the network's gateway. So is a container of
    /// the same network: it would get answers past us.
    func connect(_ kind: Int32, as client: InternetEndpoint, to target: InternetEndpoint) -> OwnedFD? {
        let isKept = keepsSource && client.isIPv6 == target.isIPv6 && !client.belongsToItsHost && !isNeighbour(client, of: target)
        if isKept, let socket = connect(kind, client, target) { return socket }
        if isKept {
            // Another connection has this port of the client's in here: its address is what matters.
            if let socket = connect(kind, client.withoutPort, target) { return socket }
        }
        return connect(kind, nil, target)
    }

    /// Whether the way to both is the same.
    private func isNeighbour(_ client: InternetEndpoint, of target: InternetEndpoint) -> Bool {
        guard let way = ownAddress(towards: target) else { return false }
        return ownAddress(towards: client) == way
    }

    /// Nothing is sent.
    private func ownAddress(towards other: InternetEndpoint) -> IPAddress? {
        guard let socket = try? makeInternetSocket(.datagram, isIPv6: other.isIPv6), (try? socket.fd.connect(to: other)) != nil else {
            return nil
        }
        return try? socket.fd.localEndpoint().address
    }

    private func connect(_ kind: Int32, _ client: InternetEndpoint?, _ target: InternetEndpoint) -> OwnedFD? {
        let isIPv6 = target.isIPv6
        let number = cl_socket(isIPv6 ? AF_INET6 : AF_INET, kind | 0o4000 /* SOCK_NONBLOCK */, 0)
        guard number >= 0 else { return nil }
        let socket = OwnedFD(owning: number)
        if let client {
            _ = cl_socket_option(number, 1, 2 /* SO_REUSEADDR */, 1)
            guard cl_socket_option(number, isIPv6 ? 41 : 0, isIPv6 ? 75 /* IPV6_TRANSPARENT */ : 19 /* IP_TRANSPARENT */, 1) == 0 else {
                return nil
            }
            if client.port == 0 { _ = cl_socket_option(number, 0, 24 /* IP_BIND_ADDRESS_NO_PORT */, 1) }
            var name = client.raw
            guard cl_internet_bind(number, &name) == 0 else { return nil }
        }
        var name = target.raw
        let result = cl_internet_connect(number, &name)
        guard result == 0 || result == -EINPROGRESS else { return nil }
        return socket
    }
}
