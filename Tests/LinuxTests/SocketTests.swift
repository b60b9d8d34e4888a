import Glibc
import Testing

@testable import Linux

struct SocketTests {
    @Test func descriptorsTravelWithAMessage() throws {
        let scratch = try Scratch()
        try scratch.fd.writeFile("one", bytes("first"))
        try scratch.fd.writeFile("two", bytes("second"))
        let pair = try makeSocketPair(.sequencedPacket)
        let one = try scratch.fd.open("one", .readOnly)
        let two = try scratch.fd.open("two", .readOnly)
        try pair.first.fd.send(bytes("hello"), descriptors: [one.fd, two.fd])
        let message = try pair.second.fd.receive()
        #expect(message.bytes == bytes("hello"))
        #expect(!message.truncated)
        try #require(message.descriptors.count == 2)
        #expect(try message.descriptors[0].fd.readAll() == bytes("first"))
        #expect(try message.descriptors[1].fd.readAll() == bytes("second"))
        for descriptor in message.descriptors {
            #expect(fcntl(descriptor.raw, F_GETFD) & FD_CLOEXEC != 0, "received descriptors must not leak into children")
        }
    }

    @Test func messagesKeepTheirBoundaries() throws {
        let pair = try makeSocketPair(.sequencedPacket)
        try pair.first.fd.send(bytes("a"))
        try pair.first.fd.send(bytes("bc"))
        #expect(try pair.second.fd.receive().bytes == bytes("a"))
        #expect(try pair.second.fd.receive().bytes == bytes("bc"))
    }

    @Test func aMessageThatDoesNotFitSaysSo() throws {
        let pair = try makeSocketPair(.sequencedPacket)
        try pair.first.fd.send([UInt8](repeating: 7, count: 100))
        let message = try pair.second.fd.receive(limit: 10)
        #expect(message.truncated)
        #expect(message.bytes.count == 10)
    }

    @Test func theEndOfTheOtherSideIsAnEmptyMessage() throws {
        let pair = try makeSocketPair(.sequencedPacket)
        let ends = pair.take()
        close(OwnedFD(owning: ends.first))
        let mine = OwnedFD(owning: ends.second)
        #expect(try mine.fd.receive().bytes.isEmpty)
        #expect(failure { try mine.fd.send(bytes("x")) }?.errno == .brokenPipe, "and no SIGPIPE")
    }

    /// sun_path holds 107 bytes: longer paths must work all the same.
    @Test(arguments: [8, 107, 108, 180])
    func socketsHavePathsOfAnyLength(length: Int) throws {
        let scratch = try Scratch()
        var directory = scratch.path
        while directory.utf8.count + 40 < length {
            directory += "/directory-with-a-long-name"
            try FD.cwd.makeDirectory(directory)
        }
        let path = directory + "/" + String(repeating: "s", count: max(1, length - directory.utf8.count - 1))
        let listener = try listenLocal(path, kind: .sequencedPacket)
        #expect(try FD.cwd.status(of: path).st_mode & 0o777 == 0o600)
        let client = try connectLocal(path, kind: .sequencedPacket)
        let accepted = OwnedFD(owning: accept(listener.raw, nil, nil))
        try client.fd.send(bytes("hi"))
        #expect(try accepted.fd.receive().bytes == bytes("hi"))
        let peer = try accepted.fd.peerCredentials()
        #expect(peer.uid == getuid())
        #expect(peer.pid == getpid())
    }

    @Test func aDeadSocketIsReplaced() throws {
        let scratch = try Scratch()
        let path = scratch.path + "/s"
        do { _ = try listenLocal(path, kind: .stream) }
        #expect(failure { _ = try connectLocal(path, kind: .stream) }?.errno == .connectionRefused)
        let listener = try listenLocal(path, kind: .stream)
        let client = try connectLocal(path, kind: .stream)
        #expect(listener.raw != client.raw)
    }
}
