import Engine
import Flags

/// `berth port`
struct PortCommand {
    let session: Session
    init(_ session: Session) { self.session = session }

    func run() throws(CommandError) -> Int32 {
        let arguments = session.arguments.positionals
        let view = try engine { () throws(EngineError) in try session.engine.container(arguments.first ?? "") }
        let ports = try engine { () throws(EngineError) in try session.engine.publishedPorts(of: [view])[view.id] ?? [] }
        if arguments.count > 1 { return try show(arguments[1], ports, view) }
        var lines: [(port: UInt16, transport: String, address: String, host: String)] = []
        for port in ports {
            for number in port.containerPort...(port.containerPort + (port.count - 1)) {
                lines.append((number, port.transport, port.hostAddress, port.host(of: number) ?? ""))
            }
        }
        lines.sort { ($0.port, $0.transport, $0.address, $0.host) < ($1.port, $1.transport, $1.address, $1.host) }
        for line in lines { session.print("\(line.port)/\(line.transport) -> \(line.host)") }
        return 0
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
