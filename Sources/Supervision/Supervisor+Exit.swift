import CLinux
import Control
import Glibc
import Linux

/// What happens when a run ends.
///
/// The order: reap, take the container down, write the record, hand the rest of the output to the log and the clients,
/// tell the clients, then start again or go. With `--rm` there is nothing to come back to, so those who wait are told
/// before the container is taken down: the command that shows its exit code clears the database meanwhile.
/// Who has no streams attached is told before slow readers are done.
extension Supervisor {
    /// Collects every child that has ended: the container's first process, and orphans that were given to us.
    func reap() {
        while let child = try? waitForProcess(-1, options: WNOHANG) {
            if child.pid == record.pid, ended == nil { ended = child.status } else { otherEnded(child.pid, child.status) }
        }
        // What kind of end it is says the checkpoint's own.
        guard let ended, checkpoint == nil else { return }
        if stage == .running { runEnded(ended) }
        if stage == .created {
            record.startedAt = 0
            fail(LaunchFailure("container process ended before it was started (status \(ended.code))"))
        }
    }

    private func runEnded(_ status: ExitStatus) {
        loop.set(.kill, in: nil)
        let duration = monotonicNanoseconds() &- startedMonotonic
        var exit = ExitRecord(
            exitCode: Int(status.code), startedAt: record.startedAt, finishedAt: wallClockNanoseconds(),
            bootID: record.bootID, pid: record.pid, restartCount: backOff.count, manuallyStopped: manuallyStopped,
            shutDown: shutDown)
        if case .signaled(let signal) = status { exit.signal = signal }
        // Before the cgroup goes, which holds the count.
        exit.oomKilled = launcher.outOfMemoryKills() > oomKillsBefore
        exit.isCheckpointed = isCheckpointed
        tellEnd(of: exit, nanoseconds: duration)
        record.pid = 0
        endProbes()
        let isStopped = manuallyStopped || shutDown
        nextRun = backOff.next(exitCode: exit.exitCode, isStopped: isStopped, duration: duration)
        if restartsWhateverPolicy, !isStopped, nextRun == nil { nextRun = backOff.again(duration: duration) }
        restartsWhateverPolicy = false
        if !config.autoRemove || nextRun != nil { takeDown() }
        windUp(exit)
        // Also when slow readers keep us: they have no claim on its cgroup.
        takeDown()
    }

    /// Removes the cgroup, the runtime's state and what is left of the processes.
    private func takeDown() {
        guard container != nil else { return }
        container = nil
        // Before the runtime lets go of the namespaces: nobody is led to a container that is gone.
        disconnect()
        launcher.delete()
        tellUnmounted()
    }

    private func disconnect() {
        guard let connections else { return }
        connections.close()
        self.connections = nil
        tell("disconnect", config.network?.endpoints ?? [])
    }

    /// A container that could not be created or started.
    func fail(_ failure: LaunchFailure) {
        var exit = ExitRecord(
            exitCode: Int(failure.exitCode), startedAt: 0, finishedAt: wallClockNanoseconds(), bootID: record.bootID,
            restartCount: backOff.count, error: failure.text, manuallyStopped: manuallyStopped,
            shutDown: shutDown)
        // A restart that fails is the end of the run before it, told by its error.
        exit.startedAt = record.startedAt
        // What it could not go on from now it may be able to later.
        if record.isRestored, !config.autoRemove, let before = try? ExitRecord.load(from: directory.fd) {
            exit.isCheckpointed = before.isCheckpointed
        }
        if exit.startedAt == 0, !config.autoRemove, let before = try? ExitRecord.load(from: directory.fd) {
            exit.startedAt = before.startedAt
        }
        discardContainer()
        nextRun = nil
        windUp(exit, telling: .failed(exitCode: failure.exitCode, text: failure.text))
    }

    /// Nobody wants the created container any more.
    func abandon() {
        discardContainer()
        nextRun = nil
        record.startedAt = 0
        setPhase(.exited)
        output.closeSource()
        error.closeSource()
        input.close()
        lastExit = nil
        stage = .finished
        if config.autoRemove { removeContainer() }
        leave()
    }

    /// Takes down a container that never ran: the process, then what it was in.
    private func discardContainer() {
        if let container {
            try? container.pidfd.fd.sendSignal(SIGKILL)
            if ended == nil { _ = try? waitForProcess(container.pid) }
            takeDown()
        }
        // It may have been connected before it was made.
        disconnect()
        lockedNetwork = nil
        record.pid = 0
    }

    /// Writes down how it ended, then lets the output run out.
    ///
    /// - Parameter event: what clients are told once the record is there, because they look at it next.
    private func windUp(_ exit: ExitRecord, telling event: ControlEvent? = nil) {
        lastExit = exit
        record.finishedAt = exit.finishedAt
        record.exitCode = Int64(exit.exitCode)
        stage = .draining
        if nextRun == nil {
            saveRecord(exit)
            setPhase(config.autoRemove ? .removing : .exited)
        } else {
            setPhase(.restarting)
            // Slow clients of this run may not hold up the next one for ever.
            loop.set(.drain, in: 10_000_000_000)
        }
        if let event { broadcast(event) }
        input.close()
        drainOutput()
        if stage == .draining { tellEnd(exit) { !$0.isAttached } }
    }

    /// Tells each client once. - Parameter chosen: which clients.
    private func tellEnd(_ exit: ExitRecord, _ chosen: (ControlClient) -> Bool) {
        for client in clients where !client.knowsEnd && chosen(client) {
            client.knowsEnd = true
            if !client.send(.exited(exit, restarting: nextRun != nil), sequence: 0) { remove(client) }
        }
    }

    /// Reads what is left; the last stream to finish concludes the run, perhaps at once.
    func drainOutput() {
        output.drain()
        if stage == .draining { error.drain() }
    }

    func saveRecord(_ exit: ExitRecord) {
        if config.autoRemove { return }
        do throws(ControlError) {
            try exit.save(in: directory.fd, durable: true)
        } catch {
            // A full disk: without durability it may still fit. Failing that, the lock file has the exit code.
            try? exit.save(in: directory.fd, durable: false)
        }
    }

    /// Called whenever a stream has come to its end and its clients have all of it.
    func streamFinished() {
        guard stage == .draining, output.isFinished, error.isFinished else { return }
        loop.set(.drain, in: nil)
        output.closeSource()
        error.closeSource()
        output.closeClients()
        error.closeClients()
        input.closeClients()
        conclude()
    }

    /// Tells the end; then the next run, or none.
    func conclude() {
        guard let exit = lastExit else { return }
        log?.finish()
        if let wait = nextRun {
            tellEnd(exit) { _ in true }
            for client in clients { client.knowsEnd = false }
            stage = .waiting
            loop.set(.restart, in: wait)
            becomeIdleSoon()
            return  // the lock is held on, `restart()` comes back here
        }
        stage = .finished
        if !config.autoRemove { setPhase(.exited) }
        tellEnd(exit) { _ in true }
        takeDown()
        if config.autoRemove { removeContainer() }
        leave()
    }

    func restart() {
        guard stage == .waiting else { return }
        nextRun = nil
        manuallyStopped = false
        shutDown = false
        record.restartCount = backOff.count
        stage = .idle
        if launch() { start() }
    }

    /// Ends the loop; the process goes with it, and the kernel releases the lock.
    func leave() {
        // The socket before the lock: who finds the lock free finds no dead socket either.
        try? removeTree(.cwd, ContainerFiles.runDirectory(run: arguments.run, id: arguments.id))
        userNetwork?.leave()
        loop.stop()
    }
}
