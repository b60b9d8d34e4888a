import CLinux
import Control
import Glibc
import Linux

/// Probes one container again and again while it runs, one probe at a time.
///
/// Nothing here waits: a probe is born, read and reaped by events of the supervisor's loop.
package final class HealthMonitor {
    package typealias Begin = ([String], _ input: FD, _ output: FD) throws(LaunchFailure) -> any ProbeProcess

    private let loop: EventLoop
    private let begin: Begin
    private let isPaused: () -> Bool
    private let isEnding: () -> Bool
    /// How many probes have begun; the last of them is the one whose result comes next.
    package private(set) var begun = 0
    package private(set) var state: HealthState
    /// After each result, with what follows from it.
    package var onResult: (HealthResult, HealthState.Consequence) -> Void = { _, _ in }

    /// Monotonic time of the container's start.
    private var startedAt: Int64 = 0
    /// The container runs and is not paused.
    package private(set) var isActive = false
    private var probe: RunningProbe?
    /// A probe that was killed and has not ended yet.
    private var dying: (any ProbeProcess)?
    /// Somebody wants a probe that begins from now on.
    private var isWanted = false
    private var null: SharedFD?

    /// - Parameters:
    ///   - begin: starts a program in the container.
    ///   - isPaused: whether somebody holds the container's processes without having asked the supervisor.
    ///   - isEnding: whether the container's first process is on its way out, and takes all others along.
    package init(
        _ plan: HealthPlan, log: [HealthResult], loop: EventLoop, isPaused: @escaping () -> Bool, isEnding: @escaping () -> Bool,
        begin: @escaping Begin
    ) {
        self.loop = loop
        self.begin = begin
        self.isPaused = isPaused
        self.isEnding = isEnding
        state = HealthState(plan, log: log)
    }

    // MARK: The container's life

    /// The container has been started.
    package func containerStarted(at time: Int64) {
        startedAt = time
        isActive = true
        state.reset()
        schedule()
    }

    /// The container has ended, or is about to be taken down.
    package func containerEnded() {
        isActive = false
        isWanted = false
        loop.set(.probe, in: nil)
        discard()
        dying = nil
    }

    /// A paused container is not probed, and a probe that was under way says nothing.
    package func pause() {
        isActive = false
        loop.set(.probe, in: nil)
        discard()
    }

    package func resume() {
        guard !isActive else { return }
        isActive = true
        schedule()
    }

    /// Another plan, from the next probe on.
    package func change(to plan: HealthPlan) {
        state.plan = plan
        if isActive, probe == nil { schedule() }
    }

    /// A probe now, whatever the interval; where one is under way, after it.
    package func probeNow() {
        isWanted = true
        if isActive, probe == nil { run() }
    }

    // MARK: Probes

    /// The deadline `.probe`: the next one is due, or this one has taken too long.
    package func deadlineReached() {
        guard isActive else { return }
        if let probe { return timedOut(probe) }
        run()
    }

    private func schedule() {
        loop.set(.probe, in: state.interval(age: monotonicNanoseconds() &- startedAt))
    }

    private func run() {
        isWanted = false
        if isPaused() { return schedule() }
        begun &+= 1
        let running = RunningProbe(limit: state.plan.maximumLogSize)
        if let dying {
            // Not even SIGKILL has ended the one before: this container does not work, and another would only wait beside it.
            dying.kill()
            return finish(running, HealthResult.noExitCode, timeoutText(running))
        }
        do throws(LaunchFailure) {
            let (reader, writer) = try pipe()
            let null = try nullDevice()
            running.process = try begin(state.command, null.fd, writer.fd)
            running.reader = reader
        } catch {
            return finish(running, HealthResult.noExitCode, error.text)
        }
        probe = running
        loop.set(.probe, in: state.timeout)
        watch(running)
    }

    private func watch(_ running: RunningProbe) {
        if let reader = running.reader {
            running.readerToken = try? loop.add(reader.fd, .readable) { [unowned self, unowned running] _ in read(running) }
        }
        if let progress = running.process?.progress {
            running.progressToken = try? loop.add(progress.fd, .readable) { [unowned self, unowned running] _ in advance(running) }
        } else {
            running.isStarted = true
        }
    }

    private func advance(_ running: RunningProbe) {
        guard let process = running.process, !running.isStarted else { return }
        do throws(LaunchFailure) {
            guard try process.advance() else { return }
        } catch {
            running.failure = error
        }
        running.isStarted = true
        if let token = running.progressToken { loop.remove(token) }
        running.progressToken = nil
        finishIfEnded(running)
    }

    /// - Returns: whether anything was read.
    @discardableResult
    private func read(_ running: RunningProbe) -> Bool {
        guard let reader = running.reader else { return false }
        var count = 0
        let piece = [UInt8](unsafeUninitializedCapacity: 16 << 10) { buffer, initialized in
            count = cl_read(reader.raw, buffer.baseAddress, buffer.count)
            initialized = max(0, count)
        }
        running.output.append(piece[...])
        if count == 0 || (count < 0 && count != -Int(EAGAIN)) { stopReading(running) }
        return count > 0
    }

    private func stopReading(_ running: RunningProbe) {
        if let token = running.readerToken { loop.remove(token) }
        running.readerToken = nil
        running.reader = nil
    }

    /// A child of the supervisor has ended.
    ///
    /// - Returns: whether it was ours.
    package func childEnded(_ pid: Int32, _ status: ExitStatus) -> Bool {
        if dying?.childEnded(pid) == true {
            dying = nil
            return true
        }
        guard let probe, let process = probe.process else { return false }
        _ = process.childEnded(pid)
        if process.pid == pid {
            probe.ended = status
            finishIfEnded(probe)
            return true
        }
        // Its number comes over the socket, perhaps only after it was killed.
        if process.pid == 0 { probe.unknownEnds = Array(probe.unknownEnds.suffix(7)) + [(pid, status)] }
        return false
    }

    private func finishIfEnded(_ running: RunningProbe) {
        guard running.isStarted, let process = running.process else { return }
        if let failure = running.failure { return finish(running, HealthResult.noExitCode, failure.text) }
        guard let status = running.ended ?? running.unknownEnds.first(where: { $0.pid == process.pid })?.status else { return }
        // What it wrote before its end. Whoever holds the other side still is not waited for.
        var rounds = 0
        while rounds < 64, read(running) { rounds += 1 }
        finish(running, Int(status.code), running.output.text)
    }

    private func timedOut(_ running: RunningProbe) {
        let text = timeoutText(running)
        running.process?.kill()
        dying = running.process
        finish(running, HealthResult.noExitCode, text)
    }

    private func timeoutText(_ running: RunningProbe) -> String {
        let text = "Health check exceeded timeout (\(durationText(state.timeout)))"
        return running.output.isEmpty ? text : text + ": " + running.output.text
    }

    private func finish(_ running: RunningProbe, _ exitCode: Int, _ output: String) {
        release(running)
        // The end of a pid namespace kills whoever else is in it, lets nobody in any more, and is told only after them.
        if exitCode != 0, isEnding() { return schedule() }
        let result = HealthResult(start: running.start, end: wallClockNanoseconds(), exitCode: exitCode, output: output)
        let consequence = state.add(result, age: running.startMonotonic &- startedAt)
        if consequence == .started { isWanted = true }
        schedule()
        // A long rest is worth giving memory back for; the pages come back with the next probe.
        if let wait = loop.remaining(.probe), wait > 10_000_000_000 { loop.expectsRest = true }
        onResult(result, consequence)
        // Its consequence may have been the container's end.
        if isActive, isWanted, probe == nil { loop.set(.probe, in: 0) }
    }

    private func release(_ running: RunningProbe) {
        stopReading(running)
        if let token = running.progressToken { loop.remove(token) }
        running.progressToken = nil
        if probe === running { probe = nil }
    }

    private func discard() {
        guard let probe else { return }
        probe.process?.kill()
        if probe.ended == nil { dying = probe.process }
        release(probe)
    }

    private func nullDevice() throws(LaunchFailure) -> SharedFD {
        if let null { return null }
        do throws(SystemError) {
            let opened = SharedFD(try FD.cwd.open("/dev/null", .readOnly))
            null = opened
            return opened
        } catch {
            throw LaunchFailure(error.description)
        }
    }

    private func pipe() throws(LaunchFailure) -> (reader: SharedFD, writer: SharedFD) {
        do throws(SystemError) {
            let pair = try makePipe().take()
            let reader = SharedFD(owning: pair.first)
            let writer = SharedFD(owning: pair.second)
            try reader.fd.setNonBlocking(true)
            return (reader, writer)
        } catch {
            throw LaunchFailure(error.description)
        }
    }
}

/// A probe between its beginning and its result.
private final class RunningProbe {
    let start = wallClockNanoseconds()
    let startMonotonic = monotonicNanoseconds()
    var process: (any ProbeProcess)?
    var reader: SharedFD?
    var readerToken: EventLoop.Token?
    var progressToken: EventLoop.Token?
    var output: ProbeOutput
    /// Its program runs, or never will.
    var isStarted = false
    var failure: LaunchFailure?
    var ended: ExitStatus?
    /// Children that ended while its number was not known.
    var unknownEnds: [(pid: Int32, status: ExitStatus)] = []

    init(limit: Int64) { output = ProbeOutput(limit: limit > 0 ? min(Int(clamping: limit), HealthRecord.limit) : HealthRecord.limit) }
}
