import Control
import Glibc
import Linux
import Testing

@testable import Networks

/// One network of several hosts: their bridges are connected by vxlan devices.
@Suite(.serialized, .enabled(if: isRoot, "needs root for network namespaces"))
struct TunnelTests {
    /// The network as host 1 (this one, 10.9.0.1) and host 2 (outside, 10.9.0.2) have it: the same subnets, another gateway.
    private func shared(_ host: Int, peers: [String], change: (inout BridgePlan) -> Void = { _ in }) -> BridgePlan {
        network(host) {
            $0.subnets = ["172.31.0.0/16", "fd31::/64"]
            $0.addresses = ["172.31.\(host).1/16", "fd31::\(host):1/64"]
            $0.tunnel = TunnelPlan(device: "vx-net", vni: 42, port: 4789, peers: peers)
            change(&$0)
        }
    }

    private func endpoint(_ bridge: BridgePlan, _ host: Int, _ number: Int) -> EndpointPlan {
        var endpoint = EndpointPlan(
            bridge: bridge, interface: "eth0", hostInterface: "ve\(host)x\(number)", mac: "02:42:ac:1f:0\(host):0\(number)")
        endpoint.addresses = ["172.31.\(host).\(number)/16", "fd31::\(host):\(number)/64"]
        endpoint.gateways = ["172.31.\(host).1", "fd31::\(host):1"]
        return endpoint
    }

    /// A container of the other host: all that is made there is made in its namespace.
    private func remote(_ host: TestHost, _ outside: SharedFD, _ bridge: BridgePlan, _ number: Int) throws -> TestContainer {
        let namespace = try host.makeNamespace()
        return try host.inside(outside) {
            try TestContainer(host, [endpoint(bridge, 2, number)], id: "remote\(number)", namespace: namespace)
        }
    }

    private func expectTalk(_ host: TestHost, _ one: TestContainer, _ two: TestContainer) throws {
        let talk = Conversation(host: host, patience: 2000)
        for (kind, address, peer) in [
            (InternetProtocol.tcp, "172.31.2.3", "172.31.1.2"), (.udp, "172.31.2.3", "172.31.1.2"), (.tcp, "fd31::2:3", "fd31::1:2"),
            (.udp, "fd31::2:3", "fd31::1:2"),
        ] {
            let server = try talk.listen(kind, two.namespace, address, 80)
            #expect(try talk.talk(kind, from: one.namespace, to: address, 80, server: server) == peer, "\(address)")
        }
        let server = try talk.listen(.tcp, one.namespace, "172.31.1.2", 81)
        #expect(try talk.talk(.tcp, from: two.namespace, to: "172.31.1.2", 81, server: server) == "172.31.2.3")
    }

    @Test(arguments: [["10.9.0.1", "10.9.0.2"], ["fd09::1", "fd09::2"]])
    func containersOfTwoHostsTalk(hosts: [String]) throws {
        try onHost { host in
            let outside = try host.makeOutside()
            let before = try host.snapshot()
            // The same list on both: oneself is left out.
            let (here, there) = (shared(1, peers: hosts), shared(2, peers: hosts))
            let one = try TestContainer(host, [endpoint(here, 1, 2)])
            let two = try remote(host, outside, there, 3)
            try expectTalk(host, one, two)
            let device = try #require(try RouteSocket().link("vx-net"))
            #expect(try RouteSocket().peers(of: device.index).map(\.description) == [hosts[1]])
            let mtu: UInt32 = hosts[0].includes(":") ? 1430 : 1450
            #expect(device.mtu == mtu)
            #expect(try RouteSocket().link("br-net1")?.mtu == mtu)
            #expect(try host.inside(one.namespace) { try RouteSocket().link("eth0")?.mtu } == mtu)
            // A packet as large as fits, not in pieces.
            let talk = Conversation(host: host, patience: 2000)
            let server = try talk.listen(.udp, two.namespace, "172.31.2.3", 90)
            let length = Int(mtu) - 28
            try host.shell(
                """
                python3 -c 'import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.setsockopt(0, 10, 2)
                s.sendto(bytes(\(length)), ("172.31.2.3", 90))'
                """, in: one.namespace)
            var event = pollfd(fd: server.raw, events: Int16(POLLIN), revents: 0)
            #expect(poll(&event, 1, 2000) == 1)
            var buffer = [UInt8](repeating: 0, count: 16)
            #expect(server.fd.receive(into: &buffer).count == length)
            // Each host's gateway is its own.
            let gateway = try talk.listen(.tcp, nil, "172.31.1.1", 91)
            #expect(try talk.talk(.tcp, from: one.namespace, to: "172.31.1.1", 91, server: gateway) == "172.31.1.2")
            one.network.detach()
            try HostNetwork(run: host.run).remove(bridge: here)
            try host.inside(outside) {
                two.network.detach()
                try HostNetwork(run: host.run).remove(bridge: there)
                #expect(try RouteSocket().link("vx-net") == nil)
            }
            #expect(try host.snapshot(without: ["ve1x2"]) == before)
        }
    }

