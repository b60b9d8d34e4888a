/// The head of each message: u16 version, u16 kind, u32 sequence, all little-endian.
public struct ControlFrame: Sendable, Hashable {
    /// What this build speaks. A supervisor outlives upgrades: it must take the version before, too.
    public static let version: UInt16 = 1
    public static let oldestVersion: UInt16 = 1
    /// No message is longer (the largest carry an error text).
    public static let limit = 64 << 10

    public var version: UInt16
    public var kind: UInt16
    /// Counted from 1 by who asks; an answer repeats it; 0 is an event that nobody asked for.
    public var sequence: UInt32
    public var payload: [UInt8]

    public init(kind: UInt16, sequence: UInt32, payload: [UInt8] = [], version: UInt16 = ControlFrame.version) {
        self.version = version
        self.kind = kind
        self.sequence = sequence
        self.payload = payload
    }

    public var encoded: [UInt8] {
        var writer = WireWriter(capacity: 8 + payload.count)
        writer.integer(version)
        writer.integer(kind)
        writer.integer(sequence)
        return writer.bytes + payload
    }

    /// - Throws: `.protocol` for a message that is too short, `.version` for one from an unknown version.
    public static func decode(_ bytes: [UInt8]) throws(ControlError) -> ControlFrame {
        var reader = WireReader(bytes)
        let version: UInt16 = try reader.integer()
        let kind: UInt16 = try reader.integer()
        let sequence: UInt32 = try reader.integer()
        guard version >= oldestVersion, version <= ControlFrame.version else {
            throw ControlError(
                .version, "read message", cause: "version \(version), this build speaks \(ControlFrame.version)")
        }
        return ControlFrame(kind: kind, sequence: sequence, payload: [UInt8](bytes.dropFirst(8)), version: version)
    }
}
