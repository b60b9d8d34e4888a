import Control
import Linux
import Networks
import Store
import Testing

@testable import Engine

struct NetworkPlanTests {
    private func network(_ name: String, _ subnets: String..., change: (inout NetworkDefinition) -> Void = { _ in }) -> NetworkDefinition {
        var network = NetworkDefinition(id: String(name.utf8.first == 0x77 ? "a" : "b") + String(repeating: "0", count: 63), name: name)
        for subnet in subnets.compactMap({ IPPrefix($0) }) {
            network.subnets.append(NetworkSubnet(subnet, gateway: NetworkRequest.usualGateway(of: subnet)))
        }
        change(&network)
        return network
    }

    private func endpoint(
        _ network: NetworkDefinition, _ position: Int, _ ipv4: String, _ ipv6: String = "",
        change: (inout EndpointDefinition) -> Void = { _ in }
    ) throws -> NetworkPlanner.Endpoint {
        var asked = EndpointDefinition()
        asked.network = network.name
        change(&asked)
        let record = EndpointRecord(
            containerID: String(repeating: "d", count: 64), position: position, id: String(repeating: "\(position)", count: 64),
            networkID: network.id, ipv4: IPAddress(ipv4), ipv6: IPAddress(ipv6), definition: asked.encode())
        return NetworkPlanner.Endpoint(
            record: record, definition: try EndpointDefinition(decoding: record.definition), network: network, device: "br-x",
            options: try DriverOptions(network))
    }

    private var container: ContainerDefinition {
        var container = ContainerDefinition(id: String(repeating: "d", count: 64), name: "web1")
        container.network = .private
        container.hostname = "host1"
        return container
    }

