import CLinux
import Control
import Glibc
import Linux
import Testing

@testable import Supervision

/// A supervisor in a process of its own, spoken to as the engine does.
@Suite struct SupervisorTests {
    let scratch: Scratch
    init() throws {
        scratch = try Scratch()
        // Clients of ours that write to a closed pipe get an error instead.
        _ = cl_signal_ignore(SIGPIPE)
    }

    /// Starts a supervisor of `script` in a child of this process.
    func launch(_ script: String, _ change: (inout SupervisionConfig) -> Void = { _ in }) throws -> Supervised {
        var config = SupervisionConfig(id: "c1", name: "n", bundle: scratch.path, rootfs: .directory("/"))
        config.stopTimeoutSeconds = 5
        change(&config)
        let directory = ContainerFiles.directory(store: scratch.path + "/store", id: "c1")
        try FD.cwd.makeDirectories(directory, mode: 0o700)
        let opened = SharedFD(try FD.cwd.open(directory, [.readOnly, .directory]))
        try config.save(in: opened.fd, durable: false)
        let (ours, theirs) = try makeSocketPair(.sequencedPacket).take()
        let run = scratch.path + "/run"
        let base = scratch.path
        let pid = forkChild {
            // The other side only; whatever else was open in the test process must not be held.
            _ = cl_dup3(theirs, 3, 0)
            for fd: Int32 in 4..<256 where fd != opened.raw { _ = cl_close(fd) }
            let arguments = SuperviseArguments(store: directory, run: run, id: "c1")
            guard let lock = try? SupervisorLock.acquire(in: opened.fd), let signals = try? becomeSupervisor(),
                let supervisor = try? Supervisor(
                    arguments, config, directory: opened, lock: lock,
                    launcher: ForkLauncher(script, directory: base, terminal: config.terminal)),
                (try? supervisor.listen()) != nil, (try? supervisor.watchSignals(SharedFD(signals))) != nil
            else { return 77 }
            supervisor.run(starter: SharedFD(owning: 3))
            return 0
        }
        _ = cl_close(theirs)
        return Supervised(
            connection: SupervisorConnection(id: "c1", socket: OwnedFD(owning: ours), child: 0), pid: pid,
            directory: directory, run: run, store: scratch.path + "/store")
    }

    struct Supervised {
        var connection: SupervisorConnection
        let pid: Int32
        let directory: String
        let run: String
        let store: String

        func observe() throws -> ContainerObservation {
            var observer = try ContainerObserver(store: store)
            return try observer.observe("c1")
        }

        func log() throws -> String {
            var reader = try LogReader(directory: directory)
            var text = ""
            _ = try reader.readAvailable {
                text += "\($0.stream.rawValue)\($0.isPartial ? "P" : "F") \(String(decoding: $0.text, as: UTF8.self))\n"
                return true
            }
            return text
        }

        func reap() -> Linux.ExitStatus? { (try? waitForProcess(pid))??.status }
    }

    func waitUntil(_ condition: () throws -> Bool) rethrows -> Bool {
        let end = monotonicNanoseconds() + 10_000_000_000
        while monotonicNanoseconds() < end {
            if try condition() { return true }
            usleep(2000)
        }
        return false
    }

    @Test func aRunFromStartToRecord() throws {
        let it = try launch("echo out; echo err >&2; printf part; exit 3")
        let created = try it.connection.waitForCreated()
        #expect(try it.observe().status == .starting)
        try it.connection.start()
        let started = try it.connection.waitForStarted()
        #expect(started.pid == created)
        let exit = try #require(try it.connection.waitForExit())
        #expect(exit.exitCode == 3)
        #expect(exit.signal == 0)
        #expect(exit.startedAt == started.startedAt)
        #expect(exit.finishedAt > exit.startedAt)
        #expect(exit.bootID == bootIdentifier())
        #expect(it.reap() == .exited(0))
        let opened = try FD.cwd.open(it.directory, [.readOnly, .directory])
        #expect(try ExitRecord.load(from: opened.fd) == exit)
        #expect(try it.observe().status == .exited)
        #expect(try it.log() == "1F out\n2F err\n1P part\n" || it.log() == "1F out\n1P part\n2F err\n")
        #expect(!FD.cwd.exists(it.run + "/containers/c1"))
    }

    @Test func attachedBytesAreExactBothWays() throws {
        let it = try launch("cat; echo done >&2") {
            $0.openStdin = true
            $0.stdinOnce = true
        }
        let bytes = pattern(1 << 20)
        var streams: AttachedStreams? = try it.connection.attach(.all)
        try it.connection.start()
        let input = try #require(streams?.input)
        let output = try #require(streams?.output)
        let error = try #require(streams?.error)
        streams = nil
        let got = try pump(bytes, input, output)
        #expect(got == bytes)
        #expect(readToEnd(error.fd) == Array("done\n".utf8))
        #expect(try it.connection.waitForExit()?.exitCode == 0)
        #expect(it.reap() == .exited(0))
    }

