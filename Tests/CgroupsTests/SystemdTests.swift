import CLinux
import Glibc
import Linux
import OCI
import Testing

@testable import Cgroups

@Suite struct SystemdMessageTests {
    /// Against bytes made by hand from the specification.
    @Test func aCallWithoutArguments() {
        let bytes = SystemdMessage.call("Subscribe", serial: 5, signature: "", body: [])
        #expect(Array(bytes[..<12]) == [0x6C, 1, 0, 1, 0, 0, 0, 0, 5, 0, 0, 0])
        #expect(Array(bytes[16..<24]) == [1, 1, 0x6F, 0, 25, 0, 0, 0])  // path, "o", 25 bytes
        #expect(bytes.count % 8 == 0)
        #expect(SystemdMessage.length(bytes) == bytes.count)
        #expect(SystemdMessage(bytes)?.member == "Subscribe")
        #expect(SystemdMessage(bytes)?.serial == 5)
    }

    @Test func values() {
        var out = SystemdBytes()
        out.append("ab")
        out.array(alignment: 8) { SystemdProperty("P", .number(0x0102_0304_0506_0708)).write(to: &$0) }
        let wanted: [UInt8] = [
            2, 0, 0, 0, 0x61, 0x62, 0, 0,  // "ab"
            24, 0, 0, 0, 0, 0, 0, 0,  // the array's length, padding that does not count
            1, 0, 0, 0, 0x50, 0, 1, 0x74, 0, 0, 0, 0, 0, 0, 0, 0,  // "P", variant of t, padding
            8, 7, 6, 5, 4, 3, 2, 1,
        ]
        #expect(out.bytes == wanted)
        var pids = SystemdBytes()
        SystemdProperty("PIDs", .pids([7, 8])).write(to: &pids)
        #expect(Array(pids.bytes.suffix(12)) == [8, 0, 0, 0, 7, 0, 0, 0, 8, 0, 0, 0])
    }

    /// What comes from a socket may be anything.
    @Test func mutilatedMessages() {
        let whole = jobRemoved("/job/1", "done")
        #expect(SystemdMessage(whole)?.signature == "uoss")
        for count in whole.indices { #expect(SystemdMessage(Array(whole[..<count])) == nil) }
        for index in whole.indices {
            for value in [UInt8(0), 1, 7, 0x7F, 0xFF] {
                var changed = whole
                changed[index] = value
                _ = SystemdMessage(changed)
            }
        }
        #expect(SystemdMessage.length([0x6C, 4, 0, 1] + [UInt8](repeating: 0xFF, count: 12)) == nil)
    }
}

@Suite struct SystemdScopeTests {
    @Test func names() throws {
        func unit(_ slice: String, _ prefix: String, _ name: String, rootless: Bool = false) throws -> [String] {
            let scope = try SystemdScope(slice: slice, prefix: prefix, name: name, rootless: rootless)
            return [scope.slice, scope.unit]
        }
        #expect(try unit("", "docker", "12ab") == ["system.slice", "docker-12ab.scope"])
        #expect(try unit("", "", "x", rootless: true) == ["user.slice", "x.scope"])
        #expect(try unit("machine.slice", "libpod", "x") == ["machine.slice", "libpod-x.scope"])
        for bad in [("machine", "p", "x"), ("", "p", "a b"), ("", "p", "a\nb"), ("", "p", String(repeating: "x", count: 300))] {
            #expect(failure { _ = try unit(bad.0, bad.1, bad.2) }?.code == .invalid)
        }
    }

    @Test func limits() throws {
        let all = LinuxResources(
            memory: LinuxMemory(limit: 1000, reservation: 500, swap: 1500),
            cpu: LinuxCPU(shares: 1024, quota: 25000, period: 50000), pids: LinuxPids(limit: 32))
        #expect(
            try SystemdScope.limits(all) == [
                .init("MemoryMax", .number(1000)), .init("MemoryLow", .number(500)), .init("MemorySwapMax", .number(500)),
                .init("CPUWeight", .number(100)), .init("CPUQuotaPeriodUSec", .number(50000)),
                .init("CPUQuotaPerSecUSec", .number(500_000)), .init("TasksMax", .number(32)),
            ])
        let none = LinuxResources(
            memory: LinuxMemory(limit: -1), cpu: LinuxCPU(quota: -1), pids: LinuxPids(limit: -1))
        #expect(try SystemdScope.limits(none).allSatisfy { $0.value == .number(UInt64.max) || $0.name == "CPUQuotaPeriodUSec" })
        #expect(try SystemdScope.limits(LinuxResources()) == [])
        let huge = LinuxResources(cpu: LinuxCPU(quota: Int64.max, period: 1))
        #expect(try SystemdScope.limits(huge).last?.value == .number(UInt64.max))
        #expect(try SystemdScope.limits(LinuxResources(cpu: LinuxCPU(quota: 1, period: 1_000_000))).last?.value == .number(10000))
    }

