import Control
import Glibc
import Linux
import Testing

@testable import Networks

/// Containers on a device of the host's instead of a bridge: macvlan, and ipvlan where the kernel has it.
@Suite(.serialized, .enabled(if: isRoot, "needs root for network namespaces"))
struct ParentDeviceTests {
    /// 10.9.0.0/24 on the cable to the machine outside, which has 10.9.0.2 and is the gateway.
    private func lan(
        _ number: Int, _ kind: ParentPlan.Kind = .macvlan, mode: String = "bridge", device: String = "up0"
    ) -> EndpointPlan {
        var plan = network(5) {
            $0.device = device
            $0.subnets = ["10.9.0.0/24", "fd09::/64"]
            $0.addresses = []
            $0.parent = ParentPlan(kind, mode: mode)
        }
        plan.networkName = "lan"
        var endpoint = EndpointPlan(bridge: plan, interface: "eth0", hostInterface: "unused\(number)", mac: "02:42:0a:09:00:1\(number)")
        endpoint.addresses = ["10.9.0.1\(number)/24", "fd09::1\(number)/64"]
        endpoint.gateways = ["10.9.0.2", "fd09::2"]
        return endpoint
    }

    @Test func containersReachTheCableWithTheirOwnAddresses() throws {
        try onHost { host in
            let outside = try host.makeOutside()
            let before = try host.snapshot()
            let one = try TestContainer(host, [lan(3)])
            let two = try TestContainer(host, [lan(4)], id: "other")
            let talk = Conversation(host: host)
            for (kind, address, peer) in [
                (InternetProtocol.tcp, "10.9.0.2", "10.9.0.13"), (.udp, "10.9.0.2", "10.9.0.13"), (.tcp, "fd09::2", "fd09::13"),
                (.udp, "fd09::2", "fd09::13"),
            ] {
                let server = try talk.listen(kind, outside, address, 80)
                #expect(try talk.talk(kind, from: one.namespace, to: address, 80, server: server) == peer, "\(address)")
            }
            // From outside and from each other, without ports.
            let server = try talk.listen(.tcp, one.namespace, "10.9.0.13", 80)
            #expect(try talk.talk(.tcp, from: outside, to: "10.9.0.13", 80, server: server) == "10.9.0.2")
            #expect(try talk.talk(.tcp, from: two.namespace, to: "10.9.0.13", 80, server: server) == "10.9.0.14")
            #expect(try host.shell("ip neigh show 10.9.0.13", in: outside).includes("02:42:0a:09:00:13"))
            #expect(try host.shell("ip route show default", in: one.namespace).hasPrefix("default via 10.9.0.2 dev eth0"))
            // Nothing of it is on the host: no bridge, no rules, no masquerading.
            let firewall = try FirewallSocket()
            #expect(try !firewall.stands() || firewall.elements(of: Ruleset.bridges).isEmpty)
            one.network.detach()
            two.network.detach()
            for _ in 0..<400 where try host.inside(one.namespace, { try RouteSocket().link("eth0") != nil }) { usleep(5000) }
            #expect(try host.inside(one.namespace) { try RouteSocket().link("eth0") == nil })
            #expect(try host.snapshot() == before)
        }
    }

    @Test func privateContainersReachOnlyOthers() throws {
        try onHost { host in
            let outside = try host.makeOutside()
            let one = try TestContainer(host, [lan(3, mode: "private")])
            let two = try TestContainer(host, [lan(4, mode: "private")], id: "other")
            let talk = Conversation(host: host)
            let server = try talk.listen(.tcp, one.namespace, "10.9.0.13", 80)
            #expect(try talk.talk(.tcp, from: outside, to: "10.9.0.13", 80, server: server) == "10.9.0.2")
            #expect(try talk.talk(.tcp, from: two.namespace, to: "10.9.0.13", 80, server: server) == nil)
        }
    }

