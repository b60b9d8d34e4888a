import JSON
import Testing

func parse<T>(
    _ text: String, limits: JSONLimits = .standard, _ body: (inout JSONParser) throws(JSONError) -> T
) throws(JSONError) -> T {
    try JSONParser.parse(Array(text.utf8), limits: limits, body)
}

func string(_ text: String) throws(JSONError) -> String {
    try parse(text) { (p: inout JSONParser) throws(JSONError) in try p.string() }
}

/// The code that reading `text` as any value fails with; nil when it does not.
func refusal(_ text: String, limits: JSONLimits = .standard) -> JSONError.Code? {
    refusal(Array(text.utf8), limits: limits)
}

func refusal(_ bytes: [UInt8], limits: JSONLimits = .standard) -> JSONError.Code? {
    do {
        _ = try JSONValue.parse(bytes, limits: limits)
        return nil
    } catch {
        return error.code
    }
}

func skipRefusal(_ text: String) -> JSONError.Code? {
    do {
        try parse(text) { (p: inout JSONParser) throws(JSONError) in try p.skip() }
        return nil
    } catch {
        return error.code
    }
}

@Suite struct JSONParserTests {
    struct Point: Equatable {
        var x = 0
        var name = ""
        var tags: [String] = []
    }

    func point(_ text: String) throws(JSONError) -> Point {
        try parse(text) { (p: inout JSONParser) throws(JSONError) in
            var point = Point()
            try p.object { (p: inout JSONParser, key) throws(JSONError) in
                switch key {
                case "x": point.x = try p.int()
                case "name": point.name = try p.string()
                case "tags": point.tags = try p.strings()
                default: try p.skip()
                }
            }
            return point
        }
    }

    @Test func readsAnObjectAndSkipsWhatItDoesNotKnow() throws {
        let text = #" { "x" : 7, "other": {"a":[1,2,{"b":null}],"c":"]}"}, "name":"n", "tags": [ "a" , "b" ] } "#
        #expect(try point(text) == Point(x: 7, name: "n", tags: ["a", "b"]))
    }

    @Test func nullCountsAsAbsent() throws {
        #expect(try point(#"{"x":null,"name":null,"tags":null}"#) == Point())
        #expect(try point("null") == Point())
        #expect(try point("{}") == Point())
    }

    @Test func keysWithEscapesAreTheSameKeys() throws {
        #expect(try point(#"{"\u006eam\u0065":"n"}"#).name == "n")
        #expect(try point(#"{"nam\u0065\u0000":"n"}"#).name == "")
    }

    @Test func keysAreCaseSensitive() throws {
        #expect(try point(#"{"X":1,"NAME":"n"}"#) == Point())
    }

    @Test(arguments: [
        "", " ", "{", "[", "[1", "[1,", "{\"a\"", "{\"a\":", "{\"a\":1", "\"", "\"abc", "\"\\", "\"\\u00", "\"\\ud83d\\u",
        "-",
    ])
    func refusesATextThatEnds(_ text: String) {
        let code = refusal(text)
        #expect(code == .truncated || text == "-" && code == .syntax)
        #expect(skipRefusal(text) != nil)
    }

    @Test(arguments: [
        "tru", "truE", "nul", "fals", "True", "NaN", "Infinity", "+1", ".5", "1.", "1e", "1e+", "01", "-01", "00", "--1",
        "[1,]", "[,1]", "[1 2]", "{\"a\":1,}", "{,}", "{\"a\" 1}", "{a:1}", "{'a':1}", "{\"a\":1 \"b\":2}", "]", "}", ",", ":",
        "{1:2}", "[1}", "{\"a\":1]", "//x\n1", "\u{FEFF}1", "\u{B}1", "\u{A0}1",
    ])
    func refusesGarbage(_ text: String) {
        #expect(refusal(text) == .syntax || refusal(text) == .truncated)
        #expect(skipRefusal(text) != nil)
    }

    @Test(arguments: ["1 2", "{}{}", "[]]", "null,", "\"a\"\"b\"", "1e5x", "truex", "0x10", "{} \0", "12a"])
    func refusesTrailingBytes(_ text: String) {
        #expect(refusal(text) == .trailingBytes)
    }

    @Test(arguments: [
        #"{"a":1,"a":2}"#, #"{"a":1,"\u0061":2}"#, #"{"a":null,"a":1}"#, #"{"x":{"b":1,"c":2,"b":3}}"#, #"{"":1,"":2}"#,
    ])
    func refusesDuplicateKeys(_ text: String) {
        #expect(refusal(text) == .duplicateKey)
    }

    @Test func findsADuplicateAmongManyKeys() {
        let members = (0..<5000).map { "\"k\($0)\":\($0)" }
        #expect(refusal("{" + members.joined(separator: ",") + "}") == nil)
        #expect(refusal("{" + (members + ["\"k3\":0"]).joined(separator: ",") + "}") == .duplicateKey)
        #expect(refusal("{" + (members + ["\"k4999\":0"]).joined(separator: ",") + "}") == .duplicateKey)
    }

    @Test func sameKeysInSiblingsAndParentsAreFine() {
        #expect(refusal(#"{"a":{"a":{"a":1}},"b":[{"a":1},{"a":2}]}"#) == nil)
    }

