import Testing

@testable import Engine

struct PortOptionTests {
    @Test(
        arguments: [
            ("80", "", nil, "80/tcp"), ("8080:80", "", 8080...8080, "80/tcp"), ("8080:80/udp", "", 8080...8080, "80/udp"),
            ("8080:80/UDP", "", 8080...8080, "80/udp"), ("53:53/sctp", "", 53...53, "53/sctp"),
            ("127.0.0.1:8080:80", "127.0.0.1", 8080...8080, "80/tcp"),
            ("127.0.0.1::80", "127.0.0.1", nil, "80/tcp"), ("0:80", "", nil, "80/tcp"), (":80", "", nil, "80/tcp"),
            ("[::1]:8080:80", "::1", 8080...8080, "80/tcp"), ("::1:8080:80", "::1", 8080...8080, "80/tcp"),
            ("[::1]::80", "::1", nil, "80/tcp"), ("[2001:0db8::0001]:1:2", "2001:db8::1", 1...1, "2/tcp"),
            ("8000-8010:9000-9010", "", 8000...8010, "9000-9010/tcp"), ("8000-8010:80", "", 8000...8010, "80/tcp"),
            ("9000-9010", "", nil, "9000-9010/tcp"), ("0.0.0.0:1-65535:1-65535/udp", "0.0.0.0", 1...65535, "1-65535/udp"),
        ] as [(String, String, ClosedRange<UInt16>?, String)])
    func whatIsPublished(_ text: String, _ address: String, _ host: ClosedRange<UInt16>?, _ ports: String) throws {
        let binding = try PortBinding(option: text)
        #expect(binding.hostAddress == address && binding.hostPorts == host && binding.ports.text == ports)
        // What is kept reads as the same.
        #expect(try PortBinding(option: binding.text) == binding)
    }

    @Test(arguments: [
        ("", "no port specified: <empty>"), ("8080:", "no port specified: 8080:<empty>"), ("0", "invalid containerPort: 0"),
        ("65536", "invalid containerPort: 65536"), ("x", "invalid containerPort: x"), ("-1", "invalid containerPort: -1"),
        ("+80", "invalid containerPort: +80"), ("80-70", "invalid containerPort: 80-70"), ("1-2-3", "invalid containerPort: 1-2-3"),
        ("x:80", "invalid hostPort: x"), ("70000:80", "invalid hostPort: 70000"), ("0-5:80", "invalid hostPort: 0-5"),
        ("80-81:80-82", "invalid ranges specified for container and host Ports: 80-82 and 80-81"),
        ("80:80-82", "invalid ranges specified for container and host Ports: 80-82 and 80"),
        ("80/icmp", "invalid proto: icmp"), ("80/", "invalid proto: "), ("80/tcp/udp", "invalid proto: tcp/udp"),
        ("host:80:80", "invalid IP address: host"), ("1.2.3:80:80", "invalid IP address: 1.2.3"),
        ("[::1:80:80", "invalid IP address: [::1"),
        ("80\u{0}:80", "invalid hostPort: 80\u{0}"),
    ]) func whatIsRefused(_ text: String, _ sentence: String) {
        do throws(EngineError) {
            _ = try PortBinding(option: text)
            Issue.record("\(text) is not refused")
        } catch { #expect(error.description == sentence) }
    }

    @Test func whatIsExposed() throws {
        let ports = try ExposedPorts(option: "8000-8002/udp")
        #expect(ports.first == 8000 && ports.last == 8002 && ports.text == "8000-8002/udp")
        #expect(ports.contains(ExposedPorts(transport: .udp, first: 8001, count: 2)))
        #expect(!ports.contains(ExposedPorts(transport: .tcp, first: 8001, count: 1)))
        for text in ["", "0", "80:80", "x/tcp", "80/", "65536", "2-1"] {
            #expect(throws: EngineError.self) { try ExposedPorts(option: text) }
        }
    }

    @Test func networksAreNamedShortAndLong() throws {
        #expect(try NetworkAttachment(option: "web") == NetworkAttachment("web"))
        let long = try NetworkAttachment(
            option: "name=web,ip=10.0.0.5,ip6=fd00::5,alias=a,\"alias=b\",mac-address=02:00:00:00:00:01,gw-priority=-5,"
                + "driver-opt=com.docker.network.endpoint.ifname=lan0")
        #expect(long.network == "web" && long.ipv4?.description == "10.0.0.5" && long.ipv6?.description == "fd00::5")
        #expect(long.aliases == ["a", "b"] && long.mac?.description == "02:00:00:00:00:01" && long.gatewayPriority == -5)
        #expect(long.driverOptions == ["com.docker.network.endpoint.ifname": "lan0"])
        for text in [
            "ip=10.0.0.5", "name=web,ip=fd00::5", "name=web,ip6=10.0.0.5", "name=web,x=y", "name=web,alias", "name=web,alias=a b",
            "name=web,mac-address=01:00:00:00:00:01", "name=web,mac-address=00:00:00:00:00:00", "name=web,gw-priority=x",
            "name=web,driver-opt=x=y", "name=web,driver-opt=com.docker.network.endpoint.ifname=a/b", "name=web,\"alias=b",
        ] {
            #expect(throws: EngineError.self, "\(text)") { try NetworkAttachment(option: text) }
        }
    }

    @Test func hostsAndResolvers() throws {
        #expect(try ExtraHostOption.parse("a:10.0.0.1") == "a:10.0.0.1")
        #expect(try ExtraHostOption.parse("a=fd00::1") == "a:fd00::1")
        #expect(try ExtraHostOption.parse("a:[fd00::1]") == "a:fd00::1")
        #expect(try ExtraHostOption.parse("a:host-gateway") == "a:host-gateway")
        for text in ["", "a", ":1.2.3.4", "a:", "a:x", "a b:1.2.3.4", "a\n:1.2.3.4", "a:1.2.3.4\n6.6.6.6 b"] {
            #expect(throws: EngineError.self, "\(text)") { try ExtraHostOption.parse(text) }
        }
        for text in ["", "x", "1.2.3.4\nsearch evil"] { #expect(throws: EngineError.self) { try ResolverOption.server(text) } }
        for text in ["", "a b", "a\nnameserver 6.6.6.6", "ä"] { #expect(throws: EngineError.self) { try ResolverOption.domain(text) } }
        for text in ["", "a b", "ndots:1\n"] { #expect(throws: EngineError.self) { try ResolverOption.option(text) } }
        #expect(try ResolverOption.domain(".") == ".")
    }
}
