import CLinux
import Control
import Glibc
import Linux
import Networks
import Testing

@testable import Supervision

/// A host and a container as network namespaces of a child process, with servers and a resolver as processes of its own.
///
/// Everything runs below `World.run`, which forks; what does not hold is told through a pipe.
final class World {
    private let host: SharedFD
    let container: SharedFD
    private let report: FD
    private var children: [Int32] = []
    let scratch: Scratch
    /// The process with the resolver.
    private(set) var resolver: Int32 = 0
    /// A byte for each time it came to rest.
    private let rests: (reader: SharedFD, writer: SharedFD)

    private init(_ report: FD, _ scratch: Scratch) throws {
        self.report = report
        self.scratch = scratch
        let ends = try makePipe().take()
        rests = (SharedFD(owning: ends.first), SharedFD(owning: ends.second))
        // An ordinary user is root in a user namespace of its own.
        if geteuid() != 0 { try check(cl_unshare(0x1000_0000), "make user namespace") }
        host = try World.makeNamespace()
        container = try World.makeNamespace()
        try check(cl_setns(host.raw, 0x4000_0000), "enter")
    }

    private static func makeNamespace() throws -> SharedFD {
        try check(cl_unshare(0x4000_0000), "make network namespace")
        try raiseLoopback()
        return SharedFD(try FD.cwd.open("/proc/thread-self/ns/net", .readOnly))
    }

    static func raiseLoopback() throws {
        var netlink = try NetlinkSocket()
        var up = NetlinkBytes()
        up.append(UInt64(0))
        up.bytes.withUnsafeMutableBytes { $0.storeBytes(of: Int32(1), toByteOffset: 4, as: Int32.self) }
        up.append(UInt32(1))  // IFF_UP
        up.append(UInt32(1))
        _ = try netlink.request(16 /* RTM_NEWLINK */, flags: 0, up.bytes, "raise", "lo")
    }

    /// What did not hold; nil when such namespaces cannot be made here.
    static func run(_ body: (World) throws -> Void) throws -> [String]? {
        let pipe = try makePipe()
        let scratch = try Scratch()
        let child = forkChild {
            let world: World
            do { world = try World(pipe.second.fd, scratch) } catch { return 77 }
            do { try body(world) } catch { world.expect(false, "\(error)") }
            world.end()
            return 0
        }
        let ends = pipe.take()
        close(OwnedFD(owning: ends.second))
        let reader = OwnedFD(owning: ends.first)
        let lines = String(decoding: readToEnd(reader.fd), as: UTF8.self).split(separator: "\n").map(String.init)
        let status = try waitForProcess(child)?.status
        if status == .exited(77) { return nil }
        return status == .exited(0) ? lines : lines + ["ended with \(String(describing: status))"]
    }

    func expect(_ holds: Bool, _ text: @autoclosure () -> String, line: Int = #line) {
        if !holds { try? report.writeAll("line \(line): \(text())\n") }
    }

    func inContainer<R>(_ body: () throws -> R) rethrows -> R {
        _ = cl_setns(container.raw, 0x4000_0000)
        defer { _ = cl_setns(host.raw, 0x4000_0000) }
        return try body()
    }

    /// Starts a process and waits until it says that it is ready.
    @discardableResult
    func start(_ body: (_ ready: () -> Void) -> Void) throws -> Int32 {
        let ready = try makePipe()
        let pid = forkChild {
            body { _ = cl_write(ready.second.raw, "x", 1) }
            return 0
        }
        let ends = ready.take()
        close(OwnedFD(owning: ends.second))
        let reader = OwnedFD(owning: ends.first)
        children.append(pid)
        var byte: UInt8 = 0
        expect(cl_read(reader.raw, &byte, 1) == 1, "a process is not ready")
        return pid
    }

    /// The supervisor's loop with nothing but a resolver in it.
    func startResolver(_ plan: ResolverPlan) throws {
        resolver = try start { ready in
            do {
                var rest: () -> Void = {}
                let loop = try EventLoop { _ in rest() }
                let resolver = Resolver(plan, loop: loop)
                // As a supervisor does that has nothing to do.
                resolver.onActivity = { loop.set(.idle, in: 200_000_000) }
                rest = {
                    resolver.releaseMemory()
                    loop.expectsRest = true
                    _ = cl_write(self.rests.writer.raw, "x", 1)
                }
                try resolver.open(namespace: container)
                loop.set(.idle, in: 1)
                ready()
                loop.run()
            } catch { expect(false, "resolver: \(error)") }
        }
    }

