import CLinux
import Control
import Glibc
import Linux
import Testing

@testable import Supervision

/// A supervisor's probes, with plain children for containers.
extension SupervisorTests {
    private static let millisecond: Int64 = 1_000_000

    /// Starts a container with a probe every 10 ms that may take a second.
    private func probed(
        _ script: String, by probe: [String], _ change: (inout SupervisionConfig) -> Void = { _ in }
    ) throws -> Supervised {
        let it = try launch(script) {
            $0.health = HealthPlan(
                command: probe, interval: 10 * Self.millisecond, timeout: 1000 * Self.millisecond, startInterval: 10 * Self.millisecond,
                retries: 2)
            change(&$0)
        }
        try it.connection.start()
        try it.connection.waitForStarted()
        return it
    }

    private func health(_ it: Supervised) -> HealthRecord? { HealthRecord.load(.cwd, it.run + "/containers/c1/health.json") }

    private func waitFor(_ wanted: HealthStatus, _ it: Supervised) throws {
        try it.connection.watchHealth()
        while let event = try it.connection.receive(timeout: 10_000) {
            if case .health(let status) = event, status == wanted { return }
        }
        Issue.record("the supervisor has gone")
    }

    private func shell(_ script: String) -> [String] { ["/bin/sh", "-c", script] }

    @Test func aProbeThatSucceedsMakesItHealthy() throws {
        let it = try probed("sleep 100", by: shell("echo fine; echo too >&2"))
        try waitFor(.healthy, it)
        #expect(try it.observe().health == .healthy)
        let record = try #require(health(it))
        let last = try #require(record.log.last)
        #expect(record.status == .healthy && record.failingStreak == 0)
        #expect(last.exitCode == 0 && last.output == "fine\ntoo\n" && last.start > 0 && last.end >= last.start)
        _ = try it.connection.stop(signal: SIGKILL)
        #expect(it.reap() == .exited(0))
        let kept = try #require(HealthRecord.load(.cwd, it.directory + "/health.json"))
        #expect(kept.log.last?.output == "fine\ntoo\n")
    }

    @Test func itBecomesUnhealthyAndHealthyAgain() throws {
        let it = try probed("sleep 100", by: shell("test -e \(scratch.path)/good"))
        try waitFor(.unhealthy, it)
        #expect(try #require(health(it)).failingStreak >= 2)
        try FD.cwd.writeFile(scratch.path + "/good", [])
        try waitFor(.healthy, it)
        _ = try it.connection.stop(signal: SIGKILL)
        _ = it.reap()
    }

    @Test func aProbeThatTakesTooLongIsKilledWithAllItStarted() throws {
        let script = "echo begun; setsid sleep 98765 & sleep 98765 & sleep 98765"
        let it = try probed("sleep 100", by: shell(script)) { $0.health?.timeout = 200 * Self.millisecond }
        try waitFor(.unhealthy, it)
        let output = try #require(health(it)?.log.last).output
        #expect(output == "Health check exceeded timeout (200ms): begun\n")
        _ = try it.connection.stop(signal: SIGKILL)
        _ = it.reap()
        #expect(waitUntil { !isRunning("98765") })
    }

    private func isRunning(_ word: String) -> Bool {
        ProcessTree.allProcesses().contains { pid in
            guard let line = try? FD.cwd.readText("/proc/\(pid)/cmdline", limit: 4096) else { return false }
            return line.split(separator: "\0").contains { $0 == word }
        }
    }

    @Test func aFloodIsCut() throws {
        let it = try probed("sleep 100", by: shell("head -c 20000000 /dev/zero | tr '\\0' x"))
        try waitFor(.healthy, it)
        let output = try #require(health(it)?.log.last).output
        #expect(output == String(repeating: "x", count: 4096) + "...")
        _ = try it.connection.stop(signal: SIGKILL)
        _ = it.reap()
    }

    /// What a probe leaves behind holds its output open, and is not waited for.
    @Test func aProbeThatLeavesAProcessBehindHasEnded() throws {
        let it = try probed("sleep 100", by: shell("sleep 5 & echo $!"))
        let began = monotonicNanoseconds()
        try waitFor(.healthy, it)
        #expect(monotonicNanoseconds() - began < 4_000_000_000)
        _ = try it.connection.stop(signal: SIGKILL)
        _ = it.reap()
    }

    @Test func aProbeThatCannotBeStartedFails() throws {
        let it = try probed("sleep 100", by: ["/nosuch"])
        try waitFor(.unhealthy, it)
        let last = try #require(health(it)?.log.last)
        #expect(last.exitCode == -1 && last.output == "exec \"/nosuch\": no such file or directory")
        _ = try it.connection.stop(signal: SIGKILL)
        _ = it.reap()
    }

