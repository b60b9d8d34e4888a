import Control
import Engine
import JSON
import Testing

@testable import CommandLine

struct OutputTests {
    private let object: JSONValue = [
        "ID": "abc", "Size": 5, "On": true, "Nested": ["Name": "x"], "List": ["a", "b"], "Empty": [], "Labels": ["a": "1"],
        "Evil": "a\u{1b}[31mb",
    ]

    private func render(_ format: String) -> String? { try? Template(format).render(object, of: "T") }

    @Test func templatesShowFields() {
        #expect(render("{{.ID}}: {{ .Size }} {{.On}}") == "abc: 5 true")
        #expect(render("{{.Nested.Name}}\\t{{.List}}\\n") == "x\t[a b]\n")
        #expect(render("{{json .Nested}}") == "{\"Name\":\"x\"}")
        #expect(render("{{.Nested | json}}") == "{\"Name\":\"x\"}")
        #expect(render("json")?.hasPrefix("{\"ID\":\"abc\"") == true)
        #expect(render("a {{- .ID -}} b") == "aabcb")
        #expect(render("{{\"text\"}}") == "text")
        #expect(render("{{.Labels.Missing}}") == "<no value>")
    }

    @Test(arguments: [
        "{{.ID", "{{range .List}}", "{{if}}x{{end}}", "{{.Missing}}", "{{end}}", "{{else}}", "{{}}", "{{ID}}", "{{.ID.}}",
        "{{..}}", "{{.List.Name}}", "{{nothing .ID}}", "{{\"open}}", "{{(.ID}}", "{{.ID)}}", "{{$x}}", "{{break}}",
        "{{if .On}}{{else}}{{else}}{{end}}", "{{index .List 5}}", "{{index .List -1}}", "{{len .Size}}", "{{upper .Size}}",
        "{{lt .ID 1}}", "{{template \"x\"}}", "{{define \"x\"}}{{end}}", "{{.ID | 5}}", "{{slice .ID 9}}", "{{\"\\q\"}}",
        "{{slice .ID 2 1}}", "{{range .ID}}{{end}}", "{{.ID .Size}}", "{{pad .ID 1}}", "{{split .ID}}", "{{join .ID \",\"}}",
        "{{9223372036854775808}}", "{{$x := 1}}{{$y = 2}}",
    ])
    func whatIsNotUnderstoodIsRefused(format: String) {
        #expect(render(format) == nil)
    }

    @Test(arguments: [
        ("{{range .List}}<{{.}}>{{end}}", "<a><b>"), ("{{range $i, $v := .List}}{{$i}}{{$v}}{{end}}", "0a1b"),
        ("{{range $v := .List}}{{if eq $v \"b\"}}{{break}}{{end}}{{$v}}{{end}}", "a"),
        ("{{range .List}}{{if eq . \"a\"}}{{continue}}{{end}}{{.}}{{$.ID}}{{end}}", "babc"),
        ("{{range .Empty}}x{{else}}none{{end}}", "none"), ("{{range $k, $v := .Nested}}{{$k}}={{$v}}{{end}}", "Name=x"),
        ("{{if .On}}yes{{else}}no{{end}}|{{if not .On}}yes{{else if eq .Size 5}}five{{else}}no{{end}}", "yes|five"),
        ("{{with .Nested}}{{.Name}}{{end}}{{with .Empty}}x{{else}}-{{end}}", "x-"),
        ("{{$x := .ID}}{{if .On}}{{$x = \"changed\"}}{{end}}{{$x}}", "changed"),
        ("{{index .List 1}} {{index .Nested \"Name\"}} {{(index .List 0)}}", "b x a"),
        ("{{len .List}} {{len .ID}} {{len .Labels}}", "2 3 1"),
        ("{{.Labels}} {{.Labels.b}}|{{index .Labels \"b\"}}|", "map[a:1] <no value>||"),
        ("{{upper .ID}} {{.ID | upper | printf \"%s!\"}} {{title .ID}}", "ABC ABC! Abc"),
        ("{{printf \"%-5s|%5s|%03d|%q|%x|%v|%t|%%\" .ID .ID .Size .ID .ID .List .On}}", "abc  |  abc|005|\"abc\"|616263|[a b]|true|%"),
        ("{{printf \"%d %s\" .ID}}", "%!d(string=abc) %!s(MISSING)"), ("{{printf \"x\" 1}}", "x%!(EXTRA int=1)"),
        ("{{println .ID .Size}}{{print 1 2 \"a\" 3}}", "abc 5\n1 2a3"), ("{{join .List \",\"}} {{split \"a:b\" \":\"}}", "a,b [a b]"),
        ("{{pad .ID 1 2}}|{{truncate .ID 2}}|{{slice .ID 1}}|{{slice .ID 1 2}}", " abc  |ab|bc|b"),
        ("{{and .On .ID}} {{or .Empty \"x\"}} {{lt 1 2}}{{ge .Size 5}}{{ne .ID \"x\"}}", "abc x truetruetrue"),
        ("{{/* nothing */}}a{{- /* nothing */ -}} b", "ab"), ("{{`raw \\n`}} {{'a'}} {{\"\\u00e9}}\"}}", "raw \\n 97 é}}"),
        ("{{if and .On (eq .Size 5) (not .Empty)}}all{{end}}", "all"), ("{{html \"<a>\"}}{{urlquery \"a b&\"}}", "&lt;a&gt;a+b%26"),
        ("{{.Nested}} {{1.5}} {{-3}} {{true}}", "{x} 1.5 -3 true"),
    ])
    func templatesAreGos(format: String, shown: String) {
        #expect(render(format) == shown)
    }