    /// Gives the resolver something to do, and waits until it has come to rest behind that.
    func awaitRest(after work: () -> Void) {
        var byte: UInt8 = 0
        while wait(rests.reader.fd, milliseconds: 0) { _ = cl_read(rests.reader.raw, &byte, 1) }
        work()
        expect(wait(rests.reader.fd), "it does not rest")
    }

    /// A server on the host's loopback, or the container's.
    func startUpstream(port: UInt16, inContainer: Bool = false, _ body: @escaping (UpstreamServer) -> Void) throws {
        try start { ready in
            if inContainer { _ = cl_setns(container.raw, 0x4000_0000) }
            guard let server = try? UpstreamServer(port: port) else { return expect(false, "no server") }
            ready()
            body(server)
        }
    }

    /// Registers names as another container's supervisor does; they live as long as the returned object.
    func register(_ number: Int, network: String = "front", _ names: [String], _ addresses: [String]) throws -> NameRegistration {
        let digits = String(number, radix: 16)
        return try NameRegistration(
            directory: scratch.path + "/" + network, container: String(repeating: "0", count: 64 - digits.count) + digits,
            NameEntry(network: network, names: names, addresses: addresses.compactMap { IPAddress($0) }))
    }

    func plan(upstreams: [String] = [], networks: [String] = ["front"]) -> ResolverPlan {
        var plan = ResolverPlan()
        plan.upstreams = upstreams
        plan.directories = networks.map { scratch.path + "/" + $0 }
        return plan
    }

    /// Of the resolver's process: kilobytes of a line of smaps_rollup or status.
    func memory(_ word: String, file: String = "status") -> Int {
        let text = (try? FD.cwd.readText("/proc/\(resolver)/\(file)", limit: 1 << 16)) ?? ""
        for line in text.split(separator: "\n") where line.hasPrefix(word + ":") {
            return line.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
        }
        return 0
    }

    /// Nanoseconds of processor time that the resolver's process has used.
    var processorTime: Int64 {
        let text = (try? FD.cwd.readText("/proc/\(resolver)/schedstat", limit: 256)) ?? ""
        return text.split(separator: " ").first.flatMap { Int64($0) } ?? 0
    }

    func end() {
        for pid in children {
            _ = cl_kill(pid, SIGKILL)
            _ = try? waitForProcess(pid)
        }
        try? removeTree(.cwd, scratch.path)
    }
}

/// A name server that does what a test says, one message after the other.
final class UpstreamServer {
    let datagrams: SharedFD
    let listener: SharedFD
    private let endpoint: InternetEndpoint

    init(port: UInt16) throws {
        endpoint = InternetEndpoint(try IPAddress("127.0.0.1").orThrow(), port: port)
        datagrams = SharedFD(try makeInternetSocket(.datagram, isIPv6: false))
        listener = SharedFD(try makeInternetSocket(.stream, isIPv6: false))
        try datagrams.fd.setNonBlocking(false)
        try listener.fd.setNonBlocking(false)
        try datagrams.fd.bind(to: endpoint)
        try listener.fd.bind(to: endpoint)
        try listener.fd.listen(backlog: 16)
    }

    func receive() -> (query: DNSQuery, from: InternetEndpoint)? {
        var buffer = [UInt8](repeating: 0, count: 4096)
        wait(datagrams.fd)
        let (count, from) = datagrams.fd.receive(into: &buffer)
        guard count > 0, case .query(let query) = DNSQuery.read(buffer, count: count) else { return nil }
        return (query, from)
    }

    /// Answers questions over UDP for ever; nil: not at all.
    func serve(_ answer: (DNSQuery) -> [UInt8]?) {
        while true {
            guard let (query, from) = receive(), let bytes = answer(query) else { continue }
            _ = datagrams.fd.sendNow(bytes, to: from)
        }
    }

    /// One connection, one question.
    func acceptOne(_ answer: (DNSQuery) -> [UInt8]?) {
        wait(listener.fd)
        let accepted = cl_accept4(listener.raw, 0)
        guard accepted >= 0 else { return }
        let socket = SharedFD(owning: accepted)
        guard let message = Client.readMessage(socket.fd), case .query(let query) = DNSQuery.read(message) else { return }
        if let bytes = answer(query) { Client.writeMessage(socket.fd, bytes) }
    }
}

/// A test's body in a world of its own.
func inWorld(_ body: (World) throws -> Void) throws {
    guard let failures = try World.run(body) else {
        print("skipped: network namespaces cannot be made here")
        return
    }
    for failure in failures { Issue.record("\(failure)") }
}

