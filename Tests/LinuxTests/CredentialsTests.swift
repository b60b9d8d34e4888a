import Glibc
import Testing

@testable import Linux

struct CredentialsTests {
    private func ranges(_ text: String, name: String?, uid: UInt32) throws -> [String] {
        let scratch = try Scratch()
        try scratch.fd.writeFile("subuid", bytes(text))
        return subordinateRanges(.user, userName: name, uid: uid, file: scratch.path + "/subuid").map { "\($0.start)+\($0.count)" }
    }

    @Test func rangesAreFoundByNameAndByNumberInFileOrder() throws {
        let text = "other:100000:65536\nalice:165536:65536\n1000:300000:1000\nalice:400000:10\n"
        #expect(try ranges(text, name: "alice", uid: 1000) == ["165536+65536", "300000+1000", "400000+10"])
        #expect(try ranges(text, name: nil, uid: 1000) == ["300000+1000"])
        #expect(try ranges(text, name: "bob", uid: 1001) == [])
    }

    @Test func linesThatAreNotRangesArePassedOver() throws {
        let text = """
            alice
            alice:1
            alice:1:2:3
            alice:-1:5
            alice:1:0
            alice:99999999999:1
            alice:1:99999999999
             alice:7:7
            :5:5
            alice:x:y
            alice:10:20
            """
        #expect(try ranges(text, name: "alice", uid: 1000) == ["10+20"])
        #expect(try ranges(text, name: "", uid: 1000) == ["5+5"])
    }

    @Test func aMissingFileGrantsNothing() {
        #expect(subordinateRanges(.group, userName: "root", uid: 0, file: "/nonexistent/subgid").isEmpty)
    }

    @Test func idMapsAreParsed() throws {
        let scratch = try Scratch()
        try scratch.fd.writeFile("map", bytes("         0       1000          1\n         1     100000      65536\nbroken line\n1 2\n"))
        #expect(
            readIDMap(scratch.path + "/map") == [
                IDMapping(inside: 0, outside: 1000, count: 1), IDMapping(inside: 1, outside: 100000, count: 65536),
            ])
        #expect(!readIDMap("/proc/self/uid_map").isEmpty)
    }

    @Test func rootHasAName() {
        #expect(userName(of: 0) == "root")
        #expect(userName(of: 4_294_967_294) == nil)
    }

    @Test func capabilitiesAreThoseOfTheCaller() {
        if geteuid() != 0 { #expect(!hasCapability(21)) }
        #expect(!hasCapability(63))
    }
}
