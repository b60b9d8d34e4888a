import Control
import Testing

@testable import Supervision

@Suite struct BackOffTests {
    @Test func doublesToAMinute() {
        var backOff = RestartBackOff(RestartPolicy(.always))
        var waits: [Int64] = []
        for _ in 0..<12 {
            waits.append((backOff.next(exitCode: 1, isStopped: false, duration: 1_000_000) ?? -1) / 1_000_000)
        }
        #expect(waits == [100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 51_200, 60_000, 60_000])
        #expect(backOff.count == 12)
    }

    @Test func tenSecondsOfRunBeginAnew() {
        var backOff = RestartBackOff(RestartPolicy(.always))
        for _ in 0..<5 { _ = backOff.next(exitCode: 1, isStopped: false, duration: 0) }
        #expect(backOff.next(exitCode: 1, isStopped: false, duration: 9_999_999_999) == 3_200_000_000)
        #expect(backOff.next(exitCode: 1, isStopped: false, duration: 10_000_000_000) == 100_000_000)
        #expect(backOff.next(exitCode: 1, isStopped: false, duration: 0) == 200_000_000)
    }

    @Test(arguments: [
        (RestartPolicy(.no), 1, false, false), (RestartPolicy(.always), 0, false, true), (RestartPolicy(.always), 0, true, false),
        (RestartPolicy(.unlessStopped), 0, false, true), (RestartPolicy(.unlessStopped), 1, true, false),
        (RestartPolicy(.onFailure), 0, false, false), (RestartPolicy(.onFailure), 1, false, true),
        (RestartPolicy(.onFailure), 137, true, false),
    ])
    func decides(_ policy: RestartPolicy, _ code: Int, _ stopped: Bool, _ restarts: Bool) {
        var backOff = RestartBackOff(policy)
        #expect((backOff.next(exitCode: code, isStopped: stopped, duration: 0) != nil) == restarts)
    }

    @Test func retriesAreCounted() {
        var backOff = RestartBackOff(RestartPolicy(.onFailure, maximumRetries: 2))
        #expect(backOff.next(exitCode: 1, isStopped: false, duration: 0) != nil)
        #expect(backOff.next(exitCode: 1, isStopped: false, duration: 0) != nil)
        #expect(backOff.next(exitCode: 1, isStopped: false, duration: 0) == nil)
        #expect(backOff.count == 2)
    }
}
