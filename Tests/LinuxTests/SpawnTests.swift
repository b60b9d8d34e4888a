import CLinux
import Glibc
import Testing

@testable import Linux

struct SpawnTests {
    @Test func exitCodesAndSignalsComeBack() throws {
        #expect(try run("exit 7").status == .exited(7))
        #expect(try run("kill -9 $$").status == .signaled(9))
        #expect(Linux.ExitStatus.signaled(9).code == 137)
        #expect(Linux.ExitStatus.exited(3).code == 3)
    }

    @Test func theErrorOfTheExecComesBack() throws {
        for (path, errno) in [("/nonexistent/program", Errno.noEntry), ("/etc/passwd", .accessDenied), ("/etc", .accessDenied)] {
            let error = failure { _ = try spawn(SpawnRequest(path, [path])).pid }
            #expect(error?.errno == errno, "\(path)")
            #expect(error?.object == path)
        }
    }

    /// The process that sends is waited for until it has let go of what is not its own; two at once must not take each other's word.
    @Test func messagesAreSentLaterByManyThreadsAtOnce() async throws {
        let sent = await withTaskGroup(of: Int.self) { group in
            for _ in 0..<4 {
                group.addTask {
                    guard let numbers = try? makeSocketPair(.datagram).take() else { return 0 }
                    let (near, far) = (SharedFD(owning: numbers.first), SharedFD(owning: numbers.second))
                    return (0..<300).count { _ in
                        cl_defer_send(near.raw, "x", 1, [], 0) > 0 && (try? far.fd.receive(limit: 8))?.bytes.count == 1
                    }
                }
            }
            return await group.reduce(0, +)
        }
        #expect(sent == 1200)
    }

    @Test func aMissingWorkingDirectoryIsAnError() throws {
        var request = SpawnRequest("/bin/true", ["true"])
        request.workingDirectory = "/nonexistent"
        #expect(failure { _ = try spawn(request).pid }?.errno == .noEntry)
    }

