import Glibc
import Linux
import Testing

@testable import Networks

@Suite(.serialized, .enabled(if: isRoot, "needs root for network namespaces"))
struct NetlinkTests {
    @Test func errorsHaveTheKernelsOwnWords() throws {
        try onHost { _ in
            var socket = try NetlinkSocket()
            var batch = NetlinkBatch()
            batch.add(16 /* RTM_NEWLINK */, flags: 0x600, "make network device", "x0") { body in
                body.bytes += [UInt8](repeating: 0, count: 16)
                body.attribute(3, "x0")
                body.nested(18) { $0.attribute(1, "nonsense") }
            }
            let error = #expect(throws: SystemError.self) { try socket.send(batch) }
            #expect(error?.errno == .notSupported)
            #expect(error?.description == "make network device \"x0\": operation not supported (unknown device type)")
        }
    }

    /// The first error of several messages is told; the socket serves on, whatever was left unread.
    @Test func ofABatchTheFirstErrorIsTold() throws {
        try onHost { host in
            let route = try RouteSocket()
            var batch = RouteBatch()
            batch.removeLink("none1")
            batch.removeLink("none2")
            batch.raise("lo")
            let error = #expect(throws: SystemError.self) { try route.send(batch) }
            #expect(error?.description == "remove network device \"none1\": no such device")
            #expect(try route.link("lo")?.isUp == true)
            #expect(try route.link("none1") == nil)
            #expect(throws: SystemError.self) { try route.link("a-name-that-is-too-long") }
        }
    }

    @Test func aFailedTransactionChangesNothing() throws {
        try onHost { host in
            let firewall = try FirewallSocket()
            #expect(try !firewall.stands())
            try firewall.writeRuleset()
            #expect(try firewall.stands())
            var batch = FirewallBatch()
            batch.addElements([FirewallElement(key: FirewallElement.device("x"))], to: Ruleset.bridges)
            batch.removeElements([FirewallElement(key: FirewallElement.device("y"))], from: Ruleset.bridges)
            batch.addElements([FirewallElement(key: FirewallElement.device("z"))], to: Ruleset.bridges)
            let error = #expect(throws: SystemError.self) { try firewall.commit(batch) }
            #expect(error?.errno == .noEntry)
            #expect(error?.operation == "remove firewall element from")
            #expect(try firewall.elements(of: Ruleset.bridges).isEmpty)
            #expect(try firewall.ruleCount() == Ruleset.rules.count)
        }
    }

    /// nft(8) reads what we wrote, and its own text of it makes the same rules.
    @Test func theRulesetIsWhatItsTextSays() throws {
        try onHost { host in
            try FirewallSocket().writeRuleset()
            let text = try host.shell("nft -s list table inet berth")
            for rule in [
                "dnat ip to ip daddr . meta l4proto . th dport map @own4", "iifname != \"lo\" ip daddr 127.0.0.0/8 drop",
                "oifname @bridges ct status dnat ip6 saddr @subnets6 masquerade", "iifname . oifname @links accept",
                "fib daddr type local jump published", "ct state established,related accept",
            ] { #expect(text.includes(rule), "\(rule)") }
        }
    }

    /// Whatever happens in the other namespace, the thread comes back.
    @Test func namespacesAreLeftAgain() throws {
        try onHost { host in
            let other = try host.makeNamespace()
            let here = try FD.cwd.readLink("/proc/thread-self/ns/net")
            let error = #expect(throws: SystemError.self) {
                try withNetworkNamespace(other.fd, home: host.home.fd) { () throws(SystemError) in
                    #expect(try FD.cwd.readLink("/proc/thread-self/ns/net") != here)
                    throw SystemError(.busy, "test")
                }
            }
            #expect(error?.errno == .busy)
            #expect(try FD.cwd.readLink("/proc/thread-self/ns/net") == here)
        }
    }

    /// More elements than one attribute holds, in one transaction: all or none.
    @Test func thousandsOfElementsAreOneTransaction() throws {
        try onHost { host in
            let firewall = try FirewallSocket()
            try firewall.writeRuleset()
            let elements = (0..<20_000).map { number in
                FirewallElement(
                    key: [6, 0, 0, 0, UInt8(number >> 8), UInt8(number & 0xff), 0, 0], data: [10, 0, 0, 1, 0, 80, 0, 0], comment: "test")
            }
            try firewall.change(add: [Ruleset.any4: elements])
            #expect(try firewall.elements(of: Ruleset.any4).count == 20_000)
            try firewall.remove([Ruleset.any4: elements])
            #expect(try firewall.elements(of: Ruleset.any4).isEmpty)
        }
    }
}
