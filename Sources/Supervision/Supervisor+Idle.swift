import CLinux
import Control
import Glibc
import Linux

/// What a supervisor that only waits gives back.
extension Supervisor {
    /// Called on every activity. A container that wakes us again and again is left in peace for longer and longer.
    func becomeIdleSoon() {
        if loop.remaining(.idle) != nil { return }
        loop.set(.idle, in: idleDelay)
    }

    func becomeIdle() {
        if isPhaseStale {
            setPhase(record.phase)
            if isPhaseStale { loop.set(.idle, in: 500_000_000) }
        }
        // While data flows the memory is needed again in a moment.
        let wasBusy = [output.takeActivity(), error.takeActivity()]
        if wasBusy.contains(true) { return becomeIdleSoon() }
        idleDelay = min(idleDelay * 2, 60_000_000_000)
        output.releaseMemory()
        error.releaseMemory()
        log?.releaseMemory()
        connections?.releaseMemory()
        loop.expectsRest = true
    }

    /// Takes this process out of the OOM killer's first choice, once the container's process is made: children inherit
    /// the score.
    func protectFromOutOfMemory() {
        guard geteuid() == 0, userNetwork == nil else { return }
        if usualOOMScore.isEmpty { usualOOMScore = (try? FD.cwd.readText("/proc/self/oom_score_adj", limit: 64)) ?? "0" }
        try? FD.cwd.writeFile("/proc/self/oom_score_adj", Array("-999".utf8))
    }

    /// Before the next child is made.
    func unprotectFromOutOfMemory() {
        if !usualOOMScore.isEmpty { try? FD.cwd.writeFile("/proc/self/oom_score_adj", Array(usualOOMScore.utf8)) }
    }
}
