import Linux
import Store
import Testing

@testable import Engine

struct NetworkRequestTests {
    private func definition(_ change: (inout NetworkRequest) -> Void) throws(EngineError) -> NetworkDefinition {
        var request = NetworkRequest(name: "net")
        change(&request)
        return try request.definition(id: String(repeating: "c", count: 64))
    }

    @Test func subnetsGetTheirGateways() throws {
        let made = try definition {
            $0.subnets = ["10.1.0.0/24", "10.2.0.0/16", "fd00:1::/64", "10.3.0.0/31"]
            $0.gateways = ["10.2.255.1"]
            $0.ranges = ["10.2.7.0/24"]
            $0.auxiliary = ["router": "10.1.0.9"]
        }
        #expect(made.subnets.map(\.gateway.description) == ["10.1.0.1", "10.2.255.1", "fd00:1::1", "10.3.0.0"])
        #expect(made.subnets.map { $0.range?.description } == [nil, "10.2.7.0/24", nil, nil])
        #expect(made.subnets[0].auxiliary == ["router": try #require(IPAddress("10.1.0.9"))])
        #expect(made.enablesIPv6, "a subnet of IPv6 is there to be used")
        let bounds = made.subnets.map(\.addresses).map { "\($0.first) \($0.last)" }
        #expect(
            bounds == ["10.1.0.1 10.1.0.254", "10.2.7.0 10.2.7.255", "fd00:1::1 fd00:1::ffff:ffff:ffff:ffff", "10.3.0.0 10.3.0.1"])
        var copy = NetworkDefinition(id: made.id, name: made.name)
        try copy.decode(made.encode())
        #expect(copy == made)
    }

    @Test func whatContainersMayAskFor() throws {
        let subnet = try definition {
            $0.subnets = ["10.1.0.0/24"]
            $0.ranges = ["10.1.0.128/25"]
            $0.auxiliary = ["a": "10.1.0.9"]
        }.subnets[0]
        let answers = ["10.1.0.0", "10.1.0.1", "10.1.0.9", "10.1.0.255", "10.1.1.2", "fd00::1", "10.1.0.2", "10.1.0.254"]
            .map { text in IPAddress(text).map(subnet.admits) ?? true }
        #expect(answers == [false, false, false, false, false, false, true, true])
    }

    @Test(
        arguments: [
            (["10.1.0.0"], [], [], "invalid subnet 10.1.0.0: invalid CIDR block notation"),
            (["10.1.0.1/24"], [], [], "invalid subnet 10.1.0.1/24: it should be 10.1.0.0/24"),
            (["10.1.0.0/32"], [], [], "invalid subnet 10.1.0.0/32: its length must be from 1 to 31"),
            (["0.0.0.0/0"], [], [], "invalid subnet 0.0.0.0/0: its length must be from 1 to 31"),
            (["10.1.0.0/16", "10.1.2.0/24"], [], [], "multiple overlapping subnet configuration is not supported"),
            ([], ["10.1.0.1"], [], "every ip-range or gateway must have a corresponding subnet"),
            ([], [], ["10.1.0.0/24"], "every ip-range or gateway must have a corresponding subnet"),
            (["10.1.0.0/24"], ["10.2.0.1"], [], "no matching subnet for gateway 10.2.0.1"),
            (["10.1.0.0/24"], ["x"], [], "invalid gateway x: not an IP address"),
            (["10.1.0.0/24"], ["10.1.0.255"], [], "invalid gateway 10.1.0.255: it is the first or last address of subnet 10.1.0.0/24"),
            (
                ["10.1.0.0/24"], ["10.1.0.1", "10.1.0.2"], [],
                "cannot configure multiple gateways (10.1.0.2, 10.1.0.1) for the same subnet (10.1.0.0/24)"
            ),
            (["10.1.0.0/24"], [], ["10.0.0.0/8"], "no matching subnet for range 10.0.0.0/8"),
            (
                ["10.1.0.0/24"], [], ["10.1.0.0/25", "10.1.0.128/25"],
                "cannot configure multiple ranges (10.1.0.128/25, 10.1.0.0/25) on the same subnet (10.1.0.0/24)"
            ),
        ] as [([String], [String], [String], String)])
    func whatIsRefused(_ subnets: [String], _ gateways: [String], _ ranges: [String], _ sentence: String) {
        do throws(EngineError) {
            _ = try definition {
                $0.subnets = subnets
                $0.gateways = gateways
                $0.ranges = ranges
            }
            Issue.record("not refused: \(sentence)")
        } catch { #expect(error.description == sentence) }
    }

    @Test func namesDriversAndOptions() {
        let bad: [((inout NetworkRequest) -> Void, String)] = [
            ({ $0.name = "" }, "network name cannot be empty"), ({ $0.name = "a/b" }, "invalid network name"),
            ({ $0.name = "-a" }, "invalid network name"),
            ({ $0.name = "bridge" }, "operation is not permitted on predefined bridge network"),
            ({ $0.name = "default" }, "operation is not permitted"), ({ $0.driver = "host" }, "only one instance of \"host\""),
            ({ $0.driver = "overlay" }, "unknown network driver \"overlay\""), ({ $0.driver = "x" }, "unknown network driver \"x\""),
            ({ $0.ipamDriver = "dhcp" }, "unknown IPAM driver"), ({ $0.options = ["x": "y"] }, "unknown option \"x\" of driver bridge"),
            ({ $0.options = ["com.docker.network.driver.mtu": "20"] }, "invalid MTU \"20\""),
            ({ $0.options = ["com.docker.network.bridge.name": "a/b"] }, "invalid device name \"a/b\""),
            ({ $0.options = ["com.docker.network.bridge.name": "abcdefghijklmnop"] }, "invalid device name"),
            ({ $0.options = ["com.docker.network.bridge.enable_icc": "maybe"] }, "neither true nor false"),
            ({ $0.options = ["com.docker.network.bridge.host_binding_ipv4": "::1"] }, "invalid IPv4 address"),
            ({ $0.options = ["isolate": "maybe"] }, "neither true nor false"),
            ({ $0.options = ["vlan": "4095"] }, "invalid VLAN \"4095\""), ({ $0.dns = ["x"] }, "invalid IP address: x"),
            ({ $0.enablesIPv4 = false }, "IPv4 or IPv6 must be enabled"),
            (
                {
                    $0.enablesIPv4 = false
                    $0.enablesIPv6 = true
                    $0.subnets = ["10.0.0.0/24"]
                }, "conflicting options"
            ),
            (
                {
                    $0.subnets = ["10.0.0.0/24"]
                    $0.auxiliary = ["a": "10.0.0.1"]
                }, "is the gateway"
            ),
        ]
        for (change, part) in bad {
            do throws(EngineError) {
                _ = try definition(change)
                Issue.record("not refused: \(part)")
            } catch { #expect(error.description.includes(part), "\(error)") }
        }
    }

    @Test func optionsAreRead() throws {
        let options = try BridgeOptions([
            "mtu": "1400", "com.docker.network.bridge.enable_icc": "false", "com.docker.network.bridge.enable_ip_masquerade": "0",
            "com.docker.network.bridge.host_binding_ipv4": "127.0.0.1", "com.docker.network.bridge.name": "br0",
            "com.docker.network.container_iface_prefix": "lan", "isolate": "true",
        ])
        #expect(options.mtu == 1400 && !options.connectsContainers && !options.masquerades && options.device == "br0")
        #expect(!options.isOpen && options.vlan == 0)
        let open = try BridgeOptions(["isolate": "false", "vlan": "50"])
        #expect(try open.isOpen && open.vlan == 50 && !BridgeOptions(["isolate": "strict"]).isOpen)
        #expect(options.hostBinding?.description == "127.0.0.1" && options.interfacePrefix == "lan")
    }

    // MARK: Pools

    private func prefixes(_ texts: String...) -> [IPPrefix] { texts.compactMap { IPPrefix($0) } }

    private func choose(_ pools: AddressPools, routes: [IPPrefix] = [], taken: [IPPrefix] = []) throws -> String? {
        try pools.choose(routes: routes) { (subnet) throws(StoreError) in taken.contains { $0.overlaps(subnet) } }?.description
    }

    @Test func subnetsThatOverlapAreLeftOut() throws {
        let pools = AddressPools.standard
        #expect(try choose(pools) == "172.17.0.0/16")
        #expect(try choose(pools, taken: prefixes("172.17.0.0/16")) == "172.18.0.0/16")
        // A narrow route within, and a wide one around.
        #expect(try choose(pools, routes: prefixes("172.17.3.0/24", "172.18.0.1/32")) == "172.19.0.0/16")
        #expect(try choose(pools, routes: prefixes("172.16.0.0/12")) == "192.168.0.0/20")
        #expect(try choose(pools, routes: prefixes("172.16.0.0/12", "192.168.0.0/16")) == "10.208.0.0/24")
        #expect(try choose(pools, routes: prefixes("172.16.0.0/12", "192.168.0.0/16", "10.0.0.0/8")) == nil)
    }

    @Test func poolsHaveRoomForAThousand() throws {
        var taken: Set<IPAddress> = []
        for _ in 0..<1100 {
            let subnet = try AddressPools.standard.choose(routes: []) { (subnet) throws(StoreError) in taken.contains(subnet.address) }
            taken.insert(try #require(subnet).address)
        }
        #expect(taken.count == 1100)
    }

    @Test func poolsOfTheConfiguration() throws {
        var configuration = Configuration()
        try configuration.read("[network]\npools = \"10.9.0.0/30:31, 192.168.7.0/24:28\"\n", from: "f")
        #expect(try choose(configuration.pools) == "10.9.0.0/31")
        #expect(try choose(configuration.pools, taken: prefixes("10.9.0.0/30")) == "192.168.7.0/28")
        for text in ["", "10.0.0.0/8", "10.0.0.0/8:31x", "10.0.0.0/24:16", "fd00::/8:64", "10.0.0.0/8:31,"] {
            var configuration = Configuration()
            let isRight = (try? configuration.read("[network]\npools = \"\(text)\"", from: "f")) != nil
            #expect(isRight == (text == "10.0.0.0/8:31,"), "\(text)")
        }
    }
}
