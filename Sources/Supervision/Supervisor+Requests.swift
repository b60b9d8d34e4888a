import CLinux
import Control
import Glibc
import Linux
import Networks

/// What clients can ask.
extension Supervisor {
    func perform(_ request: ControlRequest, _ client: ControlClient, _ descriptors: [SharedFD]) throws(ControlError) {
        switch request {
        case .create: throw refusal("container has been created")
        case .start:
            guard client === starter || isKept, stage == .created else { throw refusal("container is not waiting for start") }
            start()
        case .keep:
            guard client === starter || isKept, stage == .created else { throw refusal("container is not waiting for start") }
            if isKept { break }
            isKept = true
            setPhase(.initialized)
            tell("init")
            releaseStandardError()
        case .attach(let streams):
            try attach(streams, descriptors)
            if !streams.isEmpty { tell("attach") }
            client.isAttached = true
        case .resize(let rows, let columns): try resize(rows, columns)
        case .stop(let signal, let timeout):
            guard signal >= 0, signal <= 64 else { throw refusal("signal \(signal) does not exist") }
            manuallyStopped = true
            try stop(signal, timeout)
        case .shutDown(let timeout):
            shutDown = true
            try stop(0, timeout)
        case .kill(let signal): try kill(signal)
        case .setRestartPolicy(let policy): setRestartPolicy(policy)
        case .pause:
            try refuseDuringCheckpoint()
            if !isHeld { try setFrozen(true) }
            isPaused = true
        case .resume: try resume(for: client)
        case .freeze:
            try refuseDuringCheckpoint()
            if !isHeld, !isPaused { try setFrozen(true) }
            guard stage == .running else { throw refusal("container is not running") }
            client.keepsFrozen = true
        case .query, .exec, .watchHealth, .probe, .checkpoint: break  // answered by who received them
        case .reload: try reload()
        case .yield:
            guard stage == .draining || stage == .finished else { throw refusal("container is running") }
            deadlineReached(.drain)
        case .reopenLog: log?.reopen()
        }
    }

    func refusal(_ cause: String) -> ControlError {
        ControlError(.refused, "ask supervisor", arguments.id, cause: cause)
    }

    private func attach(_ streams: AttachStreams, _ descriptors: [SharedFD]) throws(ControlError) {
        guard descriptors.count == streams.count else { throw refusal("attach came without its descriptors") }
        guard stage != .draining, stage != .finished else { throw refusal("container has ended") }
        if config.log.driver == .passthrough, !streams.isEmpty { throw refusal("its streams are those of who started it, cannot attach") }
        var rest = descriptors[...]
        do throws(SystemError) {
            // A stream that the container does not have is closed at once: the client sees its end.
            if streams.contains(.input), let fd = rest.popFirst(), config.openStdin { try input.attach(fd) }
            if streams.contains(.output), let fd = rest.popFirst() { try output.attach(fd) }
            if streams.contains(.error), let fd = rest.popFirst(), !config.terminal { try error.attach(fd) }
        } catch {
            throw ControlError(error, "attach to", arguments.id)
        }
        becomeIdleSoon()
    }

    private func resize(_ rows: UInt16, _ columns: UInt16) throws(ControlError) {
        guard config.terminal else { throw refusal("container has no terminal") }
        terminalSize = (rows, columns)
        guard let console = container?.console else { return }
        let result = cl_winsize_set(console.raw, rows, columns)
        if result < 0 { throw refusal(Errno(rawValue: -result).description) }
        tell("resize", ["height": "\(rows)", "width": "\(columns)"])
    }

    func stop(_ signal: Int32, _ timeout: Int64) throws(ControlError) {
        switch stage {
        case .idle, .created: abandon()
        case .waiting:
            loop.set(.restart, in: nil)
            giveUpNextRun()
            conclude()
        case .draining: giveUpNextRun()
        case .finished: break
        case .running: try stopRunning(signal == 0 ? config.stopSignal : signal, timeout)
        }
    }