    @Test func templatesNestOnlySoFar() {
        let deep = String(repeating: "(", count: 10_000) + ".ID" + String(repeating: ")", count: 10_000)
        #expect(render("{{\(deep)}}") == nil)
        #expect(render(String(repeating: "{{if .On}}", count: 10_000)) == nil)
        #expect(render(String(repeating: "{{if .On}}{{else ", count: 10_000)) == nil)
        #expect(render("{{printf \"%999999999999999999999s\" .ID}}")?.count == 10_000)
    }

    @Test func headingsComeFromTheTemplate() throws {
        let template = try Template("table {{.ID}}\\t{{upper .Names}}\\t{{.Label \"a\"}}")
        #expect(try template.heading { $0 == "ID" ? "CONTAINER ID" : $0.uppercased() }.columns == ["CONTAINER ID", "NAMES", "LABEL"])
    }

    @Test(arguments: [
        ("web", "my-web-1", true), ("^web", "my-web", false), ("^/web$", "/web", true), ("a|b", "xbx", true),
        ("web-[0-9]+$", "web-12", true), ("web-[0-9]+$", "web-a", false), ("w.*b", "wxxb", true), ("(ab)+c", "ababc", true),
        ("a{2,3}$", "xaa", true), ("^a{2}$", "aaa", false), ("\\d\\.", "1.", true), ("[^a-c]", "abc", false), ("", "x", true),
        ("(a*)*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac", false), ("x{", "x{", true),
    ])
    func patternsFindAPartOfTheText(pattern: String, text: String, found: Bool) throws {
        #expect(try TextPattern(pattern).matches(text) == found)
    }

    @Test(arguments: ["[", "(", ")", "*", "a{3,2}", "\\", "[b-a]", String(repeating: "(", count: 10_000)])
    func badPatternsAreRefused(pattern: String) {
        #expect((try? TextPattern(pattern)) == nil)
    }

    @Test func tablesAreAlignedAsDockersAre() {
        var table = TextTable(heading: ["A", "LONG HEADING", "LAST"])
        table.add(["wider than ten", "b", "c"])
        #expect(table.render() == "A                LONG HEADING   LAST\nwider than ten   b              c\n")
        var short = TextTable(heading: ["A", "B"])
        short.add(["1", "2"])
        #expect(short.render() == "A         B\n1         2\n", "columns are at least ten wide")
    }