    /// Writes and reads at once; the input is closed at the end.
    func pump(_ bytes: [UInt8], _ input: SharedFD, _ output: SharedFD) throws -> [UInt8] {
        let writer = forkChild {
            _ = cl_close(output.raw)
            let result = (try? input.fd.writeAll(bytes)) == nil ? 1 : 0
            return Int32(result)
        }
        // The writer's copy is the last.
        let null = try FD.cwd.open("/dev/null", .readOnly)
        _ = cl_dup3(null.raw, input.raw, 0)
        let got = readToEnd(output.fd)
        _ = try waitForProcess(writer)
        return got
    }

    @Test func startOfAMissingProgramIs127() throws {
        let it = try launch("FAIL-START")
        try it.connection.start()
        let error = #expect(throws: ControlError.self) { _ = try it.connection.waitForStarted() }
        #expect(error?.code == .startFailed)
        #expect(error?.exitCode == 127)
        #expect(it.reap() == .exited(0))
        let seen = try it.observe()
        #expect(seen.exitCode == 127)
        #expect(seen.startedAt == 0)
        #expect(seen.error.contains("no such file"))
    }

    @Test func createThatFailsIsTold() throws {
        let it = try launch("FAIL-CREATE")
        _ = try? it.connection.attach(.all)
        _ = try? it.connection.start()
        let error = #expect(throws: ControlError.self) { _ = try it.connection.waitForStarted() }
        #expect(error?.exitCode == 125)
        #expect(error?.cause == "no such image")
        #expect(it.reap() == .exited(0))
    }

    @Test func starterThatGoesBeforeStartTakesTheContainerAlong() throws {
        var it: Supervised? = try launch("sleep 100")
        _ = try it?.connection.waitForCreated()
        let pid = it?.pid ?? 0
        let store = it?.store ?? ""
        it = nil
        #expect((try waitForProcess(pid))?.status == .exited(0))
        var observer = try ContainerObserver(store: store)
        #expect(try observer.observe("c1").status == .created)
        #expect(FD.cwd.exists(scratch.path + "/deleted"))
    }

    @Test func starterThatGoesLaterDoesNot() throws {
        var it = try launch("sleep 0.3; echo late")
        try it.connection.start()
        try it.connection.waitForStarted()
        it.connection = try SupervisorConnection.connect(run: it.run, id: "c1")
        #expect(try it.observe().status == .running)
        #expect(try it.connection.waitForExit()?.exitCode == 0)
        #expect(try it.log() == "1F late\n")
        #expect(it.reap() == .exited(0))
    }

    @Test func signalsToTheSupervisorAreNothing() throws {
        let it = try launch("sleep 0.5; exit 4")
        try it.connection.start()
        try it.connection.waitForStarted()
        for signal in [SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGPIPE, SIGUSR1, SIGALRM, SIGTSTP] { _ = cl_kill(it.pid, signal) }
        #expect(try it.connection.waitForExit()?.exitCode == 4)
        #expect(it.reap() == .exited(0))
    }

    @Test func stopEscalates() throws {
        let it = try launch("trap '' TERM; echo ready; while :; do sleep 0.05; done")
        try it.connection.start()
        #expect(try waitUntil { try it.log() == "1F ready\n" })
        let before = monotonicNanoseconds()
        let exit = try #require(try it.connection.stop(timeout: 1))
        #expect(exit.signal == 9)
        #expect(exit.exitCode == 137)
        #expect(exit.manuallyStopped)
        #expect(monotonicNanoseconds() - before >= 900_000_000)
        #expect(it.reap() == .exited(0))
    }

    @Test func stopWithAHandlerIsItsExitCode() throws {
        let it = try launch("trap 'exit 7' USR1; echo ready; while :; do sleep 0.02; done")
        try it.connection.start()
        #expect(try waitUntil { try it.log() == "1F ready\n" })
        #expect(try it.connection.stop(signal: SIGUSR1)?.exitCode == 7)
    }

    @Test func killAndPause() throws {
        let it = try launch("sleep 100")
        #expect(throws: ControlError.self) { try it.connection.kill(15) }  // not started yet
        try it.connection.start()
        try it.connection.waitForStarted()
        try it.connection.pause()
        #expect(try waitUntil { processState(try it.observe().pid) == "T" })
        try it.connection.resume()
        #expect(throws: ControlError.self) { try it.connection.kill(65) }
        try it.connection.kill(9)
        let exit = try #require(try it.connection.waitForExit())
        #expect(exit.exitCode == 137)
        #expect(exit.manuallyStopped)
    }