    @Test func strangersWithAnotherNumberHearNothing() throws {
        try onHost { host in
            let outside = try host.makeOutside()
            let one = try TestContainer(host, [endpoint(shared(1, peers: ["10.9.0.2"]), 1, 2)])
            let two = try remote(host, outside, shared(2, peers: ["10.9.0.1"]) { $0.tunnel?.vni = 43 }, 3)
            let talk = Conversation(host: host)
            let server = try talk.listen(.tcp, two.namespace, "172.31.2.3", 80)
            #expect(try talk.talk(.tcp, from: one.namespace, to: "172.31.2.3", 80, server: server) == nil)
        }
    }

    /// The list is what it is now at every attach, and after a repair.
    @Test func peersAreFollowed() throws {
        try onHost { host in
            let outside = try host.makeOutside()
            let first = shared(1, peers: ["10.9.0.7"])
            let one = try TestContainer(host, [endpoint(first, 1, 2)])
            let route = try RouteSocket()
            let device = try #require(try route.link("vx-net"))
            #expect(try route.peers(of: device.index).map(\.description) == ["10.9.0.7"])
            let two = try TestContainer(host, [endpoint(shared(1, peers: ["10.9.0.2", "10.9.0.8"]), 1, 3)], id: "second")
            #expect(try Set(route.peers(of: device.index).map(\.description)) == ["10.9.0.2", "10.9.0.8"])
            let there = try remote(host, outside, shared(2, peers: ["10.9.0.1"]), 3)
            try expectTalk(host, one, there)
            try host.shell("bridge fdb del 00:00:00:00:00:00 dev vx-net dst 10.9.0.2; ip link del vx-net")
            try two.network.repair()
            try expectTalk(host, one, there)
        }
    }

    /// A name server on the other host says who the hosts are.
    @Test func hostsAreFoundByName() throws {
        try onHost { host in
            let outside = try host.makeOutside()
            let ready = "\(host.run)/ready"
            let pid = try host.shell("python3 -c '\(Self.nameServer)' \(ready) >/dev/null 2>&1 & echo $!", in: outside)
            for _ in 0..<1000 where !FD.cwd.exists(ready) { usleep(5000) }
            let servers = ["10.9.0.9", "10.9.0.2"].compactMap { InternetEndpoint($0, defaultPort: 53) }
            func ask(_ name: String, _ milliseconds: Int64 = 5000) -> [String]? {
                PeerLookup.ask(for: name, isIPv6: false, servers: servers, milliseconds: milliseconds)?.map(\.description).sorted()
            }
            #expect(ask("hosts.example.org") == ["10.9.0.1", "10.9.0.2"], "the first server is not there")
            #expect(ask("none.example.org") == [])
            #expect(ask("many.example.org")?.count == 100, "they have no room in a datagram")
            try host.shell("kill \(pid)")
            #expect(ask("hosts.example.org", 300) == nil)
            #expect(PeerLookup.addresses(of: "localhost", isIPv6: false)?.map(\.description) == ["127.0.0.1"])
            let list = ["dns:localhost", "10.9.0.2", "127.0.1.1", "0.0.0.0"]
            var peers = try TunnelPeers(TunnelPlan(device: "v", vni: 1, port: 1, peers: list))
            peers.remove(own: try RouteSocket().ownAddresses())
            #expect(peers.addresses.map(\.description) == ["10.9.0.2"] && peers.isComplete && !peers.isIPv6)
            #expect(throws: NetworkError.self) { try TunnelPeers(TunnelPlan(device: "v", vni: 1, port: 1, peers: ["host"])) }
        }
    }

    /// Answers with two addresses for one name, over TCP with a hundred for another, and that there is no third.
    private static let nameServer = """
        import socket, struct, sys, threading
        def answer(q, most):
            end = q.index(b"\\0", 12) + 5
            have = {b"\\x05hosts\\x07example\\x03org\\0": 2, b"\\x04many\\x07example\\x03org\\0": 100}.get(q[12:end - 4])
            flags = 0x8183 if have is None else 0x8180 if have <= most else 0x8380
            records = [struct.pack(">HHHIH4B", 0xc00c, 1, 1, 5, 4, 10, 9, 0, n + 1) for n in range(have or 0)][:most]
            return q[:2] + struct.pack(">HHHHH", flags, 1, len(records), 0, 0) + q[12:end] + b"".join(records)
        def streams(t):
            while True:
                c, _ = t.accept()
                q = c.recv(2000)
                if len(q) == 2: q += c.recv(2000)
                a = answer(q[2:], 1000)
                a = struct.pack(">H", len(a)) + a
                c.sendall(a[:700]); c.sendall(a[700:]); c.close()
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("10.9.0.2", 53))
        t = socket.create_server(("10.9.0.2", 53)); threading.Thread(target=streams, args=[t], daemon=True).start()
        open(sys.argv[1], "w").close()
        while True:
            q, client = s.recvfrom(2000)
            s.sendto(answer(q, 40), client)
        """

