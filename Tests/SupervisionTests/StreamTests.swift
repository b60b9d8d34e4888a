import CLinux
import Control
import Glibc
import Linux
import Testing

@testable import Supervision

@Suite struct StreamTests {
    let scratch: Scratch
    let loop: EventLoop
    init() throws {
        scratch = try Scratch()
        loop = try EventLoop { _ in }
    }

    func pipe() throws -> (read: SharedFD, write: SharedFD) {
        let (first, second) = try makePipe().take()
        return (SharedFD(owning: first), SharedFD(owning: second))
    }

    /// Runs the loop until `done`, for at most a few seconds.
    func run(until done: () -> Bool) {
        let end = monotonicNanoseconds() + 10_000_000_000
        while !done(), monotonicNanoseconds() < end {
            loop.set(.idle, in: 5_000_000)
            loop.step()
        }
    }

    func isFull(_ fd: FD) -> Bool {
        var number = fd.rawValue
        var wanted = Int16(POLLOUT)
        var got: Int16 = 0
        return cl_poll(&number, &wanted, &got, 1, 0) == 0
    }

    /// A writer that writes as fast as it is taken; returns what it got rid of.
    func pour(_ bytes: [UInt8], _ offset: inout Int, into fd: FD) {
        let count = bytes[offset...].withUnsafeBytes { cl_write(fd.rawValue, $0.baseAddress, $0.count) }
        if count > 0 { offset += count }
    }

    @Test func clientsAndLogGetTheSameBytes() throws {
        let log = LogWriter(directory: scratch.directory.fd, LogConfiguration(maximumSize: 0))
        let stream = OutputStream(.output, loop, log: log)
        let source = try pipe()
        try stream.open(source.read, isTerminal: false)
        try source.write.fd.setNonBlocking(true)
        let clients = [try pipe(), try pipe()]
        for client in clients {
            try stream.attach(client.write)
            try client.read.fd.setNonBlocking(true)
        }
        let bytes = pattern(1 << 20)
        var offset = 0
        var got: [[UInt8]] = [[], []]
        run {
            if offset < bytes.count { pour(bytes, &offset, into: source.write.fd) }
            for (index, client) in clients.enumerated() { got[index] += readAvailable(client.read.fd, index == 0 ? 1000 : 1 << 20) }
            return got.allSatisfy { $0.count == bytes.count }
        }
        #expect(got[0] == bytes)
        #expect(got[1] == bytes)
        #expect(try scratch.logged(.output) == bytes)
    }

    func readAvailable(_ fd: FD, _ limit: Int) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: limit) { buffer, count in
            count = max(0, cl_read(fd.rawValue, buffer.baseAddress, limit))
        }
    }

    @Test func slowClientHoldsTheContainerAndADeadOneDoesNot() throws {
        let stream = OutputStream(.output, loop, log: nil)
        let source = try pipe()
        try stream.open(source.read, isTerminal: false)
        try source.write.fd.setNonBlocking(true)
        var slow: (read: SharedFD, write: SharedFD)? = try pipe()
        let dead = try pipe()
        if let slow { try stream.attach(slow.write) }
        try stream.attach(dead.write)
        slow = slow.map { ($0.read, SharedFD(owning: -1)) }
        let bytes = [UInt8](repeating: 65, count: 8 << 20)
        var offset = 0
        var still = 0
        run {
            let before = offset
            pour(bytes, &offset, into: source.write.fd)
            still = offset == before ? still + 1 : 0
            return still == 30
        }
        // Pipes and one piece: far less than what was to be written.
        #expect(offset < 2 << 20)
        #expect(isFull(source.write.fd))
        // Both go: the container runs on.
        slow = nil
        closeReader(dead.read)
        run {
            pour(bytes, &offset, into: source.write.fd)
            return offset == bytes.count
        }
        #expect(offset == bytes.count)
        #expect(!stream.hasClients)
    }

    /// Replaces the read end by something else, which closes it.
    func closeReader(_ fd: SharedFD) {
        let null = try? FD.cwd.open("/dev/null", .readOnly)
        if let null { _ = cl_dup3(null.raw, fd.raw, 0) }
    }

    @Test func quietDeadClientIsNoticed() throws {
        let stream = OutputStream(.output, loop, log: nil)
        let source = try pipe()
        try stream.open(source.read, isTerminal: false)
        let client = try pipe()
        try stream.attach(client.write)
        #expect(stream.hasClients)
        closeReader(client.read)
        run { !stream.hasClients }
        #expect(!stream.hasClients)
    }

    @Test func everythingComesBeforeTheEnd() throws {
        let stream = OutputStream(.output, loop, log: nil)
        var finished = false
        stream.onFinished = { finished = true }
        let source = try pipe()
        try stream.open(source.read, isTerminal: false)
        let client = try pipe()
        try stream.attach(client.write)
        try source.write.fd.writeAll([UInt8](repeating: 66, count: 60_000))
        // The container ends while a process that left it keeps the pipe open.
        stream.drain()
        run { finished }
        #expect(finished)
        stream.closeClients()
        var size = 0
        #expect(cl_ioctl(client.read.raw, 0x541B /* FIONREAD */, Int(bitPattern: withUnsafeMutablePointer(to: &size) { $0 })) == 0)
        #expect(size == 60_000)
    }

    @Test func inputIsExactAndWaitsForTheReader() throws {
        let stream = InputStream(loop, once: true)
        let target = try pipe()
        try stream.open(target.write, isTerminal: false)
        var client: (read: SharedFD, write: SharedFD)? = try pipe()
        if let client {
            try stream.attach(client.read)
            try client.write.fd.setNonBlocking(true)
        }
        let writer = client.map(\.write)
        client = nil
        let bytes = pattern(1 << 20)
        var offset = 0
        var got: [UInt8] = []
        try target.read.fd.setNonBlocking(true)
        run {
            if let writer, offset < bytes.count { pour(bytes, &offset, into: writer.fd) }
            got += readAvailable(target.read.fd, 7000)
            return got.count == bytes.count
        }
        #expect(got == bytes)
    }

    @Test(arguments: [true, false]) func halfCloseIsPassedOnOnlyOnce(_ once: Bool) throws {
        let stream = InputStream(loop, once: once)
        var target: (read: SharedFD, write: SharedFD)? = try pipe()
        if let target { try stream.open(target.write, isTerminal: false) }
        let reader = try #require(target?.read)
        target = nil
        try reader.fd.setNonBlocking(true)
        do {
            let client = try pipe()
            try stream.attach(client.read)
            try client.write.fd.writeAll("bye")
        }
        var ended = false
        var text: [UInt8] = []
        run {
            var byte: UInt8 = 0
            let count = cl_read(reader.raw, &byte, 1)
            if count == 1 { text.append(byte) }
            ended = count == 0
            return ended || (text.count == 3 && !once && monotonicNanoseconds() % 20 == 0)
        }
        #expect(text == Array("bye".utf8))
        #expect(ended == once)
    }

    @Test func closedInputIsSeenByClients() throws {
        let stream = InputStream(loop, once: false)
        let target = try pipe()
        try stream.open(target.write, isTerminal: false)
        let (read, write) = try makePipe().take()
        let writer = SharedFD(owning: write)
        try stream.attach(SharedFD(owning: read))
        closeReader(target.read)
        _ = cl_signal_ignore(SIGPIPE)
        var broken = false
        run {
            broken = "x".withCString { cl_write(writer.raw, $0, 1) } == -Int(EPIPE)
            return broken
        }
        #expect(broken)
    }
}
