import CLinux
import Control
import Glibc
import Linux

@testable import Networks

/// A host of a test's own: a network namespace with `lo`, and further namespaces for containers and for hosts
/// outside. Nothing of it outlives the test.
final class TestHost {
    let run: String
    let home: SharedFD

    fileprivate init() throws {
        try check(cl_unshare(0x4000_0000), "unshare")
        home = SharedFD(try currentNetworkNamespace())
        run = "\(environmentVariable("TMPDIR") ?? "/tmp")/berth-network-\(hexadecimal(randomBytes(6)))"
        try FD.cwd.makeDirectory(run, mode: 0o700)
        // A new namespace may take over that the machine forwards.
        try shell("ip link set lo up; echo 0 > /proc/sys/net/ipv4/ip_forward")
    }

    fileprivate func clear() { _ = try? shell("rm -rf \(run)") }

    func makeNamespace() throws -> SharedFD {
        try check(cl_unshare(0x4000_0000), "unshare")
        let made = SharedFD(try currentNetworkNamespace())
        try check(cl_setns(home.raw, 0x4000_0000), "setns")
        return made
    }

    func inside<T: ~Copyable>(_ namespace: SharedFD?, _ body: () throws -> T) throws -> T {
        guard let namespace else { return try body() }
        try check(cl_setns(namespace.raw, 0x4000_0000), "setns")
        defer { _ = cl_setns(home.raw, 0x4000_0000) }
        return try body()
    }

    /// Output of a command in the namespace the thread is in.
    @discardableResult
    func shell(_ script: String, in namespace: SharedFD? = nil) throws -> String {
        try inside(namespace) {
            let pipe = try makePipe()
            let null = try FD.cwd.open("/dev/null", .readWrite)
            let child = try spawn(
                SpawnRequest(
                    "/bin/sh", ["sh", "-ec", script], environment: ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"],
                    descriptors: [(null.fd, 0), (pipe.second.fd, 1), (pipe.second.fd, 2)]))
            let ends = pipe.take()
            close(OwnedFD(owning: ends.second))
            let output = OwnedFD(owning: ends.first)
            let text = String(decoding: try output.fd.readAll(), as: UTF8.self)
            let status = try child.wait()
            if status != .exited(0) { throw Failure(text: "\(script): \(status): \(text)") }
            return text
        }
    }

    struct Failure: Error, CustomStringConvertible {
        let text: String
        var description: String { text }
    }

    /// Another machine on a cable: `10.9.0.2/24` and `fd09::2/64` there, `.1` here, by device `up0`.
    func makeOutside(forwardsTo subnets: [String] = []) throws -> SharedFD {
        let outside = try makeNamespace()
        var batch = RouteBatch()
        batch.addPair(
            near: "up0", master: 0, far: "eth0", mac: MACAddress("02:00:00:00:09:02")!, namespace: outside.fd, mtu: 0)
        try RouteSocket().send(batch)
        // Without waiting for IPv6's search for duplicates.
        try shell(
            """
            ip address add 10.9.0.1/24 dev up0; ip link set up0 down addrgenmode none up
            ip -6 address add fd09::1/64 dev up0 nodad; ip -6 address add fe80::9/64 dev up0 nodad
            """)
        try shell(
            "ip link set lo up; ip address add 10.9.0.2/24 dev eth0; ip -6 address add fd09::2/64 dev eth0 nodad; ip link set eth0 up; ip link show eth0",
            in: outside)
        // A neighbour that would like to reach containers by routing.
        for subnet in subnets {
            try shell(
                subnet.contains(":") ? "ip -6 route add \(subnet) via fd09::1" : "ip route add \(subnet) via 10.9.0.1", in: outside)
        }
        return outside
    }

    /// Whether what stays in a bridge goes through the IP firewall all the same, as it does where br_netfilter is loaded.
    func bridgesCallFirewall(_ value: String) throws {
        for name in ["ip", "ip6"] {
            try shell("if [ -e /proc/sys/net/bridge ]; then echo \(value) > /proc/sys/net/bridge/bridge-nf-call-\(name)tables; fi")
        }
    }

    /// All that can be seen of networks here: to compare before and after. Waits until no removed device is left of a container whose
    /// namespace nobody holds any more.
    func snapshot(without devices: [String] = []) throws -> String {
        for device in devices {
            for _ in 0..<400 where try RouteSocket().link(device) != nil { usleep(5000) }
        }
        let firewall = try FirewallSocket()
        var text = try shell(
            "ip -o link show | sed 's/@.*//; s/^[0-9]*: //' | cut -d: -f1 | sort; ip address | grep inet | sort; (ip route; ip -6 route | grep -v fe80 | sort) | sed 's/ linkdown//'"
        )
        for set in Ruleset.sets {
            for element in try firewall.elements(of: set) {
                text += "\(set.name) \(hexadecimal(element.key)) \(hexadecimal(element.data)) \(element.comment)\n"
            }
        }
        return text
    }
}

/// Runs a test's body in a network namespace of its own. Only of the calling thread: the body must not wait for tasks.
func onHost(_ body: (TestHost) throws -> Void) throws {
    let before = try currentNetworkNamespace()
    defer { if cl_setns(before.raw, 0x4000_0000) < 0 { abort() } }
    let host = try TestHost()
    defer { host.clear() }
    try body(host)
}

let isRoot = geteuid() == 0

/// A network like those that Engine plans: number 1 is `br-net1`, 172.30.1.0/24, fd30:1::/64.
func network(_ number: Int, _ change: (inout BridgePlan) -> Void = { _ in }) -> BridgePlan {
    let id = String(String(repeating: "\(number)abcdef", count: 12).prefix(64))
    var bridge = BridgePlan(networkID: id, networkName: "net\(number)", device: "br-net\(number)")
    bridge.addresses = ["172.30.\(number).1/24", "fd30:\(number)::1/64"]
    bridge.subnets = ["172.30.\(number).0/24", "fd30:\(number)::/64"]
    change(&bridge)
    return bridge
}

/// Address `number` of a network.
func endpoint(_ bridge: BridgePlan, _ number: Int, interface: String = "eth0") -> EndpointPlan {
    let net = bridge.device.split(separator: "t").last ?? "0"
    var endpoint = EndpointPlan(
        bridge: bridge, interface: interface, hostInterface: "ve\(net)x\(number)", mac: "02:42:00:00:0\(net):0\(number)")
    endpoint.addresses = bridge.subnets.isEmpty ? [] : ["172.30.\(net).\(number)/24", "fd30:\(net)::\(number)/64"]
    endpoint.gateways = bridge.isInternal ? [] : ["172.30.\(net).1", "fd30:\(net)::1"]
    return endpoint
}

/// A container as the tests have them: a namespace and its network.
final class TestContainer {
    let namespace: SharedFD
    let network: ContainerNetwork
    let plan: NetworkPlan

    init(
        _ host: TestHost, _ endpoints: [EndpointPlan], ports: [PortPlan] = [], id: String = "c0ffee", namespace given: SharedFD? = nil
    ) throws {
        namespace = try given ?? host.makeNamespace()
        var plan = NetworkPlan()
        plan.endpoints = endpoints
        plan.ports = ports
        self.plan = plan
        network = ContainerNetwork(plan, id: id, run: host.run)
        try network.attach(namespace: namespace)
    }

    deinit { network.detach() }
}
