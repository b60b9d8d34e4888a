import CLinux
import Control
import Glibc
import Linux
import Testing

@testable import Networks

@Suite(.serialized, .enabled(if: isRoot, "needs root for network namespaces"))
struct AttachTests {
    @Test func twoContainersOfANetworkTalk() throws {
        try onHost { host in
            let one = try TestContainer(host, [endpoint(network(1), 2)])
            let two = try TestContainer(host, [endpoint(network(1), 3)])
            let talk = Conversation(host: host)
            for (kind, address, peer) in [
                (InternetProtocol.tcp, "172.30.1.3", "172.30.1.2"), (.udp, "172.30.1.3", "172.30.1.2"),
                (.tcp, "fd30:1::3", "fd30:1::2"), (.udp, "fd30:1::3", "fd30:1::2"),
            ] {
                let server = try talk.listen(kind, two.namespace, address, 80)
                #expect(try talk.talk(kind, from: one.namespace, to: address, 80, server: server) == peer, "\(address)")
            }
        }
    }

    /// More are taken away again by the kernel while it makes the device, for which it waits.
    @Test func cablesHaveOneQueue() throws {
        try onHost { host in
            let one = try TestContainer(host, [endpoint(network(1), 2)])
            for namespace in [nil, one.namespace] {
                let counts = try host.shell(
                    "ip -d -o link show type veth | grep -o 'num[rt]xqueues [0-9]*' | sort -u | tr '\\n' ' '", in: namespace)
                #expect(counts == "numrxqueues 1 numtxqueues 1 ")
            }
        }
    }

    @Test func whatIsOutsideIsReachedWithTheHostsAddress() throws {
        try onHost { host in
            let outside = try host.makeOutside()
            let one = try TestContainer(host, [endpoint(network(1), 2)])
            let talk = Conversation(host: host)
            for (kind, address, peer) in [
                (InternetProtocol.tcp, "10.9.0.2", "10.9.0.1"), (.udp, "10.9.0.2", "10.9.0.1"), (.tcp, "fd09::2", "fd09::1"),
                (.udp, "fd09::2", "fd09::1"),
            ] {
                let server = try talk.listen(kind, outside, address, 80)
                #expect(try talk.talk(kind, from: one.namespace, to: address, 80, server: server) == peer, "\(address)")
            }
        }
    }

    @Test(arguments: ["0", "1"]) func publishedPortsAreReachedFromEverywhere(bridgeCallsFirewall: String) throws {
        try onHost { host in
            try host.bridgesCallFirewall(bridgeCallsFirewall)
            let outside = try host.makeOutside()
            let ports = [
                PortPlan(.tcp, hostAddress: "0.0.0.0", hostPort: 8080, containerPort: 80, target: "172.30.1.2"),
                PortPlan(.udp, hostAddress: "0.0.0.0", hostPort: 8080, containerPort: 80, target: "172.30.1.2"),
                PortPlan(.tcp, hostAddress: "::", hostPort: 8080, containerPort: 80, target: "fd30:1::2"),
                PortPlan(.udp, hostAddress: "::", hostPort: 8080, containerPort: 80, target: "fd30:1::2"),
            ]
            let one = try TestContainer(host, [endpoint(network(1), 2)], ports: ports)
            let neighbour = try TestContainer(host, [endpoint(network(1), 3)])
            let stranger = try TestContainer(host, [endpoint(network(2), 2)])
            let talk = Conversation(host: host, patience: 1000)
            for kind in [InternetProtocol.tcp, .udp] {
                let four = try talk.listen(kind, one.namespace, "172.30.1.2", 80)
                let six = try talk.listen(kind, one.namespace, "fd30:1::2", 80)
                for (who, from, address, server, peer) in [
                    ("outside", outside as SharedFD?, "10.9.0.1", four, "10.9.0.2"), ("outside", outside, "fd09::1", six, "fd09::2"),
                    ("host", nil, "127.0.0.1", four, "172.30.1.1"), ("host", nil, "10.9.0.1", four, nil),
                    ("host", nil, "::1", six, "fd30:1::1"), ("host", nil, "fd09::1", six, nil),
                    ("hairpin", one.namespace, "10.9.0.1", four, "172.30.1.1"), ("hairpin", one.namespace, "fd09::1", six, "fd30:1::1"),
                    ("hairpin", one.namespace, "172.30.1.1", four, "172.30.1.1"),
                    ("neighbour", neighbour.namespace, "10.9.0.1", four, "172.30.1.1"),
                    ("neighbour", neighbour.namespace, "fd09::1", six, "fd30:1::1"),
                    ("stranger", stranger.namespace, "10.9.0.1", four, "172.30.1.1"),
                    ("stranger", stranger.namespace, "fd09::1", six, "fd30:1::1"),
                ] as [(String, SharedFD?, String, SharedFD, String?)] {
                    // Where bridges call the IP firewall, answers to ::1 are taken for forgeries.
                    if address == "::1", bridgeCallsFirewall == "1" { continue }
                    let seen = try talk.talk(kind, from: from, to: address, 8080, server: server)
                    #expect(seen != nil, "\(kind) \(who) \(address)")
                    if let peer { #expect(seen == peer, "\(kind) \(who) \(address)") }
                }
            }
        }
    }
}
