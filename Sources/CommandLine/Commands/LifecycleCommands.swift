import Control
import Engine
import Flags
import Glibc
import Linux

/// `berth start`
struct StartCommand {
    let session: Session
    init(_ session: Session) { self.session = session }

    func run() throws(CommandError) -> Int32 {
        let arguments = session.arguments
        let names = try session.containers { !$0.isAlive && $0.observation.status != .restarting }
        let restore = try checkpoint(names)
        if arguments.bool("attach") || arguments.bool("interactive") {
            guard names.count == 1, let name = names.first else {
                throw CommandError("you cannot start and attach multiple containers at once")
            }
            return try runAttached(name, restore)
        }
        return session.forEach(names) { (name) throws(EngineError) in
            try session.engine.start(name, from: restore)
            return name
        }
    }

    /// What `--checkpoint` names.
    private func checkpoint(_ names: [String]) throws(CommandError) -> RestorePlan? {
        let arguments = session.arguments
        let checkpoint = arguments.string("checkpoint")
        if checkpoint.isEmpty {
            if arguments.isSet("checkpoint-dir") { throw CommandError("--checkpoint-dir needs --checkpoint") }
            return nil
        }
        guard names.count == 1, let name = names.first else { throw CommandError("you cannot restore multiple containers at once") }
        let directory = try CheckpointCommand.directory(arguments)
        return try engine { () throws(EngineError) in
            try session.engine.restorePlan(name, checkpoint: checkpoint, directory: directory)
        }
    }

    private func runAttached(_ name: String, _ restore: RestorePlan?) throws(CommandError) -> Int32 {
        let arguments = session.arguments
        do throws(EngineError) {
            guard let starting = try session.engine.prepareStart(name, from: restore) else {
                return try AttachCommand(session).attach(
                    name, input: arguments.bool("interactive"), keys: arguments.string("detach-keys"), proxy: arguments.bool("sig-proxy"))
            }
            session.tellWarnings()
            let definition = starting.definition
            var streams: AttachStreams = definition.terminal ? [.output] : [.output, .error]
            if definition.openStdin, arguments.bool("interactive") { streams.insert(.input) }
            // It has ours already.
            if definition.log.passesThrough { streams = [] }
            let outcome: AttachSession.Outcome
            do throws(ControlError) {
                let attached = try starting.connection.attach(streams)
                try Foreground.sendSize(definition, starting.connection)
                try starting.connection.start()
                outcome = try AttachSession.run(
                    starting.connection, consume attached,
                    try Foreground.options(definition, keys: arguments.string("detach-keys"), proxy: arguments.bool("sig-proxy")))
            } catch {
                throw EngineError(control: error)
            }
            do throws(CommandError) {
                return try Foreground.status(outcome, definition, session)
            } catch {
                throw EngineError(.runtime, sentence: error.text, exitCode: error.status)
            }
        } catch {
            throw CommandError(error, running: error.code == .runtime)
        }
    }
}

/// `berth stop`: all are asked first, then waited for, so that ten take no longer than one.
struct StopCommand {
    let session: Session
    init(_ session: Session) { self.session = session }

    func run() throws(CommandError) -> Int32 {
        let arguments = session.arguments
        let signal = try SignalArgument.read(arguments)
        return stop(try session.containers(where: \.canEnd)) { (name) throws(EngineError) in
            try session.engine.beginStop(name, signal: signal, timeout: arguments.int64("timeout"))
        }
    }

    func stop(_ names: [String], _ begin: (String) throws(EngineError) -> StopTicket) -> Int32 {
        var stopping: [(name: String, ticket: StopTicket)] = []
        var status: Int32 = 0
        for name in names {
            do throws(EngineError) {
                stopping.append((name, try begin(name)))
            } catch {
                if error.code == .notFound, session.isGiven("ignore") { continue }
                status = session.complain(of: error)
            }
        }
        for (name, ticket) in stopping {
            do throws(EngineError) {
                try session.engine.finishStop(ticket)
                session.print(name)
                session.flush()
            } catch {
                status = session.complain(of: error)
            }
        }
        return status
    }
}