    /// The run that has ended was the last one: its record, which was not needed before, says so.
    private func giveUpNextRun() {
        guard nextRun != nil else { return }
        nextRun = nil
        lastExit?.manuallyStopped = manuallyStopped
        lastExit?.shutDown = shutDown
        if let lastExit { saveRecord(lastExit) }
    }

    func stopRunning(_ signal: Int32, _ timeout: Int64) throws(ControlError) {
        setPhase(.stopping)
        giveUpCheckpoint()
        // The signal first: a frozen process gets it when it is thawed, and nothing else in between.
        try ask { () throws(LaunchFailure) in try send(signal) }
        tellSignal(signal)
        _ = try? ask { () throws(LaunchFailure) in try launcher.setFrozen(false) }
        var wait: Int64? = timeout
        if timeout == ControlRequest.configuredTimeout {
            let seconds = config.stopTimeoutSeconds
            wait = seconds < 0 || seconds > Int64.max / 1000 ? nil : seconds * 1000
        } else if timeout < 0 {
            wait = nil
        }
        guard let wait else { return }
        let nanoseconds = min(wait, Int64.max / 4_000_000) * 1_000_000
        // A second stop may shorten the wait, not lengthen it.
        if let left = loop.remaining(.kill), left < nanoseconds { return }
        if nanoseconds == 0 { killAll() } else { loop.set(.kill, in: nanoseconds) }
    }

    private func kill(_ signal: Int32) throws(ControlError) {
        guard signal >= 0, signal <= 64 else { throw refusal("signal \(signal) does not exist") }
        guard stage == .running else { throw refusal("container is not running") }
        let isFinal = signal == SIGKILL || signal == config.stopSignal
        if isFinal {
            manuallyStopped = true
            giveUpCheckpoint()
        }
        try ask { () throws(LaunchFailure) in try send(signal) }
        tellSignal(signal)
        // A frozen process dies only when it is thawed (v1), and stays paused otherwise.
        if signal == SIGKILL { _ = try? ask { () throws(LaunchFailure) in try launcher.setFrozen(false) } }
    }

    func send(_ signal: Int32) throws(LaunchFailure) {
        if signal == SIGKILL { isBeingKilled = true }
        try launcher.kill(signal)
    }

    func killAll() {
        guard stage == .running else { return }
        isBeingKilled = true
        launcher.killAll()
        try? container?.pidfd.fd.sendSignal(SIGKILL)
    }

    private func setFrozen(_ frozen: Bool) throws(ControlError) {
        guard stage == .running else { throw refusal("container is not running") }
        try ask { () throws(LaunchFailure) in try launcher.setFrozen(frozen) }
        if frozen { pauseProbes() } else { health?.resume() }
        tell(frozen ? "pause" : "unpause")
    }

    /// Somebody copies from the container.
    private var isHeld: Bool { clients.contains(where: \.keepsFrozen) }

    /// Each who copies from the container ends its own part only, a pause is nobody's but who resumes; it goes on when nothing is left.
    private func resume(for client: ControlClient) throws(ControlError) {
        if client.keepsFrozen {
            client.keepsFrozen = false
        } else {
            if isHeld { throw refusal("a command copies from the container and lets it go on by itself") }
            isPaused = false
        }
        if !isHeld, !isPaused { try setFrozen(false) }
    }

    /// A client that froze the container has gone.
    func thaw(after client: ControlClient) {
        if client.keepsFrozen { _ = try? resume(for: client) }
    }

    private func ask<T>(_ body: () throws(LaunchFailure) -> T) throws(ControlError) -> T {
        do throws(LaunchFailure) { return try body() } catch { throw refusal(error.text) }
    }

    private func setRestartPolicy(_ policy: RestartPolicy) {
        config.restart = policy
        backOff.policy = policy
    }

