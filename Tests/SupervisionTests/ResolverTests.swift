import CLinux
import Control
import Glibc
import Linux
import Networks
import Testing

@testable import Supervision

/// The resolver on real sockets, in namespaces of its own.
@Suite(.serialized) struct ResolverTests {
    @Test func namesOfTheNetworksAreAnswered() throws {
        try inWorld { world in
            let web = try world.register(1, ["web", "c0ffee"], ["172.18.0.2"])
            let two = [
                try world.register(2, ["db1", "db"], ["172.18.0.3"]), try world.register(3, ["db2", "db"], ["172.18.0.4", "fd00::4"]),
            ]
            let back = try world.register(4, network: "back", ["web"], ["172.19.0.9"])
            var plan = world.plan(networks: ["front", "back"])
            plan.fixed = [.init("host.docker.internal", ["172.18.0.1"])]
            try world.startResolver(plan)
            world.inContainer {
                for byStream in [false, true] {
                    let ask = { (name: String, type: DNSType) in Client.ask(name, type, byStream: byStream) }
                    world.expect(ask("web", .a)?.addresses == ["172.18.0.2"], "the first network goes first")
                    world.expect(ask("WEB.Front", .a)?.addresses == ["172.18.0.2"], "qualified")
                    world.expect(ask("web.back", .a)?.addresses == ["172.19.0.9"], "qualified by another")
                    world.expect(ask("c0ffee", .a)?.addresses == ["172.18.0.2"], "short id")
                    let noData = ask("web", .aaaa)
                    world.expect(noData?.code == 0 && noData?.addresses == [], "no data: \(String(describing: noData))")
                    world.expect(ask("web", .text)?.code == 0, "no text")
                    world.expect(ask("db2", .aaaa)?.addresses == ["fd00::4"], "IPv6")
                    world.expect(Set(ask("db", .a)?.addresses ?? []) == ["172.18.0.3", "172.18.0.4"], "all of an alias")
                    world.expect(ask("2.0.18.172.in-addr.arpa", .pointer)?.names == ["web.front"], "pointer")
                    world.expect(ask("host.docker.internal", .a)?.addresses == ["172.18.0.1"], "fixed")
                    world.expect(ask("host.docker.internal", .aaaa)?.code == 0, "fixed, of the other family")
                    world.expect(ask("localhost", .a)?.addresses == ["127.0.0.1"], "localhost")
                    world.expect(ask("a.localhost", .aaaa)?.addresses == ["::1"], "localhost, IPv6")
                    world.expect(ask("x.invalid", .a)?.code == 3, "invalid")
                    world.expect(ask("nobody", .a)?.code == 3, "one label and no upstream: no such name")
                    world.expect(ask("example.com", .a)?.code == 2, "others without an upstream: nobody knows")
                }
                let firsts = Set((0..<8).compactMap { _ in Client.ask("db")?.addresses.first })
                world.expect(firsts.count == 2, "in turn: \(firsts)")
            }
            web.withdraw()
            world.inContainer { world.expect(Client.ask("web")?.addresses == ["172.19.0.9"], "it has left") }
            let late = try world.register(5, ["late"], ["172.18.0.5"])
            world.inContainer { world.expect(Client.ask("late")?.addresses == ["172.18.0.5"], "it has just come") }
            withExtendedLifetime((two, back, late)) {}
        }
    }

    @Test func whatIsTooLongForADatagramComesOverAStream() throws {
        try inWorld { world in
            let all = try (0..<60).map { try world.register($0, ["pool"], ["10.0.0.\($0)"]) }
            try world.startResolver(world.plan())
            world.inContainer {
                let short = Client.ask("pool")
                world.expect(short?.isTruncated == true && short?.addresses.count == 30, "512 bytes: \(String(describing: short))")
                let long = Client.ask("pool", size: 4096)
                world.expect(long?.isTruncated == false && long?.addresses.count == 60, "EDNS")
                world.expect(Client.ask("pool", byStream: true)?.addresses.count == 60, "stream")
            }
            withExtendedLifetime(all) {}
        }
    }

