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
        let rate = try engine { () throws(EngineError) in
            arguments.isSet("network-rate") ? try NetworkRateOption(arguments.string("network-rate")) : nil
        }
        if added.isEmpty, removed.isEmpty, rate == nil {
            throw CommandError("nothing to change: give --publish-add, --publish-rm or --network-rate")
        }
        return session.forEach(arguments.positionals) { (name) throws(EngineError) in
            if !added.isEmpty || !removed.isEmpty { try session.engine.changePorts(name, adding: added, removing: removed) }
            if let rate { try session.engine.changeRate(name, rate) }
            return name
        }
    }
}
