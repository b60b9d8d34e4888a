import Engine
import Flags
import JSON
import Linux

/// `berth network create`
struct NetworkCreateCommand {
    let session: Session
    private var arguments: ParsedArguments { session.arguments }
    init(_ session: Session) { self.session = session }

    func run() throws(CommandError) -> Int32 {
        var request = NetworkRequest(name: arguments.positionals.first ?? "")
        request.driver = arguments.string("driver")
        request.subnets = arguments.strings("subnet")
        request.gateways = arguments.strings("gateway")
        request.ranges = arguments.strings("ip-range")
        for pair in arguments.pairs("aux-address") { request.auxiliary[pair.key] = pair.value }
        request.ipamDriver = arguments.string("ipam-driver")
        for pair in arguments.pairs("ipam-opt") { request.ipamOptions[pair.key] = pair.value }
        request.enablesIPv4 = arguments.bool("ipv4")
        request.enablesIPv6 = arguments.bool("ipv6")
        request.isInternal = arguments.bool("internal")
        request.isAttachable = arguments.bool("attachable")
        for pair in arguments.pairs("opt") { request.options[pair.key] = pair.value }
        if arguments.isSet("interface-name") {
            let option = ["macvlan", "ipvlan"].contains(request.driver) ? "parent" : "com.docker.network.bridge.name"
            request.options[option] = arguments.string("interface-name")
        }
        request.dns = arguments.strings("dns")
        request.routes = arguments.strings("route")
        request.hidesNames = arguments.bool("disable-dns")
        do throws(EngineError) {
            for text in arguments.strings("label") {
                let label = try EnvironmentOption.label(text)
                request.labels[label.key] = label.value
            }
            tell(try session.engine.createNetwork(request))
        } catch {
            guard error.code == .conflict, arguments.bool("ignore"), let found = try? session.engine.network(request.name),
                found.name == request.name
            else { throw CommandError(error) }
            tell(found)
        }
        return 0
    }

    private func tell(_ network: NetworkDefinition) { session.print(CalledAs.current == .podman ? network.name : network.id) }
}

/// `berth network ls`
struct NetworkListCommand {
    let session: Session
    private var arguments: ParsedArguments { session.arguments }
    init(_ session: Session) { self.session = session }

    func run() throws(CommandError) -> Int32 {
        let filter = try NetworkFilter(arguments.pairs("filter"))
        let all = try engine { () throws(EngineError) in try session.engine.networks() }
        let used = filter.looksAtUse ? try engine { () throws(EngineError) in try session.engine.usedNetworks() } : []
        let shown = all.filter { filter.matches($0, used) }
        // For podman these two are no networks.
        let networks = CalledAs.current == .podman ? shown.filter { $0.driver != "host" && $0.driver != "null" } : shown
        let full = arguments.bool("no-trunc")
        let format = arguments.string("format")
        if arguments.bool("quiet"), format.isEmpty {
            for network in networks { session.print(full ? network.id : network.shortID) }
            return 0
        }
        if format.isEmpty || format == "table" {
            // All networks are of this machine, and podman does not say so.
            let scope = CalledAs.current == .podman ? [] : ["SCOPE"]
            var table = TextTable(heading: arguments.bool("noheading") ? nil : ["NETWORK ID", "NAME", "DRIVER"] + scope)
            for network in networks {
                table.add([full ? network.id : network.shortID, network.name, network.driver] + (scope.isEmpty ? [] : ["local"]))
            }
            session.printRaw(table.render())
            return 0
        }
        if CalledAs.current == .podman, format == "json" {
            let documents = try engine { () throws(EngineError) in
                try networks.map { (network) throws(EngineError) in
                    try session.engine.inspectNetworkAsPodman(network.id, forTemplate: false)
                }
            }
            session.print(PodmanFields.text(.array(documents), indent: "     "))
            return 0
        }
        let items = networks.map { network -> ObjectList.Item in
            let labels = network.labels
            let method: TemplateMethod = { TemplateValue(.string(labels[$0.first?.json.string ?? ""] ?? "")) }
            return (object(network, full), ["Label": method])
        }
        let list = ObjectList(type: "*formatter.networkContext", title: Self.heading, hasHeading: !arguments.bool("noheading"))
        try list.print(items, try Template(format), session)
        return 0
    }

    private func object(_ network: NetworkDefinition, _ full: Bool) -> JSONValue {
        ObjectList.object([
            ("CreatedAt", HumanTime.local(network.createdAt)), ("Driver", network.driver),
            ("ID", full ? network.id : network.shortID), ("IPv4", "\(network.enablesIPv4)"), ("IPv6", "\(network.enablesIPv6)"),
            ("Internal", "\(network.isInternal)"),
            ("Labels", network.labels.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: ",")),
            ("Name", network.name), ("Scope", "local"),
        ])
    }

    static func heading(_ field: String) -> String {
        switch field {
        case "ID": "NETWORK ID"
        case "CreatedAt": "CREATED AT"
        default: field.uppercased()
        }
    }
}

