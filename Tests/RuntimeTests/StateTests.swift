import Cgroups
import Glibc
import Linux
import Testing

@testable import Runtime

struct ContainerRecordTests {
    @Test func aRecordComesBackAsItWas() throws {
        var record = ContainerRecord()
        record.id = "a\"b\\c\u{1F600}"
        record.ociVersion = "1.2.0"
        record.pid = 4242
        record.startTime = UInt64.max
        record.bundle = "/some/where\nelse"
        record.rootfs = "/rootfs"
        record.created = "2026-01-02T03:04:05.123456789Z"
        record.owner = UInt32.max
        record.annotations = ["": "empty", "k": "v", "unicode": "é\u{0}x"]
        record.cgroup = CgroupRecord(
            entries: [.init(hierarchy: "cpu,cpuacct", path: "/sys/fs/cgroup/cpu,cpuacct/x:y"), .init(hierarchy: "", path: "/u")],
            rootless: true)
        let copy = try ContainerRecord.decode(record.encode())
        #expect(copy.id == record.id)
        #expect(copy.ociVersion == record.ociVersion)
        #expect(copy.pid == record.pid)
        #expect(copy.startTime == record.startTime)
        #expect(copy.bundle == record.bundle)
        #expect(copy.rootfs == record.rootfs)
        #expect(copy.created == record.created)
        #expect(copy.owner == record.owner)
        #expect(copy.annotations == record.annotations)
        #expect(copy.cgroup == record.cgroup)
    }

    @Test func fieldsOfANewerVersionArePassedOver() throws {
        let text = #"{"version":7,"new":{"deep":[1,{"x":null}]},"id":"a","pid":3}"#
        let record = try ContainerRecord.decode(Array(text.utf8))
        #expect(record.id == "a" && record.pid == 3)
    }

    @Test(arguments: [
        "", "{", "[]", #"{"pid":"x"}"#, #"{"pid":99999999999}"#, #"{"pid":1.5}"#, #"{"owner":-1}"#, #"{"startTime":-1}"#,
        #"{"cgroup":["no colon"]}"#, #"{"cgroup":["cpu:relative"]}"#, #"{"id":"a"} trailing"#, #"{"id":"#,
    ])
    func damagedRecordsAreErrors(text: String) {
        #expect(refusal { _ = try ContainerRecord.decode(Array(text.utf8)) }?.contains("state.json") == true, "\(text)")
    }

    @Test func zeroAndForeignProcessesAreNotAlive() throws {
        var record = ContainerRecord()
        #expect(!record.isAlive)
        record.pid = getpid()
        record.startTime = try #require(processStartTime(getpid()))
        #expect(record.isAlive)
        record.startTime += 1
        #expect(!record.isAlive, "the same number, another process")
        record.pid = Int32.max
        #expect(!record.isAlive)
        record.pid = -1
        #expect(!record.isAlive)
    }
}

struct StateDirectoryTests {
    @Test(arguments: ["a", "web_1", "A+b-c.d", "0", String(repeating: "x", count: 255), "..a", "a.."])
    func ordinaryIdentifiersAreTaken(id: String) {
        #expect(refusal { try StateDirectory.validate(id: id) } == nil)
    }

    @Test(arguments: [
        "", ".", "..", "a/b", "../x", "/x", "a b", "a\0", "a\n", "é", "a:b", "%2e", "a*", String(repeating: "x", count: 256), "\u{202E}a",
    ])
    func identifiersThatCouldLeaveTheRootAreNot(id: String) {
        #expect(refusal { try StateDirectory.validate(id: id) }?.contains("container id") == true)
        #expect(refusal { _ = try StateDirectory(root: "/run/x", id: id) } != nil)
    }

    @Test func oneOwnerPerIdentifier() throws {
        let scratch = try Scratch()
        let root = scratch.path + "/state/deeper"
        let directory = try StateDirectory(root: root, id: "one")
        try directory.make()
        #expect(refusal { try directory.make() }?.contains("exists") == true)
        #expect(try StateDirectory.list(root: root) == ["one"])
        var record = ContainerRecord()
        record.id = "one"
        try directory.write(record)
        #expect(try directory.read().id == "one")
        try directory.remove()
        try directory.remove()
        #expect(try StateDirectory.list(root: root) == [])
        #expect(try StateDirectory.list(root: scratch.path + "/nothing") == [])
        #expect(refusal { _ = try directory.read() }?.contains("does not exist") == true)
    }

    /// Whoever can write to the state root cannot make the removal delete something else.
    @Test func removalDoesNotFollowALink() throws {
        let scratch = try Scratch()
        try scratch.fd.makeDirectory("canary")
        try scratch.fd.writeFile("canary/file", Array("x".utf8))
        try scratch.fd.makeDirectory("root")
        try scratch.fd.makeSymbolicLink(to: "../canary", at: "root/evil")
        let directory = try StateDirectory(root: scratch.path + "/root", id: "evil")
        #expect(refusal { try directory.remove() } != nil)
        #expect(scratch.fd.exists("canary/file"))
    }
}