enum SignalArgument {
    static func read(_ arguments: ParsedArguments) throws(CommandError) -> Int32? {
        guard arguments.isSet("signal") else { return nil }
        let text = arguments.string("signal")
        return try engine { () throws(EngineError) in try SignalName.parse(text) }
    }
}

/// `berth restart`
struct RestartCommand {
    let session: Session
    init(_ session: Session) { self.session = session }

    func run() throws(CommandError) -> Int32 {
        let arguments = session.arguments
        let signal = try SignalArgument.read(arguments)
        let running = arguments.bool("running")
        return session.forEach(try session.containers { !running || $0.canEnd }) { (name) throws(EngineError) in
            try session.engine.restart(name, signal: signal, timeout: arguments.int64("timeout"))
            return name
        }
    }
}

/// `berth kill`
struct KillCommand {
    let session: Session
    init(_ session: Session) { self.session = session }

    func run() throws(CommandError) -> Int32 {
        let signal = try engine { () throws(EngineError) in try SignalName.parse(session.arguments.string("signal")) }
        return session.forEach(try session.containers(where: \.isAlive)) { (name) throws(EngineError) in
            try session.engine.kill(name, signal: signal)
            return name
        }
    }
}

/// `berth rm`
struct RemoveCommand {
    let session: Session
    init(_ session: Session) { self.session = session }

    func run() throws(CommandError) -> Int32 {
        let arguments = session.arguments
        let force = arguments.bool("force")
        if arguments.isSet("time"), !force { throw CommandError("--force option must be specified to use the --time option") }
        let timeout = arguments.int64("time")
        return session.forEach(try session.containers()) { (name) throws(EngineError) in
            do throws(EngineError) {
                if let timeout { try session.engine.stop(name, timeout: timeout) }
                do throws(EngineError) {
                    try session.engine.remove(name, force: force, volumes: arguments.bool("volumes"))
                } catch {
                    // One that is removed at its end has gone with it.
                    guard timeout != nil, error.code == .notFound else { throw error }
                }
            } catch {
                if error.code == .notFound, arguments.bool("ignore") { return nil }
                guard force, error.code == .notFound else { throw error }
                // With -f it is enough that the container is not there: told, and no failure.
                session.complain(of: error)
                return nil
            }
            return name
        }
    }
}

/// `berth pause`, `berth unpause`
struct PauseCommand {
    let session: Session
    init(_ session: Session) { self.session = session }

    func pause() throws(CommandError) -> Int32 {
        session.forEach(try session.containers { $0.observation.status == .running }) { (name) throws(EngineError) in
            try session.engine.pause(name)
            return name
        }
    }

    func unpause() throws(CommandError) -> Int32 {
        session.forEach(try session.containers { $0.observation.status == .paused }) { (name) throws(EngineError) in
            try session.engine.unpause(name)
            return name
        }
    }
}

/// `berth rename`
struct RenameCommand {
    let session: Session
    init(_ session: Session) { self.session = session }

    func run() throws(CommandError) -> Int32 {
        let names = session.arguments.positionals
        guard names.count == 2 else { throw CommandError("a container and its new name are needed") }
        try engine { () throws(EngineError) in try session.engine.rename(names[0], to: names[1]) }
        return 0
    }
}

/// `berth wait`
struct WaitCommand {
    let session: Session
    init(_ session: Session) { self.session = session }

