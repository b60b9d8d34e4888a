import Engine
import Flags

/// `berth port`
struct PortCommand {
    let session: Session
    init(_ session: Session) { self.session = session }

    func run() throws(CommandError) -> Int32 {
        if session.arguments.bool("all") { return try showAll() }
        let (name, rest) = try session.container()
        let view = try engine { () throws(EngineError) in try session.engine.container(name) }
        let ports = try engine { () throws(EngineError) in try session.engine.publishedPorts(of: [view])[view.id] ?? [] }
        if let wanted = rest.first { return try show(wanted, ports, view) }
        for line in lines(ports) { session.print(line) }
        return 0
    }

    /// podman's: the container before each of its ports.
    private func showAll() throws(CommandError) -> Int32 {
        let views = try engine { () throws(EngineError) in try session.engine.containers() }
        let ports = try engine { () throws(EngineError) in try session.engine.publishedPorts(of: views) }
        for view in views where view.isAlive {
            for line in lines(ports[view.id] ?? []) { session.print("\(view.definition.shortID)\t\(line)") }
        }
        return 0
    }

    private func lines(_ ports: [PublishedPorts]) -> [String] {
        var lines: [(port: UInt16, transport: String, address: String, host: String)] = []
        for port in ports {
            for number in port.containerPort...(port.containerPort + (port.count - 1)) {
                lines.append((number, port.transport, port.hostAddress, port.host(of: number) ?? ""))
            }
        }
        lines.sort { ($0.port, $0.transport, $0.address, $0.host) < ($1.port, $1.transport, $1.address, $1.host) }
        return lines.map { "\($0.port)/\($0.transport) -> \($0.host)" }
    }

    private func show(_ text: String, _ ports: [PublishedPorts], _ view: ContainerView) throws(CommandError) -> Int32 {
        let wanted = try engine { () throws(EngineError) in try ExposedPorts(option: text) }
        let hosts = ports.filter { $0.transport == wanted.transport.rawValue }.compactMap { $0.host(of: wanted.first) }
        if wanted.count != 1 || hosts.isEmpty {
            throw CommandError("no public port '\(wanted.text)' published for \(view.name)")
        }
        for host in hosts { session.print(host) }
        return 0
    }
}
