/// A port that EXPOSE names, as an image config has it: `80/tcp`.
public struct ExposedPort: Sendable, Hashable, CustomStringConvertible {
    /// The word that named it: `8000-8010/UDP` names eleven.
    public var word: Word
    public var number: UInt16
    /// `tcp`, `udp` or `sctp`.
    public var networkProtocol: String
    /// As it is written; lint looks at its case.
    public var writtenProtocol: String
    /// Whether the word also names an address or a port of the host, which mean nothing here.
    public var hasHostPart: Bool

    public var description: String { "\(number)/\(networkProtocol)" }

    /// Reads `[ip:][host:]port[-port][/protocol]`.
    static func read(_ word: Word) throws(InstructionFailure) -> [ExposedPort] {
        func fail(_ message: String) -> InstructionFailure { InstructionFailure(message, word.range) }
        let parts = word.text.fields(UInt8(ascii: ":"))
        let host = parts.count > 1 ? parts[parts.count - 2] : ""
        let address = parts.dropLast(2).joined(separator: ":")
        let (range, written) = parts[parts.count - 1].cut(Byte.slash) ?? (parts[parts.count - 1], "")
        if range.isEmpty { throw fail("invalid port: \(Quoted.short(word.text)): no port specified") }
        let proto = written.isEmpty ? "tcp" : written.loweredASCII
        guard ["tcp", "udp", "sctp"].contains(proto) else {
            throw fail("invalid port: \(Quoted.short(word.text)): invalid proto: \(written)")
        }
        if !address.isEmpty, !isAddress(address) { throw fail("invalid IP address: \(address)") }
        guard let ports = ports(range) else { throw fail("invalid containerPort: \(range)") }
        if !host.isEmpty {
            guard let hostPorts = self.ports(host) else { throw fail("invalid hostPort: \(host)") }
            if ports.count > 1, ports.count != hostPorts.count {
                throw fail("invalid ranges specified for container and host Ports: \(range) and \(host)")
            }
        }
        return ports.map {
            ExposedPort(
                word: word, number: $0, networkProtocol: proto, writtenProtocol: written.isEmpty ? "tcp" : written,
                hasHostPart: !host.isEmpty || !address.isEmpty)
        }
    }

    private static func ports(_ text: String) -> ClosedRange<UInt16>? {
        guard let (first, last) = text.cut(Byte.dash) else { return port(text).map { $0...$0 } }
        guard let start = port(first), let end = port(last), start <= end else { return nil }
        return start...end
    }

    private static func port(_ text: String) -> UInt16? {
        guard !text.isEmpty, text.utf8.allSatisfy(Byte.isDigit) else { return nil }
        return UInt16(text)
    }

    /// Four numbers with dots, or something with colons in hexadecimal; what is meant by it is nobody's business here.
    private static func isAddress(_ text: String) -> Bool {
        var bytes = text.utf8[...]
        if bytes.first == Byte.bracket, bytes.last == UInt8(ascii: "]") { bytes = bytes.dropFirst().dropLast() }
        if bytes.contains(UInt8(ascii: ":")) {
            return bytes.allSatisfy {
                Byte.isDigit($0) || (0x61...0x66).contains(Byte.lowered($0)) || $0 == UInt8(ascii: ":") || $0 == UInt8(ascii: ".")
            }
        }
        let parts = bytes.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        return parts.count == 4 && parts.allSatisfy { UInt8($0.text) != nil && $0.allSatisfy(Byte.isDigit) }
    }
}