    @Test func aBridgeAndACableSideBySide() throws {
        try onHost { host in
            let outside = try host.makeOutside()
            var second = lan(3)
            second.interface = "eth1"
            second.gateways = []
            let web = PortPlan(.tcp, hostAddress: "0.0.0.0", hostPort: 8080, containerPort: 80, target: "172.30.1.2")
            let one = try TestContainer(host, [endpoint(network(1), 2), second], ports: [web])
            let talk = Conversation(host: host)
            let server = try talk.listen(.tcp, one.namespace, "0.0.0.0", 80)
            #expect(try talk.talk(.tcp, from: nil, to: "127.0.0.1", 8080, server: server) == "172.30.1.1")
            #expect(try talk.talk(.tcp, from: outside, to: "10.9.0.13", 80, server: server) == "10.9.0.2")
            // Disconnected and connected again while it runs.
            var plan = one.plan
            plan.endpoints.removeLast()
            try one.network.change(to: plan)
            #expect(try talk.talk(.tcp, from: outside, to: "10.9.0.13", 80, server: server) == nil)
            try one.network.change(to: one.plan)
            #expect(try talk.talk(.tcp, from: outside, to: "10.9.0.13", 80, server: server) == "10.9.0.2")
            one.network.detach()
            try HostNetwork(run: host.run).remove(bridge: network(1))
            #expect(try !host.snapshot(without: ["ve1x2"]).includes("br-net1"))
        }
    }

    /// The kernel takes its time to clear a device away, and until then nobody else has its hardware address.
    @Test(arguments: ["bridge", "passthru"]) func aContainerComesBackAtOnce(mode: String) throws {
        try onHost { host in
            let outside = try host.makeOutside()
            let talk = Conversation(host: host, patience: 2000)
            for _ in 0..<5 {
                let one = try TestContainer(host, [lan(3, mode: mode)])
                let server = try talk.listen(.tcp, one.namespace, "10.9.0.13", 80)
                #expect(try talk.talk(.tcp, from: outside, to: "10.9.0.13", 80, server: server) == "10.9.0.2")
                one.network.detach()
            }
        }
    }

