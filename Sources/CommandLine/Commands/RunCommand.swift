import Control
import Engine
import Flags
import Glibc
import Linux

/// `berth run`
struct RunCommand {
    let session: Session
    private var arguments: ParsedArguments { session.arguments }

    init(_ session: Session) { self.session = session }

    func run() throws(CommandError) -> Int32 {
        var request = try RunOptions(arguments: arguments).request()
        let detach = arguments.bool("detach")
        let definition = request.definition
        try check(definition, detach)
        let streams = AttachStreams(arguments, definition, detach: detach)
        request.definition.detachKeys = arguments.string("detach-keys")
        request.definition.setAttached(streams)
        let cidFile = try CIDFile(arguments.string("cidfile"))
        let starting: StartingContainer
        do throws(CommandError) {
            starting = try ImagePuller(session: session).supplying(request) { (request) throws(EngineError) in
                try session.engine.createAndLaunch(request)
            }
        } catch {
            cidFile?.discard()
            throw error
        }
        try cidFile?.write(starting.definition.id)
        session.tellWarnings()
        if detach { return try runDetached(starting) }
        return try Foreground.run(
            starting, streams, keys: arguments.string("detach-keys"), proxy: arguments.bool("sig-proxy"), session)
    }

    private func check(_ definition: ContainerDefinition, _ detach: Bool) throws(CommandError) {
        if detach, arguments.isSet("attach") {
            throw CommandError("conflicting options: cannot specify both --attach and --detach", status: 125)
        }
        if !detach, definition.openStdin, definition.terminal, !Terminal.isTerminal(.standardInput) {
            throw CommandError("the input device is not a TTY", status: 1)
        }
    }

    private func runDetached(_ starting: StartingContainer) throws(CommandError) -> Int32 {
        do throws(ControlError) {
            try starting.connection.start()
            try starting.connection.waitForStarted()
        } catch {
            session.engine.finishFailedStart(starting.definition)
            throw CommandError(EngineError(control: error), running: true)
        }
        // Standard output is the container's.
        if !starting.definition.log.passesThrough { session.print(starting.definition.id) }
        return 0
    }
}

extension AttachStreams {
    /// What `run` and `create` connect: all, or those of `--attach`. Input with `-i` always, as in docker.
    fileprivate init(_ arguments: ParsedArguments, _ definition: ContainerDefinition, detach: Bool) {
        self = []
        if detach || definition.log.passesThrough { return }
        let chosen = arguments.strings("attach").map { $0.lowercased() }
        if chosen.isEmpty || chosen.contains("stdout") { insert(.output) }
        if chosen.isEmpty || chosen.contains("stderr"), !definition.terminal { insert(.error) }
        if definition.openStdin { insert(.input) }
    }
}

extension ContainerDefinition {
    /// What `inspect` says and `start -ai` goes by. Input that is attached ends with its first client.
    fileprivate mutating func setAttached(_ streams: AttachStreams) {
        stdinOnce = streams.contains(.input)
        attachStdin = streams.contains(.input)
        attachStdout = streams.contains(.output)
        attachStderr = streams.contains(.error) || terminal && streams.contains(.output)
    }
}

/// What `run`, `start -a` and `attach` do alike.
enum Foreground {
    /// Starts it with this command's streams, and waits for its end.
    ///
    /// - Parameter keys: that detach; empty: the usual ones, nil: none.
    /// - Returns: the container's exit status.
    static func run(
        _ starting: StartingContainer, _ streams: AttachStreams, keys: String?, proxy: Bool, _ session: Session
    ) throws(CommandError) -> Int32 {
        let definition = starting.definition
        // Who does not want its output gets what it can be found by, before input is taken.
        if streams.isDisjoint(with: [.output, .error]), !definition.log.passesThrough {
            session.print(definition.id)
            session.flush()
        }
        let outcome: AttachSession.Outcome
        do throws(ControlError) {
            // Attach before start: no byte is missed. Neither waits for an answer.
            let attached = try starting.connection.attach(streams)
            try sendSize(definition, starting.connection)
            try starting.connection.start()
            outcome = try AttachSession.run(
                starting.connection, consume attached, try options(definition, keys: keys, proxy: proxy))
        } catch {
            throw CommandError(EngineError(control: error), running: true)
        }
        return try status(outcome, definition, session)
    }

