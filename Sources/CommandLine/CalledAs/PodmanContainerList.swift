import Control
import Engine
import Flags
import JSON
import Linux

/// `podman ps`: oldest first, full names of images, and documents with podman's fields.
struct PodmanContainerList {
    let session: Session
    private var arguments: ParsedArguments { session.arguments }
    init(_ session: Session) { self.session = session }

    /// - Parameter views: newest first.
    func print(_ views: [ContainerView]) throws(CommandError) {
        let views = Array(views.reversed())
        let full = arguments.bool("no-trunc")
        if arguments.bool("quiet"), !arguments.isSet("format") {
            for view in views { session.print(full ? view.id : view.definition.shortID) }
            return
        }
        let size = arguments.bool("size")
        var format = arguments.string("format")
        if format.isEmpty || format == "table" {
            format =
                "table {{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}"
                + (size ? "\t{{.Size}}" : "")
        }
        let now = wallClockNanoseconds()
        let ports = try engine { () throws(EngineError) in try session.engine.publishedPorts(of: views) }
        let networks = try engine { () throws(EngineError) in try session.engine.connectedNetworks(of: views) }
        let rows = views.map { view in
            Row(
                view: view, now: now, full: full, ports: view.isAlive ? PodmanPort.merged(ports[view.id] ?? []) : [],
                networks: (networks[view.id] ?? []).map(\.name).filter { $0 != "none" && $0 != "host" },
                size: size ? (session.engine.virtualSize(view), session.engine.writtenSize(view.id)) : nil
            ).fields
        }
        try PodmanFields.print(rows, format, of: "containers.psReporter", heading: Self.heading, session)
    }

    private static func heading(_ field: String) -> String {
        switch field {
        case "ID": "CONTAINER ID"
        case "ImageID": "IMAGE ID"
        case "RunningFor", "CreatedHuman": "CREATED"
        case "CreatedAt": "CREATED AT"
        case "PodName": "POD NAME"
        case "ExitCode": "EXIT CODE"
        default: field.uppercased()
        }
    }

    /// One container.
    private struct Row {
        let view: ContainerView
        let now: Int64
        let full: Bool
        let ports: [PodmanPort]
        let networks: [String]
        let size: (all: Int64, written: Int64)?

        /// Go's zero time in seconds since 1970: podman writes it for what has not been.
        private static let never: Int64 = -62_135_596_800

        private static func seconds(_ nanoseconds: Int64) -> JSONValue { .int(nanoseconds > 0 ? nanoseconds / 1_000_000_000 : never) }

        var fields: PodmanFields {
            let definition = view.definition
            let seen = view.observation
            let hasEnded = seen.status == .exited
            let row = ContainerRow(view, now: now, full: full)
            let words = definition.arguments
            let command = words.joined(separator: " ")
            let image = ImageText.isID(definition.image) ? definition.image : fullName(definition.image)
            let imageID = ImageText.digits(definition.imageID)
            var fields = PodmanFields()
            fields.add("AutoRemove", nil, .bool(definition.autoRemove))
            fields.add("Command", nil, .strings(words), shown: .string(full || command.count <= 20 ? command : command.prefix(17) + "..."))
            fields.add("CreatedAt", nil, .string(row.created), shown: .string(HumanTime.local(definition.createdAt)))
            fields.add("Exited", nil, .bool(hasEnded))
            fields.add("ExitedAt", nil, Self.seconds(hasEnded ? seen.finishedAt : 0))
            fields.add("ExitCode", nil, .int(Int64(hasEnded ? seen.exitCode : 0)))
            fields.add("Id", "ID", .string(view.id), shown: .string(row.id))
            fields.add("Image", nil, .string(image))
            fields.add("ImageID", nil, .string(imageID), shown: .string(full ? imageID : String(imageID.prefix(12))))
            fields.add("IsInfra", nil, .bool(false))
            fields.add("Labels", nil, .labels(definition.labels))
            let targets = definition.mounts.map(\.target)
            fields.add("Mounts", nil, .strings(targets))
            fields.add("Names", nil, .strings([view.name]), shown: .string(view.name))
            fields.add("Namespaces", nil, .object([]))
            fields.add("Networks", nil, .strings(networks), shown: .string(networks.joined(separator: ",")))
            fields.add("Pid", nil, .int(Int64(seen.pid)))
            fields.add("Pod", nil, "")
            fields.add("PodName", nil, "")
            let portText = ports.map(\.text).joined(separator: ", ")
            fields.add("Ports", nil, ports.isEmpty ? .null : .array(ports.map(\.document)), shown: .string(portText))
            fields.add(
                "Size", nil,
                size.map { .object([.init(key: "rootFsSize", value: .int($0.all)), .init(key: "rwSize", value: .int($0.written))]) }
                    ?? .null,
                shown: .string(size.map { "\(ByteSize.decimal($0.written)) (virtual \(ByteSize.decimal($0.all)))" } ?? ""))
            fields.add("StartedAt", nil, Self.seconds(seen.startedAt))
            fields.add("State", nil, .string(seen.status.text))
            fields.add("Status", nil, .string(row.status))
            fields.add("Created", nil, .int(definition.createdAt / 1_000_000_000), shown: .string(HumanTime.local(definition.createdAt)))
            fields.addShown("RunningFor", row.created)
            fields.addShown("CreatedHuman", row.created)
            return fields
        }
    }
}

/// Published ports as podman keeps them: one entry for all addresses of the host, whatever their family.
struct PodmanPort {
    private let ports: PublishedPorts

    static func merged(_ ports: [PublishedPorts]) -> [PodmanPort] {
        ports.filter { port in
            var other = port
            other.hostAddress = "0.0.0.0"
            return port.hostAddress != "::" || !ports.contains(other)
        }.map(PodmanPort.init)
    }

    private init(_ ports: PublishedPorts) { self.ports = ports }

    private var isEverywhere: Bool { ports.hostAddress == "0.0.0.0" }

    var document: JSONValue {
        .object([
            .init(key: "host_ip", value: .string(isEverywhere ? "" : ports.hostAddress)),
            .init(key: "container_port", value: .int(Int64(ports.containerPort))),
            .init(key: "host_port", value: .int(Int64(ports.hostPort))),
            .init(key: "range", value: .int(Int64(ports.count))), .init(key: "protocol", value: .string(ports.transport)),
        ])
    }

    var text: String {
        func range(_ first: UInt16) -> String { ports.count == 1 ? "\(first)" : "\(first)-\(first + (ports.count - 1))" }
        return PublishedPorts.joined(ports.hostAddress, range(ports.hostPort)) + "->\(range(ports.containerPort))/\(ports.transport)"
    }
}