    /// Attack row S79: what images and containers say must not steer the terminal.
    @Test func controlCharactersAreShown() {
        #expect(TerminalText.safe("a\u{1b}]52;c;x\u{07}b\n") == "a\\x1b]52;c;x\\x07b\\x0a")
        #expect(TerminalText.safe("\u{9b}31m") == "\\x9b31m")
        #expect(TerminalText.safe("a\u{202e}b") == "a\\u202eb")
        #expect(TerminalText.safe("grün ✓") == "grün ✓")
        #expect(TerminalText.shortened("0123456789", 5) == "0123…")
        var table = TextTable()
        table.add(["\u{1b}[2J"])
        #expect(table.render() == "\\x1b[2J\n")
    }

    @Test(
        arguments: [
            (0, "Less than a second"), (1, "1 second"), (59, "59 seconds"), (60, "About a minute"), (150, "2 minutes"),
            (3600, "About an hour"), (7200, "2 hours"), (3 * 86400, "3 days"), (20 * 86400, "2 weeks"),
            (100 * 86400, "3 months"),
            (800 * 86400, "2 years"),
        ] as [(Int64, String)])
    func spansAreDockers(seconds: Int64, text: String) {
        #expect(HumanTime.span(nanoseconds: seconds * 1_000_000_000) == text)
    }

    @Test func pointsInTime() {
        let now: Int64 = 1_000_000_000_000_000_000
        #expect(HumanTime.point("10m", now: now) == now - 600_000_000_000)
        #expect(HumanTime.point("1700000000", now: now) == 1_700_000_000_000_000_000)
        #expect(HumanTime.point("1700000000.5", now: now) == 1_700_000_000_500_000_000)
        #expect(HumanTime.point("2026-01-02T03:04:05Z", now: now) == 1_767_323_045_000_000_000)
        #expect(HumanTime.point("yesterday", now: now) == nil)
    }
}

struct CommandTextTests {
    @Test func blanksAreQuotedAsInDocker() {
        #expect(CommandText.joined([]) == "")
        #expect(CommandText.joined(["sh", "-c", "a b", "c"]) == "sh -c 'a b' c")
        // The program's own name never is, and other blanks are not blanks here.
        #expect(CommandText.joined(["a b", "c\td", ""]) == "a b c\td ")
    }

    @Test func controlBytesAreEscapedAsGoDoes() {
        #expect(CommandText.quoted("a\"b\\c") == #""a\"b\\c""#)
        #expect(CommandText.quoted("a\nb\tc\rd\u{7}\u{8}\u{B}\u{C}") == #""a\nb\tc\rd\a\b\v\f""#)
        #expect(CommandText.quoted("\u{1B}[31m\u{7F}\u{85}é…") == #""\x1b[31m\x7f\u0085é…""#)
    }
}

struct FilterTests {
    private func view(_ change: (inout ContainerDefinition) -> Void = { _ in }) -> ContainerView {
        var definition = ContainerDefinition(id: String(repeating: "c", count: 64), name: "web-1")
        definition.createdAt = 100
        definition.labels = ["app": "x", "empty": ""]
        change(&definition)
        return ContainerView(definition: definition, observation: ContainerObservation(.exited, exitCode: 3))
    }

    private func matches(_ pairs: (String, String)...) -> Bool? {
        guard let filter = try? ContainerFilter(pairs.map { (key: $0.0, value: $0.1) }) else { return nil }
        return filter.matches(view(), (before: .max, since: .min), [])
    }

    @Test func filtersOfPs() {
        #expect(
            matches(("name", "web")) == true && matches(("name", "^/web-1$")) == true
                && matches(("name", "^eb")) == false)
        #expect(matches(("name", "x"), ("name", "web")) == true, "values of one filter are alternatives")
        #expect(matches(("name", "web"), ("status", "running")) == false, "filters are joined")
        #expect(
            matches(("label", "app")) == true && matches(("label", "app=x")) == true
                && matches(("label", "app=y")) == false)
        #expect(matches(("label", "app"), ("label", "nope")) == false, "labels are all needed")
        #expect(matches(("exited", "3")) == true && matches(("exited", "0")) == false && matches(("id", "ccc")) == true)
    }

    @Test func badFiltersAreRefused() {
        #expect(
            matches(("bogus", "1")) == nil && matches(("status", "happy")) == nil && matches(("exited", "x")) == nil)
    }
}
