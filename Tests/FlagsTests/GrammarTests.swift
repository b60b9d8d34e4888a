import Testing

@testable import Flags

@Suite struct GrammarTests {
    /// A command line and what it must be read as: `flag=text` for each occurrence, then operands after `|`.
    static let runRows: [(String, String)] = [
        ("run img", "| img"),
        ("run --rm img", "rm=true | img"),
        ("run --rm=true img", "rm=true | img"),
        ("run --rm=false img", "rm=false | img"),
        ("run --rm=0 img", "rm=0 | img"),
        ("run --rm=T img", "rm=T | img"),
        ("run --rm false", "rm=true | false"),
        ("run -d img", "detach=true | img"),
        ("run -d=true img", "detach=true | img"),
        ("run -d=false img", "detach=false | img"),
        ("run -it img", "interactive=true tty=true | img"),
        ("run -it=false img", "interactive=true tty=false | img"),
        ("run -dit img sh", "detach=true interactive=true tty=true | img sh"),
        ("run -eK=V img", "env=K=V | img"),
        ("run -e K=V img", "env=K=V | img"),
        ("run -e=K img", "env=K | img"),
        ("run --env=K=V img", "env=K=V | img"),
        ("run --env K=V img", "env=K=V | img"),
        ("run -iteK=V img", "interactive=true tty=true env=K=V | img"),
        ("run -ite K=V img", "interactive=true tty=true env=K=V | img"),
        ("run -ite=K img", "interactive=true tty=true env=K | img"),
        ("run -e -it img", "env=-it | img"),
        ("run --env -- img", "env=-- | img"),
        ("run -e a -e b img", "env=a env=b | img"),
        ("run -v /a:/b --mount x -v c:/d img", "volume=/a:/b mount=x volume=c:/d | img"),
        ("run -h name img", "hostname=name | img"),
        ("run -hname img", "hostname=name | img"),
        ("run --hostname= img", "hostname= | img"),
        ("run --hostname '' img", "hostname= | img"),
        ("run --net host img", "network=host | img"),
        ("run --net=host img", "network=host | img"),
        ("run --init-path img", "init-path=/sbin/init | img"),
        ("run --init-path=/x img", "init-path=/x | img"),
        ("run -VV -V img", "verbose=+1 verbose=+1 verbose=+1 | img"),
        ("run --verbose=4 img", "verbose=4 | img"),
        ("run -m512m img", "memory=512m | img"),
        ("run --memory-swap -1 img", "memory-swap=-1 | img"),
        ("run --memory-swap=-1 img", "memory-swap=-1 | img"),
        ("run -c -5 img", "cpu-shares=-5 | img"),
        ("run --old-name x img", "old-name=x | img"),
        ("run --secret-switch img", "secret-switch=true | img"),
        // The first operand ends run's flags; the rest is the container's.
        ("run img --rm -it", "| img --rm -it"),
        ("run -i img -- x", "interactive=true | img -- x"),
        ("run -- img --rm", "| img --rm"),
        ("run -- --rm", "| --rm"),
        ("run - x", "| - x"),
        ("run '' x", "|  x"),
        ("exec -it web sh -c id", "interactive=true tty=true | web sh -c id"),
    ]

    static let otherRows: [(String, String)] = [
        // Flags may follow operands.
        ("rm web -f", "force=true | web"),
        ("rm a -f b -v c", "force=true volumes=true | a b c"),
        ("rm a -- -f b", "| a -f b"),
        ("rm - -f", "force=true | -"),
        ("stop a -t 5 b", "timeout=5 | a b"),
        ("stop -t5 a", "timeout=5 | a"),
        ("stop a --timeout=-1", "timeout=-1 | a"),
        // One definition, several spellings.
        ("container ls -a", "all=true |"),
        ("container list -a", "all=true |"),
        ("container ps", "|"),
        ("remove a", "| a"),
        ("-- ps -a", "all=true |"),
        ("container -- ls -a", "all=true |"),
        ("remote", "|"),
        // Global flags, before and (persistent) after.
        ("--root /x ps", "root=/x |"),
        ("--root=/x -D ps -a", "root=/x debug=true all=true |"),
        ("ps --root /x", "root=/x |"),
        ("-l debug container ls --no-trunc", "log-level=debug no-trunc=true |"),
        ("container --root /x ls", "root=/x |"),
    ]

    @Test(arguments: runRows + otherRows) func reads(_ line: String, _ expected: String) throws {
        let parsed = try #require(Sample.parsed(Sample.words(line)))
        let flags = parsed.occurrences.map { "\($0.name)=\($0.text) " }.joined()
        let operands = parsed.positionals.map { " " + $0 }.joined()
        #expect("\(flags)|\(operands)" == expected)
        #expect(parsed.occurrences.map(\.order) == Array(0..<parsed.occurrences.count))
    }

