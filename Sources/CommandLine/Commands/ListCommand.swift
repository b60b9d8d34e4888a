import Control
import Engine
import Flags
import JSON
import Linux

/// `berth ps`
struct ListCommand {
    let session: Session
    private var arguments: ParsedArguments { session.arguments }
    init(_ session: Session) { self.session = session }

    func run() throws(CommandError) -> Int32 {
        let filter = try ContainerFilter(arguments.pairs("filter"))
        var views = try engine { () throws(EngineError) in try select(try session.engine.containers(), filter) }
        if let order = ContainerOrder(rawValue: arguments.string("sort")) { views = order.sorted(views, session.engine) }
        if CalledAs.current == .podman {
            try PodmanContainerList(session).print(views)
            return 0
        }
        if arguments.bool("quiet"), !arguments.isSet("format") {
            for view in views { session.print(arguments.bool("no-trunc") ? view.id : view.definition.shortID) }
            return 0
        }
        let format = arguments.string("format")
        let now = wallClockNanoseconds()
        if format.isEmpty || format == "table" {
            session.printRaw(try table(views, now))
            return 0
        }
        let template = try Template(format)
        try print(views, template, now)
        return 0
    }

    private func select(_ views: [ContainerView], _ filter: ContainerFilter) throws(EngineError) -> [ContainerView] {
        var count = arguments.int("last") ?? -1
        if arguments.bool("latest") { count = 1 }
        let all = arguments.bool("all") || count > 0 || filter.looksAtStatus
        let matches = try filter.matcher(views, session.engine)
        var result: [ContainerView] = []
        for view in views {
            let isShown = all || view.isAlive || view.observation.status == .restarting
            if isShown, matches(view) { result.append(view) }
            if count > 0, result.count == count { break }
        }
        return result
    }

    private func table(_ views: [ContainerView], _ now: Int64) throws(CommandError) -> String {
        let ports = try publishedPorts(views)
        let size = arguments.bool("size")
        var table = TextTable(
            heading: arguments.bool("noheading")
                ? nil : ["CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"] + (size ? ["SIZE"] : []))
        let full = arguments.bool("no-trunc")
        for view in views {
            let row = ContainerRow(view, now: now, full: full)
            var cells = [row.id, row.image, row.command, row.created, row.status, Self.ports(view, ports), view.name]
            if size { cells.append(ContainerSize.text(session.engine, view)) }
            table.add(cells)
        }
        return table.render()
    }

    private func publishedPorts(_ views: [ContainerView]) throws(CommandError) -> [String: [PublishedPorts]] {
        try engine { () throws(EngineError) in try session.engine.publishedPorts(of: views) }
    }

    /// Only of containers that run: the others have none.
    private static func ports(_ view: ContainerView, _ ports: [String: [PublishedPorts]]) -> String {
        guard view.isAlive || view.observation.status == .restarting else { return "" }
        return PortText.joined(ports[view.id] ?? [], exposed: view.definition.exposed)
    }

    private func print(_ views: [ContainerView], _ template: Template, _ now: Int64) throws(CommandError) {
        let ports = try publishedPorts(views)
        let networks = try engine { () throws(EngineError) in try session.engine.connectedNetworks(of: views) }
        let full = arguments.bool("no-trunc")
        var table = TextTable(
            heading: template.isTable && !arguments.bool("noheading") ? try template.heading(Self.heading).columns : nil)
        let separated = template.isTable
        for view in views {
            let object = ContainerRow(view, now: now, full: full).object(
                session, size: arguments.bool("size"), ports: Self.ports(view, ports),
                networks: (networks[view.id] ?? []).map(\.name).joined(separator: ","))
            let labels = view.definition.labels
            let line = try template.render(
                object, of: "*formatter.ContainerContext",
                methods: ["Label": { TemplateValue(.string(labels[$0.first?.json.string ?? ""] ?? "")) }])
            if separated {
                table.add(line.columns)
            } else {
                session.print(template.isJSON ? line : TerminalText.safeLines(line))
            }
        }
        if separated { session.printRaw(table.render()) }
    }

    static func heading(_ field: String) -> String {
        switch field {
        case "ID": "CONTAINER ID"
        case "CreatedAt": "CREATED AT"
        case "RunningFor": "CREATED"
        case "LocalVolumes": "LOCAL VOLUMES"
        default: field.uppercased()
        }
    }
}

/// One line of `ps`.
struct ContainerRow {
    let view: ContainerView
    let now: Int64
    let full: Bool

    init(_ view: ContainerView, now: Int64, full: Bool) {
        self.view = view
        self.now = now
        self.full = full
    }