    @Test func oneNetwork() throws {
        let web = network("web", "10.1.0.0/24", "fd00:1::/64") {
            $0.options = ["com.docker.network.driver.mtu": "1400", "com.docker.network.bridge.enable_icc": "false"]
        }
        var planner = NetworkPlanner(
            container: container, endpoints: [try endpoint(web, 0, "10.1.0.2", "fd00:1::2") { $0.aliases = ["db", "web1"] }])
        planner.directory = "/run/networks"
        planner.resolver.servers = ["127.0.0.53", "9.9.9.9"]
        planner.ports = [
            PortRecord(
                containerID: "", transport: "udp", address: try #require(IPAddress("::")), hostPort: 8000, containerPort: 80, count: 5)
        ]
        let plan = planner.plan()
        let endpoint = try #require(plan.endpoints.first)
        #expect(endpoint.interface == "eth0" && endpoint.hostInterface == "veth00000000000" && endpoint.mac == "02:42:0a:01:00:02")
        #expect(endpoint.addresses == ["10.1.0.2/24", "fd00:1::2/64"] && endpoint.gateways == ["10.1.0.1", "fd00:1::1"])
        #expect(endpoint.names == ["web1", "db", "dddddddddddd", "host1"])
        #expect(endpoint.bridge.addresses == ["10.1.0.1/24", "fd00:1::1/64"] && endpoint.bridge.subnets == ["10.1.0.0/24", "fd00:1::/64"])
        #expect(endpoint.bridge.mtu == 1400 && !endpoint.bridge.connectsContainers && endpoint.bridge.masquerades)
        #expect(plan.ports == [PortPlan(.udp, hostAddress: "::", hostPort: 8000, containerPort: 80, count: 5, target: "fd00:1::2")])
        let resolver = try #require(plan.resolver)
        #expect(resolver.upstreams == ["9.9.9.9"] && !resolver.asksFromContainer)
        #expect(resolver.directories == ["/run/networks/" + web.id])
        #expect(resolver.fixed.map(\.name) == ["host.docker.internal", "host.containers.internal", "gateway.docker.internal"])
        #expect(resolver.fixed.allSatisfy { $0.addresses == ["10.1.0.1", "fd00:1::1"] })
    }

    @Test func theDefaultRouteIsOneNetworks() throws {
        let web = network("web", "10.1.0.0/24")
        let back = network("back", "10.2.0.0/24")
        func gateways(_ priority: Int, internal: Bool = false) throws -> [[String]] {
            var back = back
            back.isInternal = `internal`
            return NetworkPlanner(
                container: container,
                endpoints: [try endpoint(web, 0, "10.1.0.2") { $0.gatewayPriority = priority }, try endpoint(back, 2, "10.2.0.2")]
            ).plan().endpoints.map(\.gateways)
        }
        #expect(try gateways(0) == [[], ["10.2.0.1"]], "the first by name")
        #expect(try gateways(1) == [["10.1.0.1"], []], "the highest priority")
        #expect(try gateways(-1, internal: true) == [["10.1.0.1"], []], "not one that leads nowhere")
    }

    @Test func internalNetworksLeadNowhere() throws {
        let closed = network("web", "10.1.0.0/24") { $0.isInternal = true }
        var planner = NetworkPlanner(container: container, endpoints: [try endpoint(closed, 0, "10.1.0.2")])
        planner.resolver.servers = ["9.9.9.9"]
        planner.container.dns = ["8.8.8.8"]
        planner.ports = [
            PortRecord(
                containerID: "", transport: "tcp", address: try #require(IPAddress("0.0.0.0")), hostPort: 80, containerPort: 80, count: 1)
        ]
        let plan = planner.plan()
        #expect(plan.endpoints[0].gateways.isEmpty && plan.endpoints[0].bridge.addresses.isEmpty && plan.endpoints[0].bridge.isInternal)
        #expect(plan.ports.isEmpty)
        #expect(plan.resolver?.upstreams == [] && plan.resolver?.fixed == [])
    }

    @Test func whereNamesAreAsked() throws {
        let web = network("web", "10.1.0.0/24") { $0.dns = ["1.1.1.1"] }
        var planner = NetworkPlanner(container: container, endpoints: [try endpoint(web, 0, "10.1.0.2")])
        planner.resolver.servers = ["127.0.0.1"]
        #expect(planner.plan().resolver?.upstreams == ["1.1.1.1"] && planner.plan().resolver?.asksFromContainer == true)
        planner.container.dns = ["8.8.8.8"]
        #expect(planner.plan().resolver?.upstreams == ["8.8.8.8"])
        planner.container.dns = []
        planner.endpoints[0].network.dns = []
        #expect(planner.plan().resolver?.upstreams == ["127.0.0.1"], "the host's own, where there is no other")
        planner.endpoints = []
        #expect(planner.plan().resolver == nil)
    }

    @Test func hardwareAddresses() throws {
        let web = network("web", "10.1.0.0/24")
        var one = try endpoint(web, 3, "").record
        #expect(EndpointAddresses.mac(of: one) == "02:42:33:33:33:33")
        one.mac = MACAddress("02:00:00:00:00:01")
        #expect(EndpointAddresses.mac(of: one) == "02:00:00:00:00:01")
    }

    // MARK: Files

    @Test func filesOfAConnectedContainer() throws {
        var container = container
        container.domainname = "example.org"
        container.extraHosts = ["a:1.2.3.4", "h:host-gateway"]
        let web = network("web", "10.1.0.0/24", "fd00:1::/64")
        var planner = NetworkPlanner(container: container, endpoints: [try endpoint(web, 0, "10.1.0.2", "fd00:1::2")])
        planner.resolver = HostResolver(parsing: "nameserver 9.9.9.9\nsearch one two\noptions edns0 timeout:1\n")
        planner.links = [ResolverPlan.FixedName("db", ["10.1.0.9"])]
        var files = NetworkFiles(definition: container, network: planner)
        let lines = files.hosts("host1").split(separator: "\n")
        #expect(
            lines.suffix(6) == [
                "1.2.3.4\ta", "10.1.0.1\th", "fd00:1::1\th", "10.1.0.9\tdb", "10.1.0.2\thost1.example.org host1",
                "fd00:1::2\thost1.example.org host1",
            ])
        #expect(lines.first == "127.0.0.1\tlocalhost")
        #expect(files.resolver() == "nameserver 127.0.0.11\nsearch one two\noptions edns0 timeout:1 ndots:0\n")
        container.dnsSearch = ["."]
        container.dnsOptions = ["ndots:2"]
        container.dns = ["8.8.8.8"]
        files = NetworkFiles(definition: container, network: planner)
        #expect(files.resolver() == "nameserver 127.0.0.11\noptions ndots:2\n")
    }

    @Test func filesWithoutANetwork() {
        var container = ContainerDefinition(id: String(repeating: "d", count: 64), name: "one")
        container.hostname = "host1"
        container.extraHosts = ["a:1.2.3.4", "h:host-gateway"]
        let files = NetworkFiles(definition: container, network: nil)
        #expect(files.hosts("host1").hasSuffix("1.2.3.4\ta\n127.0.0.1\thost1\n"))
        #expect(files.resolver().isEmpty)
        container.dns = ["8.8.8.8"]
        container.dnsSearch = ["x.org"]
        #expect(NetworkFiles(definition: container, network: nil).resolver() == "nameserver 8.8.8.8\nsearch x.org\n")
        container.network = .host
        #expect(NetworkFiles(definition: container, network: nil).hosts("x").hasSuffix("1.2.3.4\ta\n127.0.0.1\th\n"))
    }

    @Test func resolverFilesAreReadAsTheLibraryDoes() {
        let text =
            "# x\n; y\nnameserver 1.1.1.1\r\nnameserver\tfe80::1%eth0 # z\nnameserver x\ndomain a\nsearch b c\nsortlist d\noptions e\n\n"
        let read = HostResolver(parsing: text)
        #expect(read.servers == ["1.1.1.1", "fe80::1%eth0"] && read.search == ["b", "c"] && read.options == ["e"])
        #expect(HostResolver(parsing: "").upstreams.isEmpty)
    }

    @Test func definitionsKeepTheirNetwork() throws {
        var container = container
        container.networkName = "web"
        container.ports = [try PortBinding(option: "[::1]:8000-8002:80"), try PortBinding(option: "53/udp")]
        container.publishesAll = true
        container.exposed = [try ExposedPorts(option: "9000-9010/sctp")]
        (container.dns, container.dnsSearch, container.dnsOptions, container.extraHosts) = (["1.1.1.1"], ["."], ["x"], ["a:1.1.1.1"])
        #expect(try ContainerDefinition(decoding: container.encode()) == container)
        // What was written before there were networks.
        #expect(try ContainerDefinition(decoding: Array(#"{"id":"x","name":"y","network":"none"}"#.utf8)).network == .none)
        #expect(try ContainerDefinition(decoding: Array(#"{"id":"x","name":"y"}"#.utf8)).network == .none)
    }
}

extension NetworkPlanTests {
    @Test func aContainerAsDockersHasNoNamesInTheDefaultNetwork() throws {
        var made = container
        made.isDockerCompatible = true
        let bridge = network("bridge", "10.1.0.0/24")
        var planner = NetworkPlanner(container: made, endpoints: [try endpoint(bridge, 0, "10.1.0.2")])
        planner.directory = "/run/networks"
        planner.resolver.servers = ["127.0.0.53", "9.9.9.9", "2606::1", "fe80::1%eth0"]
        #expect(planner.plan().resolver == nil && planner.plan().endpoints.map(\.names) == [[]])
        func servers() -> [Substring] {
            NetworkFiles(definition: made, network: planner).resolver().split(separator: "\n").filter { $0.hasPrefix("nameserver") }
        }
        #expect(servers() == ["nameserver 9.9.9.9"])
        planner.endpoints = [try endpoint(bridge, 0, "10.1.0.2", "fd00:1::2")]
        #expect(servers() == ["nameserver 9.9.9.9", "nameserver 2606::1"])
        planner.resolver.servers = ["127.0.0.1", "::1"]
        #expect(servers() == ["nameserver 8.8.8.8", "nameserver 8.8.4.4"])
        made.dns = ["1.1.1.1"]
        #expect(servers() == ["nameserver 1.1.1.1"])
        // Another network has names, and so has it there.
        let web = network("web", "10.2.0.0/24")
        planner.endpoints.append(try endpoint(web, 1, "10.2.0.2"))
        #expect(servers() == ["nameserver 127.0.0.11"])
        let plan = planner.plan()
        #expect(plan.endpoints.map(\.names.isEmpty) == [true, false] && plan.resolver?.directories == ["/run/networks/" + web.id])
    }
}
