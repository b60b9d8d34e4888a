import CLinux
import Control
import Glibc
import Linux
import Testing

@testable import Networks

@Suite(.serialized, .enabled(if: isRoot, "needs root for network namespaces"))
struct RateTests {
    private func limited(_ incoming: UInt64, _ outgoing: UInt64) -> EndpointPlan {
        var limited = endpoint(network(1), 2)
        limited.rate = NetworkRate(incoming: incoming, outgoing: outgoing)
        return limited
    }

    @Test func eachDirectionHasItsRate() throws {
        try onHost { host in
            let one = try TestContainer(host, [limited(20_000_000, 40_000_000)])
            let other = try TestContainer(host, [endpoint(network(1), 3)])
            for from in [nil, other.namespace] {
                // 32 Mbit in 1.6 and 0.8 seconds, and what the headers need.
                let incoming = try Stream(host, from: from, to: one.namespace, "172.30.1.2").seconds(for: 4 << 20)
                #expect((1.4...3.2).contains(incoming), "\(incoming) s")
                let address = from == nil ? "172.30.1.1" : "172.30.1.3"
                let outgoing = try Stream(host, from: one.namespace, to: from, address).seconds(for: 4 << 20)
                #expect((0.7...1.9).contains(outgoing), "\(outgoing) s")
            }
            // IPv6 too, and what is not the container's is as fast as ever.
            let six = try Stream(host, from: nil, to: one.namespace, "fd30:1::2").seconds(for: 2 << 20)
            #expect((0.7...1.9).contains(six), "\(six) s")
            let free = try Stream(host, from: nil, to: other.namespace, "172.30.1.3").seconds(for: 4 << 20)
            #expect(free < 0.5, "\(free) s")
        }
    }

    @Test func lowRatesPassWholePackets() throws {
        try onHost { host in
            let jumbo = network(1) { $0.mtu = 9000 }
            var slow = endpoint(jumbo, 2)
            slow.rate = NetworkRate(incoming: 400_000, outgoing: 400_000)
            let one = try TestContainer(host, [slow])
            for stream in [
                try Stream(host, from: nil, to: one.namespace, "172.30.1.2"), try Stream(host, from: one.namespace, to: nil, "172.30.1.1"),
            ] {
                // 0.4 Mbit; a packet of 9 kB may go at once.
                let seconds = try stream.seconds(for: 50_000)
                #expect((0.4...3).contains(seconds), "\(seconds) s")
            }
        }
    }

    @Test func ratesChangeUnderConnections() throws {
        try onHost { host in
            let one = try TestContainer(host, [endpoint(network(1), 2)])
            let before = try #require(try RouteSocket().link("ve1x2"))
            let incoming = try Stream(host, from: nil, to: one.namespace, "172.30.1.2")
            let outgoing = try Stream(host, from: one.namespace, to: nil, "172.30.1.1")
            #expect(try incoming.seconds(for: 2 << 20) + outgoing.seconds(for: 2 << 20) < 0.5)
            var plan = one.plan
            for (rate, expected) in [(20_000_000, 0.7...1.9), (40_000_000, 0.3...1.0), (0, 0...0.3)] as [(UInt64, ClosedRange<Double>)] {
                plan.endpoints = [limited(rate, rate)]
                try one.network.change(to: plan)
                for stream in [incoming, outgoing] {
                    let seconds = try stream.seconds(for: 2 << 20)
                    #expect(expected.contains(seconds), "\(rate) bits: \(seconds) s")
                }
                // One of the two alone stays as it is.
                plan.endpoints = [limited(rate, 0)]
                try one.network.change(to: plan)
                let alone = try outgoing.seconds(for: 2 << 20)
                #expect(alone < 0.5, "\(alone) s")
            }
            let after = try #require(try RouteSocket().link("ve1x2"))
            #expect(after.index == before.index && after.queue == before.queue)
            #expect(try RouteSocket().link("ifb-ve1x2") == nil)
        }
    }

