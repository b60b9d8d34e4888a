import Linux
import Testing

@Suite struct IPAddressTests {
    @Test(arguments: ["0.0.0.0", "172.18.0.2", "255.255.255.255", "::", "::1", "fd00::2", "2001:db8::a:0:0:1"])
    func addressesAreWrittenAsTheyAreRead(_ text: String) throws {
        #expect(try #require(IPAddress(text)).description == text)
    }

    @Test(arguments: [
        "", "1", "1.2.3", "1.2.3.4.5", "256.1.1.1", "01.2.3.4", "1.2.3.4 ", "fe80::1%eth0", "::g", ":::", "1.2.3.4/8", "[::1]",
    ])
    func whatIsNoAddressIsNone(_ text: String) { #expect(IPAddress(text) == nil) }

    @Test(arguments: [
        "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/+8", "10.0.0.0/", "/8", "fd00::/129", "10.0.0.0/8/8", "10.0.0.0/ 8", "10.0.0.0",
    ])
    func whatIsNoPrefixIsNone(_ text: String) { #expect(IPPrefix(text) == nil) }

    @Test(arguments: [
        ("172.18.5.9/16", "172.18.0.0/16", "172.18.255.255"), ("10.1.2.3/32", "10.1.2.3/32", "10.1.2.3"),
        ("10.1.2.3/0", "0.0.0.0/0", "255.255.255.255"), ("192.168.77.130/26", "192.168.77.128/26", "192.168.77.191"),
        ("fd00:1:2:3:4::5/65", "fd00:1:2:3::/65", "fd00:1:2:3:7fff:ffff:ffff:ffff"),
    ])
    func aPrefixKnowsItsEnds(_ text: String, _ network: String, _ last: String) throws {
        let prefix = try #require(IPPrefix(text))
        #expect(prefix.network.description == network)
        #expect(prefix.last.description == last)
        #expect(prefix.contains(prefix.last) && prefix.contains(prefix.network.address))
        if let next = prefix.last.advanced(by: 1) { #expect(!prefix.contains(next)) }
    }

    @Test func addressesAreCountedOn() throws {
        #expect(try #require(IPAddress("10.0.255.255")).advanced(by: 1)?.description == "10.1.0.0")
        #expect(try #require(IPAddress("255.255.255.255")).advanced(by: 1) == nil)
        #expect(try #require(IPAddress("fd00::ffff:ffff:ffff:ffff")).advanced(by: 2)?.description == "fd00:0:0:1::1")
        #expect(try #require(IPAddress("0.0.0.0")).advanced(by: UInt64.max) == nil)
    }

    @Test(arguments: [
        ("10.0.0.0/8", "10.5.0.0/16", true), ("10.5.0.0/16", "10.0.0.0/8", true), ("10.0.0.0/9", "10.128.0.0/9", false),
        ("0.0.0.0/0", "10.0.0.0/8", true), ("0.0.0.0/0", "fd00::/8", false), ("fd00::/8", "fd12::/64", true),
    ])
    func prefixesOverlapOrNot(_ one: String, _ other: String, _ overlap: Bool) throws {
        #expect(try #require(IPPrefix(one)).overlaps(try #require(IPPrefix(other))) == overlap)
    }

    @Test func deviceAddresses() {
        #expect(MACAddress("02:42:AC:11:00:02")?.description == "02:42:ac:11:00:02")
        #expect(MACAddress("02-42-ac-11-00-02") != nil)
        for text in ["", "02:42:ac:11:00", "02:42:ac:11:00:02:03", "2:42:ac:11:00:02", "02:42:ac:11:00:0g", "+2:42:ac:11:00:02"] {
            #expect(MACAddress(text) == nil)
        }
    }
}
