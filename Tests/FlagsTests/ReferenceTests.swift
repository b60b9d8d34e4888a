import Testing

@testable import Flags

@Suite struct ReferenceTests {
    @Test func everyVisibleCommandHasAPage() {
        let pages = Sample.program.pages()
        let names = pages.map { $0.topic.path.joined(separator: " ") }
        #expect(names.contains("berth container ls"))
        #expect(!names.contains("berth remote"))
        #expect(pages.first { $0.topic.path == ["berth", "container", "ls"] }?.sameAs == "berth ps")
        #expect(pages.first { $0.topic.path == ["berth", "ps"] }?.sameAs == nil)
        #expect(pages.first { $0.topic.path == ["berth", "rm"] }?.sameAs == nil)
    }

    @Test func markdownOfACommand() throws {
        let topic = try #require(Sample.program.topic(["ps"]))
        #expect(
            Sample.program.markdownReference(for: topic) == """
                # berth ps

                List containers.

                ```
                berth ps [OPTIONS]
                ```

                Also spelled: `berth container ls`, `berth container list`, `berth container ps`, `berth ps`

                | flag | default | what it does |
                |---|---|---|
                | `-a`, `--all` |  | Show those that ended too |
                | `-n`, `--last int` | `-1` | Show the last few |
                | `--no-trunc` |  | Show all of every text |

                """)
        let whole = Sample.program.markdownReference()
        #expect(whole.contains("## berth container ls\n\nThe same as [`berth ps`](#berth-ps).\n"))
        #expect(whole.contains("| [`berth container ls`](#berth-container-ls) | List containers |"))
    }

    @Test func markdownEscapes() {
        let program = Program(
            root: Command(
                "p", summary: "a <b>", flags: { [.string("f", nil, "x|y <name>\nsecond", default: "a|b")] },
                run: { _ in 0 }))
        let text = program.markdownReference()
        #expect(text.contains(#"| `--f string` | `a\|b` | x\|y &lt;name><br>second |"#))
        #expect(text.contains("a &lt;b>."))
    }

    @Test func manPageOfACommand() throws {
        let topic = try #require(Sample.program.topic(["ps"]))
        #expect(
            Sample.program.manPage(for: topic) == #"""
                .TH "BERTH\-PS" 1 "2026-01-31" "berth 1.2.3"
                .nh
                .ad l
                .SH NAME
                berth\-ps \- List containers
                .SH SYNOPSIS
                \fBberth ps\fR [\fIOPTIONS\fR]
                .SH DESCRIPTION
                List containers.
                .PP
                Also spelled: berth container ls, berth container list, berth container ps, berth ps.
                .SH OPTIONS
                .TP
                \fB\-a\fR, \fB\-\-all\fR
                Show those that ended too.
                .TP
                \fB\-n\fR, \fB\-\-last\fR \fIint\fR
                Show the last few (default \-1).
                .TP
                \fB\-\-no\-trunc\fR
                Show all of every text.
                .SH GLOBAL OPTIONS
                .TP
                \fB\-\-root\fR \fIdir\fR
                Keep state here.
                .TP
                \fB\-l\fR, \fB\-\-log\-level\fR \fIstring\fR
                How much to tell (default \(dqinfo\(dq).
                .SH EXIT STATUS
                .TP
                \fB0\fR
                Done.
                .TP
                \fB1\fR
                It failed.
                .TP
                \fB125\fR
                The command line was refused.
                .SH SEE ALSO
                .BR berth (1),
                .BR berth\-container (1)

                """#)
    }

    @Test func manPageGuardsRequests() throws {
        let program = Program(
            root: Command("p", summary: "s", details: ".TH x\n'y\nback\\slash", run: { _ in 0 }))
        let page = program.manPage(for: try #require(program.topic([])))
        #expect(page.contains("\n\\&.TH x\n\\(aqy\nback\\eslash.\n"))
    }

    @Test func theManualHasAPageForEverySpelling() throws {
        let pages = Sample.program.manual()
        let spelling = try #require(pages.first { $0.name == "berth-container-ls.1" })
        #expect(spelling.text == ".so man1/berth-ps.1\n")
        #expect(pages.contains { $0.name == "berth.1" && $0.text.contains("\\fBberth\\-ps\\fR(1)") })
        #expect(Set(pages.map(\.name)).count == pages.count)
    }

    @Test func manPageHasExamplesAndOwnStatuses() throws {
        let program = Program(
            root: Command(
                "p", summary: "s", examples: [Example("It's so", "p 'a' ~")], exitStatuses: [StatusMeaning("3", "Odd")], run: { _ in 0 }))
        let page = program.manPage(for: try #require(program.topic([])))
        #expect(page.contains(".SH EXAMPLES\nIt\\(aqs so:\n.PP\n.RS 4\n.nf\np \\(aqa\\(aq \\(ti\n.fi\n.RE\n"))
        #expect(page.contains(".SH EXIT STATUS\n.TP\n\\fB3\\fR\nOdd.\n"))
        #expect(program.markdownReference().contains("| 3 | Odd |"))
    }

    @Test func theProgramsOwnPageHasItsSections() throws {
        var program = Sample.program
        program.manualSections = { [ManualSection("FILES", [("/etc/x", "The configuration")])] }
        #expect(program.manPage(for: try #require(program.topic([]))).contains(".SH FILES\n.TP\n\\fB/etc/x\\fR\nThe configuration.\n"))
        #expect(!program.manPage(for: try #require(program.topic(["ps"]))).contains(".SH FILES"))
    }
}
