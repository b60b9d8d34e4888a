import Linux
import Networks
import Testing

/// Messages of DNS: what is read from any bytes, and what is written. `Tests/FuzzTests` has the properties.
struct NamesMessageTests {
    private func name(_ text: String) throws -> DNSName { try #require(DNSName(text)) }

    private func query(_ bytes: [UInt8]) throws -> DNSQuery {
        guard case .query(let query) = DNSQuery.read(bytes) else { throw NotAQuery() }
        return query
    }

    private struct NotAQuery: Error {}

    private let header: [UInt8] = [0x12, 0x34, 0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0]
    private let web: [UInt8] = [3, 0x77, 0x45, 0x62, 0, 0, 1, 0, 1]  // wEb, A, IN

    @Test func aQuestionIsRead() throws {
        let query = try query(header + web)
        #expect(query.id == 0x1234)
        #expect(query.name.wire == [3, 0x77, 0x45, 0x62, 0])
        #expect(query.name.folded == Array("web".utf8))
        #expect(query.type == .a && query.questionClass == 1 && query.extension_ == nil)
        #expect(query.datagramLimit == 512)
    }

    @Test func ednsIsRead() throws {
        var bytes = header + web + [0, 0, 41, 0x04, 0xd0, 0, 0, 0x80, 0, 0, 0]
        bytes[11] = 1
        #expect(try query(bytes).extension_ == .init(size: 1232, wantsSecurity: true))
        #expect(try query(bytes).datagramLimit == 1232)
        // Version 1 does not exist; two of them are too many; only the root has one.
        var version = bytes
        version[version.count - 5] = 1
        guard case .answered(let answer) = DNSQuery.read(version) else { throw NotAQuery() }
        #expect(answer.suffix(11) == [0, 0, 41, 0x10, 0, 1, 0, 0x80, 0, 0, 0])
        var twice = bytes + bytes.suffix(11)
        twice[11] = 2
        #expect(refusal(twice) == .formatError)
        var named = header + web + [1, 0x61] + bytes.suffix(11)
        named[11] = 1
        #expect(refusal(named) == .formatError)
    }

    private func refusal(_ bytes: [UInt8]) -> DNSCode? {
        guard case .answered(let answer) = DNSQuery.read(bytes) else { return nil }
        return DNSReply.read(answer)?.code
    }

    @Test func whatIsNoQuestionIsRefusedOrIgnored() throws {
        for count in 0..<4 { #expect(DNSQuery.read(header + web, count: count) == .nothing) }
        for count in 4..<(header + web).count { #expect(refusal(Array((header + web)[..<count])) == .formatError, "\(count) bytes") }
        var answer = header + web
        answer[2] |= 0x80
        #expect(DNSQuery.read(answer) == .nothing, "an answer to an answer is a loop")
        var update = header + web
        update[2] = 5 << 3
        #expect(DNSQuery.read(update) == .answered([0x12, 0x34, 0xa8, 0x84, 0, 0, 0, 0, 0, 0, 0, 0]), "not implemented, of its kind")
        var none = header
        none[5] = 0
        #expect(refusal(none) == .formatError)
        var more = header + web + web
        more[5] = 2
        #expect(refusal(more) == .formatError)
        var missing = header + web
        missing[11] = 1
        #expect(refusal(missing) == .formatError)
    }

    @Test func pointersDoNotGoInCircles() {
        for pointer: [UInt8] in [
            [0xc0, 12], [0xc0, 13], [0xc0, 0], [0xc0, 255], [0xff, 0xff], [0x40, 1], [0x80, 1], [1, 0x61, 0xc0, 12],
        ] {
            #expect(refusal(header + pointer + [0, 1, 0, 1]) == .formatError, "\(pointer)")
        }
    }

    @Test func namesAreCheckedForLength() throws {
        let long = [UInt8](repeating: 0x61, count: 63)
        let whole = (0..<3).flatMap { _ in [63] + long } + [61] + long.prefix(61) + [0]
        #expect(whole.count == 255)
        #expect(try query(header + whole + [0, 1, 0, 1]).name.wire == whole)
        let tooLong = (0..<3).flatMap { _ in [63] + long } + [62] + long.prefix(62) + [0]
        #expect(refusal(header + tooLong + [0, 1, 0, 1]) == .formatError)
        #expect(DNSName(String(repeating: "a", count: 63)) != nil)
        #expect(DNSName(String(repeating: "a", count: 64)) == nil)
        #expect(DNSName(String(repeating: "a.", count: 127)) != nil)
        #expect(DNSName(String(repeating: "a.", count: 128)) == nil)
        for text in ["", ".", "a..b", ".a"] { #expect(DNSName(text) == nil, "\(text)") }
        #expect(DNSName("a.b.") == DNSName("a.b"))
    }

    @Test func aDotWithinALabelIsNotASeparator() throws {
        #expect(try query(header + [3, 0x61, 0x2e, 0x62, 0, 0, 1, 0, 1]).name.folded == nil)
        #expect(try query(header + [2, 0x61, 0x00, 0, 0, 1, 0, 1]).name.folded == nil)
        #expect(try query(header + [0, 0, 1, 0, 1]).name.folded == nil)
    }

    @Test func addressesAreAnswered() throws {
        let query = try query(header + web)
        let answer = query.answer(addresses: [[172, 18, 0, 2], [172, 18, 0, 3]], limit: 512)
        #expect(
            answer == [0x12, 0x34, 0x81, 0x80, 0, 1, 0, 2, 0, 0, 0, 0] + web
                + [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 172, 18, 0, 2] + [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 172, 18, 0, 3])
        let records = DNSReply.answers(in: answer)
        #expect(records.map { Array(answer[$0.data]) } == [[172, 18, 0, 2], [172, 18, 0, 3]])
        #expect(records.allSatisfy { $0.name == query.name && $0.ttl == 1 })
        // One of the other family does not belong there.
        #expect(DNSReply.answers(in: query.answer(addresses: [[UInt8](repeating: 1, count: 16)], limit: 512)).isEmpty)
    }

    @Test func whatDoesNotFitIsLeftOutAndSaidSo() throws {
        var query = try query(header + web)
        let many = (0..<200).map { [10, 0, 0, UInt8($0)] }
        let answer = query.answer(addresses: many, limit: 512)
        let reply = try #require(DNSReply.read(answer))
        #expect(reply.isTruncated && answer.count <= 512)
        #expect(DNSReply.answers(in: answer).count == 30)
        #expect(query.addressLimit(512) == 31)
        query.extension_ = .init(size: 4096)
        let larger = query.answer(addresses: many, limit: query.datagramLimit)
        #expect(try #require(DNSReply.read(larger)).isTruncated == false)
        #expect(DNSReply.answers(in: larger).count == 200)
        #expect(larger.suffix(11) == [0, 0, 41, 0x10, 0, 0, 0, 0, 0, 0, 0])
    }

    @Test func errorsKeepTheQuestion() throws {
        let query = try query(header + web)
        for code in [DNSCode.noError, .noSuchName, .serverFailure, .refused] {
            let reply = try #require(DNSReply.read(query.answer(code)))
            #expect(reply.code == code && reply.question?.name == query.name && reply.id == 0x1234)
        }
        #expect(try #require(DNSReply.read(query.truncatedAnswer)).isTruncated)
    }

    @Test func aReplyIsMatchedToItsQuestion() throws {
        let query = DNSQuery(id: 1, name: try name("www.Example.com"), type: .a)
        let reply = try #require(DNSReply.read(query.answer(addresses: [[1, 2, 3, 4]], limit: 512)))
        #expect(reply.isAbout(query))
        #expect(reply.isAbout(DNSQuery(id: 1, name: try name("www.example.COM"), type: .a)))
        #expect(!reply.isAbout(DNSQuery(id: 1, name: try name("www.example.org"), type: .a)))
        #expect(!reply.isAbout(DNSQuery(id: 1, name: try name("www.example.com"), type: .aaaa)))
        // An error may come without its question; that a name exists or does not may not.
        #expect(try #require(DNSReply.read([0, 1, 0x81, 0x82, 0, 0, 0, 0, 0, 0, 0, 0])).isAbout(query))
        #expect(try !#require(DNSReply.read([0, 1, 0x81, 0x83, 0, 0, 0, 0, 0, 0, 0, 0])).isAbout(query))
        #expect(DNSReply.read(query.encoded(id: 1)) == nil, "a question is no answer")
    }

    @Test func aReplyThatIsNotWholeIsNone() throws {
        let query = DNSQuery(id: 1, name: try name("a.b"), type: .a)
        let answer = query.answer(addresses: [[1, 2, 3, 4]], limit: 512)
        for count in 0..<answer.count { #expect(DNSReply.read(answer, count: count) == nil, "\(count) bytes") }
    }

    @Test func addressesHaveNames() throws {
        #expect(DNSName.address(reverse: Array("2.0.18.172.in-addr.arpa".utf8)) == [172, 18, 0, 2])
        #expect(DNSName.reverse([172, 18, 0, 2]) == Array("2.0.18.172.in-addr.arpa".utf8))
        let six = try #require(IPAddress("fd00::1:2")).bytes
        #expect(DNSName.address(reverse: DNSName.reverse(six)) == six)
        for text in [
            "1.2.3.in-addr.arpa", "256.0.0.1.in-addr.arpa", "01.0.0.1.in-addr.arpa", "a.b.c.d.in-addr.arpa", "in-addr.arpa",
            "1.2.3.4.5.in-addr.arpa", "....in-addr.arpa", "f.ip6.arpa", "1.2.3.4.in-addr.arpa.example",
        ] {
            #expect(DNSName.address(reverse: Array(text.utf8)) == nil, "\(text)")
        }
    }
}