    @Test func aNameServerInTheContainerMayBindPort53() throws {
        try inWorld { world in
            let web = try world.register(1, ["web"], ["172.18.0.2"])
            try world.startResolver(world.plan())
            try world.inContainer {
                for address in ["0.0.0.0", "::", "127.0.0.11"] {
                    let endpoint = InternetEndpoint(try IPAddress(address).orThrow(), port: 53)
                    for kind in [SocketKind.datagram, .stream] {
                        let socket = try makeInternetSocket(kind, isIPv6: address == "::")
                        do throws(SystemError) {
                            try socket.fd.bind(to: endpoint)
                            if kind == .stream { try socket.fd.listen(backlog: 4) }
                        } catch { world.expect(false, "\(address): \(error)") }
                        world.expect(Client.ask("web")?.addresses == ["172.18.0.2"], "beside \(address)")
                        world.expect(Client.ask("web", byStream: true)?.addresses == ["172.18.0.2"], "beside \(address), stream")
                    }
                }
            }
            withExtendedLifetime(web) {}
        }
    }

    @Test func aSupervisorMayOpenItAgain() throws {
        try inWorld { world in
            var plan = world.plan()
            plan.fixed = [.init("a", ["10.0.0.1"])]
            let loop = try EventLoop { _ in }
            let first = Resolver(plan, loop: loop)
            let start = monotonicNanoseconds()
            try first.open(namespace: world.container)
            print("opened in \((monotonicNanoseconds() - start) / 1000) us")
            first.close()
            // The rules of the one before are there yet, and lead elsewhere if its port is taken.
            let taken = try world.inContainer {
                let socket = SharedFD(try makeInternetSocket(.datagram, isIPv6: false))
                try socket.fd.bind(to: try InternetEndpoint("127.0.0.1:4", defaultPort: 4).orThrow())
                return socket
            }
            let resolver = Resolver(plan, loop: loop)
            let again = monotonicNanoseconds()
            try resolver.open(namespace: world.container)
            print("opened again, its rules written anew, in \((monotonicNanoseconds() - again) / 1000) us")
            try world.inContainer {
                let client = try Client.connected().orThrow()
                for name in ["a", "b"] {
                    _ = client.fd.sendNow(Client.query(name).encoded(id: 5))
                    loop.step()
                    var buffer = [UInt8](repeating: 0, count: 512)
                    world.expect(wait(client.fd, milliseconds: 1000) && client.fd.receive(into: &buffer).count > 12, "the second")
                }
            }
            // Other names from now on, and none after the end.
            plan.fixed = [.init("b", ["10.0.0.2"])]
            resolver.update(plan)
            world.expect(resolver.isOpen, "open")
            resolver.close()
            world.expect(!resolver.isOpen, "closed")
            world.inContainer { world.expect(Client.ask("b", milliseconds: 100) == nil, "nobody answers") }
            withExtendedLifetime(taken) {}
        }
    }

