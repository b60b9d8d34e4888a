import CLinux
import Cgroups
import Control
import Glibc
import Linux
import Store

/// A stop that was asked for and not yet seen.
public final class StopTicket {
    let view: ContainerView
    let signal: Int32?
    let timeout: Int64?
    var connection: SupervisorConnection?

    init(view: ContainerView, signal: Int32?, timeout: Int64?) {
        self.view = view
        self.signal = signal
        self.timeout = timeout
    }
}

extension Engine {
    /// Asks a container to stop and does not wait.
    ///
    /// - Parameter isShutdown: the machine goes down: what the restart policy wants up starts again after the boot.
    public func beginStop(
        _ text: String, signal: Int32? = nil, timeout: Int64? = nil, isShutdown: Bool = false
    ) throws(EngineError) -> StopTicket {
        let view = try container(text)
        let ticket = StopTicket(view: view, signal: signal, timeout: timeout)
        // One that waits for its next run: finishStop would stop it for good.
        let waits = isShutdown && view.observation.status == .restarting
        guard view.isAlive || waits, !view.observation.supervisorLost, let connection = try connect(view.id) else {
            return ticket
        }
        connection.watch(view.observation.supervisor)
        if view.observation.status == .paused { try? connection.resume() }
        let milliseconds = timeout.map { $0 < 0 || $0 > Int64.max / 1000 ? -1 : $0 * 1000 } ?? ControlRequest.configuredTimeout
        _ = try controlled { () throws(ControlError) in
            try connection.post(isShutdown ? .shutDown(timeout: milliseconds) : .stop(signal: signal ?? 0, timeout: milliseconds))
        }
        ticket.connection = connection
        return ticket
    }

    /// Waits for the end that ``beginStop(_:signal:timeout:)`` asked for.
    public func finishStop(_ ticket: StopTicket) throws(EngineError) {
        guard let connection = ticket.connection else {
            try stop(ticket.view.id, signal: ticket.signal, timeout: ticket.timeout)
            return
        }
        _ = try controlled { () throws(ControlError) in try connection.waitForExit(final: true) }
        announce("stop", ticket.view.definition)
        if ticket.view.definition.autoRemove { waitForRemoval(connection, ticket.view.definition) }
    }

    /// Stops a container: its stop signal, a while, then SIGKILL to all of it. Returns when it has ended.
    ///
    /// - Parameters:
    ///   - signal: instead of the configured one.
    ///   - timeout: seconds; negative waits for ever; nil is the configured time.
    /// - Returns: false when it did not run.
    @discardableResult
    public func stop(_ text: String, signal: Int32? = nil, timeout: Int64? = nil) throws(EngineError) -> Bool {
        let view = try container(text)
        guard try stop(view, signal: signal, timeout: timeout) else { return false }
        announce("stop", view.definition)
        return true
    }

    @discardableResult
    func stop(_ view: ContainerView, signal: Int32? = nil, timeout: Int64? = nil) throws(EngineError) -> Bool {
        let status = view.observation.status
        guard view.hasProcess || status == .restarting || status == .starting else { return false }
        if view.observation.supervisorLost {
            try endWithoutSupervisor(
                view, signal: signal ?? view.definition.stopSignal, timeout: timeout ?? view.definition.stopTimeout)
            return true
        }
        guard let connection = try connect(view.id) else {
            return try endUnreachable(
                view, signal: signal ?? view.definition.stopSignal, timeout: timeout ?? view.definition.stopTimeout)
        }
        connection.watch(view.observation.supervisor)
        if status == .paused { try? connection.resume() }
        do throws(ControlError) { _ = try connection.stop(signal: signal, timeout: timeout) } catch {
            // Its program never ran, and its supervisor went of itself before it heard us: who wanted the container has gone.
            if error.code == .disconnected, !view.isAlive { return false }
            throw EngineError(control: error)
        }
        if view.definition.autoRemove { waitForRemoval(connection, view.definition) }
        return true
    }

