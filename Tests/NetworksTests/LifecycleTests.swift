import CLinux
import Control
import Glibc
import Linux
import Testing

@testable import Networks

@Suite(.serialized, .enabled(if: isRoot, "needs root for network namespaces"))
struct LifecycleTests {
    private let web = PortPlan(.tcp, hostAddress: "0.0.0.0", hostPort: 8080, containerPort: 80, target: "172.30.1.2")

    @Test func nothingIsLeftAfterDetach() throws {
        try onHost { host in
            let shared = try HostNetwork(run: host.run)
            try shared.ensure(network(1))
            let before = try host.snapshot()
            let one = try TestContainer(host, [endpoint(network(1), 2)], ports: [web])
            #expect(try host.snapshot() != before)
            one.network.detach()
            try expectSame(host.snapshot(without: ["ve1x2"]), before)
            try shared.remove(bridge: network(1))
            try expectSame(host.snapshot(), before.replacingBridge())
            // Again: all of it is gone already.
            one.network.detach()
            try shared.remove(bridge: network(1))
        }
    }

    @Test func ensureIsIdempotentAndFollowsThePlan() throws {
        try onHost { host in
            let shared = try HostNetwork(run: host.run)
            try shared.ensure(network(1))
            let before = try host.snapshot()
            try shared.ensure(network(1))
            try expectSame(host.snapshot(), before)
            let changed = network(1) {
                $0.mtu = 1400
                $0.masquerades = false
                $0.addresses = ["172.30.1.254/24"]
                $0.subnets = ["172.30.1.0/24"]
            }
            try shared.ensure(changed)
            #expect(try shared.firewall.elements(of: Ruleset.masquerade4).isEmpty)
            #expect(try shared.firewall.elements(of: Ruleset.subnets6).isEmpty)
            let link = try #require(try shared.route.link("br-net1"))
            #expect(link.mtu == 1400)
            #expect(try shared.route.addresses(of: link.index).map(\.description) == ["172.30.1.254/24"])
            try shared.ensure(network(1))
            #expect(try shared.firewall.elements(of: Ruleset.masquerade4).count == 2)
            #expect(try shared.deviceExists("br-net1"))
            #expect(try !shared.deviceExists("br-net2"))
            let routes = try shared.routes().map(\.description)
            #expect(routes.contains("172.30.1.0/24") && routes.contains("fd30:1::/64") && routes.contains("127.0.0.0/8"))
            #expect(!routes.contains("0.0.0.0/0"))
        }
    }

    @Test func anotherDeviceOfTheBridgesNameIsLeftAlone() throws {
        try onHost { host in
            try host.shell("ip link add br-net1 type veth peer name other")
            let error = #expect(throws: NetworkError.self) { try HostNetwork(run: host.run).ensure(network(1)) }
            #expect(error?.code == .inUse)
            #expect(error?.description == "make bridge \"br-net1\": a network device of kind veth has this name")
        }
    }

    /// The subnets of a network that was never removed overlap those of a new one.
    @Test func rangesOfADeadNetworkGiveWay() throws {
        try onHost { host in
            let shared = try HostNetwork(run: host.run)
            try shared.ensure(network(1))
            try host.shell("ip link del br-net1")
            let wider = network(2) {
                $0.subnets = ["172.30.0.0/16"]
                $0.addresses = ["172.30.0.1/16"]
            }
            try shared.ensure(wider)
            #expect(try shared.firewall.elements(of: Ruleset.subnets4).map(\.key).contains([172, 30, 0, 0]))
        }
    }

    @Test func aPortInUseIsAnErrorThatNamesWhoHasIt() throws {
        try onHost { host in
            let server = try Conversation(host: host).listen(.tcp, nil, "0.0.0.0", 8080)
            let before = try host.snapshot()
            let error = #expect(throws: NetworkError.self) { _ = try TestContainer(host, [endpoint(network(1), 2)], ports: [web]) }
            #expect(error?.code == .inUse)
            let text = error?.description ?? ""
            #expect(text.hasPrefix("failed to bind host port 0.0.0.0:8080/tcp: address already in use ("))
            #expect(text.hasSuffix(", process \(getpid()))"), "\(text)")
            try expectSame(host.snapshot(without: ["ve1x2"]), before)
            _ = server
        }
    }

