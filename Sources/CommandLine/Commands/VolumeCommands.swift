import Engine
import Flags
import JSON
import Linux

/// `berth volume create`
struct VolumeCreateCommand {
    let session: Session
    private var arguments: ParsedArguments { session.arguments }
    init(_ session: Session) { self.session = session }

    func run() throws(CommandError) -> Int32 {
        var request = VolumeRequest(name: arguments.positionals.first ?? "")
        request.driver = arguments.string("driver")
        for pair in arguments.pairs("opt") { request.options[pair.key] = pair.value }
        request.takesExisting = arguments.bool("ignore")
        try engine { () throws(EngineError) in
            for text in arguments.strings("label") {
                let label = try EnvironmentOption.label(text)
                request.labels[label.key] = label.value
            }
            session.print(try session.engine.createVolume(request).name)
        }
        return 0
    }
}

/// `berth volume ls`
struct VolumeListCommand {
    let session: Session
    private var arguments: ParsedArguments { session.arguments }
    init(_ session: Session) { self.session = session }

    func run() throws(CommandError) -> Int32 {
        let filter = try VolumeFilter(arguments.pairs("filter"))
        // Before the volumes: one that is made and used meanwhile is not shown as unused.
        let all = try engine { () throws(EngineError) in try session.engine.volumes() }
        let used = filter.looksAtUse ? try engine { () throws(EngineError) in try session.engine.usedVolumes() } : []
        let volumes = all.filter { filter.matches($0, used) }
        let format = arguments.string("format")
        if arguments.bool("quiet"), format.isEmpty {
            for volume in volumes { session.print(volume.name) }
            return 0
        }
        if format.isEmpty || format == "table" {
            var table = TextTable(heading: arguments.bool("noheading") ? nil : ["DRIVER", "VOLUME NAME"])
            for volume in volumes { table.add([volume.driver, volume.name]) }
            session.printRaw(table.render())
            return 0
        }
        if CalledAs.current == .podman, format == "json" {
            return try InspectCommand(session).print(volumes.map(\.name), as: .volume)
        }
        let items = volumes.map { volume -> ObjectList.Item in
            let labels = volume.labels
            let method: TemplateMethod = { TemplateValue(.string(labels[$0.first?.json.string ?? ""] ?? "")) }
            return (object(volume), ["Label": method])
        }
        let list = ObjectList(type: "*formatter.volumeContext", title: Self.heading, hasHeading: !arguments.bool("noheading"))
        try list.print(items, try Template(format), session)
        return 0
    }

    private func object(_ volume: VolumeView) -> JSONValue {
        ObjectList.object([
            ("Availability", "N/A"), ("Driver", volume.driver), ("Group", "N/A"),
            ("Labels", volume.labels.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: ",")),
            ("Links", "N/A"), ("Mountpoint", volume.mountpoint), ("Name", volume.name), ("Scope", "local"), ("Size", "N/A"),
            ("Status", "N/A"),
        ])
    }

    static func heading(_ field: String) -> String {
        field == "Name" ? "VOLUME NAME" : field.uppercased()
    }
}

/// `--filter` of `volume ls`.
struct VolumeFilter {
    private var values: [String: [String]] = [:]
    private var names: [TextPattern] = []

    init(_ pairs: [(key: String, value: String)]) throws(CommandError) {
        for (key, value) in pairs {
            switch key {
            case "name": names.append(try TextPattern(value))
            case "driver", "label", "label!", "scope", "opt": break
            case "dangling":
                guard ["true", "false", "1", "0"].contains(value) else { throw .invalid("invalid filter 'dangling=\(value)'") }
            default: throw .invalid("invalid filter '\(key)'")
            }
            values[key, default: []].append(value)
        }
    }

    var looksAtUse: Bool { values["dangling"] != nil }

    func matches(_ volume: VolumeView, _ used: Set<String>) -> Bool {
        if !names.isEmpty, !names.contains(where: { $0.matches(volume.name) }) { return false }
        if let drivers = values["driver"], !drivers.contains(volume.driver) { return false }
        if let scopes = values["scope"], !scopes.contains("local") { return false }
        for text in values["label"] ?? [] where !ContainerFilter.hasLabel(volume.labels, text) { return false }
        for text in values["label!"] ?? [] where ContainerFilter.hasLabel(volume.labels, text) { return false }
        for text in values["opt"] ?? [] where !ContainerFilter.hasLabel(volume.options, text) { return false }
        guard let states = values["dangling"] else { return true }
        return states.contains { ($0 == "true" || $0 == "1") != used.contains(volume.name) }
    }
}

/// `berth volume rm`, `exists`
struct VolumeRemoveCommand {
    let session: Session
    init(_ session: Session) { self.session = session }

    func run() throws(CommandError) -> Int32 {
        let force = session.arguments.bool("force")
        let all = session.arguments.bool("all")
        var names = session.arguments.positionals
        if all {
            names = try engine { () throws(EngineError) in
                let used = try session.engine.usedVolumes()
                return try session.engine.volumes().map(\.name).filter { !used.contains($0) }
            }
        }
        return session.forEach(names) { (name) throws(EngineError) in
            let reference = VolumeReference(name)
            if reference.snapshot == nil {
                // With --all, one that went or came into use meanwhile is no failure of this command.
                try session.engine.removeVolume(name, force: force || all)
            } else {
                try session.engine.removeSnapshot(reference, force: force)
            }
            return name
        }
    }

    func exists() throws(CommandError) -> Int32 {
        do throws(EngineError) {
            _ = try session.engine.volume(session.arguments.positionals.first ?? "")
            return 0
        } catch {
            if error.code == .notFound { return 1 }
            throw CommandError(error)
        }
    }
}

/// `berth volume export`, `import`
struct VolumeArchiveCommand {
    let session: Session
    private var arguments: ParsedArguments { session.arguments }
    private var name: String { arguments.positionals.first ?? "" }
    init(_ session: Session) { self.session = session }

    func export() throws(CommandError) -> Int32 {
        let path = arguments.optionalString("output").flatMap { $0 == "-" ? nil : $0 }
        if path == nil, Terminal.isTerminal(.standardOutput) {
            throw CommandError("cowardly refusing to export to a terminal. Use the -o flag or redirect")
        }
        if let status = try session.delegated() { return status }
        try engine { () throws(EngineError) in try session.engine.exportVolume(name, path: path) }
        return 0
    }

    func `import`() throws(CommandError) -> Int32 {
        let path = arguments.positionals.dropFirst().first.flatMap { $0 == "-" ? nil : $0 }
        if path == nil, Terminal.isTerminal(.standardInput) {
            throw CommandError("import from standard input needs a redirection")
        }
        if let status = try session.delegated() { return status }
        try engine { () throws(EngineError) in try session.engine.importVolume(name, path: path) }
        return 0
    }
}
