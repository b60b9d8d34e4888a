import Testing

@testable import Flags

@Suite struct RefusalTests {
    /// Sentences as Docker's client 28.2 says them.
    static let flagRows: [(String, String)] = [
        ("run --badflag", "unknown flag: --badflag"),
        ("run --help --bad", "unknown flag: --bad"),
        ("run --bad --help", "unknown flag: --bad"),
        ("--bad ps", "unknown flag: --bad"),
        ("ps --RM", "unknown flag: --RM"),
        ("ps --al", "unknown flag: --al"),
        ("ps --version", "unknown flag: --version"),
        ("ps -y", "unknown shorthand flag: 'y' in -y"),
        ("run -ity", "unknown shorthand flag: 'y' in -y"),
        ("run -iyt", "unknown shorthand flag: 'y' in -yt"),
        ("run -d=", "unknown shorthand flag: '=' in -="),
        ("run -=x a", "unknown shorthand flag: '=' in -=x"),
        ("run ---x", "bad flag syntax: ---x"),
        ("run --=x", "bad flag syntax: --=x"),
        ("run --env", "flag needs an argument: --env"),
        ("run -ite", "flag needs an argument: 'e' in -e"),
        ("run -h", "flag needs an argument: 'h' in -h"),
        ("--root", "flag needs an argument: --root"),
        ("run --net", "flag needs an argument: --net"),
        ("run --dns", "flag needs an argument: --dns"),
        ("run --tls --bad", "unknown flag: --bad"),
    ]