    @Test func depthIsCapped() {
        func nested(_ depth: Int) -> String {
            String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
        }
        func nestedObjects(_ depth: Int) -> String {
            String(repeating: "{\"a\":", count: depth) + "1" + String(repeating: "}", count: depth)
        }
        #expect(refusal(nested(64)) == nil)
        #expect(refusal(nestedObjects(64)) == nil)
        for depth in [65, 160, 511, 513, 100_000] {
            #expect(refusal(nested(depth)) == .tooDeep)
            #expect(refusal(nestedObjects(depth)) == .tooDeep)
            #expect(skipRefusal(nested(depth)) == .tooDeep)
            #expect(skipRefusal(nestedObjects(depth)) == .tooDeep)
        }
        #expect(refusal(nested(10), limits: JSONLimits(depth: 9)) == .tooDeep)
        #expect(refusal([UInt8](repeating: UInt8(ascii: "["), count: 4 << 20)) == .tooDeep)
        #expect(refusal([UInt8](repeating: UInt8(ascii: "{"), count: 4 << 20)) == .syntax)
    }

    /// A thread of the cooperative pool has a small stack.
    @Test func depthIsCappedOnAPoolThread() async {
        let code = await Task.detached {
            refusal([UInt8](repeating: UInt8(ascii: "["), count: 4 << 20))
        }.value
        #expect(code == .tooDeep)
    }

    @Test func depthIsGivenBackBySiblings() {
        let many = "[" + [String](repeating: "[{\"a\":[]}]", count: 1000).joined(separator: ",") + "]"
        #expect(refusal(many, limits: JSONLimits(depth: 4)) == nil)
        #expect(skipRefusal(many) == nil)
    }

    @Test func sizeIsLookedAtFirst() {
        #expect(refusal("@@@@", limits: JSONLimits(size: 3)) == .tooLarge)
        #expect(refusal("1234", limits: JSONLimits(size: 4)) == nil)
    }

    @Test func errorsSayWhereAndWhat() throws {
        do {
            _ = try point(#"{"name":"n","x":"seven"}"#)
            Issue.record("accepted")
        } catch {
            #expect(error.code == .typeMismatch)
            #expect(
                error.naming("p.json").description
                    == #"parse "p.json": expected a number, found a string at byte 16, in "x""#)
        }
    }

    @Test func anErrorDoesNotRepeatAHugeKey() {
        do {
            _ = try JSONValue.parse(Array(("{\"" + String(repeating: "k", count: 100_000) + "\":x}").utf8))
            Issue.record("accepted")
        } catch {
            #expect(error.description.utf8.count < 200)
        }
    }

    @Test func typesAreNotMixed() {
        func code(_ text: String, _ body: (inout JSONParser) throws(JSONError) -> Void) -> JSONError.Code? {
            do {
                try parse(text, body)
                return nil
            } catch { return error.code }
        }
        #expect(code("1") { (p: inout JSONParser) throws(JSONError) in _ = try p.string() } == .typeMismatch)
        #expect(code("null") { (p: inout JSONParser) throws(JSONError) in _ = try p.string() } == .typeMismatch)
        #expect(code("\"1\"") { (p: inout JSONParser) throws(JSONError) in _ = try p.int(Int.self) } == .typeMismatch)
        #expect(code("1") { (p: inout JSONParser) throws(JSONError) in _ = try p.bool() } == .typeMismatch)
        #expect(code("[]") { (p: inout JSONParser) throws(JSONError) in _ = try p.beginObject() } == .typeMismatch)
        #expect(code("{}") { (p: inout JSONParser) throws(JSONError) in _ = try p.strings() } == .typeMismatch)
    }

    @Test func keepsRawValues() throws {
        let text = #"{"a": [1, {"b" : "]"}] , "c": -1.5e3 }"#
        var raw: [String] = []
        try parse(text) { (p: inout JSONParser) throws(JSONError) in
            var object = try p.beginObject()
            while try p.nextKey(&object) != nil { raw.append(String(decoding: try p.rawValue(), as: UTF8.self)) }
        }
        #expect(raw == [#"[1, {"b" : "]"}]"#, "-1.5e3"])
    }

    @Test func readsSetsAndDictionaries() throws {
        #expect(try parse(#"{"/b":{},"/a":null}"#) { (p: inout JSONParser) throws(JSONError) in try p.keys() } == ["/b", "/a"])
        let strings = try parse(#"{"a":"1","b":null}"#) { (p: inout JSONParser) throws(JSONError) in
            try p.stringDictionary()
        }
        #expect(strings == ["a": "1", "b": ""])
        let numbers = try parse(#"{"a":1,"b":null}"#) { (p: inout JSONParser) throws(JSONError) in
            try p.dictionary { (p: inout JSONParser) throws(JSONError) in try p.int(UInt8.self) }
        }
        #expect(numbers == ["a": 1])
    }

    /// Every way to cut a document short, and every byte of it replaced, must end in a value or an error.
    @Test func survivesMutilation() {
        let text = Array(#"{"a":[1,-2.5e3,true,null,"x\u00e9\n\ud83d\ude00é"],"b":{"c":"d"}}"#.utf8)
        for end in 0..<text.count { #expect(refusal(Array(text[..<end])) != nil) }
        for index in text.indices {
            for byte in [0, 0x22, 0x5C, 0x7B, 0x5D, 0x2D, 0x75, 0x80, 0xC3, 0xED, 0xFF] as [UInt8] {
                var changed = text
                changed[index] = byte
                _ = refusal(changed)
                changed.remove(at: index)
                _ = refusal(changed)
            }
        }
    }
}