    /// Takes over what may change while a container runs.
    private func reload() throws(ControlError) {
        let seen = stamp()
        let fresh = try SupervisionConfig.load(from: directory.fd)
        try changeNetwork(to: fresh.network)
        // Not what was refused: whoever wrote that may be killed before it is taken back.
        configStamp = seen
        config.name = fresh.name
        config.stopSignal = fresh.stopSignal
        config.stopTimeoutSeconds = fresh.stopTimeoutSeconds
        changeHealth(to: fresh.health)
        setRestartPolicy(fresh.restart)
    }

    /// What is different about supervise.json when it has been written anew.
    func stamp() -> [Int64] {
        guard let info = try? directory.fd.status(of: ContainerFiles.supervision) else { return [] }
        return [Int64(truncatingIfNeeded: info.st_ino), Int64(info.st_ctim.tv_sec), Int64(info.st_ctim.tv_nsec), Int64(info.st_size)]
    }

    /// A command may have been killed between its change of supervise.json and its word to us: file and container agree all the same.
    func clientHasGone() {
        guard stage == .created || stage == .running || stage == .waiting, stamp() != configStamp else { return }
        // Whoever wrote it connected before: that one is to hear what is wrong with it, and is not taken for gone.
        while accept() {}
        if (try? reload()) != nil { return }
        // What cannot be carried out is not left there for the next start either; unless somebody else may just be changing it.
        if clients.allSatisfy({ $0.isAttached || $0 === starter }) {
            try? config.save(in: directory.fd, durable: false)
            configStamp = stamp()
        }
    }

    /// What has changed is carried out at once where the container is connected; otherwise by its next run.
    private func changeNetwork(to plan: NetworkPlan?) throws(ControlError) {
        guard plan != config.network else {
            do throws(NetworkError) { try connections?.refresh() } catch { throw refusal(error.description) }
            return
        }
        try servePorts(of: plan)
        let adapted = try ask { () throws(LaunchFailure) in try adapt(plan ?? NetworkPlan()) }
        // Bound first: a port that somebody has changes nothing.
        let ports = try ask { () throws(LaunchFailure) in try preparePorts(plan) }
        if let connections {
            do throws(NetworkError) { try connections.change(to: adapted) } catch {
                throw refusal(error.description)
            }
        } else if plan != nil, let container, stage == .created || stage == .running {
            // It was started without any.
            connections = try ask { () throws(LaunchFailure) in try connect(adapted, networkNamespace(of: container.pid)) }
        }
        if let ports {
            userPorts?.apply(ports)
            if stage == .running { forwardPorts() }
        }
        if connections != nil { tellChange(from: config.network?.endpoints ?? [], to: plan?.endpoints ?? []) }
        config.network = plan
    }

    /// Whether root's ports are served by a process or led by the firewall is settled by the first ones.
    private func servePorts(of plan: NetworkPlan?) throws(ControlError) {
        guard userNetwork == nil, let plan, !plan.ports.isEmpty, plan.ports != config.network?.ports,
            plan.portsPassInput != (userPorts != nil)
        else { return }
        guard plan.portsPassInput, config.network?.ports.isEmpty ?? true else {
            throw refusal("[network] respect_input_firewall has changed since the container was started: start it again to change ports")
        }
        userPorts = UserPorts()
    }

    private func preparePorts(_ plan: NetworkPlan?) throws(LaunchFailure) -> UserPorts.Change? {
        guard let userPorts else { return nil }
        guard let sockets = userNetwork?.hostSockets else { return try userPorts.prepareHere(plan?.ports ?? []) }
        return try userPorts.prepare(
            plan?.ports ?? [],
            makeSocket: { kind, isIPv6 throws(SystemError) in
                guard let made = try sockets.make(kind, isIPv6: isIPv6).first else { throw SystemError(.io, "make socket") }
                return made
            }, findHolder: sockets.findHolder)
    }
}