    @Test func theRecordKeepsTheUnit() throws {
        let record = CgroupRecord(entries: [.init(hierarchy: "", path: "/sys/fs/cgroup/a.scope")], rootless: true, scope: "a.scope")
        #expect(record.lines == ["rootless", "scope a.scope", ":/sys/fs/cgroup/a.scope"])
        #expect(try CgroupRecord(lines: record.lines) == record)
    }
}

@Suite struct SystemdBusTests {
    private func start(_ script: [UInt8]) throws -> CgroupError? {
        let place = try FakeTree()
        let path = place.root + "/private"
        let listener = SharedFD(try listenLocal(path, kind: .stream))
        let answer = Task.detached {
            let connection = SharedFD(owning: cl_accept4(listener.raw, 0))
            // All answers at once: what the client asks is known.
            try connection.fd.writeAll(script)
            var buffer = [UInt8](repeating: 0, count: 4096)
            while cl_read(connection.raw, &buffer, buffer.count) > 0 {}
        }
        defer { answer.cancel() }
        return failure {
            let bus = try SystemdBus(path, seconds: 5)
            let scope = try SystemdScope(slice: "", prefix: "p", name: "x", rootless: false)
            try scope.start(on: bus, around: 77, [])
        }
    }

    @Test func aJobThatIsDone() throws {
        // The job's end may come before the answer that names it, and ends of others come too.
        let script = hello + jobRemoved("/job/9", "failed") + jobRemoved("/job/1", "done") + job("/job/1")
        #expect(try start(script) == nil)
        #expect(try start(Array("DATA\r\n".utf8) + script) == nil)
    }

    @Test func aJobThatFails() throws {
        let error = try start(hello + job("/job/1") + jobRemoved("/job/1", "failed"))
        #expect(error?.code == .systemd)
        #expect(error?.description == "ask systemd for StartTransientUnit \"p-x.scope\": the job ended as \"failed\"")
    }

    @Test func refusals() throws {
        let exists = message(.failure, replyTo: 1, name: "org.freedesktop.systemd1.UnitExists", text: "Unit p-x.scope already exists.")
        let error = try start(hello + exists)
        #expect(error?.code == .notEmpty)
        #expect(error?.cause == "Unit p-x.scope already exists.")
        #expect(try start(Array("REJECTED\r\n".utf8))?.code == .systemd)
        #expect(try start(hello + [UInt8](repeating: 0x41, count: 64))?.cause == "what it sent is no D-Bus message")
        #expect(try start([UInt8](repeating: 0x41, count: 9000))?.code == .systemd)
    }

    @Test func nobodyListens() throws {
        let place = try FakeTree()
        #expect(failure { _ = try SystemdBus(place.root + "/none") }?.code == .systemdMissing)
    }

    private let hello = Array("OK 0123456789abcdef\r\n".utf8)
    private func job(_ path: String) -> [UInt8] { message(.reply, replyTo: 1, signature: "o", text: path) }
}

/// A message of systemd's: a reply, an error or a signal with one text in its body.
private func message(
    _ kind: SystemdMessage.Kind, replyTo: UInt32 = 0, name: String = "", member: String = "", signature: String = "s", text: String = "",
    body: [UInt8]? = nil
) -> [UInt8] {
    var content = SystemdBytes()
    if let body { content.append(body: body) } else if !text.isEmpty { content.append(text) }
    var out = SystemdBytes()
    for byte in [UInt8(ascii: "l"), kind.rawValue, 1, 1] { out.append(byte: byte) }
    out.append(UInt32(content.bytes.count))
    out.append(UInt32(99))
    out.array(alignment: 8) { out in
        if replyTo != 0 {
            out.append(byte: 5)
            out.append(signature: "u")
            out.append(replyTo)
        }
        for (code, value) in [(UInt8(4), name), (3, member)] where !value.isEmpty {
            out.align(8)
            out.append(byte: code)
            out.append(signature: "s")
            out.append(value)
        }
        if !content.bytes.isEmpty {
            out.align(8)
            out.append(byte: 8)
            out.append(signature: "g")
            out.append(signature: signature)
        }
    }
    out.append(body: content.bytes)
    return out.bytes
}

private func jobRemoved(_ job: String, _ result: String) -> [UInt8] {
    var body = SystemdBytes()
    body.append(UInt32(1))
    body.append(job)
    body.append("p-x.scope")
    body.append(result)
    return message(.signal, member: "JobRemoved", signature: "uoss", body: body.bytes)
}
