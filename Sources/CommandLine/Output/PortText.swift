import Engine

/// The PORTS column.
enum PortText {
    private struct Line {
        /// Empty: exposed only.
        var address: String
        var host: UInt16
        var port: UInt16
        var count: UInt16
        var transport: String
    }

    /// `0.0.0.0:8080->80/tcp, [::]:8080->80/tcp, 9000/udp`: by the container's port, neighbours in one.
    static func joined(_ published: [PublishedPorts], exposed: [ExposedPorts]) -> String {
        var lines = published.map {
            Line(address: $0.hostAddress, host: $0.hostPort, port: $0.containerPort, count: $0.count, transport: $0.transport)
        }
        for ports in exposed {
            let isPublished = published.contains { other in
                other.transport == ports.transport.rawValue && other.containerPort <= ports.last
                    && ports.first <= other.containerPort + (other.count - 1)
            }
            if isPublished { continue }
            lines.append(
                Line(address: "", host: 0, port: ports.first, count: ports.count, transport: ports.transport.rawValue))
        }
        lines.sort { ($0.transport, $0.address, $0.port, $0.host) < ($1.transport, $1.address, $1.port, $1.host) }
        var merged: [Line] = []
        for line in lines {
            if let last = merged.last, last.transport == line.transport, last.address == line.address,
                Int(last.port) + Int(last.count) == Int(line.port),
                line.address.isEmpty || Int(last.host) + Int(last.count) == Int(line.host)
            {
                merged[merged.count - 1].count += line.count
            } else {
                merged.append(line)
            }
        }
        merged.sort { ($0.port, $0.transport, $0.address, $0.host) < ($1.port, $1.transport, $1.address, $1.host) }
        return merged.map(text).joined(separator: ", ")
    }

    private static func text(_ line: Line) -> String {
        func range(_ first: UInt16) -> String { line.count == 1 ? "\(first)" : "\(first)-\(first + (line.count - 1))" }
        let inside = "\(range(line.port))/\(line.transport)"
        return line.address.isEmpty ? inside : PublishedPorts.joined(line.address, range(line.host)) + "->" + inside
    }
}