    var id: String { full ? view.id : view.definition.shortID }
    var image: String { full ? view.definition.image : ImageText.shortened(view.definition.image) }
    var command: String {
        let text = CommandText.joined(view.definition.arguments)
        return CommandText.quoted(full ? text : TerminalText.shortened(text, 20))
    }
    var created: String { HumanTime.ago(view.definition.createdAt, now: now) }

    var status: String {
        let seen = view.observation
        switch seen.status {
        case .created, .starting: return "Created"
        case .initialized: return "Initialized"
        case .running, .stopping:
            return "Up " + HumanTime.span(nanoseconds: max(0, now &- seen.startedAt))
                + (seen.supervisorLost ? " (supervisor lost)" : health)
        case .paused: return "Up " + HumanTime.span(nanoseconds: max(0, now &- seen.startedAt)) + " (Paused)"
        case .restarting: return "Restarting (\(seen.exitCode)) " + HumanTime.ago(seen.finishedAt, now: now)
        case .exited:
            let code = seen.exitCode == ExitRecord.unknownCode ? "unknown" : "\(seen.exitCode)"
            return "Exited (\(code)) " + (seen.finishedAt > 0 ? HumanTime.ago(seen.finishedAt, now: now) : "N/A")
        case .removing, .removed: return "Removal In Progress"
        }
    }

    /// As Docker puts it: what is clear on its own, and `health: starting`.
    private var health: String {
        switch view.health {
        case .none: ""
        case .starting: " (health: starting)"
        case .healthy, .unhealthy: " (\(view.health.text))"
        }
    }

    func object(_ session: Session, size: Bool, ports: String, networks: String) -> JSONValue {
        let definition = view.definition
        let labels = definition.labels.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: ",")
        let mounts = definition.mounts.filter { $0.kind != .tmpfs }.map {
            $0.isAnonymous && !full ? String($0.source.prefix(15)) + "…" : $0.source
        }
        let values: [(String, JSONValue)] = [
            ("Command", .string(command)), ("CreatedAt", .string(HumanTime.local(definition.createdAt))),
            ("ID", .string(id)),
            ("Image", .string(image)), ("Labels", .string(labels)),
            ("LocalVolumes", .string("\(definition.mounts.count { $0.kind == .volume })")),
            ("Mounts", .string(mounts.joined(separator: ","))), ("Names", .string(definition.name)),
            ("Networks", .string(networks)), ("Platform", .string(definition.platform)), ("Ports", .string(ports)),
            ("RunningFor", .string(created)), ("Size", .string(size ? ContainerSize.text(session.engine, view) : "0B")),
            ("State", .string(view.observation.status.text)), ("Status", .string(status)),
        ]
        return .object(values.map { JSONValue.Member(key: $0.0, value: $0.1) })
    }
}

enum ImageText {
    /// A reference that is an id is cut to twelve digits.
    static func shortened(_ image: String) -> String {
        isID(image) ? String(digits(image).prefix(12)) : image
    }

    static func isID(_ image: String) -> Bool {
        let hex = digits(image)
        return hex.utf8.count == 64 && hex.utf8.allSatisfy { ($0 >= 0x30 && $0 <= 0x39) || ($0 >= 0x61 && $0 <= 0x66) }
    }

    /// An id without the name of its hash.
    static func digits(_ id: String) -> String { id.hasPrefix("sha256:") ? String(id.dropFirst(7)) : id }
}

enum ContainerSize {
    /// What the writable layer holds on disk.
    static func text(_ engine: Engine, _ view: ContainerView) -> String {
        ByteSize.decimal(engine.writtenSize(view.id)) + " (virtual \(ByteSize.decimal(engine.virtualSize(view))))"
    }
}

/// `--filter` of `ps`.
struct ContainerFilter {
    private var values: [String: [String]] = [:]
    private var names: [TextPattern] = []
    private var published: [ExposedPorts] = []
    private var exposed: [ExposedPorts] = []

    init(_ pairs: [(key: String, value: String)]) throws(CommandError) {
        let known: Set<String> = [
            "id", "name", "label", "label!", "exited", "status", "ancestor", "before", "since", "volume", "network",
            "health", "is-task", "publish", "expose",
        ]
        for (key, value) in pairs {
            if key == "isolation" { throw .invalid("not supported yet: --filter \(key)") }
            guard known.contains(key) else { throw .invalid("invalid filter '\(key)'") }
            if key == "health", !["none", "starting", "healthy", "unhealthy"].contains(value) {
                throw .invalid("invalid filter 'health=\(value)'")
            }
            if key == "is-task", !["true", "false", "1", "0"].contains(value) {
                throw .invalid("invalid filter 'is-task=\(value)'")
            }
            if key == "status" {
                let states = ["created", "initialized", "restarting", "running", "removing", "paused", "exited", "dead"]
                guard states.contains(value) else { throw .invalid("invalid filter 'status=\(value)'") }
            }
            if key == "publish" || key == "expose" {
                guard let ports = try? ExposedPorts(option: value) else { throw .invalid("invalid filter '\(key)=\(value)'") }
                if key == "publish" { published.append(ports) } else { exposed.append(ports) }
            }
            if key == "exited", Int(value) == nil { throw .invalid("invalid filter 'exited=\(value)'") }
            if key == "name" { names.append(try TextPattern(value)) }
            values[key, default: []].append(value)
        }
    }