    @Test func outOfMemoryIsRecorded() throws {
        let it = try launch("touch \"$0/oom\"; kill -9 $$")
        try it.connection.start()
        let exit = try #require(try it.connection.waitForExit())
        #expect(exit.oomKilled)
        #expect(exit.exitCode == 137)
        #expect(!exit.manuallyStopped)
    }

    @Test func restartsUntilTheRetriesAreUsedUp() throws {
        let it = try launch("echo x >> \"$0/runs\"; exit 5") { $0.restart = RestartPolicy(.onFailure, maximumRetries: 2) }
        try it.connection.start()
        var flags: [Bool] = []
        while let event = try it.connection.receive() {
            if case .exited(let record, let restarting) = event {
                #expect(record.exitCode == 5)
                flags.append(restarting)
            }
        }
        #expect(flags == [true, true, false])
        #expect(try FD.cwd.readText(scratch.path + "/runs") == "x\nx\nx\n")
        #expect(try it.observe().restartCount == 2)
        #expect(it.reap() == .exited(0))
    }

    @Test func stopInTheBackOffEndsIt() throws {
        let it = try launch("exit 1") { $0.restart = RestartPolicy(.always) }
        try it.connection.start()
        // Some runs later the wait is long enough to be met.
        var seen = 0
        while seen < 4, let event = try it.connection.receive() {
            if case .exited = event { seen += 1 }
        }
        #expect(try waitUntil { try it.observe().status == .restarting })
        let exit = try it.connection.stop()
        #expect(exit?.manuallyStopped == true)
        #expect(it.reap() == .exited(0))
        #expect(try it.observe().status == .exited)
        #expect(try it.observe().manuallyStopped)
    }

    @Test func manualStopSuppressesAlways() throws {
        let it = try launch("sleep 100") { $0.restart = RestartPolicy(.always) }
        try it.connection.start()
        try it.connection.waitForStarted()
        #expect(try it.connection.stop() != nil)
        #expect(it.reap() == .exited(0))
    }

    @Test func policyCanBeChangedWhileItRuns() throws {
        let it = try launch("sleep 0.3; exit 1") { $0.restart = RestartPolicy(.always) }
        try it.connection.start()
        try it.connection.waitForStarted()
        try it.connection.setRestartPolicy(.never)
        #expect(try it.connection.waitForExit(final: true)?.exitCode == 1)
        #expect(it.reap() == .exited(0))
    }

    @Test func autoRemoveLeavesNothing() throws {
        let it = try launch("mkdir -p \"$0/store/containers/c1/upper/a/b\"; echo x > \"$0/store/containers/c1/upper/a/b/f\"; exit 2") {
            $0.autoRemove = true
        }
        try it.connection.start()
        #expect(try it.connection.waitForExit()?.exitCode == 2)
        // The end is told before the files go; the supervisor goes last.
        #expect(it.reap() == .exited(0))
        #expect(!FD.cwd.exists(it.directory))
        #expect(try it.observe().status == .removed)
    }

    @Test func terminalHasASizeAndEndsTidily() throws {
        let it = try launch("stty size; read line; echo \"got $line\"; exit 6") {
            $0.terminal = true
            $0.openStdin = true
        }
        let streams = try it.connection.attach([.input, .output])
        try it.connection.resize(rows: 33, columns: 99)
        try it.connection.start()
        try it.connection.waitForStarted()
        try streams.input?.fd.writeAll("hi\r")
        let output = try #require(streams.output)
        let text = String(decoding: readToEnd(output.fd), as: UTF8.self)
        #expect(text.contains("33 99\r\n"))
        #expect(text.hasSuffix("got hi\r\n"))
        #expect(try it.connection.waitForExit()?.exitCode == 6)
        let logged = try FD.cwd.readFile(it.directory + "/container.log")
        #expect(String(decoding: logged, as: UTF8.self).unicodeScalars.count { $0 == "\r" } == 3)
    }

    @Test func slowReaderGetsEverythingAfterTheEnd() throws {
        let it = try launch("head -c 1000000 /dev/zero; exit 8")
        let streams = try it.connection.attach([.output])
        try it.connection.start()
        let output = try #require(streams.output)
        // Too much for the pipes: the end cannot be reported before somebody reads.
        usleep(300_000)
        #expect(readToEnd(output.fd).count == 1_000_000)
        #expect(try it.connection.waitForExit()?.exitCode == 8)
        #expect(it.reap() == .exited(0))
    }

