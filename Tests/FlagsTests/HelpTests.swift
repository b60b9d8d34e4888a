import Testing

@testable import Flags

@Suite struct HelpTests {
    private func help(_ words: String, width: Int = 80) throws -> String {
        Sample.program.help(for: try #require(Sample.program.topic(Sample.words(words))), width: width)
    }

    @Test func ofTheProgram() throws {
        #expect(
            try help("") == """
                Usage:  berth [OPTIONS] COMMAND

                A container engine

                Common Commands:
                  run         Create a container and start it
                  exec        Run a program in a container
                  ps          List containers

                Management Commands:
                  container   Manage containers
                  image       Manage images

                Commands:
                  completion  Print a script that teaches a shell to complete commands
                  images      List images
                  rm          Remove containers
                  search      Search
                  stop        Stop containers
                  tag         Give an image a name
                  wait        Wait for containers

                Global Options:
                  -D, --debug              Tell everything
                  -l, --log-level string   How much to tell (default "info")
                      --root dir           Keep state here
                  -v, --version            Print the version and quit

                Run 'berth COMMAND --help' for more information on a command.

                More at the project's page

                """)
    }

    @Test func ofACommandWithSpellings() throws {
        #expect(
            try help("container list") == """
                Usage:  berth container ls [OPTIONS]

                List containers

                Aliases:
                  berth container ls, berth container list, berth container ps, berth ps

                Options:
                  -a, --all        Show those that ended too
                  -n, --last int   Show the last few (default -1)
                      --no-trunc   Show all of every text

                """)
    }

    @Test func ofAGroup() throws {
        #expect(
            try help("image") == """
                Usage:  berth image COMMAND

                Manage images

                Commands:
                  ls          List images

                Run 'berth image COMMAND --help' for more information on a command.

                """)
    }

    @Test func ofACommandWithoutFlags() throws {
        #expect(try help("search") == "Usage:  berth search TERM [LIMIT]\n\tberth search TERM -\n\nSearch\n")
    }

    @Test func ofFlagsOfEveryKind() throws {
        let text = try help("run")
        for line in [
            "Usage:  berth run [OPTIONS] IMAGE [COMMAND] [ARG...]",
            "      --blkio-weight uint16", "      --cpus decimal", "  -c, --cpu-shares int", "  -e, --env list",
            "      --health-interval duration", "      --init-path string[=\"/sbin/init\"]", "  -L, --label map",
            "  -m, --memory bytes", "      --mount mount", "      --publish-range strings", "      --ratio float",
            "  -V, --verbose count", "  # Say hello", "  berth run --rm busybox echo hello",
        ] {
            #expect(text.contains(line + "\n") || text.contains(line + " "), "\(line)")
        }
        #expect(text.contains("Pass signals on (default true)"))
        #expect(text.contains("(default 10)"))
        for hidden in ["secret-switch", "old-name", "--dns", "--net "] { #expect(!text.contains(hidden)) }
    }

    /// The same words as Docker's own help for these two flags, so the breaks must be Docker's.
    @Test func wrapsWherePflagDoes() {
        let flags: [Flag] = [
            .string("pull", nil, #"Pull image before running ("always", "missing", "never")"#, default: "missing"),
            .value("health-start-interval", nil, .duration, "Unrelated"),
        ]
        #expect(
            FlagTable.text(flags, width: 80) == """
                      --pull string                      Pull image before running
                                                         ("always", "missing", "never")
                                                         (default "missing")
                      --health-start-interval duration   Unrelated

                """)
    }

    @Test func narrowTerminalsGetLinesOfTheirOwn() {
        let flags: [Flag] = [.string("a-rather-long-name", nil, "Words that need room to be read with ease")]
        #expect(FlagTable.text(flags, width: 50).contains("string   \n                Words that need"))
        #expect(FlagTable.text(flags, width: 0).split(separator: "\n").count == 1)
        for width in [1, 2, 16, 17, 40, 41, 42] { #expect(FlagTable.text(flags, width: width).contains("ease")) }
    }

    @Test func keepsLineBreaksOfSummaries() {
        let flag = Flag.string("format", nil, "How to print:\n'json':  as JSON\n'table': as a table")
        #expect(
            FlagTable.text([flag], width: 0) == """
                      --format string   How to print:
                                        'json':  as JSON
                                        'table': as a table

                """)
    }

    @Test func proseIsFilledToTheTerminal() {
        let text = "one two three\nfour\n\nfive six"
        #expect(Paragraphs.filled(text, width: 15) == "one two three\nfour\n\nfive six")
        #expect(Paragraphs.filled(text, width: 80) == "one two three four\n\nfive six")
        #expect(Paragraphs.filled(text, width: 1) == "one\ntwo\nthree\nfour\n\nfive\nsix")
        #expect(Paragraphs.filled(text, width: 0) == text)
    }

    @Test func longExamplesStayOneCommandOfTheShell() {
        #expect(Paragraphs.broken("p a b", indent: 2, width: 80) == "p a b")
        #expect(Paragraphs.broken("prog 'a b c d' eeee ffff", indent: 2, width: 20) == "prog 'a b c d' \\\n      eeee ffff")
        #expect(Paragraphs.broken("prog \"a ' b\" c", indent: 2, width: 15) == "prog \\\n      \"a ' b\" \\\n      c")
        #expect(Paragraphs.broken("prog eeee ffff", indent: 2, width: 0) == "prog eeee ffff")
    }
}