    @Test func othersAreAskedForTheRest() throws {
        try inWorld { world in
            let web = try world.register(1, ["web"], ["172.18.0.2"])
            try world.startUpstream(port: 5301) { server in
                server.serve { query in
                    let name = query.name.folded.map { String(decoding: $0, as: UTF8.self) } ?? ""
                    switch name {
                    case "www.example.com": return query.answer(addresses: [[93, 184, 216, 34]], limit: 512)
                    case "v4only.example.com" where query.type == .a: return query.answer(addresses: [[1, 2, 3, 4]], limit: 512)
                    case "v4only.example.com": return query.answer(.noError)
                    case "single": return query.answer(addresses: [[9, 9, 9, 9]], limit: 512)
                    case "web": return query.answer(addresses: [[6, 6, 6, 6]], limit: 512)
                    case "broken.example.com": return query.answer(.serverFailure)
                    case "edns.example.com": return query.answer(query.extension_?.size == 1232 ? .noSuchName : .noError)
                    default: return query.answer(.noSuchName)
                    }
                }
            }
            try world.startUpstream(port: 5302) { server in server.serve { $0.answer(addresses: [[8, 8, 8, 8]], limit: 512) } }
            try world.startResolver(world.plan(upstreams: ["127.0.0.1:5301", "127.0.0.1:5302"]))
            world.inContainer {
                for byStream in [false, true] {
                    let ask = { (name: String, type: DNSType) in Client.ask(name, type, byStream: byStream) }
                    world.expect(ask("WWW.Example.com", .a)?.addresses == ["93.184.216.34"], "an address")
                    world.expect(ask("nowhere.example.com", .a)?.code == 3, "no such name")
                    world.expect(ask("v4only.example.com", .aaaa)?.code == 0, "no data")
                    world.expect(ask("single", .a)?.addresses == ["9.9.9.9"], "one label, as Docker does")
                    world.expect(ask("broken.example.com", .a)?.addresses == ["8.8.8.8"], "the next upstream knows")
                    world.expect(ask("web", .aaaa)?.addresses == [], "never asked elsewhere for the other family")
                }
                world.expect(Client.ask("edns.example.com", size: 1232)?.code == 3, "EDNS goes along")
            }
            withExtendedLifetime(web) {}
        }
    }

    @Test func aLongAnswerIsFetchedOverAStream() throws {
        try inWorld { world in
            let long = (0..<100).map { [10, 0, 0, UInt8($0)] }
            try world.startUpstream(port: 5301) { server in
                for round in 0..<2 {
                    guard let (query, from) = server.receive() else { return }
                    _ = server.datagrams.fd.sendNow(query.truncatedAnswer, to: from)
                    if round == 1 { server.acceptOne { $0.answer(addresses: long, limit: 65535) } }
                }
                pause()
            }
            try world.startResolver(world.plan(upstreams: ["127.0.0.1:5301"]))
            world.inContainer {
                world.expect(Client.ask("long.example.com")?.isTruncated == true, "a datagram says that it is cut off")
                world.expect(Client.ask("long.example.com", byStream: true)?.addresses.count == 100, "a stream has all")
            }
        }
    }

    @Test func anUpstreamThatIsNotThereIsPassedOver() throws {
        try inWorld { world in
            // The first is silent, nobody is at the second, the third knows.
            try world.startUpstream(port: 5301) { server in server.serve { _ in nil } }
            try world.startUpstream(port: 5303) { server in server.serve { $0.answer(addresses: [[3, 3, 3, 3]], limit: 512) } }
            try world.startResolver(world.plan(upstreams: ["127.0.0.1:5301", "127.0.0.1:5302", "127.0.0.1:5303"]))
            world.inContainer {
                let begin = monotonicNanoseconds()
                world.expect(Client.ask("a.example.com")?.addresses == ["3.3.3.3"], "the third")
                let first = monotonicNanoseconds() - begin
                world.expect(first > 1_900_000_000 && first < 3_500_000_000, "after one timeout: \(first) ns")
                world.expect(Client.ask("b.example.com")?.addresses == ["3.3.3.3"], "the third again")
                let second = monotonicNanoseconds() - begin - first
                world.expect(second < 500_000_000, "what was silent is asked last: \(second) ns")
            }
        }
    }

    @Test func onlyTheRightReplyIsTaken() throws {
        try inWorld { world in
            try world.startUpstream(port: 5301) { server in
                guard let (query, from) = server.receive() else { return }
                let wrong = [[6, 6, 6, 6]].map { $0.map { UInt8($0) } }
                var other = query
                other.id ^= 1
                _ = server.datagrams.fd.sendNow(other.answer(addresses: wrong, limit: 512), to: from)
                other = query
                other.name = DNSName("evil.example.com") ?? .root
                _ = server.datagrams.fd.sendNow(other.answer(addresses: wrong, limit: 512), to: from)
                other = query
                other.type = .aaaa
                _ = server.datagrams.fd.sendNow(other.answer(.noSuchName), to: from)
                _ = server.datagrams.fd.sendNow([UInt8](repeating: 0xc0, count: 600), to: from)
                _ = server.datagrams.fd.sendNow(query.encoded(id: query.id), to: from)
                // All right but for the sender.
                if let stranger = try? makeInternetSocket(.datagram, isIPv6: false) {
                    _ = stranger.fd.sendNow(query.answer(addresses: wrong, limit: 512), to: from)
                }
                // Behind all of them in the same queue.
                _ = server.datagrams.fd.sendNow(query.answer(addresses: [[1, 1, 1, 1]], limit: 512), to: from)
                pause()
            }
            try world.startResolver(world.plan(upstreams: ["127.0.0.1:5301"]))
            world.inContainer { world.expect(Client.ask("good.example.com")?.addresses == ["1.1.1.1"], "only the right one") }
        }
    }

