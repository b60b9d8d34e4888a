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
        let topic = try #require(Sample.program.topic(["container", "ls"]))
        #expect(
            Sample.program.manPage(for: topic) == #"""
                .TH "BERTH\-CONTAINER\-LS" 1 "" "berth"
                .SH NAME
                berth\-container\-ls \- List containers
                .SH SYNOPSIS
                .B "berth container ls [OPTIONS]"
                .br
                .SH DESCRIPTION
                List containers
                .PP
                Also spelled: berth container ls, berth container list, berth container ps, berth ps
                .SH OPTIONS
                .TP
                \fB\-a, \-\-all\fR
                Show those that ended too
                .TP
                \fB\-n, \-\-last\fR \fIint\fR
                Show the last few (default \-1)
                .TP
                \fB\-\-no\-trunc\fR
                Show all of every text
                .SH GLOBAL OPTIONS
                .TP
                \fB\-\-root\fR \fIdir\fR
                Keep state here
                .TP
                \fB\-l, \-\-log\-level\fR \fIstring\fR
                How much to tell (default \(dqinfo\(dq)
                .SH SEE ALSO
                berth\-container(1)

                """#)
    }

    @Test func manPageGuardsRequests() throws {
        let program = Program(
            root: Command("p", summary: "s", details: ".TH x\n'y\nback\\slash", run: { _ in 0 }))
        let page = program.manPage(for: try #require(program.topic([])))
        #expect(page.contains("\n\\&.TH x\n\\&'y\nback\\eslash\n"))
    }
}
