import Control
import Glibc
import Linux

/// Containers whose supervisor lives and cannot be asked: its socket was removed (a cleaner of /run, a logout), or it
/// is stopped by a signal.
extension Engine {
    /// Ends the first process by its pidfd; a supervisor that is well writes down how it ended.
    ///
    /// - Returns: false when the container had ended by itself.
    func endUnreachable(_ view: ContainerView, signal: Int32, timeout: Int64) throws(EngineError) -> Bool {
        var seen = try observe(view.id)
        // It went away between the look and the question.
        guard seen.status.isAlive, seen.pid > 0 else { return false }
        if let process = try? openProcess(seen.pid), try observe(view.id).pid == seen.pid {
            // The pid still was the container's after the pidfd was taken, so the pidfd is the container's.
            try? process.fd.sendSignal(signal)
            try awaitEnd(of: process.fd, milliseconds: timeout < 0 ? -1 : timeout * 1000)
            try? process.fd.sendSignal(SIGKILL)
            try awaitEnd(of: process.fd, milliseconds: 10_000)
        }
        // One with a restart policy has ended for good only when it has gone itself: just after the end it has not said yet that it will
        // start the container again.
        let restarts = view.definition.restart.name != .no
        for _ in 0..<100 {
            seen = try observe(view.id)
            if !seen.status.isAlive, seen.status != .restarting, !restarts || !hasSupervisor(view.id) { return true }
            usleep(10_000)
        }
        // Its restart policy brought it back, or nobody reaps it: without the supervisor it stays down.
        try killSupervisor(of: view.id)
        let after = try container(view.id)
        if after.isAlive { try endWithoutSupervisor(after, signal: SIGKILL, timeout: 0) }
        return true
    }

    /// Kills the supervisor that holds the container's lock, and waits until the kernel has released it.
    func killSupervisor(of id: String) throws(EngineError) {
        let supervisor = try observe(id).supervisor
        guard supervisor > 0, let process = try? openProcess(supervisor), try observe(id).supervisor == supervisor else {
            return
        }
        try? process.fd.sendSignal(SIGKILL)
        try awaitEnd(of: process.fd, milliseconds: 10_000)
    }

    func unreachable(_ view: ContainerView, _ verb: String) -> EngineError {
        EngineError(
            .conflict,
            sentence: "cannot \(verb) container \(view.name): its socket below \(roots.run) was removed while it ran; "
                + "type: berth restart \(view.name)", exitCode: 1)
    }
}