    @Test func upstreamsMayBeAskedFromTheContainer() throws {
        try inWorld { world in
            try world.startUpstream(port: 5301, inContainer: true) { server in
                server.serve { $0.answer(addresses: [[7, 7, 7, 7]], limit: 512) }
            }
            var plan = world.plan(upstreams: ["127.0.0.1:5301"])
            plan.asksFromContainer = true
            try world.startResolver(plan)
            world.inContainer {
                for _ in 0..<20 { world.expect(Client.ask("in.example.com")?.addresses == ["7.7.7.7"], "from inside") }
            }
        }
    }

    @Test func aFloodIsBoundedAndOthersAreAnswered() throws {
        try inWorld { world in
            let web = try world.register(1, ["web"], ["172.18.0.2"])
            try world.startUpstream(port: 5301) { server in server.serve { _ in nil } }
            try world.startResolver(world.plan(upstreams: ["127.0.0.1:5301"]))
            try world.inContainer {
                world.expect(Client.ask("web")?.addresses == ["172.18.0.2"], "before")
                let before = world.memory("VmRSS")
                let socket = try Client.connected().orThrow()
                var failures = 0
                var buffer = [UInt8](repeating: 0, count: 4096)
                for number in 0..<20_000 {
                    _ = socket.fd.sendNow(Client.query("n\(number).example.com").encoded(id: UInt16(truncatingIfNeeded: number)))
                    if number % 64 == 63 { usleep(500) }
                    while true {
                        let (count, _) = socket.fd.receive(into: &buffer)
                        if count < 0 { break }
                        if DNSReply.read(buffer, count: count)?.code == .serverFailure { failures += 1 }
                    }
                }
                world.expect(failures > 1000, "what is too much is refused at once: \(failures)")
                // The kernel drops what does not fit any more; clients ask again.
                let answer = (0..<10).lazy.compactMap { _ in Client.ask("web", milliseconds: 1000) }.first
                world.expect(answer?.addresses == ["172.18.0.2"], "after the flood")
                // Connections that ask and do not read, and connections that say nothing.
                var held: [SharedFD] = []
                for number in 0..<200 {
                    guard let stream = Client.stream() else { continue }
                    if number % 2 == 0 {
                        for _ in 0..<50 { Client.writeMessage(stream.fd, Client.query("web").encoded(id: 1)) }
                    }
                    held.append(stream)
                }
                world.expect(Client.ask("web")?.addresses == ["172.18.0.2"], "beside slow clients")
                world.expect(Client.ask("web", byStream: true)?.addresses == ["172.18.0.2"], "a stream beside slow clients")
                let after = world.memory("VmRSS")
                print("a flood of 20,000 questions and 200 connections: \(after - before) KiB more")
                world.expect(after - before < 8192, "\(before) KiB, then \(after)")
                withExtendedLifetime(held) {}
            }
            withExtendedLifetime(web) {}
        }
    }

    @Test func anOrdinaryUsersContainerIsEntered() throws {
        let status = inChild {
            if geteuid() == 0 {
                guard cl_setgroups(0, nil) == 0, cl_setresgid(65534, 65534, 65534) == 0, cl_setresuid(65534, 65534, 65534) == 0 else {
                    return 1
                }
                _ = cl_prctl(4 /* PR_SET_DUMPABLE */, 1, 0, 0, 0)
            }
            return (try? Self.resolveForUser()) ?? 2
        }
        if status == .exited(77) { return print("skipped: an ordinary user cannot make namespaces here") }
        #expect(status == .exited(0))
    }

