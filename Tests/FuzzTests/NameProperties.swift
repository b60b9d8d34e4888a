import Linux
import Networks

enum NameProperties {
    static func check(_ bytes: [UInt8]) throws(FuzzFailure) {
        switch DNSQuery.read(bytes) {
        case .nothing: break
        case .answered(let answer): try expect(DNSReply.read(answer)?.code != .noError || answer.count > 12, "an error is none: \(answer)")
        case .query(let query): try check(query)
        }
        if let reply = DNSReply.read(bytes) {
            try expect(DNSReply.answers(in: bytes).allSatisfy { $0.data.upperBound <= bytes.count }, "a record ends outside")
            try expect(reply.question.map { $0.name.wire.count <= 255 } ?? true, "a name is too long")
        }
        // The files of names: what another supervisor wrote, whole or not.
        let written = NameEntry.parse(bytes).encoded()
        try expect(NameEntry.parse(written).encoded() == written, "names are written as others")
        // Whatever the last bytes are, they are not the message's.
        let half = bytes.count / 2
        let part = DNSQuery.read(bytes, count: half)
        try expect(part == DNSQuery.read(Array(bytes[..<half])), "bytes behind a message were read")
        // Wherever it stands among others.
        let among = [UInt8](repeating: 0xc0, count: 21) + bytes + [1, 2, 3]
        try expect(DNSQuery.read(bytes) == DNSQuery.read(among, in: 21..<(21 + bytes.count)), "a message is another one elsewhere")
    }

    private static func check(_ query: DNSQuery) throws(FuzzFailure) {
        guard case .query(let again) = DNSQuery.read(query.encoded(id: 77)) else {
            throw FuzzFailure(description: "a question is not understood as it is asked elsewhere")
        }
        try expect(again.id == 77 && again.name == query.name && again.type == query.type, "another question is asked elsewhere")
        try expect(again.extension_?.wantsSecurity == query.extension_?.wantsSecurity, "EDNS is lost")
        let length = query.type == .aaaa ? 16 : 4
        let addresses = (0..<100).map { number in [UInt8](repeating: UInt8(number), count: length) }
        let limit = query.datagramLimit
        let answers = [
            query.answer(addresses: addresses, limit: limit), query.answer(.noSuchName), query.answer(names: [query.name], limit: limit),
            query.truncatedAnswer,
        ]
        for answer in answers {
            guard let reply = DNSReply.read(answer) else { throw FuzzFailure(description: "an answer that is not whole") }
            try expect(reply.id == query.id && reply.isAbout(query), "an answer to something else")
            try expect(reply.question?.name == query.name, "capital letters are lost")
            try expect(answer.count <= limit, "an answer of \(answer.count) bytes, over \(limit)")
        }
        let records = DNSReply.answers(in: answers[0])
        try expect(records.count == min(100, query.addressLimit(limit) - 1), "\(records.count) of 100 addresses in \(limit) bytes")
        if let text = query.name.folded {
            try expect(DNSName(text).map { $0.isSame(as: query.name) } ?? false, "a name is another one as text")
            if let address = DNSName.address(reverse: text) {
                try expect(DNSName.reverse(address) == text, "an address is another one as a name")
            }
        }
    }

    private static func expect(_ holds: Bool, _ text: @autoclosure () -> String) throws(FuzzFailure) {
        if !holds { throw FuzzFailure(description: text()) }
    }
}