    /// Arguments of `run`, the value and flag named, and what is wrong with the value.
    static let valueRows: [(String, String, String)] = [
        ("--rm=x", #""x" for "--rm""#, #"strconv.ParseBool: parsing "x": invalid syntax"#),
        ("--rm=", #""" for "--rm""#, #"strconv.ParseBool: parsing "": invalid syntax"#),
        ("-i=x", #""x" for "-i, --interactive""#, #"strconv.ParseBool: parsing "x": invalid syntax"#),
        ("--help=x", #""x" for "--help""#, #"strconv.ParseBool: parsing "x": invalid syntax"#),
        ("-m x", #""x" for "-m, --memory""#, "invalid size: 'x'"),
        ("--memory=5x", #""5x" for "-m, --memory""#, "invalid suffix: 'x'"),
        ("--memory=1.2.3", #""1.2.3" for "-m, --memory""#, #"strconv.ParseFloat: parsing "1.2.3": invalid syntax"#),
        ("--memory-swap x", #""x" for "--memory-swap""#, "invalid size: 'x'"),
        ("--cpus x", #""x" for "--cpus""#, "failed to parse x as a rational number"),
        ("--cpus 1/3", #""1/3" for "--cpus""#, "value is too precise"),
        ("-c x", #""x" for "-c, --cpu-shares""#, #"strconv.ParseInt: parsing "x": invalid syntax"#),
        (
            "--blkio-weight 70000", #""70000" for "--blkio-weight""#,
            #"strconv.ParseUint: parsing "70000": value out of range"#
        ),
        ("--blkio-weight -1", #""-1" for "--blkio-weight""#, #"strconv.ParseUint: parsing "-1": invalid syntax"#),
        ("--health-interval 1", #""1" for "--health-interval""#, #"time: missing unit in duration "1""#),
        ("--health-interval x", #""x" for "--health-interval""#, #"time: invalid duration "x""#),
        ("-e=", #""=" for "-e, --env""#, "invalid environment variable: ="),
        ("--env=", #""" for "-e, --env""#, "invalid environment variable: "),
    ]

    static let commandRows: [(String, String)] = [
        ("rnu", "unknown command: berth rnu"),
        ("''", "unknown command: berth "),
        ("-", "unknown command: berth -"),
        ("container rnu", "unknown command: berth container rnu"),
        ("run", "'berth run' requires at least 1 argument"),
        ("exec a", "'berth exec' requires at least 2 arguments"),
        ("container ls x", "'berth container ls' accepts no arguments"),
        ("tag a", "'berth tag' requires 2 arguments"),
        ("tag a b c", "'berth tag' requires 2 arguments"),
        ("images a b", "'berth images' requires at most 1 argument"),
        ("search", "'berth search' requires at least 1 and at most 2 arguments"),
        ("run --dns 1.1.1.1 img", "not supported yet: --dns"),
        ("run --dns=1.1.1.1 img", "not supported yet: --dns"),
        ("run -p 80:80 img", "not supported yet: --publish"),
        ("run -dp80:80 img", "not supported yet: --publish"),
        ("run -dP img", "not supported yet: --publish-all"),
        ("run --tls=false -p=80:80 img", "not supported yet: --tls, --publish"),
    ]

    @Test(arguments: flagRows) func refusesFlags(_ line: String, _ sentence: String) throws {
        let error = try #require(Sample.failure(Sample.words(line)))
        #expect(error.cause == sentence)
        #expect(Sample.program.status(of: error) == 125)
    }

    @Test(arguments: valueRows) func refusesValues(_ flag: String, _ value: String, _ reason: String) throws {
        let error = try #require(Sample.failure(Sample.words("run \(flag) img")))
        #expect(error.cause == "invalid argument \(value) flag: \(reason)")
        #expect(error.code == .invalidValue)
        #expect(Sample.program.status(of: error) == 125)
    }

    @Test(arguments: commandRows) func refusesCommands(_ line: String, _ sentence: String) throws {
        let error = try #require(Sample.failure(Sample.words(line)))
        #expect(error.cause == "berth: " + sentence)
        #expect(Sample.program.status(of: error) == (error.code == .notSupported ? 125 : 1))
    }

    @Test func refusesUnknownTopics() throws {
        let error = try #require(Sample.failure(["help", "container", "rnu"]))
        #expect(error.text == "unknown help topic: container rnu\n")
        #expect(Sample.program.status(of: error) == 1)
    }

    @Test func layoutOfFlagRefusals() throws {
        let error = try #require(Sample.failure(["container", "list", "--bad"]))
        #expect(
            error.text == """
                unknown flag: --bad

                Usage:  berth container ls [OPTIONS]

                Run 'berth container ls --help' for more information

                """)
        #expect(error.code == .unknownFlag)
        #expect(error.object == "--bad")
    }

    @Test func layoutAtTheTop() throws {
        #expect(
            try #require(Sample.failure(["--bad"])).text == """
                unknown flag: --bad

                Usage:  berth [OPTIONS] COMMAND [ARG...]

                Run 'berth --help' for more information

                """)
    }

    @Test func layoutOfArityRefusals() throws {
        #expect(
            try #require(Sample.failure(["wait"])).text == """
                berth: 'berth wait' requires at least 1 argument

                Usage:  berth wait CONTAINER [CONTAINER...]

                Run 'berth wait --help' for more information

                """)
    }

    @Test func alternativeFormsAreAligned() throws {
        let error = try #require(Sample.failure(["search"]))
        #expect(error.text.contains("Usage:  berth search TERM [LIMIT]\n\tberth search TERM -\n"))
    }

    @Test func layoutOfUnknownCommands() throws {
        #expect(
            try #require(Sample.failure(["rnu"])).text == """
                berth: unknown command: berth rnu

                Did you mean this?
                  berth run
                  berth rm

                Run 'berth --help' for more information

                """)
        #expect(
            try #require(Sample.failure(["container", "zzzzzz"])).text == """
                berth: unknown command: berth container zzzzzz

                Usage:  berth container

                Run 'berth container --help' for more information

                """)
    }

    @Test func layoutOfUnsupported() throws {
        let error = try #require(Sample.failure(["run", "--dns", "x", "img"]))
        #expect(error.text == "berth: not supported yet: --dns\n\nRun 'berth run --help' for more information\n")
    }

    @Test func complaintsOfCommandsShareTheLayout() throws {
        let parsed = try #require(Sample.parsed(["run", "img"]))
        #expect(
            parsed.complaint("invalid reference format")
                == "berth: invalid reference format\n\nRun 'berth run --help' for more information\n")
    }

    @Test(arguments: [
        ("rnu", "run"), ("imges", "images"), ("contaner", "container"), ("exce", "exec"), ("comp", "completion"),
    ]) func suggests(_ typed: String, _ meant: String) throws {
        #expect(try #require(Sample.failure([typed])).suggestions.first == "berth \(meant)")
    }

    @Test(arguments: ["kubernetes", "remotes", "x", ""]) func suggestsNothingFarFetched(_ typed: String) throws {
        let suggestions = try #require(Sample.failure([typed])).suggestions
        #expect(!suggestions.contains("berth remote"))
        #expect(typed == "remotes" || suggestions.isEmpty)
    }
}