    func run() throws(CommandError) -> Int32 {
        let arguments = session.arguments
        var conditions: [WaitCondition] = []
        for text in arguments.strings("condition") {
            conditions.append(try engine { () throws(EngineError) in try WaitCondition(option: text) })
        }
        if conditions.isEmpty { conditions = [.notRunning] }
        let chosen = conditions
        let text = arguments.string("interval")
        // Podman's older scripts give milliseconds.
        guard let interval = DurationOption.parse(text) ?? Int64(text).flatMap({ $0 >= 0 && $0 < 1 << 40 ? $0 * 1_000_000 : nil }) else {
            throw CommandError("invalid interval \"\(text)\": give a duration as 250ms or 5s")
        }
        if arguments.bool("exit-first-match") { return try waitForFirst(chosen, max(interval, 1_000_000)) }
        return session.forEach(try session.containers()) { (name) throws(EngineError) in
            do throws(EngineError) {
                return "\(try session.engine.wait(name, for: chosen, interval: max(interval, 1_000_000)))"
            } catch {
                if arguments.bool("ignore"), error.code == .notFound { return "-1" }
                throw error
            }
        }
    }
}

extension WaitCommand {
    /// Of those that are not there nothing can be waited for, but with `--ignore` as for the others.
    private func waitForFirst(_ conditions: [WaitCondition], _ interval: Int64) throws(CommandError) -> Int32 {
        var (names, missing): ([String], Bool) = ([], false)
        for name in try session.containers() {
            do throws(EngineError) { names.append(try session.engine.container(name).id) } catch {
                guard session.arguments.bool("ignore"), error.code == .notFound else { throw CommandError(error) }
                missing = true
            }
        }
        let waited = names
        let code =
            missing && names.isEmpty
            ? -1
            : try engine { () throws(EngineError) in
                try session.engine.waitForFirst(of: waited, for: conditions, interval: interval)
            }
        session.print("\(code)")
        return 0
    }
}

/// `berth attach`
struct AttachCommand {
    let session: Session
    init(_ session: Session) { self.session = session }

    func run() throws(CommandError) -> Int32 {
        let arguments = session.arguments
        let name = try session.container().name
        do throws(EngineError) {
            return try attach(
                name, input: !arguments.bool("no-stdin"),
                keys: arguments.string("detach-keys"),
                proxy: arguments.bool("sig-proxy"))
        } catch {
            throw CommandError(error)
        }
    }

    func attach(_ name: String, input: Bool, keys: String, proxy: Bool) throws(EngineError) -> Int32 {
        let view = try session.engine.container(name)
        if view.observation.status == .paused {
            throw EngineError(.conflict, sentence: "cannot attach to a paused container, unpause it first")
        }
        guard view.isAlive, let connection = try session.engine.connect(view.id) else {
            throw EngineError(.conflict, sentence: "cannot attach to a stopped container, start it first")
        }
        let definition = view.definition
        if definition.log.passesThrough {
            throw EngineError(.conflict, sentence: "this container is using the '\(definition.log.driver)' log driver, cannot attach")
        }
        if input, definition.openStdin, definition.terminal, !Terminal.isTerminal(.standardInput) {
            throw EngineError(.invalid, sentence: "the input device is not a TTY")
        }
        var streams: AttachStreams = definition.terminal ? [.output] : [.output, .error]
        if input, definition.openStdin { streams.insert(.input) }
        let outcome: AttachSession.Outcome
        do throws(ControlError) {
            let attached = try connection.attach(streams)
            outcome = try AttachSession.run(
                connection, consume attached, try Foreground.options(definition, keys: keys, proxy: proxy))
        } catch {
            throw EngineError(control: error)
        }
        do throws(CommandError) {
            return try Foreground.status(outcome, definition, session)
        } catch {
            throw EngineError(.runtime, sentence: error.text, exitCode: error.status)
        }
    }
}

extension ContainerView {
    /// Whether there is something to stop: a process, or a next run that its restart policy wants.
    fileprivate var canEnd: Bool { isAlive || observation.status == .restarting }
}

/// `berth internal …`, run by the program itself inside the user namespace.
enum InternalCommand {
    static func run(_ arguments: [String]) -> Int32 {
        do throws(EngineError) {
            try Engine(roots: try Roots.locate(store: nil, run: nil)).runInternal(arguments)
            return 0
        } catch {
            return Session.report(CommandError(error))
        }
    }
}