/// Waits until there is something to read. - Returns: whether there is.
@discardableResult
func wait(_ fd: FD, milliseconds: Int32 = 30_000) -> Bool {
    var number = fd.rawValue
    var events: Int16 = 1
    var happened: Int16 = 0
    return cl_poll(&number, &events, &happened, 1, milliseconds) > 0
}

/// A resolver of a program in the container.
enum Client {
    struct Answer: Equatable {
        var code: UInt16
        var isTruncated: Bool
        var addresses: [String]
        var names: [String]
        var bytes: [UInt8]
    }

    static let server = InternetEndpoint("127.0.0.11", defaultPort: 53)

    static func query(_ name: String, _ type: DNSType = .a, size: UInt16? = nil) -> DNSQuery {
        DNSQuery(
            id: UInt16.random(in: 0...UInt16.max), name: DNSName(name) ?? .root, type: type, extension_: size.map { .init(size: $0) })
    }

    static func ask(
        _ name: String, _ type: DNSType = .a, size: UInt16? = nil, byStream: Bool = false, milliseconds: Int32 = 10_000
    ) -> Answer? {
        let query = query(name, type, size: size)
        guard let bytes = byStream ? exchangeStream(query) : exchange(query, milliseconds) else { return nil }
        guard let reply = DNSReply.read(bytes), reply.id == query.id, reply.question?.name == query.name else { return nil }
        let records = DNSReply.answers(in: bytes)
        return Answer(
            code: reply.code.rawValue, isTruncated: reply.isTruncated,
            addresses: records.filter { $0.type == type && type != .pointer }.compactMap {
                IPAddress(bytes: Array(bytes[$0.data]))?.description
            },
            names: records.filter { $0.type == .pointer }.map { text(Array(bytes[$0.data])) }, bytes: bytes)
    }

    static func text(_ wire: [UInt8]) -> String {
        var labels: [String] = []
        var place = 0
        while place < wire.count, wire[place] > 0 {
            labels.append(String(decoding: wire[(place + 1)...].prefix(Int(wire[place])), as: UTF8.self))
            place += 1 + Int(wire[place])
        }
        return labels.joined(separator: ".")
    }

    /// Connected, as a C library's: an answer from another port would not be seen.
    static func connected() -> SharedFD? {
        guard let socket = try? makeInternetSocket(.datagram, isIPv6: false) else { return nil }
        let shared = SharedFD(socket)
        return server != nil && (try? shared.fd.connect(to: server)) != nil ? shared : nil
    }

    private static func exchange(_ query: DNSQuery, _ milliseconds: Int32) -> [UInt8]? {
        guard let socket = connected() else { return nil }
        _ = socket.fd.sendNow(query.encoded(id: query.id))
        guard wait(socket.fd, milliseconds: milliseconds) else { return nil }
        var buffer = [UInt8](repeating: 0, count: 65535)
        let (count, _) = socket.fd.receive(into: &buffer)
        return count > 0 ? Array(buffer[..<count]) : nil
    }

    static func stream() -> SharedFD? {
        guard let socket = try? makeInternetSocket(.stream, isIPv6: false) else { return nil }
        let shared = SharedFD(socket)
        try? shared.fd.setNonBlocking(false)
        return server != nil && (try? shared.fd.connect(to: server)) != nil ? shared : nil
    }

    private static func exchangeStream(_ query: DNSQuery) -> [UInt8]? {
        guard let socket = stream() else { return nil }
        writeMessage(socket.fd, query.encoded(id: query.id))
        return readMessage(socket.fd)
    }

    static func writeMessage(_ fd: FD, _ bytes: [UInt8]) {
        try? fd.writeAll([UInt8(bytes.count >> 8), UInt8(bytes.count & 0xff)] + bytes)
    }

    static func readMessage(_ fd: FD) -> [UInt8]? {
        guard let head = read(fd, 2) else { return nil }
        return read(fd, Int(head[0]) << 8 | Int(head[1]))
    }

    private static func read(_ fd: FD, _ count: Int) -> [UInt8]? {
        var result: [UInt8] = []
        while result.count < count {
            guard wait(fd, milliseconds: 10_000) else { return nil }
            var piece = [UInt8](repeating: 0, count: count - result.count)
            let n = fd.receiveStream(into: &piece)
            if n <= 0 { return nil }
            result += piece[..<n]
        }
        return result
    }
}

struct Missing: Error {}

extension Optional {
    func orThrow() throws -> Wrapped {
        guard let self else { throw Missing() }
        return self
    }
}
