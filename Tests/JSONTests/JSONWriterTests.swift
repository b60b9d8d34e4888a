import JSON
import Testing

@Suite struct JSONWriterTests {
    func text(_ indent: StaticString? = nil, _ body: (inout JSONWriter) -> Void) -> String {
        String(decoding: JSONWriter.document(indent: indent, body), as: UTF8.self)
    }

    @Test func writesTheCompactForm() {
        let written = text { w in
            w.object { w in
                w.field("a", 1)
                w.field("b", "x/y")
                w.field("c", ["p", "q"])
                w.field("d", ["z": "1", "a": "2"])
                w.object("e") { _ in }
                w.array("f") { _ in }
                w.field("g", true)
                w.nullField("h")
                w.array("i", [1, -2]) { w, element in w.value(element) }
                w.rawField("j", Array("[ 1 ]".utf8))
            }
        }
        #expect(
            written
                == #"{"a":1,"b":"x/y","c":["p","q"],"d":{"a":"2","z":"1"},"e":{},"f":[],"g":true,"h":null,"i":[1,-2],"j":[ 1 ]}"#)
    }

    /// The text is what Go's json.MarshalIndent(v, "", "\t") writes.
    @Test func writesThePrettyForm() {
        let written = text("\t") { w in
            w.object { w in
                w.field("a", 1)
                w.field("b", ["x", "y"])
                w.object("c") { w in w.object("d") { _ in } }
                w.array("e") { w in
                    w.object { w in w.field("f", false) }
                    w.array { _ in }
                }
            }
        }
        #expect(
            written == """
                {
                \t"a": 1,
                \t"b": [
                \t\t"x",
                \t\t"y"
                \t],
                \t"c": {
                \t\t"d": {}
                \t},
                \t"e": [
                \t\t{
                \t\t\t"f": false
                \t\t},
                \t\t[]
                \t]
                }
                """)
    }

    @Test func leavesOutWhatIsEmpty() {
        let written = text { w in
            w.object { w in
                w.fieldIfNotEmpty("a", "")
                w.fieldIfNotEmpty("b", [String]())
                w.fieldIfNotEmpty("c", [String: String]())
                w.fieldIfTrue("d", false)
                w.fieldIfNotZero("e", 0)
                w.fieldIfPresent("f", Int?.none)
                w.fieldIfPresent("g", Bool?.none)
                w.arrayIfNotEmpty("h", [Int]()) { w, element in w.value(element) }
                w.ifPresent("i", Int?.none) { w, value in w.value(value) }
                w.dictionaryIfNotEmpty("j", [String: Int]()) { w, value in w.value(value) }
                w.fieldIfPresent("k", 0 as Int64?)
                w.fieldIfPresent("l", false as Bool?)
                w.fieldIfPresent("m", [] as [String]?)
                w.fieldIfPresent("n", "" as String?)
            }
        }
        #expect(written == #"{"k":0,"l":false,"m":[],"n":""}"#)
    }

    @Test func escapesLikeGo() {
        #expect(
            text { $0.value("\"\\/\u{8}\u{C}\n\r\t\u{0}\u{1}\u{1F}\u{7F}<>&é😀\u{2028}\u{2029}\u{2027}") }
                == #""\"\\/\b\f\n\r\t\u0000\u0001\u001f"# + "\u{7F}<>&é😀" + #"\u2028\u2029"# + "\u{2027}\"")
        #expect(
            text { w in
                w.object { w in
                    w.key("a\"\n"); w.value(1)
                }
            } == #"{"a\"\n":1}"#)
    }

    @Test func writesTheEndsOfTheRanges() {
        #expect(text { $0.value(Int64.min) } == "-9223372036854775808")
        #expect(text { $0.value(Int64.max) } == "9223372036854775807")
        #expect(text { $0.value(UInt64.max) } == "18446744073709551615")
        #expect(text { $0.value(Int8.min) } == "-128")
        #expect(text { $0.value(UInt8.max) } == "255")
        #expect(text { $0.value(0) } == "0")
    }

    /// The texts are what Go's json.Marshal writes for a float64.
    @Test(arguments: [
        (0.0, "0"), (-0.0, "-0"), (1.0, "1"), (-1.5, "-1.5"), (0.1, "0.1"), (100.0, "100"), (123456.789, "123456.789"),
        (1e20, "100000000000000000000"), (1e21, "1e+21"), (1.5e300, "1.5e+300"), (1e-6, "0.000001"), (1.25e-6, "0.00000125"),
        (1e-7, "1e-7"), (.leastNonzeroMagnitude, "5e-324"), (1.7976931348623157e308, "1.7976931348623157e+308"),
        (1e16, "10000000000000000"),
        (123456789012345680.0, "123456789012345680"), (0.30000000000000004, "0.30000000000000004"), (1e15, "1000000000000000"),
        (9.5e-5, "0.000095"), (.infinity, "null"), (.nan, "null"),
    ])
    func writesDoublesLikeGo(_ value: Double, _ expected: String) {
        #expect(text { $0.value(value) } == expected)
    }

    @Test func writtenDoublesReadBackTheSame() throws {
        var state: UInt64 = 1
        for _ in 0..<2000 {
            state = state &* 6364136223846793005 &+ 1442695040888963407
            let value = Double(bitPattern: state)
            guard value.isFinite else { continue }
            let bytes = JSONWriter.document { $0.value(value) }
            let back = try JSONParser.parse(bytes) { (p: inout JSONParser) throws(JSONError) in try p.double() }
            #expect(back == value)
        }
    }

    @Test func valuesRoundTripInTheirOrder() throws {
        let text = #"{"z":[1,-2,18446744073709551615,1.5,"é",true,false,null,{}],"a":{"y":[],"x":""}}"#
        let value = try JSONValue.parse(Array(text.utf8))
        #expect(self.text { $0.value(value) } == text)
        #expect(value["a"]?["x"]?.string == "")
        #expect(value["z"]?[2]?.uint == .max)
        #expect(value["z"]?[1]?.int == -2)
        #expect(value["z"]?[9] == nil)
        #expect(value["z"]?[-1] == nil)
        #expect(value["nothing"] == nil)
        #expect(value["z"]?[1]?.uint == nil)
        let literal: JSONValue = ["a": [1, 2.5, "s", nil, true]]
        #expect(self.text { $0.value(literal) } == #"{"a":[1,2.5,"s",null,true]}"#)
    }
}
