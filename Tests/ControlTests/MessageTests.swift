import Linux
import Testing

@testable import Control

@Suite struct MessageTests {
    static let requests: [ControlRequest] = [
        .start, .attach(.all), .attach([.output]), .resize(rows: 24, columns: 80),
        .resize(rows: .max, columns: 0), .stop(signal: 15, timeout: 10_000), .stop(signal: 0, timeout: -1),
        .stop(signal: 64, timeout: ControlRequest.configuredTimeout), .kill(signal: 9),
        .setRestartPolicy(RestartPolicy(.onFailure, maximumRetries: 3)), .setRestartPolicy(.never), .pause, .resume,
        .query, .reload, .yield, .reopenLog, .watchHealth, .probe,
    ]

    static let events: [ControlEvent] = [
        .done, .refused(code: 7, text: "no"), .created(pid: 42), .started(pid: 1, startedAt: .max),
        .failed(exitCode: 127, text: "exec \"x\": no such file or directory"),
        .exited(
            ExitRecord(
                exitCode: 137, signal: 9, oomKilled: true, startedAt: 1, finishedAt: 2, bootID: "b", pid: 3,
                restartCount: 4, error: "é", manuallyStopped: true), restarting: true),
        .exited(ExitRecord(exitCode: ExitRecord.unknownCode), restarting: false),
        .phase(PhaseRecord(phase: .running, supervisor: 1, pid: 2, processStartTime: .max, freezeFile: "/x")),
        .phase(healthy), .health(.starting), .probed(exitCode: -1, .unhealthy),
    ]

    private static var healthy: PhaseRecord {
        var record = PhaseRecord(phase: .running, supervisor: 1, pid: 2)
        record.health = .healthy
        return record
    }

    @Test(arguments: requests) func requestSurvivesTheWire(_ request: ControlRequest) throws {
        let frame = try ControlFrame.decode(request.frame(sequence: 7).encoded)
        #expect(frame.sequence == 7)
        #expect(frame.version == ControlFrame.version)
        #expect(try ControlRequest(frame) == request)
    }

    @Test(arguments: events) func eventSurvivesTheWire(_ event: ControlEvent) throws {
        let frame = try ControlFrame.decode(event.frame(sequence: 0).encoded)
        #expect(try ControlEvent(frame) == event)
    }

    /// The bytes are a contract with supervisors that run since before an upgrade.
    @Test func layoutIsFixed() {
        #expect(
            ControlRequest.kill(signal: 9).frame(sequence: 0x0102_0304).encoded
                == [1, 0, 5, 0, 4, 3, 2, 1, 9, 0, 0, 0])
        #expect(
            ControlEvent.refused(code: 7, text: "no").frame(sequence: 1).encoded
                == [1, 0, 65, 0, 1, 0, 0, 0, 7, 0, 2, 0, 0, 0, 110, 111])
    }

    @Test func truncatedMessagesThrow() throws {
        for event in Self.events {
            let whole = event.frame(sequence: 1).encoded
            for length in 0..<whole.count {
                // Only that it does not trap; a shorter message may not be taken for the whole one.
                guard let frame = try? ControlFrame.decode(Array(whole[..<length])),
                    let decoded = try? ControlEvent(frame)
                else { continue }
                #expect(decoded != event)
            }
        }
    }

    @Test func randomMessagesDoNotTrap() {
        var random = SystemRandomNumberGenerator()
        for _ in 0..<20_000 {
            var bytes = [UInt8](repeating: 0, count: Int.random(in: 0..<80, using: &random))
            for index in bytes.indices { bytes[index] = UInt8.random(in: 0...255, using: &random) }
            if bytes.count > 4 {
                bytes[0] = 1
                bytes[1] = 0
                bytes[2] = UInt8.random(in: 0...75, using: &random)
                bytes[3] = 0
            }
            guard let frame = try? ControlFrame.decode(bytes) else { continue }
            _ = try? ControlRequest(frame)
            _ = try? ControlEvent(frame)
        }
    }

    @Test func unknownVersionIsNamed() throws {
        var bytes = ControlRequest.start.frame(sequence: 1).encoded
        bytes[0] = 9
        let error = #expect(throws: ControlError.self) { try ControlFrame.decode(bytes) }
        #expect(error?.code == .version)
    }

    @Test func hugeLengthIsRefused() throws {
        var frame = ControlEvent.refused(code: 1, text: "abc").frame(sequence: 1)
        for index in 2..<6 { frame.payload[index] = 0xff }
        #expect(throws: ControlError.self) { try ControlEvent(frame) }
    }

    @Test func longTextIsCutToFitAMessage() throws {
        let event = ControlEvent.failed(exitCode: 125, text: String(repeating: "x", count: 100_000))
        let bytes = event.frame(sequence: 0).encoded
        #expect(bytes.count < ControlFrame.limit)
        guard case .failed(_, let text) = try ControlEvent(ControlFrame.decode(bytes)) else {
            Issue.record("not decoded")
            return
        }
        #expect(text.utf8.count == 16 << 10)
    }
}
