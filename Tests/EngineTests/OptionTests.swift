import Control
import Testing

@testable import Engine

struct OptionTests {
    @Test(
        arguments: [
            ("0", 0), ("512", 512), ("1k", 1024), ("64m", 64 << 20), ("1.5g", 3 << 29), ("10KiB", 10240),
            ("2GB", 2 << 30),
            ("7b", 7),
        ] as [(String, Int64)])
    func sizes(text: String, bytes: Int64) throws {
        #expect(try ByteSize.parse(text) == bytes)
    }

    @Test(arguments: [
        "", "k", "-1", "1x", "1kk", " 1", "1 m", "9223372036854775808", "99999999999p", "0x10", "1e3", "+5", "1bb",
    ])
    func badSizes(text: String) {
        #expect(throws: EngineError.self) { try ByteSize.parse(text) }
    }

    @Test func humanSizes() {
        #expect(ByteSize.decimal(0) == "0B")
        #expect(ByteSize.decimal(999) == "999B")
        #expect(ByteSize.decimal(4_260_000) == "4.26MB")
        #expect(ByteSize.decimal(77_800) == "77.8kB")
        #expect(ByteSize.binary(64 << 20) == "64MiB")
    }

    @Test func ulimits() throws {
        #expect(try Ulimit(option: "nofile=5:6") == Ulimit(name: "nofile", soft: 5, hard: 6))
        #expect(try Ulimit(option: "core=-1").hard == .max)
        for text in [
            "nofile", "nofile=", "bogus=1", "nofile=2:1", "nofile=1:2:3", "nofile=-2", "nofile=99999999999999999999",
        ] {
            #expect(throws: EngineError.self) { try Ulimit(option: text) }
        }
    }

