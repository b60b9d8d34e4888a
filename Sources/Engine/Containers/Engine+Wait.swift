import Control
import Glibc
import Linux

/// What `wait --condition` waits for: Docker's conditions and podman's states.
public enum WaitCondition: Sendable, Hashable {
    /// It does not run (any more).
    case notRunning
    /// The run that goes on, or the next one, has ended.
    case nextExit
    /// It is not there any more.
    case removed
    case created, initialized, running, paused, stopping, removing
    case healthy, unhealthy

    /// - Throws: `.invalid` with podman's sentence.
    public init(option text: String) throws(EngineError) {
        switch text {
        case "not-running", "exited", "stopped": self = .notRunning
        case "next-exit": self = .nextExit
        case "removed": self = .removed
        case "created", "configured": self = .created
        case "initialized": self = .initialized
        case "running": self = .running
        case "paused": self = .paused
        case "stopping": self = .stopping
        case "removing": self = .removing
        case "healthy": self = .healthy
        case "unhealthy": self = .unhealthy
        default: throw .invalid("unknown container state: \(text): invalid argument")
        }
    }

    var isHealth: Bool { self == .healthy || self == .unhealthy }

    /// Whether it is met.
    ///
    /// - Parameter before: how the container was when the waiting began.
    fileprivate func holds(_ view: ContainerView, since before: ContainerObservation) -> Bool {
        let seen = view.observation
        switch self {
        case .notRunning: return seen.status == .exited || seen.status == .removing || seen.status == .created && !seen.error.isEmpty
        case .nextExit: return seen.finishedAt != before.finishedAt || before.status.isAlive && seen.status == .exited
        case .removed: return false
        case .created: return seen.status == .created || seen.status == .starting
        case .initialized: return seen.status == .initialized
        case .running: return seen.status == .running || seen.status == .stopping
        case .paused: return seen.status == .paused
        case .stopping: return seen.status == .stopping
        case .removing: return seen.status == .removing
        case .healthy: return view.health == .healthy
        case .unhealthy: return view.isAlive && view.health == .unhealthy
        }
    }

    /// With which the container's exit code is told.
    fileprivate var hasExitCode: Bool { self == .notRunning || self == .nextExit || self == .removed || self == .removing }
}

extension Engine {
    /// Waits until one of some conditions holds.
    ///
    /// The container's supervisor tells of starts, ends and health when they happen; what nobody tells is looked for.
    /// - Parameters:
    ///   - conditions: not empty.
    ///   - interval: nanoseconds between two looks.
    /// - Returns: the exit code, with a condition that is about the end; -1 with any other, as podman's.
    /// - Throws: `.conflict` when only health is waited for and the container has no probe, or has ended for good.
    public func wait(_ text: String, for conditions: [WaitCondition], interval: Int64) throws(EngineError) -> Int {
        if conditions == [.notRunning] { return try wait(text) }
        var view = try container(text)
        let before = view.observation
        let healthOnly = conditions.allSatisfy(\.isHealth)
        if healthOnly, view.definition.health?.hasProbe != true {
            throw EngineError(.conflict, sentence: "container \(view.name) has no healthcheck: give one with --health-cmd", exitCode: 1)
        }
        var connection: SupervisorConnection?
        while true {
            if let met = conditions.first(where: { $0.holds(view, since: before) }) {
                return met.hasExitCode ? view.observation.exitCode : -1
            }
            if healthOnly, view.observation.status == .exited || view.observation.status == .removing {
                throw EngineError(
                    .conflict,
                    sentence:
                        "container \(view.name) has ended with exit code \(view.observation.exitCode) while its health was waited for",
                    exitCode: 1)
            }
            try waitForChange(view, &connection, interval)
            do throws(EngineError) { view = try container(view.id) } catch {
                guard error.code == .notFound else { throw error }
                if conditions.contains(where: \.hasExitCode) { return max(view.observation.exitCode, 0) }
                throw EngineError(.notFound, sentence: "container \(view.name) was removed while it was waited for", exitCode: 1)
            }
        }
    }

    /// Waits until one of some conditions holds for one of several containers.
    ///
    /// - Parameters:
    ///   - ids: not empty, of containers that are there.
    ///   - interval: nanoseconds between two looks.
    /// - Returns: as ``wait(_:for:interval:)``, for the first that was found.
    public func waitForFirst(of ids: [String], for conditions: [WaitCondition], interval: Int64) throws(EngineError) -> Int {
        var before: [String: ContainerView] = [:]
        // Of a container that goes with its end only its supervisor can say how that was.
        var connections: [String: SupervisorConnection] = [:]
        while true {
            for id in ids {
                if connections[id] == nil { connections[id] = try connect(id) }
                if let connection = connections[id], conditions.contains(.notRunning), let code = exitCode(told: connection) { return code }
                let view: ContainerView
                do throws(EngineError) { view = try container(id) } catch {
                    guard error.code == .notFound, let last = before[id] else { throw error }
                    return conditions.contains(where: \.hasExitCode) ? max(last.observation.exitCode, 0) : -1
                }
                let first = before[id] ?? view
                if let met = conditions.first(where: { $0.holds(view, since: first.observation) }) {
                    return met.hasExitCode ? view.observation.exitCode : -1
                }
                if before[id] == nil { before[id] = view }
            }
            usleep(UInt32(clamping: min(interval, 1_000_000_000) / 1000))
        }
    }

    /// What a supervisor has told of its container's end by now.
    private func exitCode(told connection: SupervisorConnection) -> Int? {
        while let event = try? connection.receive(timeout: 0) {
            if case .exited(let record, restarting: false) = event { return record.exitCode }
        }
        return nil
    }

    /// Returns when the supervisor has told something, and after the interval at the latest.
    private func waitForChange(_ view: ContainerView, _ connection: inout SupervisorConnection?, _ interval: Int64) throws(EngineError) {
        if connection == nil, !view.observation.supervisorLost, view.observation.supervisor > 0, let made = try connect(view.id) {
            // Told from now on, and looked at once more: it may have changed before. An older supervisor does not know this.
            if (try? made.watchHealth()) != nil { connection = made }
        }
        guard let listening = connection else {
            usleep(UInt32(clamping: min(interval, 100_000_000) / 1000))
            return
        }
        do throws(ControlError) {
            if try listening.receive(timeout: Int32(clamping: interval / 1_000_000)) != nil { return }
            connection = nil
            // A supervisor that ends closes its socket before the kernel lets go of its lock.
            usleep(5000)
        } catch {
            if error.code != .timedOut { connection = nil }
        }
    }
}
