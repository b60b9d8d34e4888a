/// Answers to a question.
extension DNSQuery {
    /// Seconds for which an answer about a container may be kept.
    ///
    /// Docker says 600. Containers come and go, and asking again costs a few microseconds: what is kept longer is only longer
    /// wrong. Not 0, so that a proxy that resolves per request asks once a second.
    public static let timeToLive: UInt16 = 1

    /// An answer without records: an error, or (`.noError`) that the name has none of the type.
    public func answer(_ code: DNSCode) -> [UInt8] {
        var out = begin(code, room: 0)
        finish(&out, records: 0, code)
        return out
    }

    /// An answer with addresses, as many as have room. The others are left out, and the client is told to ask again over TCP.
    ///
    /// - Parameters:
    ///   - addresses: of the question's type only, in this order.
    ///   - limit: bytes of the answer; at least 512.
    public func answer(addresses: [[UInt8]], limit: Int) -> [UInt8] {
        let length = type == .aaaa ? 16 : 4
        var out = begin(.noError, room: addresses.count * (12 + length))
        var records = 0
        for address in addresses where address.count == length {
            guard out.count + 12 + length + extensionSize <= limit, records < 0xffff else {
                out.put(DNSQuery.answerFlags(flags, .noError) | DNSMessage.isTruncated, at: 2)
                break
            }
            putRecord(&out, length)
            out += address
            records += 1
        }
        finish(&out, records: records, .noError)
        return out
    }

    /// How many addresses an answer of so many bytes can have, and one more: with it the answer says that there are others.
    public func addressLimit(_ limit: Int) -> Int {
        let room = limit - DNSMessage.headerSize - name.wire.count - 4 - extensionSize
        return max(room, 0) / (type == .aaaa ? 28 : 16) + 1
    }

    /// An answer with names, for the address that was asked about.
    public func answer(names: [DNSName], limit: Int) -> [UInt8] {
        var out = begin(.noError, room: 0)
        var records = 0
        for name in names {
            guard out.count + 12 + name.wire.count + extensionSize <= limit else {
                out.put(DNSQuery.answerFlags(flags, .noError) | DNSMessage.isTruncated, at: 2)
                break
            }
            putRecord(&out, name.wire.count)
            out += name.wire
            records += 1
        }
        finish(&out, records: records, .noError)
        return out
    }

    /// An answer that only says: ask again over TCP.
    public var truncatedAnswer: [UInt8] {
        var out = begin(.noError, room: 0)
        out.put(DNSQuery.answerFlags(flags, .noError) | DNSMessage.isTruncated, at: 2)
        finish(&out, records: 0, .noError)
        return out
    }

    /// Bytes that EDNS adds to an answer.
    private var extensionSize: Int { extension_ == nil ? 0 : 11 }

    private func begin(_ code: DNSCode, room: Int) -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(DNSMessage.headerSize + name.wire.count + 4 + room + extensionSize)
        out.put(id)
        out.put(DNSQuery.answerFlags(flags, code))
        out.put(1)
        out.put(0)
        out.put(0)
        out.put(extension_ == nil ? 0 : 1)
        putQuestion(&out)
        return out
    }

    private func putRecord(_ out: inout [UInt8], _ length: Int) {
        // A pointer to the question's name, which follows the header.
        out.put(0xc000 | UInt16(DNSMessage.headerSize))
        out.put(type.rawValue)
        out.put(1)
        out.put(0)
        out.put(DNSQuery.timeToLive)
        out.put(UInt16(length))
    }

    private func finish(_ out: inout [UInt8], records: Int, _ code: DNSCode) {
        out.put(UInt16(records), at: 6)
        putExtension(&out, size: UInt16(DNSMessage.largestDatagram), code: code)
    }
}

/// An answer that an upstream sent. It is handed on as it came, but for the id.
public struct DNSReply: Sendable, Hashable {
    public var id: UInt16
    public var flags: UInt16
    /// Nil where an error came without it.
    public var question: Question?

    public struct Question: Sendable, Hashable {
        public var name: DNSName
        public var type: DNSType
        public var questionClass: UInt16
    }

    /// Nil unless the message is whole: every record that it counts ends within it.
    ///
    /// - Parameter count: how many of the bytes are the message's.
    public static func read(_ bytes: [UInt8], count: Int? = nil) -> DNSReply? {
        guard let (reply, counts, reader) = begin(bytes, count ?? bytes.count) else { return nil }
        var rest = reader
        for _ in 0..<counts.reduce(0, +) where rest.record() == nil { return nil }
        return reply
    }

    /// What stands at a message's begin, for one that was cut off.
    public static func begin(_ bytes: [UInt8]) -> DNSReply? { begin(bytes, bytes.count)?.0 }

    /// The records of a message's answer section; none when the message is not whole.
    public static func answers(in bytes: [UInt8]) -> [DNSRecord] {
        guard read(bytes) != nil, let (_, counts, reader) = begin(bytes, bytes.count) else { return [] }
        var rest = reader
        return (0..<counts[0]).compactMap { _ in rest.record() }
    }

    private static func begin(_ bytes: [UInt8], _ count: Int) -> (DNSReply, [Int], DNSReader)? {
        var reader = DNSReader(bytes, count: count)
        guard let id = reader.uint16(), let flags = reader.uint16(), flags & DNSMessage.isResponse != 0, flags & DNSMessage.opcode == 0,
            let questions = reader.uint16(), questions < 2, let answers = reader.uint16(), let authorities = reader.uint16(),
            let additional = reader.uint16()
        else { return nil }
        var reply = DNSReply(id: id, flags: flags)
        if questions == 1 {
            guard let name = reader.name(), let type = reader.uint16(), let kind = reader.uint16() else { return nil }
            reply.question = Question(name: name, type: DNSType(type), questionClass: kind)
        }
        return (reply, [Int(answers), Int(authorities), Int(additional)], reader)
    }

    /// Whether a message's answer section has no more than one record, as its header says.
    public static func hasOneAnswerAtMost(_ bytes: [UInt8]) -> Bool {
        bytes.count >= DNSMessage.headerSize && bytes[6] == 0 && bytes[7] < 2
    }

    public var code: DNSCode { DNSCode(flags & 15) }
    public var isTruncated: Bool { flags & DNSMessage.isTruncated != 0 }

    /// Whether it is about this question. An error may come without it.
    public func isAbout(_ query: DNSQuery) -> Bool {
        guard let question else { return code != .noError && code != .noSuchName }
        return question.type == query.type && question.questionClass == query.questionClass && question.name.isSame(as: query.name)
    }
}
