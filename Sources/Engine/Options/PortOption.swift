import Control
import Linux

/// A port of a container, or as many as there are behind it: `80/tcp`, `8000-8010/udp`.
public struct ExposedPorts: Sendable, Hashable {
    public var transport: PortPlan.Transport
    public var first: UInt16
    /// At least 1; the last port is not above 65535.
    public var count: UInt16

    public var last: UInt16 { first + (count - 1) }
    /// `80/tcp`, `80-82/tcp`.
    public var text: String { (count == 1 ? "\(first)" : "\(first)-\(last)") + "/" + transport.rawValue }

    public init(transport: PortPlan.Transport, first: UInt16, count: UInt16) {
        self.transport = transport
        self.first = first
        self.count = count
    }

    /// `--expose`, and EXPOSE of an image.
    public init(option text: String) throws(EngineError) {
        let (ports, transport) = try PortOption.transport(text)
        guard let range = PortOption.range(ports), range.lowerBound > 0 else {
            throw .invalid("invalid range format for --expose: \(text)")
        }
        self.init(transport: transport, first: range.lowerBound, count: PortOption.count(range))
    }

    public func contains(_ other: ExposedPorts) -> Bool {
        transport == other.transport && first <= other.first && other.last <= last
    }
}

/// Ports of the host that lead to a container's (`-p`).
public struct PortBinding: Sendable, Hashable {
    /// Empty: every address of the host.
    public var hostAddress = ""
    /// Nil: any that is free. As long as `ports`, or longer where `ports` is one: then one of them that is free.
    public var hostPorts: ClosedRange<UInt16>?
    public var ports: ExposedPorts

    public init(_ ports: ExposedPorts) { self.ports = ports }

    /// What `-p` reads.
    public var text: String {
        let address = hostAddress.utf8.contains(UInt8(ascii: ":")) ? "[\(hostAddress)]" : hostAddress
        var host = ""
        if let range = hostPorts { host = range.count == 1 ? "\(range.lowerBound)" : "\(range.lowerBound)-\(range.upperBound)" }
        if address.isEmpty { return host.isEmpty ? ports.text : host + ":" + ports.text }
        return address + ":" + host + ":" + ports.text
    }

    /// `[[address:][host ports]:]container ports[/transport]`, in Docker's words where it is none.
    public init(option text: String) throws(EngineError) {
        let (body, transport) = try PortOption.transport(text)
        var parts = body.split(separator: ":", omittingEmptySubsequences: false)
        guard let inside = parts.popLast(), !inside.isEmpty else { throw .invalid("no port specified: \(text)<empty>") }
        guard let range = PortOption.range(inside), range.lowerBound > 0 else { throw .invalid("invalid containerPort: \(inside)") }
        self.init(ExposedPorts(transport: transport, first: range.lowerBound, count: PortOption.count(range)))
        guard let outside = parts.popLast() else { return }
        if !parts.isEmpty { hostAddress = try PortBinding.address(parts.joined(separator: ":")) }
        if outside.isEmpty || outside == "0" { return }
        guard let host = PortOption.range(outside), host.lowerBound > 0 else { throw .invalid("invalid hostPort: \(outside)") }
        guard host.count == range.count || range.count == 1 else {
            throw .invalid("invalid ranges specified for container and host Ports: \(inside) and \(outside)")
        }
        hostPorts = host
    }

    private static func address(_ text: String) throws(EngineError) -> String {
        if text.isEmpty { return "" }
        let bare = text.hasPrefix("[") && text.hasSuffix("]") ? String(text.dropFirst().dropLast()) : text
        guard let address = IPAddress(bare) else { throw .invalid("invalid IP address: \(text)") }
        return address.description
    }
}

enum PortOption {
    /// Splits `/udp` off; `tcp` where there is none.
    static func transport(_ text: String) throws(EngineError) -> (String, PortPlan.Transport) {
        guard let (body, name) = text.splitOnce("/") else { return (text, .tcp) }
        guard let transport = PortPlan.Transport(rawValue: name.lowercased()) else { throw .invalid("invalid proto: \(name)") }
        return (String(body), transport)
    }

    /// `80`, `80-90`.
    static func range(_ text: some StringProtocol) -> ClosedRange<UInt16>? {
        func port(_ text: some StringProtocol) -> UInt16? {
            guard !text.isEmpty, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
            return UInt16(text)
        }
        guard let (first, last) = text.splitOnce("-") else { return port(text).map { $0...$0 } }
        guard let first = port(first), let last = port(last), first <= last else { return nil }
        return first...last
    }

    /// Of a range that does not begin at 0.
    static func count(_ range: ClosedRange<UInt16>) -> UInt16 { UInt16(clamping: range.count) }
}
