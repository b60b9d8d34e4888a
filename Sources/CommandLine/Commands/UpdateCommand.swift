import Engine
import Flags

/// `berth update`
struct UpdateCommand {
    let session: Session
    private var arguments: ParsedArguments { session.arguments }
    init(_ session: Session) { self.session = session }

    func run() throws(CommandError) -> Int32 {
        let added = try engine { () throws(EngineError) in
            var result: [PortBinding] = []
            for text in arguments.strings("publish-add") { result.append(try PortBinding(option: text)) }
            return result
        }
        let removed = arguments.strings("publish-rm")
        if added.isEmpty, removed.isEmpty { throw CommandError("nothing to change: give --publish-add or --publish-rm") }
        return session.forEach(arguments.positionals) { (name) throws(EngineError) in
            try session.engine.changePorts(name, adding: added, removing: removed)
            return name
        }
    }
}
