/// Writes fields of a message in protobuf's wire format (protobuf.dev, "Encoding"): what CRIU's requests need of it.
struct ProtobufWriter {
    private(set) var bytes: [UInt8] = []

    mutating func field(_ number: UInt32, _ value: UInt64) {
        varint(UInt64(number) << 3)
        varint(value)
    }

    /// A negative number has ten bytes, as the format wants it.
    mutating func field(_ number: UInt32, _ value: Int32) { field(number, UInt64(bitPattern: Int64(value))) }

    /// False is the default of every flag, and left out.
    mutating func field(_ number: UInt32, _ value: Bool) { if value { field(number, UInt64(1)) } }

    /// An empty text is left out.
    mutating func field(_ number: UInt32, _ value: String) { if !value.isEmpty { field(number, Array(value.utf8)) } }

    mutating func field(_ number: UInt32, _ value: [UInt8]) {
        varint(UInt64(number) << 3 | 2)
        varint(UInt64(value.count))
        bytes += value
    }

    private mutating func varint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(truncatingIfNeeded: rest))
    }
}

/// Reads the fields of a message one after the other. What comes from a program that is not ours is believed nothing.
struct ProtobufReader {
    enum Value {
        case number(UInt64)
        case bytes([UInt8])
    }

    private var rest: ArraySlice<UInt8>
    /// What is left of the message is no field.
    private(set) var isCorrupt = false

    init(_ bytes: [UInt8]) { rest = bytes[...] }

    /// The next field; nil at the end, and where the message is damaged (``isCorrupt``).
    mutating func next() -> (number: UInt64, value: Value)? {
        if rest.isEmpty { return nil }
        guard let key = varint(), let value = value(kind: key & 7) else {
            isCorrupt = true
            return nil
        }
        return (key >> 3, value)
    }

    private mutating func value(kind: UInt64) -> Value? {
        switch kind {
        case 0: return varint().map { .number($0) }
        case 1: return take(8).map { .bytes($0) }
        case 2: return varint().flatMap { Int(exactly: $0) }.flatMap { take($0) }.map { .bytes($0) }
        case 5: return take(4).map { .bytes($0) }
        default: return nil
        }
    }

    private mutating func varint() -> UInt64? {
        var result: UInt64 = 0
        var shift: UInt64 = 0
        while let byte = rest.popFirst() {
            result |= UInt64(byte & 0x7f) << shift
            if byte < 0x80 { return result }
            shift += 7
            if shift > 63 { return nil }
        }
        return nil
    }

    private mutating func take(_ count: Int) -> [UInt8]? {
        guard count <= rest.count else { return nil }
        defer { rest = rest.dropFirst(count) }
        return Array(rest.prefix(count))
    }
}