    /// A container's devices are removed behind it; it may be started again before that.
    @Test func theQueueOfACableBeforeIsNotTaken() throws {
        try onHost { host in
            var batch = RouteBatch()
            batch.addShaper("ifb-ve1x2")
            try RouteSocket().send(batch)
            let old = try #require(try RouteSocket().link("ifb-ve1x2"))
            let one = try TestContainer(host, [limited(0, 20_000_000)])
            let new = try #require(try RouteSocket().link("ifb-ve1x2"))
            #expect(new.index != old.index)
            let seconds = try Stream(host, from: one.namespace, to: nil, "172.30.1.1").seconds(for: 2 << 20)
            #expect((0.7...1.9).contains(seconds), "\(seconds) s")
        }
    }

    @Test func nothingIsLeftOfRates() throws {
        try onHost { host in
            let shared = try HostNetwork(run: host.run)
            try shared.ensure(network(1))
            let before = try host.snapshot()
            let one = try TestContainer(host, [limited(20_000_000, 20_000_000)])
            #expect(try RouteSocket().link("ifb-ve1x2") != nil)
            one.network.detach()
            #expect(try host.snapshot(without: ["ve1x2", "ifb-ve1x2"]) == before)
            // Its supervisor was killed: the next start takes its place, and so does removal.
            let killed = try TestContainer(host, [limited(20_000_000, 20_000_000)])
            let next = try TestContainer(host, [limited(0, 20_000_000)], id: "beef")
            let seconds = try Stream(host, from: next.namespace, to: nil, "172.30.1.1").seconds(for: 2 << 20)
            #expect((0.7...1.9).contains(seconds), "\(seconds) s")
            try shared.forget(NetworkPlan(endpoints: [limited(0, 0)]), id: "beef")
            #expect(try host.snapshot(without: ["ve1x2", "ifb-ve1x2"]) == before)
            withExtendedLifetime(killed) {}
        }
    }
}

extension NetworkPlan {
    fileprivate init(endpoints: [EndpointPlan]) {
        self.init()
        self.endpoints = endpoints
    }
}

/// A connection that bytes go through in one direction.
private struct Stream {
    private let sender: SharedFD
    private let receiver: SharedFD

    init(_ host: TestHost, from: SharedFD?, to: SharedFD?, _ address: String) throws {
        let place = InternetEndpoint(try #require(IPAddress(address)), port: 5001)
        let listener = try Conversation(host: host).listen(.tcp, to, address, 5001)
        let client = SharedFD(try host.inside(from) { try makeInternetSocket(.tcp, isIPv6: place.isIPv6) })
        try host.inside(from) { try client.fd.connect(to: place) }
        sender = client
        receiver = SharedFD(OwnedFD(owning: try check(cl_accept4(listener.raw, 0), "accept")))
    }

    /// How long it takes until so much has arrived.
    func seconds(for count: Int) throws -> Double {
        var buffer = [UInt8](repeating: 7, count: 64 << 10)
        var sent = 0
        var received = 0
        let start = monotonicNanoseconds()
        while received < count {
            var events = [
                pollfd(fd: receiver.raw, events: Int16(POLLIN), revents: 0),
                pollfd(fd: sender.raw, events: sent < count ? Int16(POLLOUT) : 0, revents: 0),
            ]
            if poll(&events, 2, 5000) <= 0 { throw TestHost.Failure(text: "nothing moves after \(received) bytes") }
            if events[0].revents != 0 {
                let done = recv(receiver.raw, &buffer, buffer.count, 0x40 /* MSG_DONTWAIT */)
                if done <= 0 { throw TestHost.Failure(text: "the connection ended after \(received) bytes") }
                received += done
            }
            if events[1].revents & Int16(POLLOUT) != 0 {
                let done = send(sender.raw, buffer, min(buffer.count, count - sent), 0x40 /* MSG_DONTWAIT */)
                sent += max(0, done)
            }
        }
        return Double(monotonicNanoseconds() - start) / 1e9
    }
}
