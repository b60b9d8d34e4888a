import CLinux
import Control
import Glibc
import Linux
import Networks

/// The parent of one container: holds its lock, stdio, log and clients, and decides what happens when it ends.
///
/// One thread, one epoll. Nothing but the container's own end, or a request, ends it: not the death of who started it,
/// not a signal, not a full disk.
package final class Supervisor {
    /// Where a run stands.
    enum Stage {
        /// Not created yet, or between two runs.
        case idle
        /// Created; waits for `.start`.
        case created
        case running
        /// Ended; its output is still on the way to slow clients.
        case draining
        /// Waits for the next run of the restart policy.
        case waiting
        case finished
    }

    let arguments: SuperviseArguments
    var config: SupervisionConfig
    /// Of supervise.json as it was read last.
    var configStamp: [Int64] = []
    let directory: SharedFD
    let launcher: any ContainerLauncher
    let loop: EventLoop
    let log: LogWriter?
    let events: EventLog
    private let databaseIndex: DatabaseIndex?
    let output: OutputStream
    let error: OutputStream
    let input: InputStream
    /// Where the container's networks are; nil for root, and without networks.
    var userNetwork: UserNetwork?
    /// Its ports of the host; nil where it has none of these networks.
    var userPorts: UserPorts?
    var lock: SupervisorLock
    var record: PhaseRecord
    var stage = Stage.idle
    var backOff: RestartBackOff
    var clients: [ControlClient] = []
    var execs: [PendingExec] = []
    var runningExecs: [RunningExec] = []
    var checkpoint: PendingCheckpoint?
    /// The end of the run that comes, or has come, is a checkpoint's.
    var isCheckpointed = false
    /// Whose connections are being restored.
    var lockedNetwork: SharedFD?
    /// Children that ended while it was not known yet whose they are.
    var unclaimed: [(pid: Int32, status: ExitStatus)] = []
    /// Who launched us; gone before `.start` means that the container is not wanted any more.
    var starter: ControlClient?
    /// It is wanted whoever goes, and anybody may start it.
    var isKept = false
    var listener: SharedFD?
    /// Standard input, output and error of who started the container, for the log driver that passes them through. Held for its next runs.
    var givenStreams: [SharedFD] = []
    var container: LaunchedContainer?
    /// Between the making of the container and its end; nil without networks of ours.
    var connections: ContainerConnections?
    var terminalSize: (rows: UInt16, columns: UInt16)?
    /// By `pause`, until `resume`; who copies from the container holds it besides (``ControlClient/keepsFrozen``).
    var isPaused = false
    /// SIGKILL is on its way to its processes, in whatever order they see it.
    var isBeingKilled = false
    var manuallyStopped = false
    /// The lock file does not say what phase this is.
    var isPhaseStale = false
    /// The machine goes down: the policy starts nothing now, and after the boot as if nobody had stopped it.
    var shutDown = false
    private var isForwarding = false
    /// Wait status of the first process once it has been reaped.
    var ended: ExitStatus?
    /// Monotonic time of the start, for the back-off.
    var startedMonotonic: Int64 = 0
    var oomKillsBefore: UInt64 = 0
    /// Nanoseconds of quiet before memory is given back.
    var idleDelay: Int64 = 500_000_000
    /// Our own OOM score before it was lowered; empty until then.
    var usualOOMScore = ""
    /// The end of the run that is being wound up, and nanoseconds until the next (nil: none).
    var lastExit: ExitRecord?
    var nextRun: Int64?
    /// Nil until the first start, and without a probe.
    var health: HealthMonitor?
    var probers: [WaitingForProbe] = []
    /// The end that comes is ours, to start it again.
    var restartsWhateverPolicy = false

    /// - Parameters:
    ///   - directory: the container's directory, open for reading.
    ///   - lock: held; released by the end of this process.
    package init(
        _ arguments: SuperviseArguments, _ config: SupervisionConfig, directory: SharedFD,
        lock: consuming SupervisorLock, launcher: any ContainerLauncher
    ) throws(SystemError) {
        self.arguments = arguments
        self.config = config
        self.directory = directory
        self.lock = lock
        self.launcher = launcher
        // A supervisor that is started anew counts its restarts from 0, as docker does after `start`.
        backOff = RestartBackOff(config.restart)
        record = PhaseRecord(supervisor: getpid(), bootID: bootIdentifier())
        databaseIndex = DatabaseIndex(besides: directory.fd)
        events = EventLog(container: arguments.store)
        let relay = DeadlineRelay()
        loop = try EventLoop { relay.fire($0) }
        log = config.log.driver == .none || config.log.driver == .passthrough ? nil : LogWriter(directory: directory.fd, config.log)
        output = OutputStream(.output, loop, log: log)
        error = OutputStream(.error, loop, log: log)
        input = InputStream(loop, once: config.stdinOnce)
        relay.target = { [unowned self] in deadlineReached($0) }
        output.onFinished = { [unowned self] in streamFinished() }
        error.onFinished = { [unowned self] in streamFinished() }
        output.onActivity = { [unowned self] in becomeIdleSoon() }
        error.onActivity = { [unowned self] in becomeIdleSoon() }
        output.onTerminalHangUp = { [unowned self] in loop.set(.terminal, in: 200_000_000) }
        // Nobody has changed the file since it was read: commands wait for our socket before.
        configStamp = stamp()
    }

    /// Creates the container and serves until there is nothing left to supervise.
    package func run(starter socket: SharedFD?) {
        setPhase(.preparing)
        if let socket { starter = addClient(socket) }
        launcher.starter = starter?.socket.fd
        guard launch() else { return }
        loop.run()
    }

    func setPhase(_ phase: PhaseRecord.Phase) {
        record.phase = phase
        // A phase that cannot be written (full disk) is a worse `ps`, not a reason to stop. Tried again when there is a moment: a running
        // container that counts as created could not be told from one that is being started.
        isPhaseStale = (try? lock.write(record)) == nil
    }

    // MARK: Runs

    /// Makes stdio and the container, up to the gate.
    /// - Returns: false when that failed and all is wound up.
    func launch() -> Bool {
        ended = nil
        isPaused = false
        isBeingKilled = false
        isCheckpointed = false
        record.isRestored = launcher.restores
        lastExit = nil
        unprotectFromOutOfMemory()
        do throws(LaunchFailure) {
            try openForwarder()
            let stdio = try openStdio()
            let launched = try launcher.create(stdio) { [unowned self] (namespace) throws(LaunchFailure) in
                // Without an endpoint it is the container that raises its loopback device, at a time of its own.
                if config.network?.endpoints.isEmpty == false {
                    try lockPackets(namespace)
                    try connect(namespace)
                }
            }
            container = launched
            tellMounted()
            try adopt(launched)
            if connections == nil, config.network != nil { try connect(networkNamespace(of: launched.pid)) }
        } catch {
            fail(error)
            return false
        }
        stage = .created
        oomKillsBefore = launcher.outOfMemoryKills()
        setPhase(.created)
        broadcast(.created(pid: record.pid))
        return true
    }

    /// The starter's standard error was for errors of the start: held on to, `x=$(berth run -d … 2>&1)` would wait for
    /// the container's end.
    func releaseStandardError() {
        guard let null = try? FD.cwd.open("/dev/null", .readWrite) else { return }
        _ = cl_dup3(null.raw, 2, 0)
    }

    /// Lets the created container run.
    func start() {
        guard stage == .created else { return }
        isKept = false
        // The record of the run before goes first: from here on its absence says that an end was not seen.
        let before = config.autoRemove ? nil : try? ExitRecord.load(from: directory.fd)
        _ = cl_unlinkat(directory.raw, ContainerFiles.exitRecord, 0)
        record.startedAt = wallClockNanoseconds()
        record.health = config.health == nil ? .none : .starting
        startedMonotonic = monotonicNanoseconds()
        setPhase(.running)
        do throws(LaunchFailure) {
            try unlockPackets()
            try launcher.start()
        } catch {
            // It counts as ended, not as made, when an earlier run was started.
            record.startedAt = before?.startedAt ?? 0
            fail(error)
            return
        }
        stage = .running
        tell("start")
        if record.isRestored { tell("restore") }
        forwardPorts()
        releaseStandardError()
        protectFromOutOfMemory()
        broadcast(.started(pid: record.pid, startedAt: record.startedAt))
        if config.health != nil { startProbes() }
        becomeIdleSoon()
        // It may have ended already, its signal taken by the runtime's own waiting.
        reap()
    }

    /// Leads published ports that are no elements of the firewall's to the container. One process for all of them, from the first run to
    /// the last.
    func forwardPorts() {
        guard let userPorts, userPorts.forwarder == 0, !userPorts.isEmpty else { return }
        let keepsSource = userNetwork?.keepsSources ?? ((try? TransparentReplies.ensure()) != nil)
        do throws(SystemError) { try userPorts.forward(keepsSource: keepsSource) } catch { complain(error.description) }
    }

    /// Takes up the pid, the terminal and what observers need to know.
    private func adopt(_ launched: LaunchedContainer) throws(LaunchFailure) {
        record.pid = launched.pid
        record.processStartTime = processStartTime(launched.pid) ?? 0
        record.freezeFile = launched.freezeFile
        guard config.terminal else { return }
        guard let console = launched.console else { throw LaunchFailure("the runtime did not hand over a terminal") }
        do throws(SystemError) {
            if let terminalSize { _ = cl_winsize_set(console.raw, terminalSize.rows, terminalSize.columns) }
            try output.open(console, isTerminal: true)
            let second = SharedFD(try console.fd.duplicate())
            if config.openStdin { try input.open(second, isTerminal: true) }
        } catch {
            throw LaunchFailure(error.description)
        }
    }

    /// A plan as this supervisor can carry it out.
    func adapt(_ plan: NetworkPlan) throws(LaunchFailure) -> NetworkPlan {
        if let userNetwork { return userNetwork.adapt(plan) }
        if plan.endpoints.isEmpty || geteuid() == 0 {
            var plan = plan
            // The forwarder's.
            if userPorts != nil { plan.ports = [] }
            return plan
        }
        throw LaunchFailure("it was started with --network none, and has another user namespace than networks have: start it again")
    }

    private func connect(_ namespace: SharedFD) throws(LaunchFailure) {
        guard let plan = config.network else { return }
        connections = try connect(try adapt(plan), namespace)
        tell("connect", plan.endpoints)
    }

    func networkNamespace(of pid: Int32) throws(LaunchFailure) -> SharedFD {
        do throws(SystemError) { return try openNamespace("net", of: pid) } catch { throw LaunchFailure(error.description) }
    }

    func connect(_ plan: NetworkPlan, _ namespace: SharedFD) throws(LaunchFailure) -> ContainerConnections {
        let made = ContainerConnections(
            plan, id: arguments.id, run: arguments.run, loop: loop, hostSockets: userNetwork?.hostSockets
        ) { [unowned self] in becomeIdleSoon() }
        made.onRulesetChange = { [unowned self] in
            // Gone with a flush.
            if let userNetwork {
                try? WayOut.ensure()
                if userNetwork.keepsSources { try? TransparentReplies.ensure() }
            } else if userPorts != nil {
                try? TransparentReplies.ensure()
            }
        }
        try made.open(namespace)
        return made
    }

    /// With the first run, so that a receiver that is not there keeps the container from starting.
    private func openForwarder() throws(LaunchFailure) {
        guard config.log.isForwarded, !isForwarding else { return }
        let sockets = userNetwork?.hostSockets
        let forwarder = try LogForwarder(config, loop) { (kind, isIPv6) throws(SystemError) in
            guard let sockets else { return SharedFD(try makeInternetSocket(kind, isIPv6: isIPv6)) }
            guard let made = try sockets.make(kind, isIPv6: isIPv6).first else { throw SystemError(.io, "make socket") }
            return made
        }
        log?.forward(to: forwarder)
        isForwarding = true
    }

    /// Pipes for a run; our ends are watched from now on.
    private func openStdio() throws(LaunchFailure) -> ContainerStdio {
        if config.log.driver == .passthrough {
            guard givenStreams.count == 3 else { throw LaunchFailure("who starts it gives no streams to pass through") }
            return ContainerStdio(input: givenStreams[0], output: givenStreams[1], error: givenStreams[2])
        }
        do throws(SystemError) {
            let null = SharedFD(try FD.cwd.open("/dev/null", .readWrite))
            if config.terminal { return ContainerStdio(input: null, output: null, error: null) }
            let out = try makePipe().take()
            let theirOutput = SharedFD(owning: out.second)
            try output.open(SharedFD(owning: out.first), isTerminal: false)
            let err = try makePipe().take()
            let theirError = SharedFD(owning: err.second)
            try error.open(SharedFD(owning: err.first), isTerminal: false)
            guard config.openStdin else { return ContainerStdio(input: null, output: theirOutput, error: theirError) }
            let pipe = try makePipe().take()
            let theirInput = SharedFD(owning: pipe.first)
            try input.open(SharedFD(owning: pipe.second), isTerminal: false)
            return ContainerStdio(input: theirInput, output: theirOutput, error: theirError)
        } catch {
            throw LaunchFailure(error.description)
        }
    }

    func deadlineReached(_ deadline: EventLoop.Deadline) {
        switch deadline {
        case .kill:
            if stage == .running { tellSignal(9) }
            killAll()
        case .restart: restart()
        case .drain:
            output.closeClients()
            error.closeClients()
            // What those clients had not taken yet still belongs into the log.
            drainOutput()
        case .terminal: output.retryTerminal()
        case .idle: becomeIdle()
        case .probe: health?.deadlineReached()
        }
    }
}

/// Breaks the circle of a loop that calls its owner and an owner that makes its loop.
private final class DeadlineRelay {
    var target: (EventLoop.Deadline) -> Void = { _ in }
    func fire(_ deadline: EventLoop.Deadline) { target(deadline) }
}
