import CLinux
import Control
import Glibc
import Linux
import Testing

@testable import Networks

@Suite(.serialized, .enabled(if: isRoot, "needs root for network namespaces"))
struct IsolationTests {
    private static let both = [(InternetProtocol.tcp, false), (.udp, false), (.tcp, true), (.udp, true)]

    /// What gets through from one namespace to another, each container's second address.
    private func reached(
        _ talk: Conversation, from: SharedFD?, to: SharedFD?, _ four: String, _ six: String
    ) throws -> [Bool] {
        try Self.both.map { kind, isIPv6 in
            let address = isIPv6 ? six : four
            let server = try talk.listen(kind, to, isIPv6 ? "::" : "0.0.0.0", 80)
            return try talk.talk(kind, from: from, to: address, 80, server: server) != nil
        }
    }

    private let nothing = [false, false, false, false]
    private let everything = [true, true, true, true]

    @Test func networksDoNotReachEachOther() throws {
        try onHost { host in
            let one = try TestContainer(host, [endpoint(network(1), 2)])
            let two = try TestContainer(host, [endpoint(network(2), 2)])
            let talk = Conversation(host: host, patience: 200)
            #expect(try reached(talk, from: one.namespace, to: two.namespace, "172.30.2.2", "fd30:2::2") == nothing)
            #expect(try reached(talk, from: two.namespace, to: one.namespace, "172.30.1.2", "fd30:1::2") == nothing)
            // The host itself may.
            #expect(try reached(talk, from: nil, to: two.namespace, "172.30.2.2", "fd30:2::2") == everything)
        }
    }

    @Test func aContainerOfTwoNetworksReachesBoth() throws {
        try onHost { host in
            let one = try TestContainer(host, [endpoint(network(1), 2)])
            let two = try TestContainer(host, [endpoint(network(2), 2)])
            let both = try TestContainer(host, [endpoint(network(1), 3), endpoint(network(2), 3, interface: "eth1")])
            let talk = Conversation(host: host, patience: 200)
            #expect(try reached(talk, from: both.namespace, to: one.namespace, "172.30.1.2", "fd30:1::2") == everything)
            #expect(try reached(talk, from: both.namespace, to: two.namespace, "172.30.2.2", "fd30:2::2") == everything)
        }
    }

    @Test func anInternalNetworkIsReachedByNobodyElse() throws {
        try onHost { host in
            let outside = try host.makeOutside(forwardsTo: ["172.30.1.0/24", "fd30:1::/64"])
            let inner = network(1) { $0.isInternal = true }
            let one = try TestContainer(host, [endpoint(inner, 2)])
            let friend = try TestContainer(host, [endpoint(inner, 3)])
            let stranger = try TestContainer(host, [endpoint(network(2), 2)])
            // As if somebody had given it a way out.
            try host.shell("ip route add default via 172.30.1.1; ip -6 route add default via fd30:1::1", in: one.namespace)
            let talk = Conversation(host: host, patience: 200)
            #expect(try reached(talk, from: friend.namespace, to: one.namespace, "172.30.1.2", "fd30:1::2") == everything)
            #expect(try reached(talk, from: one.namespace, to: outside, "10.9.0.2", "fd09::2") == nothing)
            #expect(try reached(talk, from: outside, to: one.namespace, "172.30.1.2", "fd30:1::2") == nothing)
            #expect(try reached(talk, from: stranger.namespace, to: one.namespace, "172.30.1.2", "fd30:1::2") == nothing)
            #expect(try reached(talk, from: one.namespace, to: stranger.namespace, "172.30.2.2", "fd30:2::2") == nothing)
        }
    }

