import Testing

@testable import YAML

func yaml(_ text: String, limits: YAMLLimits = .standard) throws(YAMLError) -> YAMLNode {
    try YAMLNode.parse(Array(text.utf8), limits: limits)
}

extension YAMLNode {
    /// Like flow style with types told apart: texts in quotes.
    var shown: String {
        switch value {
        case .null: "null"
        case .bool(let value): "\(value)"
        case .int(let value): "\(value)"
        case .uint(let value): "\(value)u"
        case .double(let value): "\(value)d"
        case .string(let value): "'\(value)'"
        case .sequence(let elements): "[" + elements.map(\.shown).joined(separator: ", ") + "]"
        case .mapping(let members): "{" + members.map { $0.key + ": " + $0.value.shown }.joined(separator: ", ") + "}"
        }
    }
}

func refusal(_ text: String, limits: YAMLLimits = .standard) -> YAMLError? {
    do throws(YAMLError) {
        _ = try yaml(text, limits: limits)
        return nil
    } catch {
        return error
    }
}

@Suite struct YAMLNodeTests {
    @Test(arguments: [
        ("", "null"), ("# nothing\n", "null"), ("---\n", "null"), ("a", "'a'"), ("[]", "[]"), ("{}", "{}"),
        ("a: 1\nb:\n  - x\n  - y: z\n", "{a: 1, b: ['x', {y: 'z'}]}"),
        ("{\"a\": [1, 2.5, true, null, \"t\\u00e4\"]}", "{a: [1, 2.5d, true, null, 'tä']}"),
        ("a: |\n  one\n  two\nb: >\n  one\n  two\n", "{a: 'one\ntwo\n', b: 'one two\n'}"),
        ("'it''s'", "'it's'"), ("\"a\\tb\"", "'a\tb'"), ("80: x\ntrue: y\n", "{80: 'x', true: 'y'}"),
        ("\u{FEFF}a: 1", "{a: 1}"), ("a: 1\r\nb: 2\r\n", "{a: 1, b: 2}"),
        ("%YAML 1.2\n---\na: 1\n...\n", "{a: 1}"),
    ])
    func reads(_ text: String, _ shown: String) throws {
        #expect(try yaml(text).shown == shown)
    }

    @Test(arguments: [
        ("~", "null"), ("null", "null"), ("Null", "null"), ("nUll", "'nUll'"), ("true", "true"), ("False", "false"),
        ("yes", "'yes'"), ("on", "'on'"), ("n", "'n'"), ("0", "0"), ("-0", "0"), ("+7", "7"), ("-12", "-12"),
        ("0x1F", "31"), ("0o17", "15"), ("0644", "420"), ("-010", "-8"), ("08", "8"), ("0x", "'0x'"), ("0xg", "'0xg'"), ("-0x1", "'-0x1'"),
        ("9223372036854775807", "9223372036854775807"), ("9223372036854775808", "9223372036854775808u"),
        ("-9223372036854775808", "-9223372036854775808"), ("18446744073709551616", "1.8446744073709552e+19d"),
        ("-9223372036854775809", "-9.223372036854776e+18d"), ("0xFFFFFFFFFFFFFFFFF", "'0xFFFFFFFFFFFFFFFFF'"),
        ("1.5", "1.5d"), (".5", "0.5d"), ("1.", "1.0d"), ("1e3", "1000.0d"), ("-1.5E-1", "-0.15d"), ("1e", "'1e'"), ("1e+", "'1e+'"),
        (".", "'.'"), ("-", "[null]"), ("+", "'+'"), ("1.2.3", "'1.2.3'"), ("1_000", "'1_000'"), ("1:30", "'1:30'"),
        ("2026-01-31", "'2026-01-31'"), (".inf", "infd"), ("-.INF", "-infd"), (".nan", "nand"), ("1e999", "infd"),
        ("infinity", "'infinity'"),
        ("nan", "'nan'"), ("0b1", "'0b1'"), ("\"1\"", "'1'"), ("'true'", "'true'"),
    ])
    func givesPlainScalarsTheTypesOfTheCoreSchema(_ text: String, _ shown: String) throws {
        #expect(try yaml(text).shown == shown)
    }

