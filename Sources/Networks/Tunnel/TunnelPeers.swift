import Control
import Glibc
import Linux

/// The other hosts of a network, as they are now.
struct TunnelPeers {
    let isIPv6: Bool
    private(set) var addresses: Set<IPAddress> = []
    /// Every name was answered: who is not here is none.
    private(set) var isComplete = true
    /// An address said so. A device for the hosts is of one family for good.
    let isFamilyKnown: Bool

    static let namePrefix = "dns:"

    /// Asks for names; waits at most two seconds for each.
    ///
    /// - Throws: `.invalid` for text that is neither an address nor `dns:NAME`.
    init(_ plan: TunnelPlan) throws(NetworkError) {
        var names: [String] = []
        for text in plan.peers {
            if text.hasPrefix(Self.namePrefix) {
                names.append(String(text.dropFirst(Self.namePrefix.utf8.count)))
            } else if let address = IPAddress(text) {
                addresses.insert(address)
            } else {
                throw NetworkError(.invalid, "read peer", text, cause: "neither an address nor dns:NAME")
            }
        }
        let known = IPAddress(plan.local) ?? addresses.first
        var isIPv6 = known?.isIPv6 ?? false
        for name in names {
            var found = PeerLookup.addresses(of: name, isIPv6: isIPv6)
            // Nothing else says which family the hosts talk in.
            if known == nil, addresses.isEmpty, found == [], let others = PeerLookup.addresses(of: name, isIPv6: true), !others.isEmpty {
                (found, isIPv6) = (others, true)
            }
            if let found { addresses.formUnion(found) } else { isComplete = false }
        }
        self.isIPv6 = isIPv6
        isFamilyKnown = known != nil || !addresses.isEmpty
        addresses = addresses.filter { $0.isIPv6 == isIPv6 }
    }

    /// The same list serves on every host: what is sent to oneself would go in circles. Many hosts call themselves 127.0.1.1.
    mutating func remove(own: Set<IPAddress>) {
        addresses.subtract(own)
        addresses = addresses.filter { !$0.isLoopback && !$0.isUnspecified }
    }
}

/// Addresses of names, asked for where the host asks, by a thread that waits for them.
enum PeerLookup {
    /// Where the host asks, in this order.
    private static var servers: [InternetEndpoint] {
        HostResolver.read().servers.compactMap { InternetEndpoint($0, defaultPort: 53) }
    }

    /// - Returns: nil when nobody answered; none for a name that has no such address.
    static func addresses(of name: String, isIPv6: Bool) -> [IPAddress]? {
        let fixed = hosts(name, isIPv6)
        if !fixed.isEmpty { return fixed }
        return ask(for: name, isIPv6: isIPv6, servers: servers, milliseconds: 2000)
    }

    /// As ``addresses(of:isIPv6:)``, of these servers.
    static func ask(for name: String, isIPv6: Bool, servers: [InternetEndpoint], milliseconds: Int64) -> [IPAddress]? {
        guard let wire = DNSName(name) else { return [] }
        let query = DNSQuery(id: 0, name: wire, type: isIPv6 ? .aaaa : .a, extension_: DNSQuery.Extension(size: 1232))
        let end = monotonicNanoseconds() + milliseconds * 1_000_000
        for server in servers.prefix(3) + servers.prefix(3) {
            if monotonicNanoseconds() >= end { break }
            guard let answer = try? ask(query, server, until: end) else { continue }
            return DNSReply.answers(in: answer).filter { $0.type == query.type }.compactMap { IPAddress(bytes: Array(answer[$0.data])) }
        }
        return nil
    }

    /// - Returns: nil when nothing came that is an answer.
    private static func ask(_ query: DNSQuery, _ server: InternetEndpoint, until end: Int64) throws(SystemError) -> [UInt8]? {
        let socket = try makeInternetSocket(SocketKind.datagram, isIPv6: server.isIPv6)
        try socket.fd.connect(to: server)
        let random = randomBytes(2)
        let id = UInt16(random[0]) << 8 | UInt16(random[1])
        let message = query.encoded(id: id)
        guard socket.fd.sendNow(message) > 0 else { return nil }
        let limit = min(end, monotonicNanoseconds() + 600_000_000)
        var buffer = [UInt8](repeating: 0, count: DNSMessage.largestDatagram)
        while wait(socket.fd, Int16(POLLIN), until: limit) {
            let (count, _) = socket.fd.receive(into: &buffer)
            // Nobody listens there.
            guard count > 0 else { return nil }
            var answer = Array(buffer.prefix(count))
            guard let reply = DNSReply.begin(answer), reply.id == id, reply.isAbout(query) else { continue }
            if reply.isTruncated {
                guard let whole = try askByStream(message, server, until: end), let reply = DNSReply.begin(whole), reply.id == id,
                    reply.isAbout(query)
                else { return nil }
                answer = whole
            }
            guard let reply = DNSReply.read(answer) else { continue }
            return reply.code == .noError || reply.code == .noSuchName ? answer : nil
        }
        return nil
    }

    /// For an answer that has no room in a datagram.
    private static func askByStream(_ message: [UInt8], _ server: InternetEndpoint, until end: Int64) throws(SystemError) -> [UInt8]? {
        let socket = try makeInternetSocket(SocketKind.stream, isIPv6: server.isIPv6)
        do throws(SystemError) { try socket.fd.connect(to: server) } catch { if error.errno != .inProgress { throw error } }
        var exchange = DNSStream(message)
        var buffer = [UInt8](repeating: 0, count: 4096)
        while wait(socket.fd, Int16(exchange.isSending ? POLLOUT : POLLIN), until: end) {
            switch exchange.advance(socket.fd, &buffer) {
            case .waiting: continue
            case .failed: return nil
            case .answered(let answer): return answer
            }
        }
        return nil
    }

    /// - Returns: false when that time has come.
    private static func wait(_ socket: FD, _ events: Int16, until end: Int64) -> Bool {
        let left = (end - monotonicNanoseconds()) / 1_000_000
        var event = pollfd(fd: socket.rawValue, events: events, revents: 0)
        return left > 0 && poll(&event, 1, Int32(clamping: left)) > 0
    }

    /// From /etc/hosts.
    private static func hosts(_ name: String, _ isIPv6: Bool) -> [IPAddress] {
        let text = (try? FD.cwd.readText("/etc/hosts", limit: 1 << 20)) ?? ""
        return text.split(whereSeparator: { $0 == "\n" || $0 == "\r\n" }).compactMap { line in
            let words = line.prefix { $0 != "#" }.split(whereSeparator: { $0 == " " || $0 == "\t" })
            guard let first = words.first, words.dropFirst().contains(where: { $0 == name }), let address = IPAddress(String(first)),
                address.isIPv6 == isIPv6
            else { return nil }
            return address
        }
    }
}
