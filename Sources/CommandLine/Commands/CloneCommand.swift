import Engine
import Flags

/// `berth container clone`
struct CloneCommand {
    let session: Session
    private var arguments: ParsedArguments { session.arguments }
    init(_ session: Session) { self.session = session }

    func run() throws(CommandError) -> Int32 {
        let words = arguments.positionals
        let source = words.first ?? ""
        var request = CloneRequest()
        request.name = arguments.string("name")
        if words.count > 1 {
            if !request.name.isEmpty, request.name != words[1] {
                throw CommandError("two names for the clone: --name \(request.name) and \(words[1])", status: 125)
            }
            request.name = words[1]
        }
        if words.count > 2 { request.image = words[2] }
        request.destroy = arguments.bool("destroy")
        request.force = arguments.bool("force")
        request.memorySwappiness = arguments.int64("memory-swappiness") ?? -1
        do throws(EngineError) { request.change.resources = try ResourceRequest(arguments) } catch {
            throw CommandError(error, running: true)
        }
        let change = request
        // Only another image can be missing: that of the source is kept by it.
        let definition = try ImagePuller(session: session).supplying(ContainerRequest(image: request.image)) { (_) throws(EngineError) in
            try session.engine.clone(source, change)
        }
        if arguments.bool("run") {
            do throws(EngineError) { try session.engine.start(definition.id) } catch { throw CommandError(error, running: true) }
        }
        session.print(definition.id)
        return 0
    }
}

/// `berth init`
struct InitializeCommand {
    let session: Session
    init(_ session: Session) { self.session = session }

    func run() throws(CommandError) -> Int32 {
        let names = try session.containers { !$0.hasProcess && $0.observation.status != .restarting }
        return session.forEach(names) { (name) throws(EngineError) in
            _ = try session.engine.initialize(name)
            return name
        }
    }
}