    @Test(arguments: [
        ("!!str 1", "'1'"), ("! 1", "'1'"), ("!!int \"7\"", "7"), ("!!float 1", "1.0d"), ("!!null ''", "null"), ("!!bool true", "true"),
        ("!!seq [1]", "[1]"), ("!!map {a: 1}", "{a: 1}"),
    ])
    func takesTheTagsOfYAML(_ text: String, _ shown: String) throws {
        #expect(try yaml(text).shown == shown)
    }

    @Test func keepsTagsOfApplications() throws {
        let node = try yaml("a: !reset null\nb: !override [1]\nc: !reset \"1\"\nd: !x {}\n")
        #expect(node.shown == "{a: null, b: [1], c: '1', d: {}}")
        #expect(["a", "b", "c", "d"].map { node[$0]?.tag } == ["!reset", "!override", "!reset", "!x"])
    }

    @Test func keepsScalarsAsTheyAreWritten() throws {
        let node = try yaml("a: 0644\nb: 1.10\nc: yes\nd: \"x\"\ne: ~\nf: []")
        #expect(["a", "b", "c", "d"].map { node[$0]?.scalarText } == ["0644", "1.10", "yes", "x"])
        #expect(node["e"]?.scalarText == nil)
        #expect(node["f"]?.scalarText == nil)
    }

    @Test func knowsWhereThingsStand() throws {
        let node = try yaml("a: 1\nb:\n  - x\n  -   y\nc: &n {k: v}\nd: *n\n")
        #expect(node["b"]?[1]?.line == 4)
        #expect(node["b"]?[1]?.column == 7)
        #expect(node.mapping?.map(\.line) == [1, 2, 5, 6])
        // Of an alias: where it is used.
        #expect(node["d"]?.line == 6)
        #expect(node["d"]?["k"]?.line == 5)
    }

    @Test func readsSeveralDocuments() throws {
        let text = "a: 1\n---\nb: 2\n---\n---\nc: 3\n"
        #expect(try YAMLNode.parseAll(Array(text.utf8)).map(\.shown) == ["{a: 1}", "{b: 2}", "null", "{c: 3}"])
        #expect(refusal(text)?.description == "parse yaml: line 3, column 1: only one document is expected")
        #expect(try YAMLNode.parseAll([]).isEmpty)
    }
}

@Suite struct YAMLAnchorTests {
    @Test func resolvesAliases() throws {
        #expect(try yaml("a: &x [1, 2]\nb: *x\nc: [*x, *x]").shown == "{a: [1, 2], b: [1, 2], c: [[1, 2], [1, 2]]}")
        #expect(try yaml("- &a one\n- *a\n- &a two\n- *a\n").shown == "['one', 'one', 'two', 'two']")
        #expect(try yaml("&k key: 1\nother: *k\n").shown == "{key: 1, other: 'key'}")
        #expect(try yaml("a: &k key\n*k : 1\n").shown == "{a: 'key', key: 1}")
    }

    @Test func refusesAliasesThatLeadNowhere() {
        #expect(refusal("a: *x\nb: &x 1")?.reason == "line 1, column 4: there is no anchor \"x\" before this")
        #expect(refusal("&a [*a]")?.reason == "line 1, column 5: the anchor \"a\" contains itself")
        #expect(refusal("&a {k: [*a]}")?.code == .unknownAnchor)
        // An anchor is its document's own.
        #expect((try? YAMLNode.parseAll(Array("&a 1\n---\n*a\n".utf8))) == nil)
    }

    @Test func mergesMappings() throws {
        #expect(try yaml("base: &b {x: 1, y: 2}\nuse:\n  <<: *b\n  y: 3\n")["use"]?.shown == "{y: 3, x: 1}")
        #expect(try yaml("use:\n  y: 3\n  <<: [{x: 1, y: 0}, {x: 2, z: 4}]\n")["use"]?.shown == "{y: 3, x: 1, z: 4}")
        #expect(try yaml("<<: {a: 1}\n<<: {b: 2}\n").shown == "{a: 1, b: 2}")
        // In quotes it is a key like others.
        #expect(try yaml("\"<<\": 1").shown == "{<<: 1}")
        #expect(refusal("<<: 1")?.reason == "line 1, column 5: << takes a mapping or a list of them, and this is a number")
        #expect(refusal("<<: [a]")?.code == .invalidValue)
    }

