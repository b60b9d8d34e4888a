import JSON
import Testing

@Suite struct JSONNumberTests {
    func int<T: FixedWidthInteger>(_ text: String, _ type: T.Type) throws(JSONError) -> T {
        try parse(text) { (p: inout JSONParser) throws(JSONError) in try p.int(type) }
    }

    func code<T: FixedWidthInteger>(_ text: String, _ type: T.Type) -> JSONError.Code? {
        do {
            _ = try int(text, type)
            return nil
        } catch { return error.code }
    }

    func double(_ text: String) throws(JSONError) -> Double {
        try parse(text) { (p: inout JSONParser) throws(JSONError) in try p.double() }
    }

    @Test func readsTheEndsOfTheRanges() throws {
        #expect(try int("9223372036854775807", Int64.self) == .max)
        #expect(try int("-9223372036854775808", Int64.self) == .min)
        #expect(try int("18446744073709551615", UInt64.self) == .max)
        #expect(try int("4294967295", UInt32.self) == .max)
        #expect(try int("255", UInt8.self) == 255)
        #expect(try int("-128", Int8.self) == -128)
        #expect(try int("0", Int.self) == 0)
        #expect(try int("-0", UInt32.self) == 0)
    }

    @Test func refusesWhatDoesNotFit() {
        #expect(code("9223372036854775808", Int64.self) == .outOfRange)
        #expect(code("-9223372036854775809", Int64.self) == .outOfRange)
        #expect(code("18446744073709551616", UInt64.self) == .outOfRange)
        #expect(code("-1", UInt64.self) == .outOfRange)
        #expect(code("-18446744073709551615", Int64.self) == .outOfRange)
        #expect(code("4294967296", UInt32.self) == .outOfRange)
        #expect(code("256", UInt8.self) == .outOfRange)
        #expect(code("-129", Int8.self) == .outOfRange)
        #expect(code("65536", UInt16.self) == .outOfRange)
        #expect(code(String(repeating: "9", count: 100_000), Int.self) == .outOfRange)
        #expect(code("1e400", Int64.self) == .outOfRange)
        #expect(code("1e99999999999999999999999999", Int64.self) == .outOfRange)
        #expect(code("1844674407370955162e1", UInt64.self) == .outOfRange)
    }

    @Test func integersMayBeWrittenWithAPointOrAnExponent() throws {
        #expect(try int("1.0", Int.self) == 1)
        #expect(try int("-2.000", Int.self) == -2)
        #expect(try int("1e3", Int.self) == 1000)
        #expect(try int("1E+3", UInt16.self) == 1000)
        #expect(try int("1.5e1", Int.self) == 15)
        #expect(try int("1000e-3", Int.self) == 1)
        #expect(try int("0e400", Int.self) == 0)
        #expect(try int("0.000e-99999999999999999999", Int.self) == 0)
        #expect(try int("9223372036854775807.0", Int64.self) == .max)
        #expect(try int("-9223372036854775808.0", Int64.self) == .min)
        #expect(try int("1.8446744073709551615e19", UInt64.self) == .max)
        #expect(try int("10000000000000000000000e-21", Int.self) == 10)
    }

    @Test func fractionsAreNoIntegers() {
        for text in ["1.5", "0.1", "1e-1", "15e-1", "-0.5", "1e-400", "1.0000000000000000001"] {
            let code = code(text, Int.self)
            #expect(code == .typeMismatch || code == .outOfRange, "\(text)")
        }
    }

    @Test func readsDoubles() throws {
        #expect(try double("0.1") == 0.1)
        #expect(try double("-1.5e3") == -1500)
        #expect(try double("1e308") == 1e308)
        #expect(try double("5e-324") == .leastNonzeroMagnitude)
        #expect(try double("3") == 3)
        #expect(try double("-0").sign == .minus)
    }

    @Test(arguments: ["1e400", "-1e400", "1e309", "1e99999999999"])
    func refusesInfinity(_ text: String) {
        #expect(refusal(text) == .outOfRange)
    }

    @Test func aValueKeepsTheKindOfItsNumber() throws {
        #expect(try JSONValue.parse(Array("9223372036854775807".utf8)) == .int(.max))
        #expect(try JSONValue.parse(Array("9223372036854775808".utf8)) == .uint(1 << 63))
        #expect(try JSONValue.parse(Array("18446744073709551616".utf8)) == .double(18446744073709551616))
        #expect(try JSONValue.parse(Array("-9223372036854775809".utf8)) == .double(-9223372036854775808))
        #expect(try JSONValue.parse(Array("1.0".utf8)) == .double(1))
    }
}
