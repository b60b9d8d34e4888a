import Glibc
import Linux
import Testing

@testable import Control

@Suite struct ObservationTests {
    let scratch: Scratch
    let directory: SharedFD

    init() throws {
        scratch = try Scratch()
        directory = SharedFD(try FD.cwd.open(try scratch.container("c1"), [.readOnly, .directory]))
    }

    func observe(_ id: String = "c1") throws -> ContainerObservation {
        var observer = try ContainerObserver(store: scratch.path)
        return try observer.observe(id)
    }

    @Test func nothingMeansCreated() throws {
        #expect(try observe().status == .created)
        #expect(try observe("missing").status == .removed)
    }

    @Test func lockIsExclusiveAndReleased() throws {
        do {
            let lock = try SupervisorLock.acquire(in: directory.fd)
            let error = #expect(throws: ControlError.self) { _ = try SupervisorLock.acquire(in: directory.fd) }
            #expect(error?.code == .alreadyRunning)
            #expect(try observe().status == .starting)
            _ = lock
        }
        #expect(try observe().status == .created)
    }

    @Test(arguments: [
        (PhaseRecord.Phase.preparing, ContainerObservation.Status.starting), (.created, .starting),
        (.running, .running), (.restarting, .restarting), (.stopping, .stopping), (.exited, .exited),
        (.removing, .removing), (PhaseRecord.Phase(rawValue: 99), .starting),
    ])
    func phaseCountsWhileTheLockIsHeld(_ phase: PhaseRecord.Phase, _ status: ContainerObservation.Status) throws {
        var lock = try SupervisorLock.acquire(in: directory.fd)
        try lock.write(PhaseRecord(phase: phase, supervisor: 5, pid: 7, startedAt: 11, exitCode: 3, restartCount: 2))
        let seen = try observe()
        #expect(seen.status == status)
        #expect(seen.pid == 7)
        #expect(seen.restartCount == 2)
    }

    @Test(arguments: [("frozen 1\npopulated 1\n", true), ("frozen 0\n", false), ("FROZEN\n", true), ("THAWED\n", false), ("", false)])
    func pausedComesFromTheKernel(_ text: String, _ paused: Bool) throws {
        let file = scratch.path + "/freezer"
        try FD.cwd.writeFile(file, Array(text.utf8))
        var lock = try SupervisorLock.acquire(in: directory.fd)
        try lock.write(PhaseRecord(phase: .running, pid: 7, startedAt: 1, freezeFile: file))
        #expect(try observe().status == (paused ? .paused : .running))
    }

    @Test func exitRecordCountsWhenTheLockIsFree() throws {
        try ExitRecord(exitCode: 3, oomKilled: true, startedAt: 1, finishedAt: 2, bootID: "old").save(in: directory.fd, durable: false)
        let seen = try observe()
        #expect(seen.status == .exited)
        #expect(seen.exitCode == 3)
        #expect(seen.oomKilled)
    }

    @Test func killedSupervisorIsNotSuccess() throws {
        do {
            var lock = try SupervisorLock.acquire(in: directory.fd)
            try lock.write(
                PhaseRecord(phase: .running, pid: 0x3fff_fff0, processStartTime: 1, startedAt: 9, bootID: bootIdentifier()))
        }
        let seen = try observe()
        #expect(seen.status == .exited)
        #expect(seen.exitCode == ExitRecord.unknownCode)
        #expect(seen.error == "supervisor was killed")
    }

    @Test func survivingProcessIsSeen() throws {
        do {
            var lock = try SupervisorLock.acquire(in: directory.fd)
            try lock.write(
                PhaseRecord(
                    phase: .running, pid: getpid(), processStartTime: processStartTime(getpid()) ?? 0, startedAt: 9,
                    bootID: bootIdentifier()))
        }
        let seen = try observe()
        #expect(seen.status == .running)
        #expect(seen.supervisorLost)
        #expect(seen.pid == getpid())
    }

    @Test func reusedPidIsNotTheContainer() throws {
        do {
            var lock = try SupervisorLock.acquire(in: directory.fd)
            try lock.write(
                PhaseRecord(phase: .running, pid: getpid(), processStartTime: 1, startedAt: 9, bootID: bootIdentifier()))
        }
        #expect(try observe().status == .exited)
    }

    @Test func anotherBootIsAnEnd() throws {
        do {
            var lock = try SupervisorLock.acquire(in: directory.fd)
            try lock.write(
                PhaseRecord(
                    phase: .running, pid: getpid(), processStartTime: processStartTime(getpid()) ?? 0, startedAt: 9,
                    bootID: "11111111-2222-3333-4444-555555555555"))
        }
        let seen = try observe()
        #expect(seen.status == .exited)
        #expect(seen.exitCode == ExitRecord.unknownCode)
        #expect(seen.error.contains("machine"))
    }

    @Test func endThatWasSeenIsKnownWithoutARecord() throws {
        do {
            var lock = try SupervisorLock.acquire(in: directory.fd)
            try lock.write(PhaseRecord(phase: .restarting, startedAt: 9, exitCode: 4, bootID: bootIdentifier()))
        }
        #expect(try observe().exitCode == 4)
    }

    @Test func markerMeansRemoved() throws {
        try ExitRecord(exitCode: 0).save(in: directory.fd, durable: false)
        _ = try SupervisorLock.acquire(in: directory.fd)
        try directory.fd.writeFile("removed", [])
        #expect(try observe().status == .removed)
    }

    @Test func damagedFilesAreReported() throws {
        try directory.fd.writeFile("lock", [UInt8](repeating: 0xff, count: 3000))
        #expect(try observe().status == .created)
        try directory.fd.writeFile("exit.json", Array("{".utf8))
        let seen = try observe()
        #expect(seen.exitCode == ExitRecord.unknownCode)
        #expect(!seen.error.isEmpty)
    }

    @Test func halfWrittenPhaseIsNotRead() {
        let record = PhaseRecord(phase: .running, pid: 1)
        var bytes = record.fileContent(generation: 1)
        #expect(PhaseRecord.parse(fileContent: bytes) == record)
        bytes[bytes.count - 1] ^= 1
        #expect(PhaseRecord.parse(fileContent: bytes) == nil)
        #expect(PhaseRecord.parse(fileContent: Array(bytes.dropLast())) == nil)
        let long = PhaseRecord(freezeFile: String(repeating: "x", count: 5000)).fileContent(generation: 2)
        #expect(PhaseRecord.parse(fileContent: long)?.freezeFile == "")
    }

    @Test func twoHundredAreCheap() throws {
        for index in 0..<200 {
            let path = try scratch.container("n\(index)")
            let fd = try FD.cwd.open(path, [.readOnly, .directory])
            _ = try SupervisorLock.acquire(in: fd.fd)
            try ExitRecord(exitCode: 0, startedAt: 1, finishedAt: 2, bootID: "b").save(in: fd.fd, durable: false)
        }
        var observer = try ContainerObserver(store: scratch.path)
        let start = monotonicNanoseconds()
        for index in 0..<200 { #expect(try observer.observe("n\(index)").status == .exited) }
        // A debug build on a busy machine; a release build needs about 3 ms.
        #expect(monotonicNanoseconds() - start < 300_000_000)
    }
}
