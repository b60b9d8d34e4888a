import CLinux
import Control
import Glibc
import Linux
import Runtime

/// `berth-runtime supervise --store DIR --run RUN --id ID`: the resident parent of one container.
///
/// Descriptor 3 is a SEQPACKET connection to who launched it. Needs a process with one thread.
/// - Parameter arguments: what follows `supervise`.
/// - Returns: the exit status of the process, which nobody looks at: what happened is told by the protocol.
public func superviseMain(arguments: [String]) -> Int32 {
    let starter = inheritedStarter()
    do throws(ControlError) {
        let parsed = try SuperviseArguments.parse(arguments)
        let signals = try step(parsed.id) { () throws(SystemError) in SharedFD(try becomeSupervisor()) }
        // Whoever launched us writes the container's files meanwhile. Nothing exists yet that would have to be undone.
        var lock: SharedFD?
        var streams: [SharedFD] = []
        if let starter {
            if !hasMessage(starter) { Container.rehearse() }
            guard let wanted = try waitUntilWanted(starter) else { return 0 }
            lock = wanted.descriptors.first
            streams = Array(wanted.descriptors.dropFirst())
        }
        let supervisor = try makeSupervisor(parsed, signals, lock: lock)
        supervisor.givenStreams = streams
        leaveStandardError()
        supervisor.run(starter: starter)
        return 0
    } catch {
        let code = error.code == .alreadyRunning ? 1 : error.exitCode
        // `rm -f` of another command came between the word to start and us.
        let isGone = (try? SuperviseArguments.parse(arguments)).map { !FD.cwd.exists($0.store + "/config.json") } ?? false
        let text = isGone ? "container was removed by another command" : error.description
        guard let starter else {
            complain(text)
            return code
        }
        _ = ControlClient(starter).send(.failed(exitCode: code, text: text), sequence: 0)
        return code
    }
}

/// From here on the protocol tells what fails. Who started us may wait for the end of the pipe that is its standard error
/// (`berth run -d … 2>&1 | tee log`), and we stay for as long as the container.
private func leaveStandardError() {
    guard let null = try? FD.cwd.open("/dev/null", .readWrite) else { return }
    _ = dup2(null.raw, 2)
}

/// Descriptor 3 if it is a socket; anything else there is none of our business.
private func inheritedStarter() -> SharedFD? {
    guard let info = try? FD(3).status(), info.st_mode & S_IFMT == S_IFSOCK else { return nil }
    try? FD(3).setCloseOnExec(true)
    return SharedFD(owning: 3)
}

private func hasMessage(_ socket: SharedFD) -> Bool {
    var number = socket.raw
    var wanted = Int16(POLLIN)
    var got: Int16 = 0
    return cl_poll(&number, &wanted, &got, 1, 0) > 0
}

/// Waits for the starter's `.create`.
///
/// - Returns: it, with the container's lock; nil when the starter has gone or has thought better of it.
private func waitUntilWanted(_ starter: SharedFD) throws(ControlError) -> Message? {
    let message: Message
    do throws(SystemError) { message = try starter.fd.receive(limit: 4096) } catch { return nil }
    if message.bytes.isEmpty { return nil }
    guard try ControlRequest(ControlFrame.decode(message.bytes)) == .create else {
        throw ControlError(.protocol, "read message", cause: "the first message is not to create the container")
    }
    return message
}

