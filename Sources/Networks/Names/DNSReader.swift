/// Reads a message's parts one after the other. Every step may fail and none reads outside of the message.
struct DNSReader {
    private let bytes: [UInt8]
    /// Where the message begins: pointers count from there.
    private let start: Int
    private let end: Int
    private(set) var position: Int

    /// - Parameter count: how many of the bytes are the message's.
    init(_ bytes: [UInt8], count: Int, at position: Int = 0) {
        self.bytes = bytes
        start = 0
        end = min(max(count, 0), bytes.count)
        self.position = position
    }

    /// - Parameter message: where among the bytes the message stands.
    init(_ bytes: [UInt8], _ message: Range<Int>) {
        self.bytes = bytes
        let message = message.clamped(to: bytes.indices)
        start = message.lowerBound
        end = message.upperBound
        position = start
    }

    mutating func uint8() -> UInt8? {
        guard position < end else { return nil }
        defer { position += 1 }
        return bytes[position]
    }

    mutating func uint16() -> UInt16? {
        guard end - position >= 2 else { return nil }
        defer { position += 2 }
        return UInt16(bytes[position]) << 8 | UInt16(bytes[position + 1])
    }

    mutating func uint32() -> UInt32? {
        guard let high = uint16(), let low = uint16() else { return nil }
        return UInt32(high) << 16 | UInt32(low)
    }

    mutating func skip(_ count: Int) -> Bool {
        guard count <= end - position else { return false }
        position += count
        return true
    }

    /// A name, compressed or not.
    ///
    /// A pointer leads to what stands before the labels it ends: each is lower than the one before, so that there is no circle.
    /// Spec: RFC 1035 section 4.1.4.
    mutating func name() -> DNSName? {
        if position < end, bytes[position] == 0 {
            position += 1
            return .root
        }
        // Questions have no pointers: one piece.
        var last = position
        while last < end, bytes[last] > 0, bytes[last] < 64 { last += 1 + Int(bytes[last]) }
        if last < end, bytes[last] == 0 {
            guard last - position < 255 else { return nil }
            let name = DNSName(checked: Array(bytes[position...last]))
            position = last + 1
            return name
        }
        return compressedName()
    }

    private mutating func compressedName() -> DNSName? {
        var wire: [UInt8] = []
        var place = position
        var lowest = position
        var jumped = false
        while place < end {
            let length = Int(bytes[place])
            switch length {
            case 0:
                if !jumped { position = place + 1 }
                wire.append(0)
                return wire.count <= 255 ? DNSName(checked: wire) : nil
            case 1...63:
                guard place + 1 + length <= end, wire.count + 1 + length < 255 else { return nil }
                wire += bytes[place...(place + length)]
                place += 1 + length
            case 0xc0...0xff:
                guard place + 1 < end else { return nil }
                let target = start + ((length & 0x3f) << 8 | Int(bytes[place + 1]))
                // Names stand behind the header.
                guard target < lowest, target >= start + DNSMessage.headerSize else { return nil }
                if !jumped { position = place + 2 }
                jumped = true
                lowest = target
                place = target
            default: return nil
            }
        }
        return nil
    }

    /// One resource record. - Returns: nil when it does not end within the message.
    mutating func record() -> DNSRecord? {
        guard let name = name(), let type = uint16(), let kind = uint16(), let ttl = uint32(), let length = uint16() else { return nil }
        let start = position
        guard skip(Int(length)) else { return nil }
        return DNSRecord(name: name, type: DNSType(type), recordClass: kind, ttl: ttl, data: start..<position)
    }
}

/// One resource record of a message that was received.
public struct DNSRecord: Sendable, Hashable {
    public var name: DNSName
    public var type: DNSType
    /// 1: the internet's.
    public var recordClass: UInt16
    /// Seconds.
    public var ttl: UInt32
    /// Where in the message its data stands.
    public var data: Range<Int>
}
