import Engine
import Flags
import Linux

/// `berth container exists`: 0 where it is there, 1 where not, 125 where nobody can tell.
struct ContainerExistsCommand {
    let session: Session
    init(_ session: Session) { self.session = session }

    func run() throws(CommandError) -> Int32 {
        do throws(EngineError) {
            _ = try session.engine.container(session.arguments.positionals.first ?? "")
            return 0
        } catch {
            if error.code == .notFound { return 1 }
            throw CommandError(error.description, status: 125, code: error.code)
        }
    }
}

/// `berth container cleanup`
struct CleanUpCommand {
    let session: Session
    init(_ session: Session) { self.session = session }

    func run() throws(CommandError) -> Int32 {
        let arguments = session.arguments
        let names = try session.containers { !$0.isAlive && $0.observation.status != .restarting }
        return session.forEach(names) { (name) throws(EngineError) in
            let id = try session.engine.cleanUp(name)
            if arguments.bool("rm") { try session.engine.remove(id) }
            return id
        }
    }
}

/// `berth unshare`
struct UnshareCommand {
    let session: Session
    init(_ session: Session) { self.session = session }

    func run() throws(CommandError) -> Int32 {
        var command = session.arguments.positionals
        if command.isEmpty { command = [environmentVariable("SHELL") ?? "/bin/sh"] }
        do throws(EngineError) { return try session.engine.runUnshared(command) } catch {
            throw CommandError(error.description, status: error.exitCode, code: error.code)
        }
    }
}