    /// A device for other hosts is of one family for good: none is made while nothing says of which.
    @Test func noFamilyIsGuessed() throws {
        try onHost { host in
            let error = #expect(throws: NetworkError.self) {
                try TestContainer(host, [endpoint(shared(1, peers: ["dns:none.invalid"]), 1, 2)])
            }
            #expect(error?.cause.contains("give one (option local)") == true, "\(String(describing: error))")
            #expect(try RouteSocket().link("vx-net") == nil)
            _ = try TestContainer(host, [endpoint(shared(1, peers: ["dns:none.invalid"]) { $0.tunnel?.local = "10.9.0.1" }, 1, 2)])
            #expect(try RouteSocket().link("vx-net") != nil)
        }
    }

    @Test func whatStandsInTheWayIsNamed() throws {
        try onHost { host in
            let outside = try host.makeOutside()
            func expect(_ sentence: String, _ change: (inout BridgePlan) -> Void = { _ in }) {
                do throws(NetworkError) {
                    try HostNetwork(run: host.run).ensure(shared(1, peers: ["10.9.0.2"], change: change))
                    Issue.record("not refused: \(sentence)")
                } catch { #expect(error.cause == sentence) }
            }
            expect("the host has no device none9, which leads to its other hosts (option dev)") { $0.tunnel?.underlay = "none9" }
            try host.shell("ip link add vx-net type veth peer name x9")
            expect("another network device is called vx-net")
            try host.shell("ip link del vx-net; ip link add other type vxlan id 42 dstport 4789; ip link set other up")
            expect("another vxlan device has number 42 at UDP port 4789: choose another vni")
            let talk = Conversation(host: host)
            let taken = try talk.listen(.udp, nil, "0.0.0.0", 4790)
            expect("another program has UDP port 4790: choose another dstport") { $0.tunnel?.port = 4790 }
            #expect(try RouteSocket().link("vx-net") == nil)
            _ = (taken, outside)
        }
    }

    @Test func byACertainDeviceAndAddress() throws {
        try onHost { host in
            let outside = try host.makeOutside()
            let here = shared(1, peers: ["10.9.0.2"]) {
                $0.tunnel?.underlay = "up0"
                $0.tunnel?.local = "10.9.0.1"
            }
            let one = try TestContainer(host, [endpoint(here, 1, 2)])
            let two = try remote(host, outside, shared(2, peers: ["10.9.0.1"]) { $0.mtu = 1300 }, 3)
            try expectTalk(host, one, two)
            #expect(try host.shell("ip -d link show vx-net").includes("local 10.9.0.1 dev up0"))
            #expect(try host.inside(outside) { try RouteSocket().link("vx-net")?.mtu } == 1300)
        }
    }

    // MARK: Bridges

    @Test func openNetworksReachEachOther() throws {
        try onHost { host in
            func container(_ number: Int, isOpen: Bool) throws -> TestContainer {
                var plan = Networks_endpoint(network(number) { $0.isOpen = isOpen }, 2)
                plan.names = []
                return try TestContainer(host, [plan], id: "c\(number)")
            }
            let (one, two, closed) = (try container(1, isOpen: true), try container(2, isOpen: true), try container(3, isOpen: false))
            let talk = Conversation(host: host)
            for (address, peer) in [("172.30.2.2", "172.30.1.2"), ("fd30:2::2", "fd30:1::2")] {
                let server = try talk.listen(.tcp, two.namespace, address, 80)
                #expect(try talk.talk(.tcp, from: one.namespace, to: address, 80, server: server) == peer)
                #expect(try talk.talk(.tcp, from: closed.namespace, to: address, 80, server: server) == nil)
            }
            let server = try talk.listen(.tcp, closed.namespace, "172.30.3.2", 80)
            #expect(try talk.talk(.tcp, from: one.namespace, to: "172.30.3.2", 80, server: server) == nil)
            two.network.detach()
            try HostNetwork(run: host.run).remove(bridge: network(2) { $0.isOpen = true })
            #expect(try FirewallSocket().elements(of: Ruleset.open).count == 1)
        }
    }

    /// Where the kernel has VLANs in bridges the ports are members; where it has not, one sentence says so and nothing is left.
    @Test func vlansOfBridges() throws {
        try onHost { host in
            let shared = try HostNetwork(run: host.run)
            let plan = network(1) { $0.vlan = 50 }
            if (try? host.shell(
                "ip link add probe type bridge vlan_filtering 1 && ip -d link show probe | grep 'vlan_filtering 1'; ip link del probe"))?
                .includes("vlan_filtering 1") == true
            {
                let one = try TestContainer(host, [Networks_endpoint(plan, 2)])
                #expect(try host.shell("bridge vlan show dev ve1x2").includes("50 PVID Egress Untagged"))
                one.network.detach()
                try shared.remove(bridge: plan)
            } else {
                let error = #expect(throws: NetworkError.self) { try shared.ensure(plan) }
                #expect(error?.cause == "the kernel has no VLANs in bridges (CONFIG_BRIDGE_VLAN_FILTERING): leave the option vlan away")
                #expect(try !shared.deviceExists("br-net1"))
            }
        }
    }
}

/// The endpoints of TestHost.swift.
private func Networks_endpoint(_ bridge: BridgePlan, _ number: Int) -> EndpointPlan { endpoint(bridge, number) }
