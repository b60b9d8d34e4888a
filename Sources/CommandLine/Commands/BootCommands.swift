import Engine
import Flags
import Linux

/// `berth system boot`, `berth system shutdown`
struct BootCommands {
    let session: Session
    init(_ session: Session) { self.session = session }

    func boot() throws(CommandError) -> Int32 {
        let views = try engine { () throws(EngineError) in try session.engine.containersToStartAfterBoot() }
        return session.forEach(views.map(\.name)) { (name) throws(EngineError) in
            try session.engine.start(name)
            return name
        }
    }

    func shutDown() throws(CommandError) -> Int32 {
        let timeout = session.arguments.int64("timeout")
        let views = try engine { () throws(EngineError) in try session.engine.containersToShutDown() }
        return StopCommand(session).stop(views.map(\.name)) { (name) throws(EngineError) in
            try session.engine.beginStop(name, timeout: timeout, isShutdown: true)
        }
    }
}

/// `berth system install-service`
struct InstallServiceCommand {
    let session: Session
    init(_ session: Session) { self.session = session }

    func run() throws(CommandError) -> Int32 {
        let arguments = session.arguments
        var destination = arguments.string("destdir")
        while destination.hasSuffix("/") { destination.removeLast() }
        if !destination.isEmpty, !destination.hasPrefix("/") { throw CommandError("--destdir \(destination): the path is not absolute") }
        let unit = try engine { () throws(EngineError) in
            try session.engine.serviceUnit(
                manager: arguments.string("init"), user: arguments.string("user"), destination: destination)
        }
        if arguments.bool("print") {
            session.printRaw(unit.text)
            return 0
        }
        let result = try engine { () throws(EngineError) in
            try arguments.bool("remove")
                ? session.engine.remove(unit, destination: destination) : session.engine.install(unit, destination: destination)
        }
        for path in result.paths { session.print(path) }
        for remark in result.remarks { session.complain(remark) }
        return 0
    }
}