    /// Docker shows all states when a filter asks for one.
    var looksAtStatus: Bool { values["status"] != nil || values["exited"] != nil }

    /// Whether one of the containers is meant.
    func matcher(_ views: [ContainerView], _ engine: Engine) throws(EngineError) -> (ContainerView) -> Bool {
        let bounds = try bounds(views) { (name) throws(EngineError) in try engine.definition(of: name).createdAt }
        let images = try ancestors { (name) throws(EngineError) in (try? engine.image(name))?.id }
        let networks = looksAtNetworks ? try engine.connectedNetworks(of: views) : [:]
        return { view in matches(view, bounds, images) && matches(networks: networks[view.id] ?? []) }
    }

    /// The creation times that `before` and `since` mean.
    private func bounds(
        _ views: [ContainerView], _ created: (String) throws(EngineError) -> Int64
    ) throws(EngineError) -> (before: Int64, since: Int64) {
        var before = Int64.max
        var since = Int64.min
        for name in values["before"] ?? [] { before = min(before, try created(name)) }
        for name in values["since"] ?? [] { since = max(since, try created(name)) }
        return (before, since)
    }

    private func ancestors(_ id: (String) throws(EngineError) -> String?) throws(EngineError) -> [String] {
        var result: [String] = []
        for name in values["ancestor"] ?? [] { if let found = try id(name) { result.append(found) } }
        return result
    }

    func matches(_ view: ContainerView, _ bounds: (before: Int64, since: Int64), _ images: [String]) -> Bool {
        let definition = view.definition
        if definition.createdAt >= bounds.before || definition.createdAt <= bounds.since { return false }
        if values["ancestor"] != nil, !images.contains(definition.imageID) { return false }
        if let ids = values["id"], !ids.contains(where: { definition.id.hasPrefix($0) }) { return false }
        // Docker matches with and without the slash that its names begin with.
        if values["name"] != nil, !names.contains(where: { $0.matches(definition.name) || $0.matches("/" + definition.name) }) {
            return false
        }
        for text in values["label"] ?? [] where !Self.hasLabel(definition.labels, text) { return false }
        for text in values["label!"] ?? [] where Self.hasLabel(definition.labels, text) { return false }
        if let states = values["status"], !states.contains(view.observation.status.text) { return false }
        if let codes = values["exited"] {
            if view.observation.status != .exited || !codes.contains("\(view.observation.exitCode)") { return false }
        }
        if let volumes = values["volume"] {
            if !volumes.contains(where: { text in definition.mounts.contains { $0.source == text || $0.target == text }
            }) {
                return false
            }
        }
        if let states = values["health"], !states.contains(view.health.text) { return false }
        // No container belongs to a service yet.
        if let tasks = values["is-task"], !tasks.contains(where: { $0 == "false" || $0 == "0" }) { return false }
        return matches(ports: definition)
    }

    /// By the container's ports, as in Docker; one of several is enough.
    private func matches(ports definition: ContainerDefinition) -> Bool {
        func overlaps(_ wanted: ExposedPorts, _ other: ExposedPorts) -> Bool {
            wanted.transport == other.transport && wanted.first <= other.last && other.first <= wanted.last
        }
        if !published.isEmpty {
            let ports = definition.ports.map(\.ports) + (definition.publishesAll ? definition.exposed : [])
            if !published.contains(where: { wanted in ports.contains { overlaps(wanted, $0) } }) { return false }
        }
        if exposed.isEmpty { return true }
        return exposed.contains { wanted in definition.exposed.contains { overlaps(wanted, $0) } }
    }

    private var looksAtNetworks: Bool { values["network"] != nil }

    /// By name or id.
    private func matches(networks: [(name: String, id: String)]) -> Bool {
        guard let wanted = values["network"] else { return true }
        return wanted.contains { text in networks.contains { $0.name == text || !text.isEmpty && $0.id.hasPrefix(text) } }
    }

    static func hasLabel(_ labels: [String: String], _ text: String) -> Bool {
        guard let mark = text.firstIndex(of: "=") else { return labels[text] != nil }
        return labels[String(text[..<mark])] == String(text[text.index(after: mark)...])
    }
}
