import Testing

@testable import Control

/// What commands, supervisors and files say of checkpoints.
struct CheckpointMessageTests {
    @Test func anOrder() throws {
        var order = CheckpointOrder(staging: "/a/.x", target: "/a/x", work: "/a/criu")
        (order.parent, order.program, order.options) = ("../b", "/opt/criu", [.leavesRunning, .fileLocks])
        let frame = try ControlFrame.decode(ControlRequest.checkpoint(order).frame(sequence: 3).encoded)
        #expect(try ControlRequest(frame) == .checkpoint(order) && frame.sequence == 3)
        for length in 0..<frame.payload.count {
            let cut = ControlFrame(kind: frame.kind, sequence: 3, payload: Array(frame.payload.prefix(length)))
            #expect(throws: ControlError.self) { try ControlRequest(cut) }
        }
    }

    @Test func whatARunIsMadeFrom() throws {
        var config = SupervisionConfig(id: "x", name: "y", bundle: "/b", rootfs: .directory("/r"))
        #expect(try SupervisionConfig.parse(config.encoded()).restore == nil)
        var plan = RestorePlan(images: "/images", work: "/work")
        (plan.establishedConnections, plan.fileLocks) = (true, true)
        config.restore = plan
        #expect(try SupervisionConfig.parse(config.encoded()).restore == plan)
    }

    @Test(arguments: [HealthStatus.none, .healthy]) func aRunThatWasRestored(_ health: HealthStatus) throws {
        var record = PhaseRecord(phase: .running, supervisor: 1, pid: 2)
        (record.health, record.isRestored) = (health, true)
        #expect(PhaseRecord.parse(fileContent: record.fileContent(generation: 1)) == record)
        record.isRestored = false
        #expect(PhaseRecord.parse(fileContent: record.fileContent(generation: 1)) == record)
    }

    @Test func anEndByACheckpoint() throws {
        var record = ExitRecord(exitCode: 137, signal: 9)
        #expect(try ExitRecord.parse(record.encoded()).isCheckpointed == false)
        record.isCheckpointed = true
        #expect(try ExitRecord.parse(record.encoded()) == record)
    }
}