    @Test(arguments: ["0", "1"]) func containersOfANetworkMayBeKeptApart(bridgeCallsFirewall: String) throws {
        try onHost { host in
            try host.bridgesCallFirewall(bridgeCallsFirewall)
            let outside = try host.makeOutside()
            let apart = network(1) { $0.connectsContainers = false }
            let port = PortPlan(.tcp, hostAddress: "0.0.0.0", hostPort: 8081, containerPort: 80, target: "172.30.1.2")
            let one = try TestContainer(host, [endpoint(apart, 2)], ports: [port])
            let two = try TestContainer(host, [endpoint(apart, 3)])
            let talk = Conversation(host: host, patience: 200)
            #expect(try reached(talk, from: two.namespace, to: one.namespace, "172.30.1.2", "fd30:1::2") == nothing)
            #expect(try reached(talk, from: two.namespace, to: outside, "10.9.0.2", "fd09::2") == everything)
            let server = try talk.listen(.tcp, one.namespace, "172.30.1.2", 80)
            #expect(try talk.talk(.tcp, from: outside, to: "10.9.0.1", 8081, server: server) == "10.9.0.2")
        }
    }

    @Test func whatIsNotPublishedIsNotReachedByRouting() throws {
        try onHost { host in
            let outside = try host.makeOutside(forwardsTo: ["172.30.1.0/24", "fd30:1::/64", "127.0.0.0/8"])
            let port = PortPlan(.tcp, hostAddress: "127.0.0.1", hostPort: 8080, containerPort: 80, target: "172.30.1.2")
            let one = try TestContainer(host, [endpoint(network(1), 2)], ports: [port])
            let talk = Conversation(host: host, patience: 200)
            #expect(try reached(talk, from: outside, to: one.namespace, "172.30.1.2", "fd30:1::2") == nothing)
            let server = try talk.listen(.tcp, one.namespace, "172.30.1.2", 80)
            #expect(try talk.talk(.tcp, from: nil, to: "127.0.0.1", 8080, server: server) != nil)
            #expect(try talk.talk(.tcp, from: outside, to: "10.9.0.1", 8080, server: server) == nil)
            #expect(try talk.talk(.tcp, from: one.namespace, to: "172.30.1.1", 8080, server: server) == nil)
        }
    }

    /// CVE-2020-8558: what listens at the host's 127.0.0.1 is not for neighbours, although `route_localnet` is on.
    @Test func theHostsLoopbackIsNotReachedFromBridges() throws {
        try onHost { host in
            let one = try TestContainer(host, [endpoint(network(1), 2)])
            #expect(Sysctl.read("net/ipv4/conf/br-net1/route_localnet") == "1")
            // A container with CAP_NET_ADMIN.
            try host.shell(
                """
                ip address del 127.0.0.1/8 dev lo; ip route add 127.0.0.1/32 via 172.30.1.1 dev eth0
                echo 1 > /proc/sys/net/ipv4/conf/eth0/route_localnet
                """, in: one.namespace)
            let talk = Conversation(host: host, patience: 200)
            let server = try talk.listen(.tcp, nil, "127.0.0.1", 80)
            #expect(try talk.talk(.tcp, from: nil, to: "127.0.0.1", 80, server: server) != nil)
            #expect(try talk.talk(.tcp, from: one.namespace, to: "127.0.0.1", 80, server: server) == nil)
            // The test can fail: without the guard it gets through.
            try host.shell("nft flush chain inet berth guard")
            #expect(try talk.talk(.tcp, from: one.namespace, to: "127.0.0.1", 80, server: server) != nil)
        }
    }

    /// CVE-2020-13401: a neighbour's router advertisement changes nothing.
    @Test func advertisementsAreNotListenedTo() throws {
        try onHost { host in
            let four = network(1) {
                $0.addresses.removeLast()
                $0.subnets.removeLast()
            }
            var plan = endpoint(four, 2)
            plan.addresses = ["172.30.1.2/24"]
            plan.gateways = ["172.30.1.1"]
            let one = try TestContainer(host, [plan])
            let two = try TestContainer(host, [endpoint(network(2), 2)])
            try host.inside(one.namespace) { #expect(Sysctl.read("net/ipv6/conf/eth0/disable_ipv6") == "1") }
            try host.inside(two.namespace) {
                #expect(Sysctl.read("net/ipv6/conf/eth0/disable_ipv6") == "0")
                #expect(Sysctl.read("net/ipv6/conf/eth0/accept_ra") == "0")
            }
        }
    }
}