    /// Nine lines, and 10^9 nodes if anybody followed them.
    @Test func countsWhatAliasesStandFor() {
        var text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
        for level in 1..<9 {
            text += "a\(level): &a\(level) [" + Array(repeating: "*a\(level - 1)", count: 10).joined(separator: ", ") + "]\n"
        }
        #expect(refusal(text)?.code == .tooLarge)
        var merges = "m0: &m0 {k: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]}\n"
        for level in 1..<9 {
            merges += "m\(level): &m\(level) {" + (0..<10).map { "k\($0): *m\(level - 1)" }.joined(separator: ", ") + "}\n"
        }
        #expect(refusal(merges)?.code == .tooLarge)
    }

    /// Each alias is one level more than the last, and none of them is deep in the text.
    @Test func countsTheDepthOfWhatAliasesStandFor() throws {
        var text = "a0: &a0 [x]\n"
        for level in 1..<63 { text += "a\(level): &a\(level) [*a\(level - 1)]\n" }
        _ = try yaml(text)
        text += "a63: &a63 [*a62]\n"
        #expect(refusal(text)?.code == .tooDeep)
    }
}

@Suite struct YAMLRefusalTests {
    @Test(arguments: [
        ("a: 1\na: 2\n", "line 2, column 1: duplicate key \"a\""), ("{a: 1, a: 2}", "line 1, column 8: duplicate key \"a\""),
        ("a: b: c", "line 1, column 5: mapping values are not allowed in this context"),
        ("a: [1, 2", "line 2, column 1: did not find expected ',' or ']'"),
        ("a:\n\t- b", "line 2, column 1: found character that cannot start any token"),
        ("\"abc", "line 1, column 5: found unexpected end of stream"),
        ("? [a]\n: 1", "line 1, column 3: a key has to be a text, and this is a list"),
        ("~: 1", "line 1, column 1: a key has to be a text, and this is nothing"),
        ("a: \"x\\0y\"", "line 1, column 4: a text holds a NUL"),
        ("!!binary aGk=", "line 1, column 1: a value with the tag !!binary is not supported"),
        ("!!set {a}", "line 1, column 1: a value with the tag !!set is not supported here"),
        ("!!int x", "line 1, column 1: \"x\" is no !!int"),
    ])
    func tellsWhereAndWhy(_ text: String, _ reason: String) {
        #expect(refusal(text)?.reason == reason)
    }

    @Test func namesTheFile() {
        #expect(refusal("a: [1")?.naming("x.yaml").description.hasPrefix("parse \"x.yaml\": line 2, column ") == true)
    }

    @Test func limitsDepthSizeAndNumbers() throws {
        _ = try yaml(String(repeating: "[", count: 64) + String(repeating: "]", count: 64))
        #expect(refusal(String(repeating: "[", count: 65))?.code == .tooDeep)
        #expect(refusal(String(repeating: "[", count: 1 << 20))?.code == .tooDeep)
        #expect(refusal(String(repeating: "- ", count: 1 << 20))?.code == .tooDeep)
        #expect(refusal(String(repeating: "{a: ", count: 100))?.code == .tooDeep)
        #expect(refusal(String(repeating: "a", count: 101), limits: YAMLLimits(size: 100))?.code == .tooLarge)
        #expect(refusal("[1, 2, 3]", limits: YAMLLimits(nodes: 3))?.code == .tooLarge)
        _ = try yaml("[1, 2]", limits: YAMLLimits(nodes: 3))
        #expect(refusal(String(repeating: "%TAG !a! x\n", count: 300))?.code == .tooLarge)
        #expect(try yaml("a: \"x\\0y\"", limits: YAMLLimits(allowsNUL: true))["a"]?.string == "x\0y")
    }

    @Test(
        arguments: [
            [0xFF, 0xFE], [0xFE, 0xFF, 0x00], [0xC3], [0x61, 0x3A, 0x20, 0xFF], [0xED, 0xA0, 0x80], [0x00], [0x61, 0x00, 0x62], [0x07],
            [0xEF, 0xBB, 0xBF],
        ] as [[UInt8]])
    func takesBytesThatAreNoText(_ bytes: [UInt8]) {
        // Whatever it says, it says it.
        _ = try? YAMLNode.parseAll(bytes)
    }
}