    @Test func pathIsCanonical() throws {
        #expect(try #require(Sample.parsed(["container", "list"])).path == ["berth", "container", "ls"])
        #expect(try #require(Sample.parsed(["remove", "x"])).commandLine == "berth rm")
    }

    @Test func operandsBeforeDashesAreCounted() throws {
        #expect(try #require(Sample.parsed(["rm", "a", "--", "b"])).positionalsBeforeDashes == 1)
        #expect(try #require(Sample.parsed(["rm", "a", "b"])).positionalsBeforeDashes == nil)
    }

    @Test func accessorsAreTyped() throws {
        let line =
            "--root /x run --rm -e A=1 -e B -m 1g --memory-swap -1 --cpus 1.5 -c 0x10 --ratio 0.5 "
            + "--health-interval 1m30s --limit 7 --publish-range 1,2 --publish-range 3 -L a=b=c -L d -VVV img"
        let parsed = try #require(Sample.parsed(Sample.words(line)))
        #expect(parsed.bool("rm"))
        #expect(!parsed.bool("tty"))
        #expect(parsed.optionalBool("tty") == nil)
        #expect(parsed.bool("sig-proxy"))
        #expect(!parsed.isSet("sig-proxy"))
        #expect(parsed.strings("env") == ["A=1", "B"])
        #expect(parsed.strings("volume") == [])
        #expect(parsed.int64("memory") == 1 << 30)
        #expect(parsed.int64("memory-swap") == -1)
        #expect(parsed.int64("cpus") == 1_500_000_000)
        #expect(parsed.int("cpu-shares") == 16)
        #expect(parsed.int64("blkio-weight") == nil)
        #expect(parsed.uint64("limit") == 7)
        #expect(parsed.double("ratio") == 0.5)
        #expect(parsed.int64("health-interval") == 90_000_000_000)
        #expect(parsed.int64("stop-timeout") == 10)
        #expect(parsed.strings("publish-range") == ["1", "2", "3"])
        #expect(parsed.pairs("label").map { "\($0.key)>\($0.value)" } == ["a>b=c", "d>"])
        #expect(parsed.int("verbose") == 3)
        #expect(parsed.string("pull") == "missing")
        #expect(parsed.optionalString("hostname") == nil)
        #expect(parsed.string("root") == "/x")
        #expect(parsed.string("log-level") == "info")
        #expect(parsed.occurrences(of: "env", "label").map(\.text) == ["A=1", "B", "a=b=c", "d"])
    }

    @Test func lastOneWins() throws {
        let parsed = try #require(Sample.parsed(Sample.words("run --rm --rm=false --pull always --pull never img")))
        #expect(!parsed.bool("rm"))
        #expect(parsed.string("pull") == "never")
    }

    @Test func localFlagShadowsGlobal() throws {
        let program = Program(
            root: Command(
                "p", summary: "", flags: { [.string("x", "x", "above", persistent: true)] },
                subcommands: { [Command("c", summary: "", flags: { [.bool("x", "x", "own")] }, run: { _ in 0 })] }))
        guard case .run(let both) = program.parse(["-x", "1", "c", "-x"]),
            case .run(let above) = program.parse(["-x", "1", "c"])
        else {
            Issue.record("not accepted")
            return
        }
        #expect(both.bool("x"))
        #expect(!above.isSet("x"))
    }

    @Test func deprecatedFlagWarns() throws {
        let parsed = try #require(Sample.parsed(["run", "--old-name", "x", "img"]))
        #expect(parsed.warnings == ["Flag --old-name has been deprecated, use --name instead"])
    }

    @Test(arguments: [
        "run --help", "run -it --help img", "rm --help", "rm -h", "ps -ha", "help run", "help container ls", "--help",
        "-h", "help", "run --help=true", "tag --help", "completion bash --help",
    ]) func helpIsAsked(_ line: String) {
        guard case .help(_, asked: true) = Sample.program.parse(Sample.words(line)) else {
            Issue.record("\(line) did not ask for help")
            return
        }
    }

    @Test(arguments: ["", "container", "completion", "--root /x"]) func groupAloneShowsHelp(_ line: String) {
        guard case .help(_, asked: false) = Sample.program.parse(Sample.words(line)) else {
            Issue.record("\(line) did not show help")
            return
        }
    }

    @Test(arguments: ["--version", "-v", "-D --version"]) func versionIsAsked(_ line: String) {
        guard case .version = Sample.program.parse(Sample.words(line)) else {
            Issue.record("\(line) did not ask for the version")
            return
        }
    }

    @Test func runReturnsTheCommandsStatus() {
        #expect(Sample.program.run(["rm", "x"]) == 7)
    }
}
