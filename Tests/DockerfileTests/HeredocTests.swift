import Testing

@testable import Dockerfile

@Suite struct HeredocTests {
    private func heredocs(_ text: String) throws -> [Heredoc] {
        try SyntaxReader.read(SourceText(text), limits: .standard).statements.last?.heredocs ?? []
    }

    @Test func bodiesEndAtTheirWord() throws {
        let document = try #require(try heredocs("RUN <<EOF\nfirst\n  EOF\n EOF \nEOF\n").only)
        #expect(document.name == "EOF")
        #expect(document.content == "first\n  EOF\n EOF \n")
        #expect(document.expands)
        #expect(document.range.text == "2:1-5:4")
    }

    @Test func tabsAreStrippedWithADash() throws {
        let document = try #require(try heredocs("RUN <<-EOF\n\t\tone\n\t two\n\tEOF").only)
        #expect(document.content == "one\n two\n")
        #expect(document.raw == "\t\tone\n\t two\n")
        #expect(try heredocs("RUN <<EOF\n\tone\nEOF").only?.content == "\tone\n")
    }

    @Test(arguments: ["'EOF'", "\"EOF\"", "E\"O\"F"])
    func quotedWordsDoNotExpand(word: String) throws {
        let document = try #require(try heredocs("COPY <<\(word) /x\n$a\nEOF").only)
        #expect(document.name == "EOF")
        #expect(!document.expands)
    }

    @Test func severalStandBehindEachOther() throws {
        let documents = try heredocs("COPY <<a.txt <<-'b.txt' /dir/\none\na.txt\n\ttwo\nb.txt\n")
        #expect(documents.map(\.name) == ["a.txt", "b.txt"])
        #expect(documents.map(\.content) == ["one\n", "two\n"])
        guard case .copy(let copy) = try Reading.instruction("COPY <<a.txt x <<-'b.txt' /dir/\none\na.txt\n\ttwo\nb.txt\n") else {
            Issue.record("no COPY")
            return
        }
        #expect(copy.transfer.sources.map(\.text) == ["x"])
        #expect(copy.transfer.inline.map(\.name) == ["a.txt", "b.txt"])
        #expect(copy.transfer.inline.map(\.expands) == [true, false])
        #expect(copy.transfer.destination.text == "/dir/")
    }

    @Test func addTakesThemToo() throws {
        guard case .add(let add) = try Reading.instruction("ADD <<f /\nx\nf") else {
            Issue.record("no ADD")
            return
        }
        #expect(add.transfer.inline.map(\.content) == ["x\n"])
    }

    @Test func descriptorsAreRead() throws {
        let documents = try heredocs("RUN 3<<A cat <&3\nx\nA")
        #expect(documents.map(\.descriptor) == [3])
    }

    @Test func anEndIsNeeded() {
        #expect(Reading.refusal("FROM a\nRUN <<EOF\nfoo\n") == "unterminated heredoc")
        #expect(
            Reading.refusal("FROM a\nCOPY a <<b\nb") == "dockerfile parse error on line 2: COPY cannot accept a heredoc as a destination")
    }

    @Test(arguments: [
        "RUN echo '<<EOF'", "RUN echo \"<<EOF\"", "RUN echo \\<<EOF", "RUN [\"<<EOF\"]", "CMD <<EOF", "LABEL a=<<EOF", "RUN a <<<b",
    ])
    func elsewhereTheyAreText(text: String) throws { #expect(try heredocs(text).isEmpty, "\(text)") }

    @Test func aLoneDocumentIsWhatRunRuns() throws {
        func invocation(_ text: String) throws -> ShellOrExec.Invocation? {
            guard case .run(let run) = try Reading.instruction(text) else { return nil }
            return run.command.invocation
        }
        #expect(try invocation("RUN <<EOF\na\nb\nEOF") == .shell("a\nb\n"))
        #expect(try invocation("RUN <<-EOF\n\ta\n\tEOF") == .shell("a\n"))
        #expect(try invocation("RUN <<x\n#!/usr/bin/python3\nprint()\nx") == .script(name: "x", content: "#!/usr/bin/python3\nprint()\n"))
        // More than the document: the shell shall see to it.
        #expect(try invocation("RUN <<EOF bash\na\nEOF") == .shell("<<EOF bash\na\nEOF"))
        #expect(try invocation("RUN cat <<A - <<B\n1\nA\n2\nB") == .shell("cat <<A - <<B\n1\nA\n2\nB"))
        #expect(try invocation("RUN [\"a\", \"b\"]") == .exec(["a", "b"]))
    }

    @Test func documentsOfAnOnbuildAreKept() throws {
        guard case .onbuild(let onbuild) = try Reading.instruction("ONBUILD RUN <<EOF\nx\nEOF\n") else {
            Issue.record("no ONBUILD")
            return
        }
        #expect(onbuild.expression == "RUN <<EOF\nx\nEOF")
        let trigger = try ParsedDockerfile.trigger(onbuild.expression, from: SourceText("FROM a").range(ofLines: 1...1))
        guard case .run(let run) = trigger.instruction else {
            Issue.record("no RUN")
            return
        }
        #expect(run.command.invocation == .shell("x\n"))
        #expect(trigger.isTrigger)
    }

    @Test func variablesInDocumentsAreReplacedUnlessQuoted() throws {
        func content(_ text: String) throws -> String? {
            guard case .copy(let copy) = try Reading.evaluated("FROM a\nENV v=1\n" + text).command.command.instruction else { return nil }
            return copy.transfer.inline.first?.content
        }
        #expect(try content("COPY <<f /\n\"$v\" '${v}' \\$v ${w:-2}\nf") == "\"1\" '1' $v 2\n")
        #expect(try content("COPY <<'f' /\n$v\nf") == "$v\n")
    }
}