    @Test func twoContainersCannotHaveOnePort() throws {
        try onHost { host in
            let one = try TestContainer(host, [endpoint(network(1), 2)], ports: [web])
            for transport in [PortPlan.Transport.tcp, .udp] {
                for address in ["0.0.0.0", "127.0.0.1"] {
                    let port = PortPlan(transport, hostAddress: address, hostPort: 8080, containerPort: 80, target: "172.30.1.3")
                    let attempt = Result { try TestContainer(host, [endpoint(network(1), 3)], ports: [port], id: "other") }
                    #expect((try? attempt.get()) == nil || transport == .udp)
                }
            }
            #expect(try one.network.host().firewall.elements(of: Ruleset.any4).map(\.comment) == ["c0ffee"])
        }
    }

    /// Connections of a server that has ended, in TIME_WAIT, do not keep the port.
    @Test func connectionsOfAnEndedServerHoldNobodyUp() throws {
        try onHost { host in
            try host.shell(
                """
                python3 -c '
                import socket
                s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(("", 8080)); s.listen()
                c = socket.create_connection(("127.0.0.1", 8080)); a, _ = s.accept()
                a.close(); c.recv(1); c.close()
                '
                """)
            #expect(try host.shell("cat /proc/thread-self/net/tcp").includes(":1F90 0100007F"))
            let one = try TestContainer(host, [endpoint(network(1), 2)], ports: [web])
            // Who comes next finds it taken.
            #expect(throws: NetworkError.self) { _ = try TestContainer(host, [endpoint(network(1), 3)], ports: [web], id: "other") }
            _ = one
        }
    }

    @Test func whatAKilledSupervisorLeftIsReplaced() throws {
        try onHost { host in
            let shared = try HostNetwork(run: host.run)
            let plan = endpoint(network(1), 2)
            let dead = try TestContainer(host, [plan], ports: [web], id: "dead")
            // Its sockets are closed by its death; veth and elements stay while somebody holds the namespace.
            dead.network.ports.releaseAll()
            let stale = try shared.firewall.elements(of: Ruleset.any4)
            #expect(stale.map(\.comment) == ["dead"])
            var port = web
            port.containerPort = 81
            let one = try TestContainer(host, [plan], ports: [port], id: "alive")
            #expect(try shared.firewall.elements(of: Ruleset.any4).map(\.comment) == ["alive"])
            let talk = Conversation(host: host)
            let server = try talk.listen(.tcp, one.namespace, "172.30.1.2", 81)
            #expect(try talk.talk(.tcp, from: nil, to: "127.0.0.1", 8080, server: server) != nil)
            var both = NetworkPlan()
            both.endpoints = [plan]
            try shared.forget(both, id: "alive")
            #expect(try shared.firewall.elements(of: Ruleset.any4).isEmpty)
            #expect(try !shared.deviceExists(plan.hostInterface))
        }
    }