    @Test func theEndIsToldBeforeASlowReaderIsDone() throws {
        let it = try launch("yes")
        let streams = try it.connection.attach([.output])
        try it.connection.start()
        try it.connection.waitForStarted()
        let other = try SupervisorConnection.connect(run: it.run, id: "c1")
        let output = try #require(streams.output)
        // Full to the brim: the piece, both pipes.
        var size = 0
        #expect(
            try waitUntil {
                usleep(50_000)
                defer { size = (try? FD.cwd.readFile(it.directory + "/container.log").count) ?? 0 }
                return try size > 0 && FD.cwd.readFile(it.directory + "/container.log").count == size
            })
        try other.kill(SIGKILL)
        #expect(try other.waitForExit()?.signal == SIGKILL)
        // Nobody has read the output yet, and the log has all of it.
        var logged: [UInt8] = []
        var reader = try LogReader(directory: it.directory)
        _ = try reader.readAvailable {
            logged += Array($0.text) + ($0.isPartial ? [] : [10])
            return true
        }
        #expect(logged.count > 256 << 10)
        #expect(readToEnd(output.fd) == logged)
        #expect(try it.connection.waitForExit()?.signal == SIGKILL)
        #expect(it.reap() == .exited(0))
    }

    @Test func yieldDropsSlowReadersOfAnEndedRun() throws {
        // More than the client's pipe takes, and no more than what it and the container's take: that grows only when it is full.
        let it = try launch("head -c 100000 /dev/zero; exit 8")
        let streams = try it.connection.attach([.output])
        try it.connection.start()
        #expect(try waitUntil { try it.observe().status == .exited })
        let other = try SupervisorConnection.connect(run: it.run, id: "c1")
        try other.request(.yield)
        #expect(it.reap() == .exited(0))
        _ = streams
    }

    @Test func yieldIsRefusedWhileItRuns() throws {
        let it = try launch("sleep 100")
        try it.connection.start()
        try it.connection.waitForStarted()
        let error = #expect(throws: ControlError.self) { try it.connection.request(.yield) }
        #expect(error?.code == .refused)
        _ = try it.connection.stop(timeout: 0)
        #expect(it.reap() == .exited(0))
    }

    @Test func hostileClientsAreDropped() throws {
        let it = try launch("sleep 100")
        try it.connection.start()
        try it.connection.waitForStarted()
        var random = SystemRandomNumberGenerator()
        for round in 0..<200 {
            let socket = try connectLocal(ContainerFiles.socket(run: it.run, id: "c1"), kind: .sequencedPacket)
            var bytes = [UInt8](repeating: 0, count: Int.random(in: 1..<64, using: &random))
            for index in bytes.indices { bytes[index] = UInt8.random(in: 0...255, using: &random) }
            // Half of them look right at first, all but `start`, which is refused, and those that end it.
            if bytes.count >= 8, round % 2 == 0 {
                let kinds: [UInt8] = [2, 3, 6, 9, 10, 11, 12, 13, 200]
                bytes.replaceSubrange(0..<8, with: [1, 0, kinds[round / 2 % kinds.count], 0, 1, 0, 0, 0])
            }
            try? socket.fd.send(bytes, flags: 0x4000)
        }
        // Descriptors that come without a use are closed.
        let socket = try connectLocal(ContainerFiles.socket(run: it.run, id: "c1"), kind: .sequencedPacket)
        try socket.fd.send(ControlRequest.query.frame(sequence: 1).encoded, descriptors: [FD(0), FD(1)])
        #expect(try it.observe().status == .running)
        let counted = try openDescriptors(it.pid)
        #expect(counted < 30)
        _ = try it.connection.stop(timeout: 0)
        #expect(it.reap() == .exited(0))
    }

    func openDescriptors(_ pid: Int32) throws -> Int {
        let directory = try FD.cwd.open("/proc/\(pid)/fd", [.readOnly, .directory])
        return try directoryEntries(directory.fd).count
    }

    @Test func clientThatNeverReadsIsDropped() throws {
        let it = try launch("sleep 100")
        try it.connection.start()
        try it.connection.waitForStarted()
        let deaf = try SupervisorConnection.connect(run: it.run, id: "c1")
        // Until its answers do not fit any more.
        for _ in 0..<2000 { try deaf.post(.query) }
        let other = try SupervisorConnection.connect(run: it.run, id: "c1")
        try other.request(.query)
        _ = try it.connection.stop(timeout: 0)
        #expect(it.reap() == .exited(0))
    }

    @Test func killedSupervisorIsTold() throws {
        let it = try launch("sleep 100")
        try it.connection.start()
        let pid = try it.connection.waitForStarted().pid
        _ = cl_kill(it.pid, SIGKILL)
        #expect(it.reap() == .signaled(9))
        #expect(try it.connection.waitForExit() == nil)
        let seen = try it.observe()
        #expect(seen.status == .running)
        #expect(seen.supervisorLost)
        _ = cl_kill(pid, SIGKILL)
        #expect(try waitUntil { try it.observe().status == .exited })
        #expect(try it.observe().exitCode == ExitRecord.unknownCode)
    }
}
