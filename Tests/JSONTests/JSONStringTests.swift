import JSON
import Testing

@Suite struct JSONStringTests {
    @Test(arguments: [
        (#""""#, ""), (#""abc""#, "abc"), (#""\"\\\/\b\f\n\r\t""#, "\"\\/\u{8}\u{C}\n\r\t"), (#""\u0041\u00e9\u20AC""#, "Aé€"),
        (#""\ud83d\ude00""#, "😀"), (#""\uD800\uDC00""#, "\u{10000}"), (#""\udbff\udfff""#, "\u{10FFFF}"), (#""é€😀""#, "é€😀"),
        (#""a\u0000b""#, "a\u{0}b"), ("\"\u{7F}\"", "\u{7F}"), (#""\ufffe\uFFFF""#, "\u{FFFE}\u{FFFF}"),
    ])
    func reads(_ text: String, _ expected: String) throws {
        #expect(try string(text).unicodeScalars.elementsEqual(expected.unicodeScalars))
    }

    @Test(arguments: [
        #""\x""#, #""\'""#, #""\U0041""#, #""\u00g0""#, #""\u+123""#, #""\u 123""#, #""\ud800""#, #""\udc00""#, #""\ud800x""#,
        #""\ud800\n""#, #""\ud800\ud800""#, #""\ud800\u0041""#, #""\udfff\ud800""#, "\"\n\"", "\"\t\"", "\"\0\"", "\"\u{1F}\"",
        #""a\ud83d""#, #""\ud83d\ude"xxx""#,
    ])
    func refuses(_ text: String) {
        #expect(refusal(text) == .invalidString)
        #expect(skipRefusal(text) == .invalidString)
        #expect(refusal("{" + text + ":1}") == .invalidString)
    }

    @Test(
        arguments: [
            [0x80], [0xBF], [0xC0, 0x80], [0xC1, 0xBF], [0xC3], [0xC3, 0x28], [0xE0, 0x80, 0x80], [0xE0, 0x9F, 0xBF],
            [0xED, 0xA0, 0x80], [0xED, 0xBF, 0xBF], [0xE2, 0x82], [0xE2, 0x28, 0xA1], [0xF0, 0x80, 0x80, 0x80],
            [0xF0, 0x8F, 0xBF, 0xBF], [0xF4, 0x90, 0x80, 0x80], [0xF5, 0x80, 0x80, 0x80], [0xF8, 0x88, 0x80, 0x80, 0x80],
            [0xFE], [0xFF], [0xF0, 0x9F, 0x98],
        ] as [[UInt8]])
    func refusesWhatIsNotUTF8(_ bytes: [UInt8]) {
        #expect(refusal([0x22] + bytes + [0x22]) == .invalidString)
        #expect(refusal([0x22, 0x61] + bytes + [0x61, 0x22]) == .invalidString)
        // With an escape in the string another way through the code is taken.
        #expect(refusal([0x22, 0x5C, 0x6E] + bytes + [0x22]) == .invalidString)
    }

    @Test(
        arguments: [
            [0xC2, 0x80], [0xDF, 0xBF], [0xE0, 0xA0, 0x80], [0xED, 0x9F, 0xBF], [0xEE, 0x80, 0x80], [0xEF, 0xBF, 0xBF],
            [0xF0, 0x90, 0x80, 0x80], [0xF4, 0x8F, 0xBF, 0xBF],
        ] as [[UInt8]])
    func readsTheEndsOfTheRangesOfUTF8(_ bytes: [UInt8]) throws {
        #expect(try JSONValue.parse([0x22] + bytes + [0x22]) == .string(String(decoding: bytes, as: UTF8.self)))
    }

    @Test func refusesNULWhereItIsNotAllowed() {
        let limits = JSONLimits(allowsNUL: false)
        #expect(refusal(#""a\u0000b""#, limits: limits) == .invalidString)
        #expect(refusal(#"{"a\u0000b":1}"#, limits: limits) == .invalidString)
        #expect(refusal(#""a\u0001b\u0010""#, limits: limits) == nil)
    }

    @Test func readsALongString() throws {
        let long = String(repeating: "0123456789é", count: 100_000)
        #expect(try string("\"" + long + "\"") == long)
    }

    /// Strings are scanned in words of eight bytes: every byte must be seen at every place in and between them.
    @Test func everyByteIsSeenAtEveryPlace() {
        let neighbours: [UInt8] = [0x20, 0x21, 0x23, 0x5B, 0x5D, 0x61, 0x7F]
        for length in 1...18 {
            for place in 0..<length {
                for byte in UInt8.min...UInt8.max {
                    let neighbour = neighbours[(place + Int(byte)) % neighbours.count]
                    var bytes = [UInt8](repeating: neighbour, count: length)
                    bytes[place] = byte
                    let code = refusal([0x22] + bytes + [0x22])
                    switch byte {
                    case 0x22: #expect(code != nil)
                    case 0x5C: #expect(code != nil || place + 1 < length)
                    case 0..<0x20, 0x80...: #expect(code == .invalidString)
                    default: #expect(code == nil)
                    }
                }
            }
        }
    }
}
