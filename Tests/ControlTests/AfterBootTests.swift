import Testing

@testable import Control

/// Which containers the machine's start starts.
struct AfterBootTests {
    private func ended(
        _ boot: String = "before", code: Int = 0, stopped: Bool = false, shutDown: Bool = false, restarts: UInt32 = 0, started: Int64 = 1
    ) -> ContainerObservation {
        ContainerObservation(
            .exited, startedAt: started, finishedAt: 2, exitCode: code, restartCount: restarts, manuallyStopped: stopped,
            shutDown: shutDown,
            bootID: boot)
    }

    private func starts(_ policy: String, _ seen: ContainerObservation) throws -> Bool {
        try RestartPolicy.parse(policy).startsAfterBoot(seen, bootID: "now")
    }

    @Test func policies() throws {
        for code in [0, 1, ExitRecord.unknownCode] {
            for stopped in [false, true] {
                let seen = ended(code: code, stopped: stopped)
                #expect(try !starts("no", seen))
                #expect(try starts("always", seen))
                #expect(try starts("unless-stopped", seen) == !stopped)
                #expect(try starts("on-failure", seen) == (code != 0 && !stopped))
            }
        }
        #expect(try starts("on-failure:3", ended(code: 1, restarts: 2)))
        #expect(try !starts("on-failure:3", ended(code: 1, restarts: 3)))
    }

    @Test func onlyWhatTheMachineEnded() throws {
        // It ended in this boot, by itself: its policy had its say then.
        #expect(try !starts("always", ended("now", code: 1)))
        #expect(try starts("always", ended("now", shutDown: true)))
        #expect(try !starts("always", ended(started: 0)))
        for status in [ContainerObservation.Status.created, .starting, .running, .paused, .restarting, .stopping, .removing, .removed] {
            #expect(try !starts("always", ContainerObservation(status, startedAt: 1, bootID: "before")))
        }
    }

    @Test func theRecordKeepsIt() throws {
        var record = ExitRecord(exitCode: 143, startedAt: 1, bootID: "before", shutDown: true)
        #expect(try ExitRecord.parse(record.encoded()) == record)
        #expect(ContainerObservation(record).shutDown && ContainerObservation(record).bootID == "before")
        record.shutDown = false
        #expect(try ExitRecord.parse(record.encoded()) == record)
    }
}