    @Test func parentsThatCannotServe() throws {
        try onHost { host in
            let outside = try host.makeOutside()
            func refusal(_ endpoint: EndpointPlan) -> String {
                do {
                    _ = try TestContainer(host, [endpoint])
                    return "none"
                } catch { return "\(error)" }
            }
            #expect(
                refusal(lan(3, device: "none9"))
                    == "connect to network \"lan\": the host has no device none9, its parent: make it, or the network anew with another parent"
            )
            try host.shell("ip link set up0 down")
            #expect(refusal(lan(3)) == "connect to network \"lan\": its parent up0 is down: ip link set up0 up")
            try host.shell("ip link set up0 up; ip link add br7 type bridge; ip link set up0 master br7")
            #expect(
                refusal(lan(3)).hasSuffix("its parent up0 is a port of a bridge or bond, or carries other kinds of devices: choose another")
            )
            try host.shell("ip link set up0 nomaster")
            let alone = try TestContainer(host, [lan(3, mode: "passthru")])
            #expect(refusal(lan(4)).hasSuffix("its parent up0 has another container, and one of them wants it alone (mode passthru)"))
            alone.network.detach()
            var large = lan(4)
            large.bridge.mtu = 9000
            #expect(refusal(large).hasSuffix("its parent up0 takes packets of at most 1500 bytes: choose no greater MTU"))
            _ = outside
        }
    }

    /// What this kernel has is used, what it has not is said in one sentence.
    @Test func kindsThatTheKernelMayLack() throws {
        try onHost { host in
            let outside = try host.makeOutside()
            let before = try host.snapshot()
            let shared = try HostNetwork(run: host.run)
            func has(_ kind: String) throws -> Bool { (try? host.shell("ip link add probe \(kind) && ip link del probe")) != nil }
            let talk = Conversation(host: host)
            if try has("link up0 type ipvlan") {
                let one = try TestContainer(host, [lan(3, .ipvlan, mode: "l2")])
                let server = try talk.listen(.tcp, outside, "10.9.0.2", 80)
                #expect(try talk.talk(.tcp, from: one.namespace, to: "10.9.0.2", 80, server: server) == "10.9.0.13")
            } else {
                let error = #expect(throws: NetworkError.self) { _ = try TestContainer(host, [lan(3, .ipvlan, mode: "l2")]) }
                #expect(error?.code == .unsupported)
                #expect(error?.cause == "the kernel has no ipvlan devices (module ipvlan); driver macvlan serves most of the same ends")
            }
            var none = lan(3, device: "dm-0123456789ab")
            none.bridge.parent?.isDummy = true
            none.gateways = []
            for (kind, probe, endpoint) in [
                ("VLAN", "link up0 type vlan id 77", lan(3, device: "up0.50")), ("dummy", "type dummy", none),
            ] {
                if try has(probe) {
                    let one = try TestContainer(host, [endpoint])
                    #expect(try shared.deviceExists(endpoint.bridge.device))
                    one.network.detach()
                    try shared.remove(bridge: endpoint.bridge)
                    #expect(try !shared.deviceExists(endpoint.bridge.device))
                } else {
                    let error = #expect(throws: NetworkError.self) { _ = try TestContainer(host, [endpoint]) }
                    #expect(error?.cause.hasPrefix("the kernel has no \(kind) devices, which \(endpoint.bridge.device) would be: ") == true)
                }
            }
            // A device that was there before stays.
            try shared.remove(bridge: lan(3).bridge)
            #expect(try host.snapshot() == before)
        }
    }

    @Test func namesOfVLANDevices() {
        #expect(VLANDevice("eth0.50")?.base == "eth0" && VLANDevice("eth0.50")?.id == 50)
        #expect(VLANDevice("a.b.4094")?.base == "a.b")
        for name in ["eth0", "eth0.", "eth0.0", "eth0.4095", "eth0.+5", ".5", "eth0.5x", "eth0.99999"] { #expect(VLANDevice(name) == nil) }
    }

    // MARK: Routes

    @Test func routesAreInTheContainersTableWhileItIsConnected() throws {
        try onHost { host in
            var one = endpoint(network(1), 2)
            one.routes = [
                RoutePlan("10.77.0.0/16", by: "172.30.1.9"), RoutePlan("10.78.0.0/16", by: "172.30.1.9", metric: 50),
                RoutePlan("fd77::/64", by: "fd30:1::9"),
            ]
            let container = try TestContainer(host, [one])
            func routes() throws -> [String] {
                try (host.shell("ip route", in: container.namespace) + host.shell("ip -6 route", in: container.namespace))
                    .split(separator: "\n").filter { $0.hasPrefix("10.7") || $0.hasPrefix("fd77") }
                    .map { $0.split(separator: " ").joined(separator: " ") }
            }
            let all = try routes()
            #expect(all.count == 3, "\(all)")
            #expect(all.first?.hasPrefix("10.77.0.0/16 via 172.30.1.9 dev eth0") == true)
            #expect(all.contains { $0.hasPrefix("10.78.0.0/16 via 172.30.1.9 dev eth0") && $0.includes("metric 50") })
            var plan = container.plan
            plan.endpoints.append(endpoint(network(2), 2, interface: "eth1"))
            try container.network.change(to: plan)
            #expect(try routes() == all)
            plan.endpoints.removeLast()
            try container.network.change(to: plan)
            #expect(try routes() == all)
            one.routes = [RoutePlan("10.77.0.0/16", by: "192.0.2.1")]
            let error = #expect(throws: NetworkError.self) { _ = try TestContainer(host, [one], id: "other") }
            #expect(error?.operation == "add route 10.77.0.0/16 by")
        }
    }
}
