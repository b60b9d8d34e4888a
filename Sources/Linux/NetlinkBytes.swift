/// Writes and reads netlink's aligned attributes.
public struct NetlinkBytes {
    public var bytes: [UInt8] = []
    public init() {}

    /// A number in the machine's byte order.
    public mutating func append<T: FixedWidthInteger>(_ value: T) {
        withUnsafeBytes(of: value) { bytes.append(contentsOf: $0) }
    }

    /// One attribute, padded to four bytes.
    public mutating func attribute(_ type: UInt16, _ value: [UInt8]) {
        append(UInt16(truncatingIfNeeded: 4 + value.count))
        append(type)
        bytes += value
        pad()
    }

    /// Text with the zero byte that ends it.
    public mutating func attribute(_ type: UInt16, _ text: String) {
        append(UInt16(truncatingIfNeeded: 5 + text.utf8.count))
        append(type)
        bytes.append(contentsOf: text.utf8)
        bytes.append(0)
        pad()
    }

    public mutating func attribute(_ type: UInt16, _ number: UInt32) {
        append(UInt16(8))
        append(type)
        append(number)
    }

    /// A number in network order, as nfnetlink has all of its own.
    public mutating func attribute(_ type: UInt16, bigEndian number: UInt32) {
        attribute(type, number.bigEndian)
    }

    public mutating func attribute(_ type: UInt16, byte: UInt8) {
        append(UInt16(5))
        append(type)
        append(UInt32(byte).littleEndian)
    }

    /// An attribute that holds attributes (NLA_F_NESTED). What is in it must stay below 64 KiB.
    public mutating func nested(_ type: UInt16, _ body: (inout NetlinkBytes) -> Void) {
        let start = bytes.count
        append(UInt16(0))
        append(type | 0x8000)
        body(&self)
        let length = UInt16(truncatingIfNeeded: bytes.count - start)
        withUnsafeBytes(of: length) { bytes.replaceSubrange(start..<(start + 2), with: $0) }
    }

    private mutating func pad() {
        while bytes.count & 3 != 0 { bytes.append(0) }
    }

    /// 0 where the bytes end too early.
    public static func read<T: FixedWidthInteger>(_ bytes: [UInt8], _ offset: Int, _: T.Type) -> T {
        guard offset >= 0, offset + MemoryLayout<T>.size <= bytes.count else { return 0 }
        return bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: T.self) }
    }

    /// The attributes of a message behind its fixed header.
    public static func attributes(_ bytes: [UInt8], after header: Int = 0) -> [(type: UInt16, value: [UInt8])] {
        var result: [(type: UInt16, value: [UInt8])] = []
        var offset = header
        while bytes.count - offset >= 4 {
            let length = Int(read(bytes, offset, UInt16.self))
            guard length >= 4, length <= bytes.count - offset else { break }
            result.append((read(bytes, offset + 2, UInt16.self) & 0x3fff, Array(bytes[(offset + 4)..<(offset + length)])))
            offset += (length + 3) & ~3
        }
        return result
    }

    /// Text without the zero byte that ends it.
    public static func text(_ bytes: [UInt8]) -> String {
        String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }
}

/// Several netlink messages that are sent at once.
public struct NetlinkBatch {
    /// With sequence numbers counted from 0; the socket adds its own.
    public internal(set) var bytes: [UInt8] = []
    /// What each message is for, in the words of an error.
    var purposes: [(operation: String, object: String)] = []
    /// Where the messages begin in ``bytes``.
    var starts: [Int] = []

    let isTransaction: Bool

    /// - Parameter isTransaction: it begins with NFNL_MSG_BATCH_BEGIN and will end with NFNL_MSG_BATCH_END.
    public init(isTransaction: Bool = false) { self.isTransaction = isTransaction }

    public var isEmpty: Bool { starts.isEmpty }
    public var count: Int { starts.count }

    /// - Parameter flags: NLM_F_REQUEST is added.
    public mutating func add(
        _ type: UInt16, flags: UInt16 = 0, _ operation: String, _ object: String, _ body: (inout NetlinkBytes) -> Void
    ) {
        var message = NetlinkBytes()
        swap(&message.bytes, &bytes)
        let start = message.bytes.count
        message.append(UInt32(0))
        message.append(type)
        message.append(flags | 1 /* NLM_F_REQUEST */)
        message.append(UInt32(starts.count))
        message.append(UInt32(0))
        body(&message)
        let length = UInt32(truncatingIfNeeded: message.bytes.count - start)
        withUnsafeBytes(of: length) { message.bytes.replaceSubrange(start..<(start + 4), with: $0) }
        swap(&message.bytes, &bytes)
        starts.append(start)
        purposes.append((operation, object))
    }
}
