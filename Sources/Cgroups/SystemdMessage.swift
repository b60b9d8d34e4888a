/// Values of D-Bus as they lie in a message: little-endian, each aligned to its own size from the start of the body.
///
/// Spec: D-Bus specification, "Marshaling (Wire Format)". Only the types that systemd's manager interface needs here.
struct SystemdBytes {
    private(set) var bytes: [UInt8] = []

    mutating func align(_ size: Int) { while bytes.count % size != 0 { bytes.append(0) } }
    mutating func append(byte: UInt8) { bytes.append(byte) }

    mutating func append(_ value: UInt32) {
        align(4)
        bytes += Self.littleEndian(value)
    }

    mutating func append(_ value: UInt64) {
        align(8)
        bytes += Self.littleEndian(UInt32(truncatingIfNeeded: value)) + Self.littleEndian(UInt32(value >> 32))
    }

    private static func littleEndian(_ value: UInt32) -> [UInt8] {
        [0, 8, 16, 24].map { UInt8(truncatingIfNeeded: value >> $0) }
    }

    /// A string or an object path: length, bytes, NUL.
    mutating func append(_ text: String) {
        append(UInt32(truncatingIfNeeded: text.utf8.count))
        bytes += Array(text.utf8)
        bytes.append(0)
    }

    mutating func append(signature: String) {
        bytes.append(UInt8(truncatingIfNeeded: signature.utf8.count))
        bytes += Array(signature.utf8)
        bytes.append(0)
    }

    /// An array: its length does not count the padding before the first element.
    mutating func array(alignment: Int, _ elements: (inout SystemdBytes) -> Void) {
        append(UInt32(0))
        let lengthOffset = bytes.count - 4
        align(alignment)
        let start = bytes.count
        elements(&self)
        let length = Self.littleEndian(UInt32(truncatingIfNeeded: bytes.count - start))
        bytes.replaceSubrange(lengthOffset..<lengthOffset + 4, with: length)
    }

    mutating func append(body: [UInt8]) {
        align(8)
        bytes += body
    }
}

/// A property of a unit: D-Bus' `(sv)`.
struct SystemdProperty: Equatable {
    enum Value: Equatable {
        case text(String)
        case flag(Bool)
        case number(UInt64)
        case pids([UInt32])
    }

    let name: String
    let value: Value

    init(_ name: String, _ value: Value) {
        self.name = name
        self.value = value
    }

    func write(to out: inout SystemdBytes) {
        out.align(8)
        out.append(name)
        switch value {
        case .text(let text):
            out.append(signature: "s")
            out.append(text)
        case .flag(let flag):
            out.append(signature: "b")
            out.append(UInt32(flag ? 1 : 0))
        case .number(let number):
            out.append(signature: "t")
            out.append(number)
        case .pids(let pids):
            out.append(signature: "au")
            out.array(alignment: 4) { out in for pid in pids { out.append(pid) } }
        }
    }
}

/// One message that came from systemd, or that goes there.
struct SystemdMessage: Equatable {
    enum Kind: UInt8 {
        case call = 1
        case reply = 2
        case failure = 3
        case signal = 4
    }

    var kind: Kind
    var serial: UInt32 = 0
    var replyTo: UInt32 = 0
    var member = ""
    var errorName = ""
    var signature = ""
    var body: [UInt8] = []

    static let longest = 1 << 20

    /// A call of systemd's manager object.
    static func call(_ member: String, serial: UInt32, signature: String, body: [UInt8]) -> [UInt8] {
        var out = SystemdBytes()
        // Little-endian, a method call, no flags, version 1 of the protocol.
        for byte: UInt8 in [UInt8(ascii: "l"), Kind.call.rawValue, 0, 1] { out.append(byte: byte) }
        out.append(UInt32(truncatingIfNeeded: body.count))
        out.append(serial)
        out.array(alignment: 8) { out in
            let fields: [(UInt8, String, String)] = [
                (1, "o", "/org/freedesktop/systemd1"), (2, "s", "org.freedesktop.systemd1.Manager"), (3, "s", member),
                (6, "s", "org.freedesktop.systemd1"),
            ]
            for (code, type, text) in fields {
                out.align(8)
                out.append(byte: code)
                out.append(signature: type)
                out.append(text)
            }
            if !signature.isEmpty {
                out.align(8)
                out.append(byte: 8)
                out.append(signature: "g")
                out.append(signature: signature)
            }
        }
        out.append(body: body)
        return out.bytes
    }

    /// How long the message is whose first 16 bytes these are; nil when they are no header.
    static func length(_ header: [UInt8]) -> Int? {
        var reader = SystemdReader(header)
        guard header.count >= 16, header[0] == UInt8(ascii: "l"), header[3] == 1 else { return nil }
        reader.offset = 4
        guard let body = reader.number(), reader.number() != nil, let fields = reader.number() else { return nil }
        guard body <= longest, fields <= longest else { return nil }
        return 16 + (Int(fields) + 7) / 8 * 8 + Int(body)
    }

    /// Takes a whole message apart; nil when it is malformed.
    init?(_ bytes: [UInt8]) {
        guard let length = Self.length(bytes), length == bytes.count, let kind = Kind(rawValue: bytes[1]) else { return nil }
        self.kind = kind
        var reader = SystemdReader(bytes)
        reader.offset = 4
        guard let bodyLength = reader.number(), let serial = reader.number(), let fields = reader.number() else { return nil }
        self.serial = serial
        let end = 16 + Int(fields)
        while reader.offset < end {
            reader.align(8)
            guard let code = reader.byte(), let type = reader.signature() else { return nil }
            switch type {
            case "s", "o":
                guard let text = reader.text() else { return nil }
                if code == 3 { member = text } else if code == 4 { errorName = text }
            case "g":
                guard let text = reader.signature() else { return nil }
                if code == 8 { signature = text }
            case "u":
                guard let number = reader.number() else { return nil }
                if code == 5 { replyTo = number }
            default: return nil
            }
        }
        body = Array(bytes.suffix(Int(bodyLength)))
    }
}

/// Reads values back; every step says nil where the bytes end.
struct SystemdReader {
    private let bytes: [UInt8]
    var offset = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    mutating func align(_ size: Int) { offset = (offset + size - 1) / size * size }

    mutating func byte() -> UInt8? {
        guard offset < bytes.count else { return nil }
        offset += 1
        return bytes[offset - 1]
    }

    mutating func number() -> UInt32? {
        align(4)
        guard offset <= bytes.count - 4 else { return nil }
        var value: UInt32 = 0
        for index in 0..<4 { value |= UInt32(bytes[offset + index]) << (8 * UInt32(index)) }
        offset += 4
        return value
    }

    mutating func text() -> String? {
        guard let length = number() else { return nil }
        return take(Int(length))
    }

    mutating func signature() -> String? {
        guard let length = byte() else { return nil }
        return take(Int(length))
    }

    private mutating func take(_ length: Int) -> String? {
        // The NUL behind it must be there too.
        guard length < bytes.count - offset else { return nil }
        let text = String(decoding: bytes[offset..<offset + length], as: UTF8.self)
        offset += length + 1
        return text
    }
}