    @Test func aProbeIsRunWhenSomebodyAsks() throws {
        let it = try probed("sleep 100", by: shell("exit 7")) {
            $0.health?.interval = 0
            $0.health?.retries = 2
        }
        #expect(try it.connection.probe() == (7, .starting))
        #expect(try it.connection.probe() == (7, .unhealthy))
        #expect(health(it)?.log.count == 2)
        try it.connection.pause()
        let error = #expect(throws: ControlError.self) { _ = try it.connection.probe() }
        #expect(error?.code == .refused)
        _ = try it.connection.stop(signal: SIGKILL)
        _ = it.reap()
    }

    @Test func aPausedContainerIsNotProbed() throws {
        let it = try probed("sleep 100", by: shell("echo x >> \(scratch.path)/count; sleep 0.05"))
        try waitFor(.healthy, it)
        try it.connection.pause()
        // A probe that had been cloned when the pause came may still write its line; how long it takes nobody tells.
        usleep(100_000)
        let before = try FD.cwd.readText(scratch.path + "/count")
        usleep(300_000)
        #expect(try FD.cwd.readText(scratch.path + "/count") == before)
        try it.connection.resume()
        #expect(try waitUntil { try FD.cwd.readText(scratch.path + "/count") != before })
        _ = try it.connection.stop(signal: SIGKILL)
        _ = it.reap()
    }

    @Test func withoutAProbeThereIsNothingToAsk() throws {
        let it = try launch("sleep 100")
        try it.connection.start()
        try it.connection.waitForStarted()
        #expect(throws: ControlError.self) { _ = try it.connection.probe() }
        #expect(try it.observe().health == .none)
        _ = try it.connection.stop(signal: SIGKILL)
        _ = it.reap()
    }

    // MARK: What follows

    @Test func killLeavesTheRestartPolicyTheLastWord() throws {
        let it = try probed("sleep 100", by: shell("exit 1")) {
            $0.health?.onFailure = .kill
            $0.restart = RestartPolicy(.onFailure, maximumRetries: 1)
        }
        let first = try #require(try it.connection.waitForExit())
        #expect(first.signal == SIGKILL && !first.manuallyStopped)
        let last = try #require(try it.connection.waitForExit(final: true))
        #expect(last.signal == SIGKILL && last.restartCount == 1)
        _ = it.reap()
    }

    @Test func stopIsForGood() throws {
        let it = try probed("trap 'exit 3' TERM; while :; do sleep 0.01; done", by: shell("exit 1")) {
            $0.health?.onFailure = .stop
            $0.restart = RestartPolicy(.always)
        }
        let exit = try #require(try it.connection.waitForExit(final: true))
        #expect(exit.exitCode == 3 && exit.manuallyStopped && exit.restartCount == 0)
        _ = it.reap()
    }

    @Test func restartNeedsNoPolicyAndBeginsAnew() throws {
        let it = try probed("trap 'exit 3' TERM; while :; do sleep 0.01; done", by: shell("test -e \(scratch.path)/good")) {
            $0.health?.onFailure = .restart
        }
        let exit = try #require(try it.connection.waitForExit())
        #expect(exit.exitCode == 3 && !exit.manuallyStopped)
        try FD.cwd.writeFile(scratch.path + "/good", [])
        try waitFor(.healthy, it)
        #expect(try it.observe().restartCount >= 1)
        _ = try it.connection.stop(signal: SIGKILL)
        _ = it.reap()
    }

    @Test func aStopDuringTheRestartIsForGood() throws {
        let it = try probed("trap '' TERM; while :; do sleep 0.01; done", by: shell("exit 1")) { $0.health?.onFailure = .restart }
        #expect(waitUntil { (try? it.observe().status) == .stopping })
        let exit = try #require(try it.connection.stop(signal: SIGKILL))
        #expect(exit.manuallyStopped)
        _ = it.reap()
    }

    @Test func aStartupProbeThatFailsTooOftenRestarts() throws {
        let it = try probed("sleep 100", by: shell("exit 0")) {
            $0.stopSignal = SIGKILL
            $0.health?.startup = HealthPlan.Startup(
                command: self.shell("test -e \(self.scratch.path)/up"), interval: 10 * Self.millisecond, timeout: 1000 * Self.millisecond,
                retries: 2)
        }
        #expect(try it.connection.waitForExit() != nil)
        try FD.cwd.writeFile(scratch.path + "/up", [])
        try waitFor(.healthy, it)
        _ = try it.connection.stop(signal: SIGKILL)
        _ = it.reap()
    }
}