private func makeSupervisor(
    _ arguments: SuperviseArguments, _ signals: SharedFD, lock given: SharedFD?
) throws(ControlError) -> Supervisor {
    let id = arguments.id
    let directory = try step(id) { () throws(SystemError) in
        SharedFD(try FD.cwd.open(arguments.store, [.readOnly, .directory]))
    }
    let lock = try acquireLock(directory.fd, arguments, given)
    let config = try SupervisionConfig.load(from: directory.fd)
    let (network, ports) = try enterUserNetwork(config, run: arguments.run)
    let launcher: any ContainerLauncher =
        config.runtime.isEmpty
        ? RuntimeLauncher(
            config, root: ContainerFiles.runtimeRoot(run: arguments.run), mountPoint: ContainerFiles.mountPoint(run: arguments.run, id: id),
            network: network)
        : ExternalLauncher(config, run: arguments.run, network: network)
    let supervisor: Supervisor
    do throws(SystemError) {
        supervisor = try Supervisor(arguments, config, directory: directory, lock: lock, launcher: launcher)
        supervisor.userNetwork = network
        supervisor.userPorts = ports
    } catch {
        throw ControlError(error, "supervise", id)
    }
    try step(id) { () throws(SystemError) in
        try supervisor.listen()
        try supervisor.watchSignals(signals)
    }
    return supervisor
}

/// The networks of an ordinary user are in namespaces of that user; a container that may have one is made from within. Ports that are served
/// by a process are bound here.
private func enterUserNetwork(
    _ config: SupervisionConfig, run: String
) throws(ControlError) -> (network: UserNetwork?, ports: UserPorts?) {
    // Also where it has no connection yet: one that is made while it runs needs the same namespaces.
    guard let plan = config.network else { return (nil, nil) }
    do throws(LaunchFailure) {
        if geteuid() == 0, !plan.portsPassInput { return (nil, nil) }
        // Ports are the host's: from in there it cannot be reached any more.
        let ports = UserPorts()
        ports.apply(try ports.prepareHere(plan.ports))
        if geteuid() == 0 { return (nil, ports) }
        return (try UserNetwork.enter(run: run), ports)
    } catch {
        throw ControlError(.startFailed, "connect", config.name, cause: error.text, exitCode: error.exitCode)
    }
}

private func step<T>(_ id: String, _ body: () throws(SystemError) -> T) throws(ControlError) -> T {
    do throws(SystemError) { return try body() } catch { throw ControlError(error, "supervise", id) }
}

/// Takes the container's lock: over from who launched us, or by itself. A supervisor that only serves slow readers of a run that has ended is asked to go.
private func acquireLock(_ directory: FD, _ arguments: SuperviseArguments, _ given: SharedFD?) throws(ControlError) -> SupervisorLock {
    if let given { return try SupervisorLock.adopt(given, in: directory) }
    do throws(ControlError) {
        return try SupervisorLock.acquire(in: directory)
    } catch {
        guard error.code == .alreadyRunning else { throw error }
    }
    if let other = try? SupervisorConnection.connect(run: arguments.run, id: arguments.id) { try other.request(.yield) }
    // Its last steps (removing its socket, exiting) take a moment.
    let deadline = monotonicNanoseconds() + 5_000_000_000
    while true {
        do throws(ControlError) {
            return try SupervisorLock.acquire(in: directory)
        } catch {
            if error.code != .alreadyRunning || monotonicNanoseconds() > deadline { throw error }
        }
        usleep(5_000)
    }
}

/// Leaves the starter's session and takes signals and orphans as what they are here: events.
///
/// - Returns: a descriptor for signals. None but SIGKILL ends us: the container's parent is not ended by a terminal that
///   hangs up or by a shell's `kill`.
package func becomeSupervisor() throws(SystemError) -> OwnedFD {
    _ = cl_setsid()  // fails where the starter has done it already
    try check(cl_prctl(36 /* PR_SET_CHILD_SUBREAPER */, 1, 0, 0, 0), "become subreaper")
    // SAFETY: the kernel copies the name during the call.
    _ = "berth-supervise".withCString { name in
        cl_prctl(15 /* PR_SET_NAME */, UInt(bitPattern: UnsafeRawPointer(name)), 0, 0, 0)
    }
    var mask = UInt64.max
    for signal in [SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS] { mask &= ~(1 << UInt64(signal - 1)) }
    try check(cl_signal_mask(mask, nil), "block signals")
    return OwnedFD(owning: try check(cl_signalfd(-1, mask, Int32(O_NONBLOCK)), "make signal descriptor"))
}
