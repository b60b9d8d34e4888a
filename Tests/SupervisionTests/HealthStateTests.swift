import Control
import Testing

@testable import Supervision

/// Docker's state machine, with podman's startup probe.
@Suite struct HealthStateTests {
    let second: Int64 = 1_000_000_000

    func plan(_ change: (inout HealthPlan) -> Void = { _ in }) -> HealthPlan {
        var plan = HealthPlan(command: ["probe"])
        change(&plan)
        return plan
    }

    func result(_ exitCode: Int, output: String = "") -> HealthResult { HealthResult(start: 1, end: 2, exitCode: exitCode, output: output) }

    @Test func threeFailuresInARowAreUnhealthyAndOneSuccessIsHealthy() {
        var state = HealthState(plan())
        #expect(state.record.status == .starting)
        #expect(state.add(result(1), age: 0) == .none)
        #expect(state.add(result(2), age: 0) == .none)
        #expect(state.record.status == .starting && state.record.failingStreak == 2)
        #expect(state.add(result(-1), age: 0) == .unhealthy)
        #expect(state.record.status == .unhealthy && state.record.failingStreak == 3)
        #expect(state.add(result(1), age: 0) == .none, "it became unhealthy once")
        #expect(state.record.failingStreak == 4)
        #expect(state.add(result(0), age: 0) == .none)
        #expect(state.record.status == .healthy && state.record.failingStreak == 0)
        #expect(state.add(result(1), age: 0) == .none && state.record.status == .healthy)
        _ = state.add(result(1), age: 0)
        #expect(state.add(result(1), age: 0) == .unhealthy)
        state.reset()
        #expect(state.record.status == .starting && state.record.failingStreak == 0 && state.record.log.count == 5)
    }

    @Test func failuresOfTheStartPeriodDoNotCountAndASuccessEndsIt() {
        var state = HealthState(
            plan {
                $0.startPeriod = 10 * second
                $0.retries = 1
                $0.startInterval = second
            })
        #expect(state.interval(age: 0) == second)
        #expect(state.interval(age: 10 * second) == 30 * second)
        #expect(state.add(result(1), age: 9 * second) == .none)
        #expect(state.record.status == .starting && state.record.failingStreak == 0 && state.record.log.count == 1)
        _ = state.add(result(0), age: 2 * second)
        #expect(state.record.status == .healthy && state.interval(age: 3 * second) == 30 * second)
        #expect(state.add(result(1), age: 3 * second) == .unhealthy, "once healthy, failures count in the period too")
        state.reset()
        #expect(state.add(result(1), age: 10 * second) == .unhealthy)
    }

    @Test func aSuccessAfterFailuresBeginsTheStreakAnew() {
        var state = HealthState(plan { $0.retries = 2 })
        for _ in 0..<10 {
            #expect(state.add(result(1), age: 0) == .none)
            #expect(state.add(result(0), age: 0) == .none)
        }
        #expect(state.record.status == .healthy)
    }

    @Test func theLogHasTheLastFive() {
        var state = HealthState(plan(), log: (0..<5).map { result($0) })
        _ = state.add(result(7), age: 0)
        #expect(state.record.log.map(\.exitCode) == [1, 2, 3, 4, 7])
    }

    @Test func aLogWithoutEndHasAnEnd() {
        var state = HealthState(plan { $0.maximumLogCount = 0 })
        let text = String(repeating: "x", count: 100_000)
        for _ in 0..<100 { _ = state.add(result(0, output: text), age: 0) }
        #expect(state.record.log.count == 10)
        for _ in 0..<10_000 { _ = state.add(result(0), age: 0) }
        #expect(state.record.log.count <= HealthRecord.limit / 256)
    }

    @Test func theStartupProbeComesFirst() {
        var state = HealthState(
            plan {
                $0.retries = 1
                $0.startup = HealthPlan.Startup(command: ["up"], interval: second, timeout: 2 * second, retries: 3, successes: 2)
            })
        #expect(state.command == ["up"] && state.timeout == 2 * second && state.interval(age: 0) == second)
        #expect(state.add(result(1), age: 0) == .none)
        #expect(state.add(result(0), age: 0) == .none)
        #expect(state.add(result(1), age: 0) == .none, "successes are counted in a row")
        #expect(state.record.status == .starting && state.record.failingStreak == 0)
        #expect(state.add(result(1), age: 0) == .restart)
        state.reset()
        #expect(state.add(result(0), age: 0) == .none)
        #expect(state.add(result(0), age: 0) == .started)
        #expect(state.command == ["probe"] && state.record.status == .starting)
        #expect(state.add(result(1), age: 0) == .unhealthy)
    }

    @Test func withoutAnIntervalNobodyProbes() {
        var state = HealthState(
            plan {
                $0.interval = 0; $0.startPeriod = second
            })
        #expect(state.interval(age: 0) == nil && state.interval(age: second) == nil)
        state.plan.startup = HealthPlan.Startup(command: ["up"], interval: 0, timeout: 1)
        state.reset()
        #expect(state.interval(age: 0) == nil)
    }

    @Test func outputIsCutAsDockerCutsIt() {
        var output = ProbeOutput(limit: 8)
        #expect(output.isEmpty && output.text.isEmpty)
        for piece in ["abcd", "efgh"] { output.append(Array(piece.utf8)[...]) }
        #expect(output.text == "abcdefgh")
        for _ in 0..<1000 { output.append(Array("ij".utf8)[...]) }
        #expect(output.text == "abcdefgh...")
        var strange = ProbeOutput(limit: 2)
        strange.append([0xFF])
        #expect(strange.text == "\u{FFFD}")
    }

    @Test(arguments: [
        (0, "0s"), (1, "1ns"), (1_500, "1.5µs"), (1_000_000, "1ms"), (250_000_000, "250ms"), (1_000_000_000, "1s"), (1_500_000_000, "1.5s"),
        (90_000_000_000, "1m30s"), (3_600_000_000_000, "1h0m0s"), (3_661_000_000_001, "1h1m1.000000001s"),
    ]) func durationsAreGos(_ nanoseconds: Int64, _ text: String) {
        #expect(durationText(nanoseconds) == text)
    }
}
