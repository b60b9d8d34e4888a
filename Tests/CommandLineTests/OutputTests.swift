import Control
import Engine
import JSON
import Testing

@testable import CommandLine

struct OutputTests {
    private let object: JSONValue = [
        "ID": "abc", "Size": 5, "On": true, "Nested": ["Name": "x"], "List": ["a", "b"], "Evil": "a\u{1b}[31mb",
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
        #expect(render("{{.Nested.Missing}}") == "<no value>")
    }

    @Test(arguments: [
        "{{.ID", "{{range .List}}{{end}}", "{{if .On}}x{{end}}", "{{.Missing}}", "{{printf \"%s\" .ID}}", "{{}}",
        "{{ID}}", "{{.ID.}}",
        "{{..}}", "{{.List.Name}}",
    ])
    func whatIsNotUnderstoodIsRefused(format: String) {
        #expect(render(format) == nil)
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
