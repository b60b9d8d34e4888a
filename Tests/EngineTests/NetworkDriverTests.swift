import Control
import JSON
import Linux
import Store
import Testing

@testable import Control
@testable import Engine

/// Networks that are more than a bridge.
struct NetworkDriverTests {
    private func definition(_ driver: String, _ change: (inout NetworkRequest) -> Void = { _ in }) throws(EngineError) -> NetworkDefinition
    {
        var request = NetworkRequest(name: "lan")
        request.driver = driver
        request.subnets = ["10.9.0.0/24"]
        change(&request)
        return try request.definition(id: String(repeating: "a", count: 64))
    }

    private func plan(_ network: NetworkDefinition, device: String = "eth9") throws -> BridgePlan {
        network.bridgePlan(device: device, try DriverOptions(network))
    }

    private func expectRefusals(_ driver: String, _ bad: [((inout NetworkRequest) -> Void, String)]) {
        for (change, part) in bad {
            do throws(EngineError) {
                _ = try definition(driver, change)
                Issue.record("not refused: \(part)")
            } catch { #expect(error.description.includes(part), "\(error)") }
        }
    }

    @Test func macvlan() throws {
        let network = try definition("macvlan") { $0.options = ["parent": "eth9", "com.docker.network.driver.mtu": "1400"] }
        let plan = try plan(network)
        #expect(plan.device == "eth9" && plan.mtu == 1400 && plan.addresses.isEmpty && plan.tunnel == nil)
        #expect(plan.parent?.kind == .macvlan && plan.parent?.mode == "bridge" && plan.parent?.isDummy == false)
        #expect(network.leadsOut && !network.publishes && !network.isBridge && network.isConnectable)
        let closed = try definition("macvlan")
        #expect(try self.plan(closed).parent?.isDummy == true && !closed.leadsOut)
        #expect(try DriverOptions(try definition("macvlan") { $0.options = ["mode": "vepa"] }).parent?.plan.mode == "vepa")
        expectRefusals(
            "macvlan",
            [
                ({ $0.options = ["parent": "lo"] }, "loopback interface is not a valid macvlan parent link"),
                ({ $0.options = ["parent": "a/b"] }, "invalid device name"), ({ $0.options = ["macvlan_mode": "l2"] }, "not one of bridge"),
                ({ $0.options = ["ipvlan_flag": "vepa"] }, "unknown option \"ipvlan_flag\" of driver macvlan"),
                ({ $0.options = ["isolate": "true"] }, "unknown option \"isolate\""),
            ])
    }

    @Test func ipvlan() throws {
        let network = try definition("ipvlan") { $0.options = ["parent": "eth9", "ipvlan_mode": "l3", "ipvlan_flag": "private"] }
        let options = try DriverOptions(network)
        #expect(options.parent?.plan.kind == .ipvlan && options.parent?.plan.flag == "private" && options.parent?.isRouted == true)
        #expect(try DriverOptions(try definition("ipvlan")).parent?.isRouted == false)
        expectRefusals("ipvlan", [({ $0.options = ["ipvlan_mode": "bridge"] }, "option ipvlan_mode=bridge: not one of l2, l3, l3s")])
    }

    private func container(_ networks: [(NetworkDefinition, String, Int)]) throws -> NetworkPlanner {
        var container = ContainerDefinition(id: String(repeating: "d", count: 64), name: "web1")
        container.network = .private
        var planner = NetworkPlanner(container: container, endpoints: [])
        for (position, (network, address, priority)) in networks.enumerated() {
            var asked = EndpointDefinition()
            (asked.network, asked.gatewayPriority) = (network.name, priority)
            let record = EndpointRecord(
                containerID: container.id, position: position, id: String(repeating: "\(position)", count: 64), networkID: network.id,
                ipv4: IPAddress(address), definition: asked.encode())
            planner.endpoints.append(
                NetworkPlanner.Endpoint(
                    record: record, definition: asked, network: network, device: "x", options: try DriverOptions(network)))
        }
        planner.ports = [
            PortRecord(
                containerID: "", transport: "tcp", address: try #require(IPAddress("0.0.0.0")), hostPort: 80, containerPort: 80, count: 1)
        ]
        return planner
    }

    /// The gateway of a macvlan network is another machine: it is no name for the host, and no port of the host leads there.
    @Test func theGatewayOfAnotherNetworkIsNotTheHost() throws {
        let lan = try definition("macvlan") { $0.options = ["parent": "eth9"] }
        var web = try definition("bridge") {
            $0.name = "web"
            $0.subnets = ["10.1.0.0/24"]
        }
        web.id = String(repeating: "b", count: 64)
        let alone = try container([(lan, "10.9.0.2", 0)]).plan()
        #expect(alone.endpoints[0].gateways == ["10.9.0.1"] && alone.resolver?.fixed == [] && alone.ports.isEmpty)
        let both = try container([(lan, "10.9.0.2", 0), (web, "10.1.0.2", 0)]).plan()
        #expect(both.endpoints.map(\.gateways) == [["10.9.0.1"], []] && both.ports.isEmpty)
        #expect(both.resolver?.fixed.first?.addresses == ["10.1.0.1"])
        let turned = try container([(lan, "10.9.0.2", 0), (web, "10.1.0.2", 1)]).plan()
        #expect(turned.endpoints.map(\.gateways) == [[], ["10.1.0.1"]] && turned.ports.map(\.target) == ["10.1.0.2"])
        let routed = try definition("ipvlan") { $0.options = ["parent": "eth9", "ipvlan_mode": "l3s"] }
        #expect(try container([(routed, "10.9.0.2", 0)]).plan().endpoints[0].gateways == ["0.0.0.0"])
    }

    @Test func routesAndNames() throws {
        let network = try definition("bridge") {
            $0.subnets = ["10.9.0.0/24", "fd09::/64"]
            $0.routes = ["10.1.0.0/16,10.9.0.9", "10.2.0.0/16,10.9.0.9,7", "fd01::/64,fd09::9"]
            $0.hidesNames = true
        }
        var again = NetworkDefinition(id: network.id, name: network.name)
        try again.decode(network.encode())
        #expect(again == network)
        var planner = try container([(network, "10.9.0.2", 0)])
        planner.directory = "/run/n"
        let plan = planner.plan()
        // It has no address of IPv6 there.
        #expect(
            plan.endpoints[0].routes == [RoutePlan("10.1.0.0/16", by: "10.9.0.9"), RoutePlan("10.2.0.0/16", by: "10.9.0.9", metric: 7)])
        #expect(plan.endpoints[0].names.isEmpty && plan.resolver?.directories == [])
        expectRefusals(
            "bridge",
            [
                ({ $0.routes = ["10.1.0.0/16"] }, "write it as DESTINATION/LENGTH,GATEWAY[,METRIC]"),
                ({ $0.routes = ["10.1.0.0/16,10.9.0.9,1,2"] }, "write it as"),
                ({ $0.routes = ["10.1.0.1/16,10.9.0.9"] }, "should be 10.1.0.0/16"),
                ({ $0.routes = ["0.0.0.0/0,10.9.0.9"] }, "the default route is the network's --gateway"),
                ({ $0.routes = ["10.1.0.0/16,10.8.0.9"] }, "its gateway is in none of the subnets"),
                ({ $0.routes = ["fd01::/64,10.9.0.9"] }, "its gateway is in none"),
                ({ $0.routes = ["10.1.0.0/16,10.9.0.9,-1"] }, "its metric"),
            ])
    }

    @Test func vxlan() throws {
        let network = try definition("vxlan") {
            $0.ranges = ["10.9.0.64/26"]
            $0.options = ["vni": "7", "peers": "10.0.0.2,dns:hosts.example.org", "dstport": "8472", "dev": "eth1", "isolate": "true"]
        }
        #expect(network.subnets[0].gateway.description == "10.9.0.64", "each host has a gateway of its own")
        let plan = try plan(network, device: "br-x")
        var wanted = TunnelPlan(device: "vx-aaaaaaaaaaaa", vni: 7, port: 8472, peers: ["10.0.0.2", "dns:hosts.example.org"])
        wanted.underlay = "eth1"
        #expect(plan.tunnel == wanted && plan.addresses == ["10.9.0.64/24"] && network.publishes)
        let first = try definition("vxlan") {
            $0.ranges = ["10.9.0.0/26"]
            $0.options = ["vni": "7", "peers": "10.0.0.2"]
        }
        #expect(first.subnets[0].gateway.description == "10.9.0.1")
        let given = try definition("vxlan") {
            $0.ranges = ["10.9.0.64/26"]
            $0.gateways = ["10.9.0.1"]
            $0.options = ["vni": "7", "peers": "fd00::2", "local": "fd00::1"]
        }
        #expect(given.subnets[0].gateway.description == "10.9.0.1")
        expectRefusals(
            "vxlan",
            [
                ({ $0.options = ["peers": "10.0.0.2"] }, "driver vxlan needs --opt vni=NUMBER"),
                ({ $0.options = ["vni": "16777216", "peers": "10.0.0.2"] }, "invalid vni"),
                ({ $0.options = ["vni": "1"] }, "driver vxlan needs --opt peers="),
                ({ $0.options = ["vni": "1", "peers": "host2"] }, "invalid peer \"host2\": an IP address, or dns: and a name"),
                ({ $0.options = ["vni": "1", "peers": "dns:a b"] }, "invalid peer"),
                ({ $0.options = ["vni": "1", "peers": "10.0.0.2,fd00::2"] }, "by IPv4 or by IPv6"),
                ({ $0.options = ["vni": "1", "peers": "10.0.0.2", "local": "fd00::2"] }, "by IPv4 or by IPv6"),
                ({ $0.options = ["vni": "1", "peers": "10.0.0.2", "dstport": "0"] }, "invalid port"),
                ({ $0.options = ["vni": "1", "peers": "10.0.0.2", "parent": "x"] }, "unknown option \"parent\" of driver bridge"),
                (
                    {
                        $0.options = ["vni": "1", "peers": "10.0.0.2"]
                        $0.subnets = []
                    }, "driver vxlan needs --subnet"
                ),
            ])
    }

    /// What a supervisor reads is what was written, and what an older version wrote is read as it was meant.
    @Test func plansAreReadAsTheyWereWritten() throws {
        var bridge = BridgePlan(networkID: "a", networkName: "lan", device: "br-x")
        bridge.tunnel = TunnelPlan(device: "vx-x", vni: 7, port: 4790, peers: ["10.0.0.2"])
        bridge.tunnel?.local = "10.0.0.1"
        bridge.tunnel?.underlay = "eth1"
        var one = EndpointPlan(bridge: bridge, interface: "eth0", hostInterface: "veth0", mac: "02:42:00:00:00:01")
        one.routes = [RoutePlan("10.1.0.0/16", by: "10.9.0.9", metric: 7)]
        bridge.tunnel = nil
        bridge.parent = ParentPlan(.ipvlan, mode: "l3")
        bridge.parent?.flag = "vepa"
        bridge.parent?.isDummy = true
        var plan = NetworkPlan()
        plan.endpoints = [one, EndpointPlan(bridge: bridge, interface: "eth1", hostInterface: "veth1", mac: "02:42:00:00:00:02")]
        let text = JSONWriter.document { plan.write(to: &$0) }
        let read = try JSONParser.parse(text) { (parser: inout JSONParser) throws(JSONError) in try NetworkPlan(json: &parser) }
        #expect(read == plan)
        let old =
            #"{"endpoints":[{"bridge":{"networkID":"a","networkName":"n","device":"br-a"},"interface":"eth0","hostInterface":"v","mac":""}]}"#
        let former = try JSONParser.parse(Array(old.utf8)) { (parser: inout JSONParser) throws(JSONError) in try NetworkPlan(json: &parser)
        }
        #expect(former.endpoints[0].bridge.parent == nil && former.endpoints[0].bridge.tunnel == nil && former.endpoints[0].routes.isEmpty)
    }
}
