import CLinux
import Control
import Glibc
import Linux
import Networks
import Testing

@testable import Supervision

/// Questions that are there together when the resolver looks.
@Suite(.serialized) struct ResolverBatchTests {
    /// One client's question and what it gets.
    private struct Asking {
        let socket: SharedFD
        let query: DNSQuery

        init(_ name: String, _ type: DNSType = .a) throws {
            socket = try Client.connected().orThrow()
            query = Client.query(name, type)
        }

        func send() { _ = socket.fd.sendNow(query.encoded(id: query.id)) }

        /// - Returns: code and addresses; nil when there is no answer, or it is to something else.
        func answer() -> (code: UInt16, addresses: [String])? {
            var buffer = [UInt8](repeating: 0, count: 4096)
            guard wait(socket.fd, milliseconds: 5000) else { return nil }
            let (count, _) = socket.fd.receive(into: &buffer)
            guard count > 0 else { return nil }
            let bytes = Array(buffer[..<count])
            guard let reply = DNSReply.read(bytes), reply.id == query.id, reply.question?.name == query.name,
                reply.question?.type == query.type, !wait(socket.fd, milliseconds: 0)
            else { return nil }
            return (reply.code.rawValue, DNSReply.answers(in: bytes).compactMap { IPAddress(bytes: Array(bytes[$0.data]))?.description })
        }
    }

    /// Sends while the resolver stands still, so that it finds all at once.
    private func together(_ world: World, _ body: () -> Void) {
        _ = cl_kill(world.resolver, SIGSTOP)
        // Stopped once its state says so.
        while !isStopped(world.resolver) { sched_yield() }
        body()
        _ = cl_kill(world.resolver, SIGCONT)
    }

    private func isStopped(_ pid: Int32) -> Bool {
        let text = (try? FD.cwd.readText("/proc/\(pid)/stat", limit: 1024)) ?? ""
        return text.split(separator: ")").last?.split(separator: " ").first == "T"
    }

    @Test func eachClientGetsItsOwnAnswer() throws {
        try inWorld { world in
            let web = try world.register(1, ["web"], ["172.18.0.2"])
            let db = [
                try world.register(2, ["db"], ["172.18.0.3"]), try world.register(3, ["db"], ["172.18.0.4"]),
                try world.register(4, ["six"], ["fd00::4"]),
            ]
            try world.startResolver(world.plan())
            try world.inContainer {
                // More than one portion of the socket, with the same questions over and over.
                var all: [(asking: Asking, code: UInt16, addresses: Set<String>)] = []
                for _ in 0..<8 {
                    all.append((try Asking("web"), 0, ["172.18.0.2"]))
                    all.append((try Asking("WEB"), 0, ["172.18.0.2"]))
                    all.append((try Asking("web", .aaaa), 0, []))
                    all.append((try Asking("db"), 0, ["172.18.0.3", "172.18.0.4"]))
                    all.append((try Asking("six", .aaaa), 0, ["fd00::4"]))
                    all.append((try Asking("nobody"), 3, []))
                }
                let broken = try Client.connected().orThrow()
                let tooLong = try Client.connected().orThrow()
                together(world) {
                    for (number, each) in all.enumerated() {
                        each.asking.send()
                        guard number == 5 else { continue }
                        // A name that points at itself; its client is told, and nobody else notices.
                        _ = broken.fd.sendNow([0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xc0, 12, 0, 1, 0, 1])
                        _ = broken.fd.sendNow([1])
                        _ = tooLong.fd.sendNow(each.asking.query.encoded(id: 1) + [UInt8](repeating: 0, count: 5000))
                    }
                }
                var firsts: [String: Int] = [:]
                for (number, each) in all.enumerated() {
                    let answer = each.asking.answer()
                    let isRight = answer?.code == each.code && Set(answer?.addresses ?? []) == each.addresses
                    world.expect(isRight && answer?.addresses.count == each.addresses.count, "\(number): \(String(describing: answer))")
                    if each.addresses.count == 2, let first = answer?.addresses.first { firsts[first, default: 0] += 1 }
                }
                world.expect(firsts == ["172.18.0.3": 4, "172.18.0.4": 4], "in turn: \(firsts)")
                var buffer = [UInt8](repeating: 0, count: 64)
                world.expect(wait(broken.fd, milliseconds: 5000) && broken.fd.receive(into: &buffer).count == 12, "what is broken")
                world.expect(buffer[0] == 0xab && buffer[1] == 0xcd && buffer[3] & 15 == 1, "a format error: \(buffer[..<12])")
                world.expect(!wait(broken.fd, milliseconds: 0) && !wait(tooLong.fd, milliseconds: 0), "nothing more")
            }
            withExtendedLifetime((web, db)) {}
        }
    }