    /// Sends a signal to a container's first process.
    public func kill(_ text: String, signal: Int32) throws(EngineError) {
        let view = try container(text)
        guard view.isAlive else {
            throw EngineError(
                .conflict, sentence: "cannot kill container: \(text): container \(view.id) is not running", exitCode: 1)
        }
        if view.observation.supervisorLost {
            try signalDirectly(view, signal)
            return
        }
        guard let connection = try connect(view.id) else {
            guard try observe(view.id).pid == view.observation.pid, view.observation.pid > 0 else {
                throw EngineError(
                    .conflict, sentence: "cannot kill container: \(text): container \(view.id) is not running", exitCode: 1)
            }
            try signalDirectly(view, signal)
            return
        }
        connection.watch(view.observation.supervisor)
        do throws(ControlError) { try connection.kill(signal) } catch {
            // It was being killed when we asked, before the socket's end the lock's: what it was to signal runs on.
            guard error.code == .disconnected, let after = try? self.container(view.id), after.isAlive, after.observation.supervisorLost
            else { throw EngineError(control: error) }
            return try signalDirectly(after, signal)
        }
        try controlled { () throws(ControlError) in
            // What SIGKILL ends has ended when the command returns; bounded, for a process the kernel cannot end.
            guard signal == SIGKILL else { return }
            let deadline = monotonicNanoseconds() + 10_000_000_000
            while monotonicNanoseconds() < deadline {
                let left = Int32(clamping: (deadline - monotonicNanoseconds()) / 1_000_000)
                guard let event = try connection.receive(timeout: left) else { return }
                if case .exited = event { return }
            }
        }
    }

    public func pause(_ text: String) throws(EngineError) {
        let view = try container(text)
        if view.observation.status == .paused {
            throw EngineError(.conflict, sentence: "container \(view.id) is already paused")
        }
        let connection = try runningConnection(view, "pause")
        if host.isRootless { try requireFreezer(view) }
        try controlled { () throws(ControlError) in try connection.pause() }
    }

    /// Keeps a container paused until `body` says that it may go on, or this process ends; one that was paused before stays so.
    ///
    /// Where it cannot be paused, that is a warning.
    func pausing(_ view: ContainerView, _ body: (_ resume: @escaping () -> Void) throws(EngineError) -> Void) throws(EngineError) {
        guard view.isAlive else { return try body {} }
        var held: SupervisorConnection?
        do throws(EngineError) {
            let connection = try runningConnection(view, "pause")
            if host.isRootless { try requireFreezer(view) }
            try controlled { () throws(ControlError) in try connection.freeze() }
            held = connection
        } catch {
            // It has ended: nothing writes there any more.
            if try container(view.id).isAlive {
                warn("WARNING: \(error.description); what it writes meanwhile may be in the image in part")
            }
        }
        // Once: after that it would end somebody else's pause.
        let letGo = {
            try? held?.resume()
            held = nil
        }
        defer { letGo() }
        try body(letGo)
    }

    /// A container of a user who had no delegated cgroup when it was started has none that could be frozen.
    func requireFreezer(_ view: ContainerView) throws(EngineError) {
        let text = (try? FD.cwd.readText("/proc/\(view.observation.pid)/cgroup", limit: 65536)) ?? ""
        if text.includes(view.id) { return }
        let fix = (try? CgroupHost.detect()).map { Cgroup.freezerFix(host: $0) } ?? ""
        throw EngineError(
            .permission,
            sentence: "cannot pause container \(view.name): it has no cgroup, because none is delegated to you; type: "
                + "\(fix), and start the container again from that shell")
    }

    public func unpause(_ text: String) throws(EngineError) {
        let view = try container(text)
        if view.observation.status != .paused {
            throw EngineError(.conflict, sentence: "container \(view.id) is not paused")
        }
        let connection = try runningConnection(view, "unpause")
        try controlled { () throws(ControlError) in try connection.resume() }
    }

    /// Waits for a container's end; for its first when it was never started, as Docker does.
    ///
    /// - Returns: its exit code; ``ExitRecord/unknownCode`` when its supervisor was killed.
    public func wait(_ text: String) throws(EngineError) -> Int {
        let view = try container(text)
        var seen = view.observation
        while true {
            switch seen.status {
            case .exited, .removing: return seen.exitCode
            case .created where !seen.error.isEmpty: return seen.exitCode
            case .removed: throw .noSuchContainer(text)
            case .created: usleep(100_000)
            default:
                if let record = try waitForEnd(view.id, seen) {
                    finishAutoRemove(view.definition)
                    return record.exitCode
                }
            }
            seen = try observe(view.id)
        }
    }