    static func options(
        _ definition: ContainerDefinition, keys: String?, proxy: Bool
    ) throws(ControlError) -> AttachSession.Options {
        var options = AttachSession.Options()
        options.terminal = definition.terminal
        options.forwardSignals = proxy
        guard let keys else {
            options.detachKeys = nil
            return options
        }
        let text = keys.isEmpty ? definition.detachKeys : keys
        if !text.isEmpty { options.detachKeys = try DetachKeys.parse(text) }
        return options
    }

    /// The terminal has its size before the program looks for it. To be called before the start.
    static func sendSize(
        _ definition: ContainerDefinition, _ connection: SupervisorConnection
    ) throws(ControlError) {
        guard definition.terminal, let size = terminalSize(.standardInput) ?? terminalSize(.standardOutput) else { return }
        try connection.post(.resize(rows: size.rows, columns: size.columns))
    }

    /// The exit status of a command whose container's end, or whose own, was seen.
    static func status(
        _ outcome: AttachSession.Outcome, _ definition: ContainerDefinition, _ session: Session
    ) throws(CommandError) -> Int32 {
        switch outcome {
        case .exited(let record, _):
            session.engine.finishAutoRemove(definition)
            if !record.error.isEmpty { session.complain("Error: " + record.error) }
            return Int32(truncatingIfNeeded: record.exitCode)
        case .failed(let code, let text):
            session.engine.finishFailedStart(definition)
            throw CommandError(text, status: code)
        case .detached:
            session.engine.announce("detach", definition)
            return 0
        case .interrupted(let signal): return 128 + signal
        case .outputClosed: return 128 + SIGPIPE
        case .disconnected:
            // Its supervisor was killed; what is known now is all that will ever be.
            if let seen = try? session.engine.observe(definition.id), seen.status == .exited, seen.exitCode >= 0 {
                return Int32(truncatingIfNeeded: seen.exitCode)
            }
            throw CommandError(
                "the supervisor of container \(definition.shortID) was killed; its exit code is unknown", status: 125)
        }
    }
}

/// `--cidfile`: made before the container, so that two commands cannot both think it is theirs.
struct CIDFile {
    let path: String

    init?(_ path: String) throws(CommandError) {
        if path.isEmpty { return nil }
        do throws(SystemError) {
            _ = try FD.cwd.open(path, [.writeOnly, .create, .exclusive, .noFollow], mode: 0o644)
        } catch {
            if error.errno == .exists {
                throw CommandError(
                    "container ID file found, make sure the other container isn't running or delete \(path)",
                    status: 125)
            }
            throw CommandError("create container ID file \"\(path)\": \(error.errno.description)", status: 125)
        }
        self.path = path
    }

    func write(_ id: String) throws(CommandError) {
        do throws(SystemError) {
            try FD.cwd.writeFile(path, Array(id.utf8), mode: 0o644)
        } catch {
            throw CommandError("write container ID file \"\(path)\": \(error.errno.description)", status: 125)
        }
    }

    func discard() { try? FD.cwd.removeFile(path) }
}

/// `berth create`
struct CreateCommand {
    let session: Session
    init(_ session: Session) { self.session = session }

    func run() throws(CommandError) -> Int32 {
        var request = try RunOptions(arguments: session.arguments).request()
        request.definition.setAttached(AttachStreams(session.arguments, request.definition, detach: false))
        let cidFile = try CIDFile(session.arguments.string("cidfile"))
        do throws(CommandError) {
            let definition = try ImagePuller(session: session).supplying(request) { (request) throws(EngineError) in
                try session.engine.create(request)
            }
            try? cidFile?.write(definition.id)
            session.print(definition.id)
        } catch {
            cidFile?.discard()
            throw error
        }
        return 0
    }
}
