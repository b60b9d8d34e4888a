import Engine
import Flags
import JSON
import Linux

/// `berth mount` and `berth image mount`
struct MountCommand {
    let session: Session
    private var arguments: ParsedArguments { session.arguments }
    init(_ session: Session) { self.session = session }

    func containers() throws(CommandError) -> Int32 {
        try session.requireMounts("mount")
        try requireFormat()
        let names = try session.containers()
        if names.isEmpty, !session.isGiven("all") {
            return try list(try engine { () throws(EngineError) in try session.engine.mountedContainers() })
        }
        let isSingle = names.count == 1 && !session.isGiven("all")
        return try mount(names, isSingle: isSingle) { (name) throws(EngineError) in
            let view = try session.engine.container(name)
            return MountedObject(id: view.id, names: [view.name], path: try session.engine.mount(view.id))
        }
    }

    func images() throws(CommandError) -> Int32 {
        try session.requireMounts("image mount")
        try requireFormat()
        var names = arguments.positionals
        if session.isGiven("all") { names += try engine { () throws(EngineError) in try session.engine.images() }.map(\.id) }
        if names.isEmpty, !session.isGiven("all") {
            return try list(try engine { () throws(EngineError) in try session.engine.mountedImages() })
        }
        let isSingle = names.count == 1 && !session.isGiven("all")
        return try mount(names, isSingle: isSingle) { (name) throws(EngineError) in
            let mounted = try session.engine.mountImage(name)
            return MountedObject(id: mounted.id, names: [name], path: mounted.path)
        }
    }

    private func requireFormat() throws(CommandError) {
        let format = arguments.string("format")
        if !format.isEmpty, format != "json" { throw CommandError("unknown --format argument: \"\(format)\": use json", status: 125) }
    }

    /// - Parameter isSingle: a script wants the path and nothing else.
    private func mount(
        _ names: [String], isSingle: Bool, _ body: (String) throws(EngineError) -> MountedObject
    ) throws(CommandError) -> Int32 {
        var done: [MountedObject] = []
        let status = session.forEach(names) { (name) throws(EngineError) in
            done.append(try body(name))
            return nil
        }
        if isSingle, !isJSON {
            for object in done { session.print(object.path) }
        } else if !done.isEmpty || isJSON {
            _ = try list(done)
        }
        return status
    }

    private var isJSON: Bool { arguments.string("format") == "json" }

    private func list(_ objects: [MountedObject]) throws(CommandError) -> Int32 {
        if isJSON {
            session.printRaw(json(objects))
            return 0
        }
        var table = TextTable()
        for object in objects {
            let id = object.id.hasPrefix("sha256:") ? String(object.id.dropFirst(7)) : object.id
            table.add([arguments.bool("no-trunc") ? id : String(id.prefix(12)), object.path])
        }
        session.printRaw(table.render())
        return 0
    }

    /// podman's members.
    private func json(_ objects: [MountedObject]) -> String {
        let bytes = JSONWriter.document { (writer: inout JSONWriter) in
            writer.value(
                .array(
                    objects.map { object in
                        .object([
                            JSONValue.Member(key: "id", value: .string(object.id)),
                            JSONValue.Member(key: "Names", value: .array(object.names.map { .string($0) })),
                            JSONValue.Member(key: "mountpoint", value: .string(object.path)),
                        ])
                    }))
        }
        return String(decoding: bytes, as: UTF8.self) + "\n"
    }
}

/// `berth unmount` and `berth image unmount`
struct UnmountCommand {
    let session: Session
    private var arguments: ParsedArguments { session.arguments }
    init(_ session: Session) { self.session = session }

    func containers() throws(CommandError) -> Int32 {
        try session.requireMounts("unmount")
        let force = arguments.bool("force")
        if session.isGiven("all") {
            return session.forEach(try engine { () throws(EngineError) in try session.engine.allMountedContainers() }) {
                (id) throws(EngineError) in
                try session.engine.unmount(id, force: force)
            }
        }
        return session.forEach(try session.containers()) { (name) throws(EngineError) in try session.engine.unmount(name, force: force) }
    }

    func images() throws(CommandError) -> Int32 {
        try session.requireMounts("image unmount")
        let force = arguments.bool("force")
        var names = arguments.positionals
        if session.isGiven("all") { names = try engine { () throws(EngineError) in try session.engine.allMountedImages() } }
        return session.forEach(names) { (name) throws(EngineError) in try session.engine.unmountImage(name, force: force) }
    }
}

extension Session {
    /// Before anything is looked at: outside of `unshare` an ordinary user has no mounts.
    fileprivate func requireMounts(_ command: String) throws(CommandError) {
        do throws(EngineError) { try engine.requireMounts(command) } catch { throw CommandError(error.description, status: 125) }
    }
}