    @Test func aRunningContainersConnectionsChange() throws {
        try onHost { host in
            let one = try TestContainer(host, [endpoint(network(1), 2)], ports: [web])
            let start = try host.snapshot()
            let other = try TestContainer(host, [endpoint(network(2), 3)])
            let talk = Conversation(host: host)
            let server = try talk.listen(.tcp, other.namespace, "172.30.2.3", 80)
            #expect(try talk.talk(.tcp, from: one.namespace, to: "172.30.2.3", 80, server: server) == nil)
            var plan = one.plan
            plan.endpoints.append(endpoint(network(2), 2, interface: "eth1"))
            plan.ports.append(PortPlan(.tcp, hostAddress: "127.0.0.1", hostPort: 9090, containerPort: 80, target: "172.30.1.2"))
            try one.network.change(to: plan)
            #expect(try talk.talk(.tcp, from: one.namespace, to: "172.30.2.3", 80, server: server) == "172.30.2.2")
            let web = try talk.listen(.tcp, one.namespace, "0.0.0.0", 80)
            for port in [UInt16(8080), 9090] { #expect(try talk.talk(.tcp, from: nil, to: "127.0.0.1", port, server: web) != nil) }
            // The first network goes: the second one's gateway takes over.
            plan.endpoints.removeFirst()
            plan.ports = []
            try one.network.change(to: plan)
            #expect(try host.shell("ip route show default", in: one.namespace).hasPrefix("default via 172.30.2.1 dev eth1"))
            #expect(try talk.talk(.tcp, from: nil, to: "127.0.0.1", 8080, server: web) == nil)
            // One that fails changes nothing.
            let taken = try talk.listen(.tcp, nil, "0.0.0.0", 7070)
            var bad = one.plan
            bad.ports.append(PortPlan(.tcp, hostAddress: "0.0.0.0", hostPort: 7070, containerPort: 80, target: "172.30.1.2"))
            let before = try host.snapshot()
            #expect(throws: NetworkError.self) { try one.network.change(to: bad) }
            try expectSame(host.snapshot(), before)
            _ = taken
            try one.network.change(to: one.plan)
            other.network.detach()
            try HostNetwork(run: host.run).remove(bridge: network(2))
            try expectSame(host.snapshot(without: ["ve2x3", "ve2x2"]), start)
        }
    }

    /// The second would be taken away under the first one's name.
    @Test func twoDevicesDoNotHaveOneName() throws {
        try onHost { host in
            let one = try TestContainer(host, [endpoint(network(1), 2)])
            var plan = one.plan
            plan.endpoints.append(endpoint(network(2), 2))
            let before = try host.snapshot()
            let error = #expect(throws: NetworkError.self) { try one.network.change(to: plan) }
            #expect(error?.description.contains("called eth0 already") == true)
            try expectSame(host.snapshot(), before)
        }
    }

    /// Also of a container that had nothing in it when it was started.
    @Test func aFlushIsNoticedByWhoWasConnectedLater() throws {
        try onHost { host in
            let one = try TestContainer(host, [])
            #expect(one.network.watch == nil)
            var plan = one.plan
            plan.endpoints = [endpoint(network(1), 2)]
            try one.network.change(to: plan)
            let watch = try #require(one.network.watch)
            try host.shell("nft flush ruleset")
            var event = pollfd(fd: watch.raw, events: Int16(POLLIN), revents: 0)
            #expect(poll(&event, 1, 1000) == 1)
            #expect(one.network.rulesetChanged())
            try one.network.repair()
            #expect(try HostNetwork(run: host.run).firewall.isWhole())
        }
    }

    @Test(arguments: ["nft flush ruleset", "nft delete table inet berth", "nft flush table inet berth"])
    func aFlushIsNoticedAndRepaired(flush: String) throws {
        try onHost { host in
            let one = try TestContainer(host, [endpoint(network(1), 2)], ports: [web])
            let two = try TestContainer(host, [endpoint(network(2), 2)], id: "other")
            let firewall = try one.network.host().firewall
            let before = try host.snapshot()
            let watch = try #require(one.network.watch)
            _ = one.network.rulesetChanged()
            // Other containers' comings and goings wake nobody.
            let third = try TestContainer(host, [endpoint(network(2), 3)], id: "third")
            third.network.detach()
            var event = pollfd(fd: watch.raw, events: Int16(POLLIN), revents: 0)
            #expect(poll(&event, 1, 0) == 0)
            #expect(!one.network.rulesetChanged())
            try host.shell(flush)
            #expect(poll(&event, 1, 1000) == 1)
            #expect(one.network.rulesetChanged())
            try one.network.repair()
            if two.network.rulesetChanged() { try two.network.repair() }
            try expectSame(host.snapshot(), before)
            #expect(try firewall.ruleCount() == Ruleset.rules.count)
            #expect(!one.network.rulesetChanged() && !two.network.rulesetChanged())
            #expect(poll(&event, 1, 0) == 0)
            let talk = Conversation(host: host)
            let server = try talk.listen(.tcp, one.namespace, "172.30.1.2", 80)
            #expect(try talk.talk(.tcp, from: nil, to: "127.0.0.1", 8080, server: server) != nil)
            #expect(try talk.talk(.tcp, from: two.namespace, to: "172.30.1.2", 80, server: server) == nil)
        }
    }

    /// Others' changes of others' tables.
    @Test func changesOfOthersAreNone() throws {
        try onHost { host in
            let one = try TestContainer(host, [endpoint(network(1), 2)])
            try host.shell("nft add table inet other; nft 'add chain inet other x'; nft delete table inet other")
            #expect(!one.network.rulesetChanged())
        }
    }

    @Test func anOlderRulesetIsReplacedAndANewerOneKept() throws {
        try onHost { host in
            let one = try TestContainer(host, [endpoint(network(1), 2)], ports: [web])
            let before = try host.snapshot()
            let firewall = try one.network.host().firewall
            try host.shell("nft rename chain inet berth \(Ruleset.versionChain) version_0; nft add rule inet berth forward drop")
            #expect(one.network.rulesetChanged())
            try one.network.repair()
            #expect(try firewall.chains().contains(Ruleset.versionChain))
            #expect(try !firewall.chains().contains("version_0"))
            #expect(try firewall.ruleCount() == Ruleset.rules.count)
            try expectSame(host.snapshot(), before)
            try host.shell("nft rename chain inet berth \(Ruleset.versionChain) version_7; nft add rule inet berth forward accept")
            try one.network.repair()
            #expect(try firewall.chains().contains("version_7"))
            #expect(try firewall.ruleCount() == Ruleset.rules.count + 1)
        }
    }

    /// 5,000 ports: no process and no rule for each.
    @Test func aRangeOfPortsIsPublishedAtOnce() throws {
        try onHost { host in
            let bridge = network(1)
            try HostNetwork(run: host.run).ensure(bridge)
            let range = PortPlan(.tcp, hostAddress: "0.0.0.0", hostPort: 20000, containerPort: 30000, count: 5000, target: "172.30.1.2")
            let before = try host.snapshot()
            let start = monotonicNanoseconds()
            let one = try TestContainer(host, [endpoint(bridge, 2)], ports: [range])
            let attached = monotonicNanoseconds()
            #expect(try one.network.host().firewall.elements(of: Ruleset.any4).count == 5000)
            let talk = Conversation(host: host)
            for offset in [UInt16(0), 2500, 4999] {
                let server = try talk.listen(.tcp, one.namespace, "172.30.1.2", 30000 + offset)
                #expect(try talk.talk(.tcp, from: nil, to: "127.0.0.1", 20000 + offset, server: server) != nil)
            }
            let middle = monotonicNanoseconds()
            one.network.detach()
            let end = monotonicNanoseconds()
            print("5,000 ports: attach \((attached - start) / 1_000_000) ms, detach \((end - middle) / 1_000_000) ms")
            #expect(attached - start < 2_000_000_000)
            try expectSame(host.snapshot(without: ["ve1x2"]), before)
        }
    }

    @Test func attachAndDetachTakeAboutAMillisecond() throws {
        try onHost { host in
            try HostNetwork(run: host.run).ensure(network(1))
            var attach: [Int64] = [], detach: [Int64] = []
            for _ in 0..<20 {
                let namespace = try host.makeNamespace()
                let start = monotonicNanoseconds()
                let one = try TestContainer(host, [endpoint(network(1), 2)], ports: [web], namespace: namespace)
                let middle = monotonicNanoseconds()
                one.network.detach()
                attach.append(middle - start)
                detach.append(monotonicNanoseconds() - middle)
                // The removal of devices goes on behind; as does that of the namespace.
                _ = try host.snapshot(without: ["ve1x2"])
                usleep(50_000)
            }
            print("attach \(attach.sorted()[10] / 1000) us, detach \(detach.sorted()[10] / 1000) us")
        }
    }
}

/// Tells the lines that are in only one of two texts.
private func expectSame(_ one: String, _ other: String, location: SourceLocation = #_sourceLocation) {
    let lines = Set(one.split(separator: "\n")).symmetricDifference(Set(other.split(separator: "\n"))).sorted()
    #expect(lines.isEmpty, "\(lines)", sourceLocation: location)
}

extension String {
    /// As ``TestHost/snapshot()`` is without any bridge.
    fileprivate func replacingBridge() -> String {
        split(separator: "\n", omittingEmptySubsequences: false).filter {
            !$0.includesText("br-net1") && !$0.includesText("172.30.1.") && !$0.includesText("fd30:1:") && !$0.includesText("fe80::1/64")
                && !Ruleset.sets.map(\.name).contains(String($0.prefix { $0 != " " }))
        }.joined(separator: "\n")
    }
}

extension Substring {
    fileprivate func includesText(_ text: String) -> Bool { String(self).includes(text) }
}
