import Testing

@testable import Flags

@Suite struct ValueTests {
    @Test(
        arguments: [
            ("0", 0), ("1", 1), ("1024", 1024), ("1k", 1024), ("1K", 1024), ("1kb", 1024), ("1KiB", 1024), ("1b", 1),
            ("32m", 32 << 20), ("1.5g", 3 << 29), ("1.5GiB", 3 << 29), (".5k", 512), ("2 GB", 2 << 30), ("1t", 1 << 40),
            ("1p", 1 << 50), ("1e3", 1000), ("0.1", 0), ("7pib", 7 << 50), ("5.", 5), ("8000p", 8000 << 50),
        ] as [(String, Int64)]) func sizes(_ text: String, _ bytes: Int64) throws
    {
        #expect(try ByteSize.read(text) == bytes)
        #expect(ByteSize.parse(text) == bytes)
    }

    @Test(arguments: [
        ("", "invalid size: ''"), ("x", "invalid size: 'x'"), ("-1", "invalid size: '-1'"), ("k", "invalid size: 'k'"),
        ("1x", "invalid suffix: 'x'"), ("1kk", "invalid suffix: 'kk'"), ("1kibi", "invalid suffix: 'kibi'"),
        ("1bb", "invalid suffix: 'bb'"), ("1  k", #"strconv.ParseFloat: parsing "1 ": invalid syntax"#),
        (" ", #"strconv.ParseFloat: parsing "": invalid syntax"#), ("9999999999p", "invalid size: '9999999999p'"),
        ("9223372036854775808", "invalid size: '9223372036854775808'"),
        ("1e999", #"strconv.ParseFloat: parsing "1e999": value out of range"#), ("1é", "invalid suffix: 'é'"),
        ("nan0", #"strconv.ParseFloat: parsing "nan0": invalid syntax"#),
    ]) func badSizes(_ text: String, _ sentence: String) {
        #expect(throws: InvalidValue(sentence)) { try ByteSize.read(text) }
    }

    @Test(
        arguments: [
            ("0", 0), ("10s", 10_000_000_000), ("1h30m", 5_400_000_000_000), ("1.5m", 90_000_000_000), ("-2ms", -2_000_000),
            ("+3us", 3_000), ("4\u{B5}s", 4_000), ("5\u{3BC}s", 5_000), ("6ns", 6), (".5s", 500_000_000),
            ("1.s", 1_000_000_000), ("1h0m0.5s", 3_600_500_000_000), ("2562047h47m16.854775807s", Int64.max),
            ("-2562047h47m16.854775808s", Int64.min), ("0.0000000000000000000000000000001h", 0),
        ] as [(String, Int64)]) func durations(_ text: String, _ nanoseconds: Int64) throws
    {
        #expect(try GoSyntax.duration(text) == nanoseconds)
    }

    @Test(arguments: [
        ("", #"time: invalid duration """#), ("x", #"time: invalid duration "x""#),
        ("-", #"time: invalid duration "-""#), (".s", #"time: invalid duration ".s""#),
        ("1", #"time: missing unit in duration "1""#), ("1d", #"time: unknown unit "d" in duration "1d""#),
        ("1h1", #"time: missing unit in duration "1h1""#), ("2562048h", #"time: invalid duration "2562048h""#),
        ("9223372036854775808ns", #"time: invalid duration "9223372036854775808ns""#),
        ("99999999999999999999s", #"time: invalid duration "99999999999999999999s""#),
        ("1 s", #"time: unknown unit " s" in duration "1 s""#),
    ]) func badDurations(_ text: String, _ sentence: String) {
        #expect(throws: InvalidValue(sentence)) { try GoSyntax.duration(text) }
    }

    @Test(
        arguments: [
            ("0", 0), ("42", 42), ("-7", -7), ("+7", 7), ("0x1F", 31), ("0b101", 5), ("0o17", 15), ("017", 15),
            ("1_000", 1000), ("0x_1", 1), ("9223372036854775807", Int64.max), ("-9223372036854775808", Int64.min), ("-0", 0),
        ] as [(String, Int64)]) func integers(_ text: String, _ value: Int64) throws
    {
        #expect(try GoSyntax.integer(text) == value)
    }

    @Test(arguments: ["", "-", "x", "1x", "0x", "08", "1__0", "_1", "1_", "1.5", " 1", "--1", "0b2", "\u{FF11}"])
    func badIntegers(_ text: String) {
        #expect(throws: GoSyntax.invalidSyntax("ParseInt", text)) { try GoSyntax.integer(text) }
    }

    @Test(arguments: ["9223372036854775808", "-9223372036854775809", "18446744073709551616", "0xFFFFFFFFFFFFFFFFF"])
    func integersOutOfRange(_ text: String) {
        #expect(throws: GoSyntax.outOfRange("ParseInt", text)) { try GoSyntax.integer(text) }
    }

    @Test func unsigned() throws {
        #expect(try GoSyntax.unsigned("18446744073709551615", bits: 64) == .max)
        #expect(try GoSyntax.unsigned("65535", bits: 16) == 65535)
        #expect(throws: GoSyntax.outOfRange("ParseUint", "65536")) { try GoSyntax.unsigned("65536", bits: 16) }
        #expect(throws: GoSyntax.invalidSyntax("ParseUint", "+1")) { try GoSyntax.unsigned("+1", bits: 64) }
    }

    @Test(
        arguments: [
            ("1", 1_000_000_000), ("1.5", 1_500_000_000), (".25", 250_000_000), ("0.000000001", 1), ("2.", 2_000_000_000),
            ("1/4", 250_000_000), ("1e-1", 100_000_000), ("1.50000000000000", 1_500_000_000), ("0", 0), ("0.0", 0),
            ("-1", -1_000_000_000), ("+2", 2_000_000_000), ("1e2", 100_000_000_000), ("0e99", 0),
        ] as [(String, Int64)]) func cpus(_ text: String, _ billionths: Int64) throws
    {
        #expect(try CPUCount.nanoCPUs(text) == billionths)
    }

    @Test(arguments: [
        "", ".", "x", "1.2.3", "1/0", "1/", "/1", "1e", "1e999", "99999999999", "1e99", "- 1", "1/2/3", "--1",
    ]) func badCPUs(_ text: String) {
        #expect(throws: InvalidValue("failed to parse \(text) as a rational number")) {
            try CPUCount.nanoCPUs(text)
        }
    }

    @Test(
        arguments: [
            ("", []), ("a", ["a"]), ("a,b", ["a", "b"]), ("a,,b,", ["a", "", "b", ""]), (#""a,b",c"#, ["a,b", "c"]),
            (#""a""b""#, [#"a"b"#]), (#""","#, ["", ""]), ("type=bind,source=/a b", ["type=bind", "source=/a b"]),
        ] as [(String, [String])]) func commas(_ text: String, _ fields: [String]) throws
    {
        #expect(try CommaSeparated.fields(text) == fields)
    }

    @Test(arguments: [#"a"b"#, #""a"#, #""a"b"#, "\""]) func badCommas(_ text: String) {
        #expect(CommaSeparated.parse(text) == nil)
    }

    @Test(arguments: [
        ("plain", #""plain""#), ("a\n\"", #""a\n\"""#), ("\u{1B}[31m", #""\x1b[31m""#),
        ("back\\slash", #""back\\slash""#), ("ünï", #""ünï""#), ("\u{202E}x", #""\u202ex""#),
        ("\u{85}", #""\u0085""#), ("\0", #""\x00""#),
    ]) func quotes(_ text: String, _ quoted: String) {
        #expect(GoSyntax.quoted(text) == quoted)
    }

    @Test func floats() throws {
        #expect(try GoSyntax.float("1e-3") == 0.001)
        #expect(try GoSyntax.float("inf") == .infinity)
        #expect(throws: GoSyntax.invalidSyntax("ParseFloat", "1 ")) { try GoSyntax.float("1 ") }
        #expect(throws: GoSyntax.outOfRange("ParseFloat", "-1e999")) { try GoSyntax.float("-1e999") }
    }
}