    @Test func theEnvironmentIsExactlyTheOneGiven() throws {
        #expect(
            try run("env | grep -v -e '^_=' -e '^SHLVL=' -e '^PWD='", environment: ["A=1", "B=two words"]).output == "A=1\nB=two words\n")
    }

    /// Each source is another's target: a plain loop of dup2 would lose one.
    @Test func descriptorsMaySwapAndRotate() throws {
        let scratch = try Scratch()
        for name in ["a", "b", "c"] { try scratch.fd.writeFile(name, bytes("\(name)\n")) }
        // Numbers from 100 up, so that the map's targets can be the sources' own numbers.
        let high = try ["a", "b", "c"].map { name in
            let file = try scratch.fd.open(name, .readOnly)
            return SharedFD(try file.fd.duplicate(atLeast: 100))
        }
        let swapped = try run(
            "cat <&\(high[0].raw); cat <&\(high[1].raw)",
            descriptors: [(high[0].fd, high[1].raw), (high[1].fd, high[0].raw)], shell: "/bin/bash")
        #expect(swapped.output == "b\na\n")
        for file in high { lseek(file.raw, 0, SEEK_SET) }
        let rotated = try run(
            "cat <&\(high[0].raw); cat <&\(high[1].raw); cat <&\(high[2].raw)",
            descriptors: [(high[0].fd, high[1].raw), (high[1].fd, high[2].raw), (high[2].fd, high[0].raw)], shell: "/bin/bash")
        #expect(rotated.output == "c\na\nb\n")
    }

    @Test func oneDescriptorMayBecomeSeveral() throws {
        let scratch = try Scratch()
        let file = try scratch.fd.open("out", [.writeOnly, .create, .append], mode: 0o600)
        let child = try spawn(
            SpawnRequest("/bin/sh", ["sh", "-c", "echo out; echo err >&2"], descriptors: [(file.fd, 1), (file.fd, 2)]))
        #expect(try child.wait() == .exited(0))
        #expect(try scratch.text("out") == "out\nerr\n")
    }

    /// Nothing but what the map names gets in, close-on-exec or not.
    @Test func nothingElseIsInherited() throws {
        let scratch = try Scratch()
        let leak = try scratch.fd.open("leak", [.writeOnly, .create], mode: 0o600)
        let high = try leak.fd.duplicate(atLeast: 200)
        try high.fd.setCloseOnExec(false)
        // ls opens the directory itself: one number more than the map's three.
        let result = try run("exec ls /proc/self/fd")
        #expect(result.output.split(separator: "\n").count == 4, "\(result.output)")
        #expect(!result.output.split(separator: "\n").contains("\(high.raw)"))
    }

    @Test func aChildHasDefaultSignalsAndAnEmptyMask() throws {
        let result = try run("exec grep -e ^SigBlk -e ^SigIgn /proc/self/status")
        for line in result.output.split(separator: "\n") {
            #expect(line.drop { $0 != "\t" }.dropFirst() == "0000000000000000", "\(line)")
        }
    }

    @Test func aSessionOfItsOwn() throws {
        let pipe = try makePipe()
        var request = SpawnRequest(
            "/bin/sh", ["sh", "-c", "exec cut -d' ' -f1,6 /proc/self/stat"], descriptors: [(pipe.second.fd, 1)])
        request.newSession = true
        let child = try spawn(request)
        let ends = pipe.take()
        close(OwnedFD(owning: ends.second))
        let output = OwnedFD(owning: ends.first)
        let text = String(decoding: try output.fd.readAll(), as: UTF8.self)
        #expect(try child.wait() == .exited(0))
        #expect(text == "\(child.pid) \(child.pid)\n")
    }

    @Test func aProgramMayBeADescriptor() throws {
        let program = try FD.cwd.open("/bin/true", .readOnly)
        var request = SpawnRequest("true", ["true"])
        request.executable = program.fd
        #expect(try spawn(request).wait() == .exited(0))
    }

    @Test func thePidfdNamesTheChild() throws {
        let input = try makePipe()
        let child = try spawn(SpawnRequest("/bin/sh", ["sh", "-c", "read line"], descriptors: [(input.first.fd, 0)]))
        var event = pollfd(fd: child.pidfd.raw, events: Int16(POLLIN), revents: 0)
        #expect(poll(&event, 1, 0) == 0, "it lives")
        #expect(processState(child.pid) != nil)
        #expect((processStartTime(child.pid) ?? 0) > 0)
        try input.second.fd.writeAll("end\n")
        #expect(poll(&event, 1, 10_000) == 1, "it ended")
        #expect(try child.wait() == .exited(0))
    }

    @Test func programsAreFoundInPath() throws {
        let scratch = try Scratch()
        #expect(findProgram("sh") != nil)
        #expect(findProgram("no-such-program-\(getpid())") == nil)
        try scratch.fd.writeFile("tool", bytes("#!/bin/sh\n"), mode: 0o700)
        try scratch.fd.writeFile("text", bytes("x"), mode: 0o600)
        try scratch.fd.makeDirectory("folder")
        #expect(findProgram("tool", path: scratch.path) == "\(scratch.path)/tool")
        #expect(findProgram("folder", path: scratch.path) == nil)
        #expect(findProgram("\(scratch.path)/tool") == "\(scratch.path)/tool")
        #expect(findProgram("\(scratch.path)/missing") == nil)
    }

    private func run(
        _ script: String, environment: [String] = ["PATH=/usr/bin:/bin"], descriptors: [(from: FD, to: Int32)] = [],
        shell: String = "/bin/sh"
    ) throws -> (status: Linux.ExitStatus, output: String) {
        let pipe = try makePipe()
        let null = try FD.cwd.open("/dev/null", .readWrite)
        let child = try spawn(
            SpawnRequest(
                shell, [shell, "-c", script], environment: environment,
                descriptors: [(null.fd, 0), (pipe.second.fd, 1), (null.fd, 2)] + descriptors))
        let ends = pipe.take()
        close(OwnedFD(owning: ends.second))
        let output = OwnedFD(owning: ends.first)
        let text = String(decoding: try output.fd.readAll(), as: UTF8.self)
        return (try child.wait(), text)
    }
}
