/// What all messages share. Spec: RFC 1035 section 4.1.1.
public enum DNSMessage {
    static let headerSize = 12
    /// What an answer over UDP may have when the question does not say more.
    public static let plainSize = 512
    /// What an answer over UDP has at most, and what we say we take: no fragments on any usual link but loopback, where most
    /// questions come from.
    public static let largestDatagram = 4096
    /// The length before a message over TCP has 16 bits.
    public static let largest = 65535

    static let isResponse: UInt16 = 0x8000
    static let opcode: UInt16 = 0x7800
    static let isTruncated: UInt16 = 0x0200
    static let wantsRecursion: UInt16 = 0x0100
    static let offersRecursion: UInt16 = 0x0080
    /// AD and CD (RFC 4035): about DNSSEC, for the upstream.
    static let securityBits: UInt16 = 0x0030
}

/// What a record holds; any number may come.
public struct DNSType: RawRepresentable, Sendable, Hashable {
    public let rawValue: UInt16
    public init(rawValue: UInt16) { self.rawValue = rawValue }
    init(_ rawValue: UInt16) { self.rawValue = rawValue }
    public static let a = DNSType(1)
    public static let pointer = DNSType(12)
    public static let text = DNSType(16)
    public static let aaaa = DNSType(28)
    /// EDNS (RFC 6891).
    public static let option = DNSType(41)
    public static let any = DNSType(255)
}

/// How a question ended; any number may come.
public struct DNSCode: RawRepresentable, Sendable, Hashable {
    public let rawValue: UInt16
    public init(rawValue: UInt16) { self.rawValue = rawValue }
    init(_ rawValue: UInt16) { self.rawValue = rawValue }
    public static let noError = DNSCode(0)
    public static let formatError = DNSCode(1)
    public static let serverFailure = DNSCode(2)
    public static let noSuchName = DNSCode(3)
    public static let notImplemented = DNSCode(4)
    public static let refused = DNSCode(5)
    /// Of EDNS: more than four bits.
    public static let badVersion = DNSCode(16)
}

/// A question as a client sent it: one, with what EDNS adds.
public struct DNSQuery: Sendable, Hashable {
    public var id: UInt16
    /// The header's, as they came.
    public var flags: UInt16
    public var name: DNSName
    public var type: DNSType
    public var questionClass: UInt16
    /// Nil: the client does not speak EDNS.
    public var extension_: Extension?

    public struct Extension: Sendable, Hashable {
        /// What the client takes over UDP, in bytes.
        public var size: UInt16
        /// DNSSEC's records are wanted (DO).
        public var wantsSecurity: Bool
        public init(size: UInt16, wantsSecurity: Bool = false) {
            self.size = size
            self.wantsSecurity = wantsSecurity
        }
    }

    /// What a message from a client turned out to be.
    public enum Received: Sendable, Hashable {
        case query(DNSQuery)
        /// Not to be understood: this is the answer to it.
        case answered([UInt8])
        /// Not even worth an answer: too short to have an id, or itself an answer.
        case nothing
    }

    public init(id: UInt16, name: DNSName, type: DNSType, extension_: Extension? = nil) {
        self.id = id
        flags = DNSMessage.wantsRecursion
        self.name = name
        self.type = type
        questionClass = 1
        self.extension_ = extension_
    }

    /// Reads what a client sent: any bytes.
    ///
    /// - Parameter count: how many of the bytes are the message's.
    public static func read(_ bytes: [UInt8], count: Int? = nil) -> Received {
        read(bytes, in: 0..<min(max(count ?? bytes.count, 0), bytes.count))
    }

    /// - Parameter message: where among the bytes the message stands.
    public static func read(_ bytes: [UInt8], in message: Range<Int>) -> Received {
        var reader = DNSReader(bytes, message)
        guard let id = reader.uint16(), let flags = reader.uint16(), flags & DNSMessage.isResponse == 0 else { return .nothing }
        let refusal = { (code: DNSCode) in Received.answered(DNSQuery.header(id, flags, code)) }
        guard flags & DNSMessage.opcode == 0 else { return refusal(.notImplemented) }
        guard let questions = reader.uint16(), questions == 1, let answers = reader.uint16(), let authorities = reader.uint16(),
            let additional = reader.uint16(), let name = reader.name(), let type = reader.uint16(), let kind = reader.uint16()
        else { return refusal(.formatError) }
        var query = DNSQuery(id: id, name: name, type: DNSType(type))
        query.flags = flags
        query.questionClass = kind
        for _ in 0..<(Int(answers) + Int(authorities) + Int(additional)) {
            guard let record = reader.record() else { return refusal(.formatError) }
            guard record.type == .option else { continue }
            guard query.extension_ == nil, record.name == .root else { return refusal(.formatError) }
            query.extension_ = Extension(size: record.recordClass, wantsSecurity: record.ttl & 0x8000 != 0)
            // The version: nobody has made a second one.
            if record.ttl >> 16 & 0xff != 0 { return .answered(query.answer(.badVersion)) }
        }
        return .query(query)
    }

    /// What an answer over UDP may have, in bytes.
    public var datagramLimit: Int {
        min(max(Int(extension_?.size ?? 0), DNSMessage.plainSize), DNSMessage.largestDatagram)
    }

    /// The question as it is asked elsewhere. Options are for the next hop only and are left out (RFC 6891 section 6.1.1).
    public func encoded(id: UInt16) -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(name.wire.count + 27)
        out.put(id)
        out.put(flags & (DNSMessage.wantsRecursion | DNSMessage.securityBits))
        out.put(1)
        out.put(0)
        out.put(0)
        out.put(extension_ == nil ? 0 : 1)
        putQuestion(&out)
        putExtension(&out, size: UInt16(datagramLimit))
        return out
    }

    func putQuestion(_ out: inout [UInt8]) {
        out += name.wire
        out.put(type.rawValue)
        out.put(questionClass)
    }

    func putExtension(_ out: inout [UInt8], size: UInt16, code: DNSCode = .noError) {
        guard let extension_ else { return }
        out.append(0)
        out.put(DNSType.option.rawValue)
        out.put(size)
        out.put((code.rawValue >> 4) << 8)
        out.put(extension_.wantsSecurity ? 0x8000 : 0)
        out.put(0)
    }

    private static func header(_ id: UInt16, _ flags: UInt16, _ code: DNSCode) -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(DNSMessage.headerSize)
        out.put(id)
        out.put(answerFlags(flags, code))
        for _ in 0..<4 { out.put(0) }
        return out
    }

    static func answerFlags(_ flags: UInt16, _ code: DNSCode) -> UInt16 {
        DNSMessage.isResponse | DNSMessage.offersRecursion | flags & (DNSMessage.opcode | DNSMessage.wantsRecursion) | code.rawValue & 15
    }
}

extension [UInt8] {
    mutating func put(_ number: UInt16) {
        append(UInt8(number >> 8))
        append(UInt8(number & 0xff))
    }

    /// Over what stands there.
    mutating func put(_ number: UInt16, at place: Int) {
        guard place >= 0, place + 1 < count else { return }
        self[place] = UInt8(number >> 8)
        self[place + 1] = UInt8(number & 0xff)
    }
}