    @Test func anAnswerThatIsNotTakenDoesNotHoldUpOthers() throws {
        try inWorld { world in
            let loopback = try IPAddress("127.0.0.1").orThrow()
            let server = try makeInternetSocket(.datagram, isIPv6: false)
            let client = try makeInternetSocket(.datagram, isIPv6: false)
            for socket in [server.fd, client.fd] { try socket.bind(to: InternetEndpoint(loopback, port: 0)) }
            let to = try client.fd.localEndpoint()
            let batch = DatagramBatch()
            world.expect(batch.receive(from: server.fd) == -Int(EAGAIN), "nothing is there")
            // Nobody can be reached at port 0.
            let nobody = InternetEndpoint(loopback, port: 0)
            for (number, endpoint) in [nobody, to, nobody, nobody, to, nobody].enumerated() {
                world.expect(batch.answer([UInt8(number), 7], to: endpoint), "room")
            }
            batch.send(on: server.fd)
            var buffer = [UInt8](repeating: 0, count: 16)
            for number in [1, 4] {
                world.expect(client.fd.receive(into: &buffer).count == 2 && buffer[0] == number, "\(number): \(buffer)")
            }
            world.expect(client.fd.receive(into: &buffer).count == -Int(EAGAIN) && batch.answers == 0, "nothing more")
            for _ in 0..<DatagramBatch.capacity { _ = batch.answer([1], to: to) }
            world.expect(!batch.answer([1], to: to), "more than were asked")
        }
    }

    @Test func whatChangesBetweenTwoLooksIsAnsweredAnew() throws {
        try inWorld { world in
            try world.startResolver(world.plan())
            let web = try world.register(1, ["web"], ["172.18.0.2"])
            let gone = try world.start { ready in
                let mine = try? world.register(2, ["gone", "web2"], ["172.18.0.9"])
                ready()
                pause()
                mine?.withdraw()
            }
            try world.inContainer {
                let ask = { (expected: String?, expectedOfGone: String?, line: Int) in
                    let all = try (0..<3).flatMap { _ in [try Asking("web"), try Asking("gone")] }
                    together(world) { for each in all { each.send() } }
                    for each in all {
                        let wanted = each.query.name == DNSName("web") ? expected : expectedOfGone
                        let answer = each.answer()
                        world.expect(answer?.addresses == (wanted.map { [$0] } ?? []), "\(String(describing: answer))", line: line)
                        world.expect(answer?.code == (wanted == nil ? 3 : 0), "\(String(describing: answer))", line: line)
                    }
                }
                try ask("172.18.0.2", "172.18.0.9", #line)
                try web.replace(NameEntry(network: "front", names: ["web"], addresses: [try IPAddress("172.18.0.3").orThrow()]))
                try ask("172.18.0.3", "172.18.0.9", #line)
                _ = cl_kill(gone, SIGKILL)
                _ = try waitForProcess(gone)
                try ask("172.18.0.3", nil, #line)
                web.withdraw()
                try ask(nil, nil, #line)
            }
        }
    }
}
