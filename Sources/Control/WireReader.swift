/// Takes a message apart; anything that does not fit throws.
struct WireReader {
    private let bytes: [UInt8]
    private var position = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    var remaining: Int { bytes.count - position }

    /// - Throws: `.protocol` when the message ends too early.
    mutating func integer<T: FixedWidthInteger>(_ type: T.Type = T.self) throws(ControlError) -> T {
        let size = T.bitWidth / 8
        guard remaining >= size else { throw WireReader.short }
        var value: T = 0
        for index in 0..<size { value |= T(truncatingIfNeeded: bytes[position + index]) << T(index * 8) }
        position += size
        return value
    }

    mutating func boolean() throws(ControlError) -> Bool { try integer(UInt8.self) != 0 }

    mutating func string() throws(ControlError) -> String {
        let count = try integer(UInt32.self)
        guard let count = Int(exactly: count), count <= remaining else { throw WireReader.short }
        let text = String(decoding: bytes[position..<(position + count)], as: UTF8.self)
        position += count
        return text
    }

    private static let short = ControlError(.protocol, "read message", cause: "message is too short")
}