    /// Below an ordinary user: a container with a user namespace of its own, which this process may not enter.
    private static func resolveForUser() throws -> Int32 {
        let ready = try makePipe()
        let go = try makePipe()
        let inside = forkChild {
            guard cl_unshare(0x1000_0000 | 0x4000_0000) == 0, (try? World.raiseLoopback()) != nil else { return 77 }
            _ = cl_write(ready.second.raw, "x", 1)
            wait(go.first.fd)
            return Client.ask("web")?.addresses == ["10.1.2.3"] && Client.ask("web", byStream: true) != nil ? 0 : 3
        }
        guard wait(ready.first.fd, milliseconds: 5000) else { return try waitForProcess(inside)?.status.code ?? 4 }
        let own = try FD.cwd.readLink("/proc/thread-self/ns/net")
        var plan = ResolverPlan()
        plan.fixed = [.init("web", ["10.1.2.3"])]
        let loop = try EventLoop { _ in }
        let resolver = Resolver(plan, loop: loop)
        try resolver.open(namespace: SharedFD(try FD.cwd.open("/proc/\(inside)/ns/net", .readOnly)))
        guard try FD.cwd.readLink("/proc/thread-self/ns/net") == own else { return 5 }
        let process = try openProcess(inside)
        _ = try loop.add(process.fd, .readable) { _ in loop.stop() }
        _ = cl_write(go.second.raw, "x", 1)
        loop.run()
        return try waitForProcess(inside)?.status.code ?? 6
    }

    @Test func questionsASecondAndMemory() throws {
        try inWorld { world in
            let web = try world.register(1, ["web"], ["172.18.0.2"])
            let others = try (2..<102).map { try world.register($0, ["other\($0)", "alias\($0)"], ["172.18.1.\($0)"]) }
            try world.startResolver(world.plan())
            // Not what is dirty: the process is a fork of this one, and pages they share become its own when this one writes to them.
            let anonymous = { world.memory("Anonymous", file: "smaps_rollup") }
            try world.inContainer {
                let ask = { world.expect(Client.ask("web")?.addresses == ["172.18.0.2"], "once") }
                world.awaitRest(after: ask)
                let before = anonymous()
                let one = try load(world, ["web"])
                let many = try load(world, ["web"] + (2..<10).flatMap { ["other\($0)", "alias\($0).front"] })
                let most = try load(world, (2..<102).map { "other\($0)" })
                let busy = anonymous()
                world.awaitRest(after: ask)
                let rested = anonymous()
                print("questions a second of one name: \(one); of 9 containers: \(many); of 100: \(most)")
                print("KiB: \(before) before, \(busy) then, \(rested) at rest")
                world.expect(rested - before < 256, "\(rested - before) KiB are kept")
            }
            withExtendedLifetime((web, others)) {}
        }
    }

    /// Asks for names in turn for a second, 16 questions outstanding.
    private func load(_ world: World, _ names: [String]) throws -> String {
        let socket = try Client.connected().orThrow()
        let messages = names.map { Client.query($0).encoded(id: 7) }
        var buffer = [UInt8](repeating: 0, count: 4096)
        let processor = world.processorTime
        let begin = monotonicNanoseconds()
        var asked = 0
        var answered = 0
        while monotonicNanoseconds() - begin < 1_000_000_000 {
            while asked - answered < 16 {
                _ = socket.fd.sendNow(messages[asked % messages.count])
                asked += 1
            }
            wait(socket.fd, milliseconds: 1000)
            while socket.fd.receive(into: &buffer).count > 0 { answered += 1 }
        }
        world.expect(answered > 1000, "\(answered) in a second")
        return "\(answered), \((world.processorTime - processor) / Int64(max(answered, 1))) ns of processor time each"
    }
}
