import Control
import Glibc
import Linux

/// Somebody who has asked for a probe.
struct WaitingForProbe {
    let client: ControlClient
    let sequence: UInt32
    /// Probes that had begun when it asked: the result of a later one is its answer.
    let after: Int
}

/// Whether the container works: told to `ps`, `inspect` and whoever waits, and acted upon.
extension Supervisor {
    private var healthPath: String { ContainerFiles.health(run: arguments.run, id: arguments.id) }

    /// The container runs.
    func startProbes() {
        guard let plan = config.health else { return }
        let monitor = health ?? makeMonitor(plan)
        health = monitor
        monitor.containerStarted(at: startedMonotonic)
        try? monitor.state.record.save(.cwd, healthPath)
        tellHealth()
    }

    private func makeMonitor(_ plan: HealthPlan) -> HealthMonitor {
        let log = config.autoRemove ? [] : HealthRecord.load(directory.fd, ContainerFiles.health)?.log ?? []
        let monitor = HealthMonitor(
            plan, log: log, loop: loop, isPaused: { [unowned self] in isFrozen(record.freezeFile) },
            isEnding: { [unowned self] in isBeingKilled || processIsExiting(record.pid) },
            begin: { [unowned self] (command, input, output) throws(LaunchFailure) in try beginProbe(command, input, output) })
        monitor.onResult = { [unowned self] in probeEnded($0, $1) }
        return monitor
    }

    private func beginProbe(_ command: [String], _ input: FD, _ output: FD) throws(LaunchFailure) -> any ProbeProcess {
        // Another runtime's command inherits the score, and with it the probe.
        if !config.runtime.isEmpty { unprotectFromOutOfMemory() }
        defer { if !config.runtime.isEmpty { protectFromOutOfMemory() } }
        let score = Int(usualOOMScore.prefix { $0 != "\n" })
        return try launcher.beginProbe(command, input: input, output: output, oomScore: score)
    }

    /// The container has ended. What was found stays to be read where the container stays.
    func endProbes() {
        guard let health else { return }
        health.containerEnded()
        probers = []
        if !config.autoRemove { try? health.state.record.save(directory.fd, ContainerFiles.health) }
    }

    func pauseProbes() {
        health?.pause()
        refuseProbers("container is paused")
    }

    private func refuseProbers(_ text: String) {
        let waiting = probers
        probers = []
        for prober in waiting where prober.client.token != nil {
            let refusal = ControlEvent.refused(code: ControlError.Code.refused.rawValue, text: text)
            if !prober.client.send(refusal, sequence: prober.sequence) { remove(prober.client) }
        }
    }

    /// `healthcheck run`: the answer follows when the probe has ended.
    func probe(_ client: ControlClient, _ sequence: UInt32) throws(ControlError) {
        guard config.health != nil, let health else { throw refusal("container has no defined healthcheck") }
        guard stage == .running else { throw refusal("container is not running") }
        if !health.isActive || isFrozen(record.freezeFile) { throw refusal("container is paused") }
        probers.append(WaitingForProbe(client: client, sequence: sequence, after: health.begun))
        health.probeNow()
    }

    private func probeEnded(_ result: HealthResult, _ consequence: HealthState.Consequence) {
        guard let health else { return }
        let now = health.state.record
        // The details first: who is told of a change looks at them next. A full disk costs them only.
        try? now.save(.cwd, healthPath)
        if record.health != now.status {
            record.health = now.status
            setPhase(record.phase)
            tellHealth()
            tell("health_status: " + now.status.text)
        }
        let answered = probers.filter { $0.after < health.begun }
        probers.removeAll { $0.after < health.begun }
        for prober in answered where prober.client.token != nil {
            let event = ControlEvent.probed(exitCode: Int32(truncatingIfNeeded: result.exitCode), now.status)
            if !prober.client.send(event, sequence: prober.sequence) { remove(prober.client) }
        }
        switch consequence {
        case .unhealthy: act(health.state.plan.onFailure)
        case .restart: act(.restart)
        case .none, .started: break
        }
    }

    private func tellHealth() {
        for client in clients where client.watchesHealth && !client.send(.health(record.health), sequence: 0) { remove(client) }
    }

    /// Podman's `--health-on-failure`. A container that is being stopped ends anyhow.
    private func act(_ action: HealthPlan.Action) {
        guard stage == .running, record.phase == .running else { return }
        switch action {
        case .none: break
        case .kill: try? send(SIGKILL)  // the restart policy has the next word
        case .stop:
            manuallyStopped = true
            try? stop(0, ControlRequest.configuredTimeout)
        case .restart:
            restartsWhateverPolicy = true
            try? stopRunning(config.stopSignal, ControlRequest.configuredTimeout)
        }
    }

    /// Takes over another plan while the container runs.
    func changeHealth(to plan: HealthPlan?) {
        guard plan != config.health else { return }
        config.health = plan
        guard let plan else {
            health?.containerEnded()
            health = nil
            refuseProbers("container has no defined healthcheck")
            record.health = .none
            if stage == .running { setPhase(record.phase) }
            tellHealth()
            return
        }
        if let health { return health.change(to: plan) }
        guard stage == .running else { return }
        record.health = .starting
        setPhase(record.phase)
        startProbes()
    }
}