    @Test func devices() throws {
        #expect(
            try DeviceRequest(option: "/dev/a")
                == DeviceRequest(hostPath: "/dev/a", containerPath: "/dev/a", permissions: "rwm"))
        #expect(try DeviceRequest(option: "/dev/a:r").permissions == "r")
        #expect(
            try DeviceRequest(option: "/dev/a:/dev/b:rw")
                == DeviceRequest(hostPath: "/dev/a", containerPath: "/dev/b", permissions: "rw"))
        for text in ["", "a", "/dev/a:/dev/b:rwx", "/dev/a:b:c:d", "/dev/a:/proc/x", "/dev/a:/", "/dev/a::rrr"] {
            #expect(throws: EngineError.self) { try DeviceRequest(option: text) }
        }
    }

    @Test func signals() throws {
        for text in ["TERM", "SIGTERM", "sigterm", "15"] { #expect(try SignalName.parse(text) == 15) }
        #expect(try SignalName.parse("RTMIN+3") == 37)
        #expect(try SignalName.parse("SIGRTMAX-1") == 63)
        for text in ["", "0", "65", "-9", "BOGUS", "SIG", "9x", "RTMIN+99"] {
            #expect(throws: EngineError.self) { try SignalName.parse(text) }
        }
        #expect(SignalName.text(9) == "SIGKILL")
    }

    @Test func restartPolicies() throws {
        #expect(try RestartRequest(option: "on-failure:3").maximumRetries == 3)
        #expect(try RestartRequest(option: "unless-stopped").name == .unlessStopped)
        for text in ["sometimes", "always:3", "on-failure:x", "on-failure:-1", "on-failure:99999999999"] {
            #expect(throws: EngineError.self) { try RestartRequest(option: text) }
        }
    }

    @Test func logOptions() throws {
        let log = try LogRequest(driver: "json-file", options: ["max-size=10m", "max-file=3"])
        #expect(log.maximumSize == 10 << 20 && log.maximumFiles == 3)
        for (driver, options) in [
            ("bogus", []), ("gelf", []), ("none", ["max-size=1m"]), ("", ["max-file=0"]), ("", ["x=y"]),
        ] {
            #expect(throws: EngineError.self) { try LogRequest(driver: driver, options: options) }
        }
    }

    @Test(arguments: [
        ("json-file", ["mode=x"], "logger: logging mode not supported: x"),
        ("json-file", ["max-buffer-size=1m"], "logger: max-buffer-size option is only supported with 'mode=non-blocking'"),
        ("json-file", ["mode=non-blocking", "max-buffer-size=x"], "error parsing option max-buffer-size: invalid size: 'x'"),
        ("json-file", ["foo=x"], "unknown log opt 'foo' for json-file log driver"),
        ("local", ["labels=a"], "unknown log opt 'labels' for local log driver"),
        ("syslog", ["max-size=1m"], "unknown log opt 'max-size' for syslog log driver"),
        ("syslog", ["syslog-address=foo"], "syslog-address should be in form proto://address, got foo"),
        ("syslog", ["syslog-format=x"], "Invalid syslog format"), ("syslog", ["syslog-facility=x"], "invalid syslog facility"),
    ])
    func refusedLogOptions(_ driver: String, _ options: [String], _ text: String) {
        #expect { try LogRequest(driver: driver, options: options) } throws: { "\($0)".contains(text) }
    }

    @Test func syslogAddresses() throws {
        for (text, transport, address) in [
            ("", .local, ""), ("udp://1.2.3.4", .udp, "1.2.3.4:514"), ("tcp://[::1]:99", .tcp, "[::1]:99"),
            ("udp://localhost:5140", .udp, "127.0.0.1:5140"), ("unix:///a/b", .unix, "/a/b"), ("unixgram:///c", .unixgram, "/c"),
        ] as [(String, SyslogOptions.Transport, String)] {
            let read = try LogRequest.address(text)
            #expect(read.transport == transport && read.address == address)
        }
        for text in ["udp://", "udp://host:1", "unix://relative", "tcp+tls://1.2.3.4:1", "ftp://1.2.3.4", "://x", "udp:1.2.3.4"] {
            #expect(throws: EngineError.self) { try LogRequest.address(text) }
        }
        #expect(try LogRequest.facility("local7") == 23 && LogRequest.facility("4") == 4 && LogRequest.facility("") == 3)
    }

    @Test func logTags() throws {
        var definition = ContainerDefinition(id: String(repeating: "a1", count: 32), name: "web")
        definition.image = "busybox:1"
        definition.imageID = "sha256:" + String(repeating: "b", count: 64)
        definition.command = ["sh", "-c", "x"]
        definition.labels = ["l": "v", "other": "w"]
        definition.environment = ["E=1", "E=2", "F=3"]
        definition.log = try LogRequest(
            driver: "json-file", options: ["tag={{.Name}}/{{ .ID }}-{{.ImageID}} {{.Command}}", "labels=l,none", "env=E,G"])
        #expect(definition.logAttributes == ["tag": "web/a1a1a1a1a1a1-bbbbbbbbbbbb sh -c x", "l": "v", "E": "2"])
        for text in ["{{.Foo}}", "{{", "{{.Name}", "{{Name}}", "x{{}}"] { #expect(throws: EngineError.self) { try LogTag.parse(text) } }
        #expect(LogTag.render("plain } text", definition) == "plain } text")
    }

    @Test func environmentFiles() throws {
        let text = "# c\nA=1\n\n  B=2 x\nC=\n"
        #expect(try EnvironmentOption.parse(file: text, name: "f", inherit: false) == ["A=1", "B=2 x", "C="])
        for bad in ["A B=1", "=x", "A=\0"] {
            #expect(throws: EngineError.self) { try EnvironmentOption.parse(file: bad, name: "f", inherit: false) }
        }
        #expect(EnvironmentOption.merge(["A=1", "B=2"], ["A=3", "C=4"]) == ["A=3", "B=2", "C=4"])
    }

    @Test func sysctlsMustBelongToTheContainer() {
        func allowed(_ name: String, network: Bool = true, ipc: Bool = true) -> Bool {
            (try? SysctlOption.check(name, ownNetwork: network, ownIPC: ipc, ownUTS: true, ownUser: false)) != nil
        }
        #expect(allowed("net.ipv4.ip_forward") && !allowed("net.ipv4.ip_forward", network: false))
        #expect(allowed("net/ipv4/ip_forward") && !allowed("net/ipv4/ip_forward", network: false))
        #expect(allowed("kernel.shmmax") && !allowed("kernel.shmmax", ipc: false))
        for name in [
            "kernel.panic", "kernel.core_pattern", "vm.swappiness", "fs.file-max", "netx.a", "user.max_user_namespaces",
            "",
        ] {
            #expect(!allowed(name))
        }
    }

    @Test func securityOptions() throws {
        func parse(_ options: [String]) throws(EngineError) -> SecurityOptions {
            try SecurityOptions(options: options) { (path) throws(EngineError) in
                guard path == "file.json" else { throw EngineError(.notFound, sentence: "no file") }
                return "{}"
            }
        }
        #expect(try parse([]).seccomp == .builtin)
        #expect(try parse(["seccomp=unconfined"]).seccomp == .unconfined)
        #expect(try parse(["seccomp=file.json"]).seccomp == .profile("{}"))
        #expect(try parse(["no-new-privileges:true"]).noNewPrivileges)
        #expect(try !parse(["no-new-privileges=false"]).noNewPrivileges)
        #expect(try parse(["mask=/a:/b", "unmask=/proc/acpi"]).mask == ["/a", "/b"])
        for text in [
            "", "bogus", "seccomp=", "seccomp=nofile", "label=x", "systempaths=x", "mask=relative",
            "no-new-privileges=x",
        ] {
            #expect(throws: EngineError.self) { _ = try parse([text]) }
        }
    }

    @Test func namesAreGeneratedInTheGrammar() throws {
        var seen: Set<String> = []
        for attempt in 0..<200 {
            let name = ContainerNames.generate(attempt: attempt % 6)
            #expect(ObjectName.isValid(name) && name.contains("_"))
            seen.insert(name)
        }
        #expect(seen.count > 150)
        #expect(Set(ContainerNames.adjectives).count == ContainerNames.adjectives.count)
        #expect(Set(ContainerNames.surnames).count == ContainerNames.surnames.count)
        let id = ContainerNames.identifier()
        #expect(id.utf8.count == 64 && id.utf8.allSatisfy { ($0 >= 0x30 && $0 <= 0x39) || ($0 >= 0x61 && $0 <= 0x66) })
    }

    @Test(arguments: ["", "a", "-a", ".a", "_a", "a/b", "../x", "a b", "a\n", "ä", String(repeating: "x", count: 300)])
    func namesThatAreNone(name: String) {
        #expect(throws: EngineError.self) { try ContainerNames.check(name) }
    }

    @Test func timestampsGoBothWays() {
        #expect(Timestamp.text(0) == "0001-01-01T00:00:00Z")
        #expect(Timestamp.text(1_767_323_045_000_000_000) == "2026-01-02T03:04:05Z")
        #expect(Timestamp.text(1_767_323_045_120_000_000) == "2026-01-02T03:04:05.12Z")
        #expect(Timestamp.parse("2026-01-02T03:04:05.12Z") == 1_767_323_045_120_000_000)
        #expect(Timestamp.parse("2026-01-02T05:04:05+02:00") == 1_767_323_045_000_000_000)
        #expect(Timestamp.parse("1969-12-31T23:59:59Z") == -1_000_000_000)
        #expect(Timestamp.parse("2024-02-29") == 1_709_164_800_000_000_000)
        for text in [
            "", "2026", "2026-13-01", "2026-01-02T25:00:00Z", "2026-01-02T03:04:05+99:00", "x", "2026-01-02Z9",
        ] {
            #expect(Timestamp.parse(text) == nil)
        }
        #expect(DurationOption.parse("1h30m") == 5_400_000_000_000)
        #expect(DurationOption.parse("250ms") == 250_000_000)
        #expect(
            DurationOption.parse("10") == nil && DurationOption.parse("") == nil && DurationOption.parse("-1s") == nil)
    }
}