    /// Waits until what was seen has changed.
    ///
    /// - Returns: nil when nobody told the exit code: look again.
    private func waitForEnd(_ id: String, _ seen: ContainerObservation) throws(EngineError) -> ExitRecord? {
        if seen.supervisorLost {
            // Nobody supervises it: its end can be seen, its exit code not.
            if let process = try? openProcess(seen.pid), try observe(id).supervisorLost {
                try awaitEnd(of: process.fd, milliseconds: -1)
            }
            if let view = try? container(id), !view.isAlive { announceEndWithoutSupervisor(view) }
            return nil
        }
        if let connection = try connect(id),
            let record = try controlled({ () throws(ControlError) in try connection.waitForExit() })
        {
            return record
        }
        // A supervisor that dies closes its socket before the kernel lets go of its lock.
        usleep(10_000)
        return nil
    }

    /// A connection to the supervisor; nil when there is none.
    public func connect(_ id: String) throws(EngineError) -> SupervisorConnection? {
        do throws(ControlError) {
            return try SupervisorConnection.connect(run: roots.run, id: id)
        } catch {
            if error.code == .notRunning { return nil }
            throw EngineError(control: error)
        }
    }

    func runningConnection(_ view: ContainerView, _ verb: String) throws(EngineError) -> SupervisorConnection {
        guard view.isAlive else {
            throw EngineError(.conflict, sentence: "container \(view.id) is not running", exitCode: 1)
        }
        if view.observation.supervisorLost {
            throw EngineError(
                .conflict,
                sentence:
                    "cannot \(verb) container \(view.id): its supervisor was killed; stop it or remove it with berth rm -f \(view.name)"
            )
        }
        guard let connection = try connect(view.id) else {
            if try observe(view.id).status.isAlive { throw unreachable(view, verb) }
            throw EngineError(.conflict, sentence: "container \(view.id) is not running", exitCode: 1)
        }
        connection.watch(view.observation.supervisor)
        return connection
    }

    /// Docker's stop of a --rm container returns when it is gone.
    private func waitForRemoval(_ connection: SupervisorConnection, _ definition: ContainerDefinition) {
        while (try? connection.receive(timeout: 10_000)) ?? nil != nil {}
        finishAutoRemove(definition)
    }

    // MARK: Containers whose supervisor was killed

    /// Ends what is left of a container nobody watches: the first process by pidfd, everything else by its cgroup.
    func endWithoutSupervisor(_ view: ContainerView, signal: Int32, timeout: Int64) throws(EngineError) {
        let pid = view.observation.pid
        if let process = try? openProcess(pid), try observe(view.id).supervisorLost {
            // The pid still was the container's after the pidfd was taken, so the pidfd is the container's.
            try? process.fd.sendSignal(signal)
            announce("kill", view.definition, ["signal": "\(signal)"])
            try awaitEnd(of: process.fd, milliseconds: timeout < 0 ? -1 : timeout * 1000)
            try? process.fd.sendSignal(SIGKILL)
            try awaitEnd(of: process.fd, milliseconds: 10_000)
        }
        announceEndWithoutSupervisor(view)
        deleteExternally(view.definition)
        deleteRuntimeState(view.id)
    }

    private func signalDirectly(_ view: ContainerView, _ signal: Int32) throws(EngineError) {
        try during("signal container", view.id) { () throws(SystemError) in
            let process = try openProcess(view.observation.pid)
            try process.fd.sendSignal(signal)
        }
        announce("kill", view.definition, ["signal": "\(signal)"])
    }

    func awaitEnd(of process: FD, milliseconds: Int64) throws(EngineError) {
        var number = process.rawValue
        var wanted = Int16(POLLIN)
        var got: Int16 = 0
        _ = cl_poll(&number, &wanted, &got, 1, Int32(clamping: milliseconds))
    }

    /// `berth-runtime delete --force`: kills what is in the cgroup and removes it, with the state.
    func deleteRuntimeState(_ id: String) {
        guard FD.cwd.exists(roots.runtimeState + "/" + id) else { return }
        let request = SpawnRequest(
            runtimeProgram, ["berth-runtime", "--root", roots.runtimeState, "delete", "--force", id],
            environment: ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"])
        guard let process = try? spawn(request) else { return }
        _ = try? process.wait()
    }
}
