import Engine
import Flags
import JSON
import Linux
import Store

/// `berth diff`
struct DiffCommand {
    let session: Session
    init(_ session: Session) { self.session = session }

    func run() throws(CommandError) -> Int32 {
        if let status = try session.delegated() { return status }
        let name = try session.container().name
        let changes = try engine { () throws(EngineError) in try session.engine.changes(of: name) }
        if session.arguments.string("format") == "json" {
            session.printRaw(json(changes))
            return 0
        }
        for change in changes {
            // A container chooses names: a line break in one must not look like a further line.
            session.print("\(letter(change.kind)) " + TerminalText.safe(String(decoding: change.path, as: UTF8.self)))
        }
        return 0
    }

    private func letter(_ kind: TreeChange.Kind) -> String {
        switch kind {
        case .changed: "C"
        case .added: "A"
        case .deleted: "D"
        }
    }

    /// podman's: lists of paths by what happened to them.
    private func json(_ changes: [TreeChange]) -> String {
        let bytes = JSONWriter.document { (writer: inout JSONWriter) in
            writer.object { w in
                for (name, kind) in [("changed", TreeChange.Kind.changed), ("added", .added), ("deleted", .deleted)] {
                    let paths = changes.filter { $0.kind == kind }.map { String(decoding: $0.path, as: UTF8.self) }
                    if !paths.isEmpty {
                        w.key(name)
                        w.value(.array(paths.map { .string($0) }))
                    }
                }
            }
        }
        return String(decoding: bytes, as: UTF8.self) + "\n"
    }
}

/// `berth export`
struct ExportCommand {
    let session: Session
    init(_ session: Session) { self.session = session }

    func run() throws(CommandError) -> Int32 {
        let name = session.arguments.positionals.first ?? ""
        let output = session.arguments.optionalString("output")
        if output == nil, Terminal.isTerminal(.standardOutput) {
            throw CommandError("cowardly refusing to save to a terminal. Use the -o flag or redirect")
        }
        if let status = try session.delegated(withTreesOf: [name], mounts: false) { return status }
        return try session.withTrees { () throws(EngineError) in try session.engine.export(name, to: output) }
    }
}

extension Session {
    /// Of the second self: begin again, a container was started meanwhile.
    private static let againStatus: Int32 = 75

    /// As ``delegated(telling:)``, with what containers that run see.
    func delegated(withTreesOf names: [String], mounts: Bool) throws(CommandError) -> Int32? {
        for _ in 0..<100 {
            let trees: (facts: [String], held: [SharedFD])
            do throws(EngineError) { trees = try engine.exportTrees(of: names, withMounts: mounts) } catch { throw CommandError(error) }
            let status = try delegated(telling: trees.facts)
            withExtendedLifetime(trees.held) {}
            if status != Session.againStatus { return status }
        }
        throw CommandError("a container is being started and stopped again and again: stop it first")
    }

    /// What a command does with the files of containers.
    func withTrees(_ body: () throws(EngineError) -> Void) throws(CommandError) -> Int32 {
        do throws(EngineError) { try body() } catch {
            if error.code == .startedMeanwhile { return Session.againStatus }
            throw CommandError(error)
        }
        return 0
    }
}

/// `berth commit`
struct CommitCommand {
    let session: Session
    private var arguments: ParsedArguments { session.arguments }
    init(_ session: Session) { self.session = session }

    func run() throws(CommandError) -> Int32 {
        let words = arguments.positionals
        if arguments.isSet("pause"), arguments.isSet("no-pause"), arguments.bool("pause") == arguments.bool("no-pause") {
            throw CommandError("--pause and --no-pause contradict each other")
        }
        if let status = try session.delegated() { return status }
        var options = CommitOptions()
        options.name = words.dropFirst().first ?? ""
        options.author = arguments.string("author")
        options.message = arguments.string("message")
        options.changes = arguments.strings("change")
        options.pauses = arguments.bool("pause") && !arguments.bool("no-pause")
        let id = try engine { () throws(EngineError) in try session.engine.commit(words.first ?? "", options) }
        if let path = arguments.optionalString("iidfile") {
            do throws(SystemError) { try session.write(id, to: path) } catch {
                throw CommandError(error.description)
            }
        }
        session.print(CalledAs.current == .podman ? ImageText.digits(id) : id)
        return 0
    }
}