/// `--filter` of `network ls`.
struct NetworkFilter {
    private var values: [String: [String]] = [:]
    private var names: [TextPattern] = []
    private var ids: [TextPattern] = []

    init(_ pairs: [(key: String, value: String)]) throws(CommandError) {
        for (key, value) in pairs {
            switch key {
            case "name": names.append(try TextPattern(value))
            case "id": ids.append(try TextPattern(value))
            case "driver", "label", "label!", "scope": break
            case "type":
                guard ["custom", "builtin"].contains(value) else { throw .invalid("invalid filter 'type=\(value)'") }
            case "dangling":
                guard ["true", "false", "1", "0"].contains(value) else { throw .invalid("invalid filter 'dangling=\(value)'") }
            default: throw .invalid("invalid filter '\(key)'")
            }
            values[key, default: []].append(value)
        }
    }

    var looksAtUse: Bool { values["dangling"] != nil }

    func matches(_ network: NetworkDefinition, _ used: Set<String>) -> Bool {
        if !names.isEmpty, !names.contains(where: { $0.matches(network.name) }) { return false }
        if !ids.isEmpty, !ids.contains(where: { $0.matches(network.id) }) { return false }
        if let drivers = values["driver"], !drivers.contains(network.driver) { return false }
        if let scopes = values["scope"], !scopes.contains("local") { return false }
        if let types = values["type"], !types.contains(network.isPredefined ? "builtin" : "custom") { return false }
        for text in values["label"] ?? [] where !ContainerFilter.hasLabel(network.labels, text) { return false }
        for text in values["label!"] ?? [] where ContainerFilter.hasLabel(network.labels, text) { return false }
        if let states = values["dangling"] {
            let isDangling = !network.isPredefined && !used.contains(network.id)
            return states.contains { ($0 == "true" || $0 == "1") == isDangling }
        }
        return true
    }
}

/// `berth network rm`, `exists`
struct NetworkRemoveCommand {
    let session: Session
    init(_ session: Session) { self.session = session }

    func run() throws(CommandError) -> Int32 {
        let force = session.arguments.bool("force")
        return session.forEach(session.arguments.positionals) { (name) throws(EngineError) in
            do throws(EngineError) {
                _ = try session.engine.removeNetwork(name)
            } catch {
                if error.code == .notFound, force { return nil }
                throw error
            }
            return name
        }
    }

    func exists() throws(CommandError) -> Int32 {
        do throws(EngineError) {
            _ = try session.engine.network(session.arguments.positionals.first ?? "")
            return 0
        } catch {
            if error.code == .notFound { return 1 }
            throw CommandError(error)
        }
    }
}

/// `berth network connect`, `disconnect`, `update`, `reload`
struct NetworkConnectCommand {
    let session: Session
    private var arguments: ParsedArguments { session.arguments }
    init(_ session: Session) { self.session = session }

    func connect() throws(CommandError) -> Int32 {
        try engine { () throws(EngineError) in
            var attachment = NetworkAttachment(arguments.positionals.first ?? "")
            for alias in arguments.strings("alias") { attachment.aliases.append(try NetworkAttachment.alias(alias)) }
            for pair in arguments.pairs("driver-opt") { try attachment.setDriverOption(pair.key, pair.value) }
            attachment.gatewayPriority = arguments.int("gw-priority") ?? 0
            if arguments.isSet("ip") { attachment.ipv4 = try NetworkAttachment.address(arguments.string("ip"), ipv6: false) }
            if arguments.isSet("ip6") { attachment.ipv6 = try NetworkAttachment.address(arguments.string("ip6"), ipv6: true) }
            if arguments.isSet("mac-address") { attachment.mac = try NetworkAttachment.mac(arguments.string("mac-address")) }
            for text in arguments.strings("link-local-ip") { attachment.linkLocal.append(try NetworkAttachment.linkLocal(text)) }
            attachment.links = arguments.strings("link")
            try session.engine.connect(arguments.positionals.last ?? "", attachment)
        }
        return 0
    }

    func update() throws(CommandError) -> Int32 {
        let added = arguments.strings("dns-add")
        let dropped = arguments.strings("dns-drop")
        if added.isEmpty, dropped.isEmpty { throw CommandError("nothing to change: give --dns-add or --dns-drop") }
        let name = arguments.positionals.first ?? ""
        try engine { () throws(EngineError) in
            try session.engine.updateNetwork(name, addingServers: added, droppingServers: dropped)
        }
        session.print(name)
        return 0
    }

    func reload() throws(CommandError) -> Int32 {
        var names = arguments.positionals
        if arguments.bool("all") {
            names = try engine { () throws(EngineError) in try session.engine.containers().filter(\.isAlive).map(\.id) }
        } else if names.isEmpty {
            throw CommandError("name containers, or give --all")
        }
        return session.forEach(names) { (name) throws(EngineError) in try session.engine.reloadNetworks(name) }
    }

    func disconnect() throws(CommandError) -> Int32 {
        try engine { () throws(EngineError) in
            try session.engine.disconnect(
                arguments.positionals.last ?? "", from: arguments.positionals.first ?? "", force: arguments.bool("force"))
        }
        return 0
    }
}
