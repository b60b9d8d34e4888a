import Testing

@testable import Dockerfile

@Suite struct DiagnosticTests {
    private func rendered(_ text: String, carets: Bool = true) -> String {
        let source = SourceText(text)
        do throws(Diagnostic) {
            _ = try ParsedDockerfile.parse(source)
            return ""
        } catch { return error.rendered(in: source, carets: carets) }
    }

    @Test func anErrorShowsItsLinesAndItsWord() {
        #expect(
            rendered("FROM scratch\nRUM true\nCMD x") == """
                dockerfile parse error on line 2: unknown instruction: RUM (did you mean RUN?)
                Dockerfile:2
                --------------------
                   1 |     FROM scratch
                   2 | >>> RUM true
                     |     ^^^
                   3 |     CMD x
                --------------------

                """)
    }

    @Test func theExcerptIsBuildKitsWithoutCarets() {
        let text = (1...20).map { $0 == 10 ? "\tCOPY --x a b" : "ARG a\($0)" }.joined(separator: "\n")
        #expect(
            rendered("FROM a\n" + text, carets: false) == """
                dockerfile parse error on line 11: unknown flag: --x
                Dockerfile:11
                --------------------
                   9 |     ARG a8
                  10 |     ARG a9
                  11 | >>> \tCOPY --x a b
                  12 |     ARG a11
                  13 |     ARG a12
                --------------------

                """)
    }

    @Test func allLinesOfAnInstructionAreMarked() {
        #expect(
            rendered("FROM a\nRUN a\n\nCOPY a \\\n  é \\\n  --link <<EOF\nRUN b\nRUN c\nEOF\nRUN d") == """
                dockerfile parse error on line 4: COPY cannot accept a heredoc as a destination
                Dockerfile:4
                --------------------
                   3 |     \n   4 | >>> COPY a \\
                   5 | >>>   é \\
                   6 | >>>   --link <<EOF
                     |              ^^^^^
                   7 | >>> RUN b
                   8 | >>> RUN c
                   9 | >>> EOF
                  10 |     RUN d
                --------------------

                """)
    }

    @Test func caretsStandBelowTheirWordBehindTabsAndLetters() {
        #expect(
            rendered("FROM a\nLABEL\té=ü è").hasSuffix("   2 | >>> LABEL\té=ü è\n     |          \t    ^\n--------------------\n"))
    }

    @Test func whatATerminalWouldObeyIsNotPrinted() {
        let text = rendered("FROM a\nRUM \u{1B}[2J\u{7}\r\n")
        #expect(!text.unicodeScalars.contains("\u{1B}") && !text.unicodeScalars.contains("\u{7}") && !text.unicodeScalars.contains("\r"))
        #expect(!rendered("FROM a\n\u{1B}x y").split(separator: "\n")[0].unicodeScalars.contains("\u{1B}"))
    }

    @Test func aPlaceIsPreciseAlsoBehindContinuations() throws {
        do throws(Diagnostic) {
            _ = try ParsedDockerfile.parse(SourceText("FROM a\nCOPY \\\n # c\n  --form=x \\\n b c"))
            Issue.record("accepted")
        } catch {
            #expect(error.range?.text == "2:1-5:5")
            #expect(error.focus?.text == "4:3-4:11")
        }
    }

    @Test func errorsWithoutAPlaceHaveNoExcerpt() { #expect(rendered("") == "the Dockerfile cannot be empty\n") }
}
