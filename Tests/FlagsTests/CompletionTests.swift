import Testing

@testable import Flags

@Suite struct CompletionTests {
    static let rows: [(String, String)] = [
        ("p", "ps :4"), ("container l", "ls :4"), ("container ''", "ls run rm :4"), ("remo", ":4"),
        ("run --pull ''", "always missing never :4"), ("run --pull=al", "always :4"), ("run --rm=", "true false :4"),
        ("run --mem", "--memory --memory-swap :4"), ("run --rm --rm", ":4"), ("run -e a --env", "--env --env-file :4"),
        ("run --secret", ":4"), ("run --old", ":4"), ("run --dn", ":4"), ("run ''", "localhost:5000/app busybox :4"),
        ("run loc", "localhost:5000/app :4"), ("run busybox ''", ":0"), ("run busybox -", ":0"),
        ("run --env-file ''", ":0"), ("run --env-file=x", ":0"), ("--root ''", ":16"), ("ps --root ''", ":16"),
        ("run -m ''", ":4"), ("run -ite ''", ":4"), ("rm ''", "web database :4"), ("run --nope=", ":4"),
        ("rm web d", "database :4"), ("rm -f w", "web :4"), ("rm -- -", ":4"), ("exec -it w", "web :4"),
        ("rm -", "--force -f --volumes -v --root --log-level -l --help :4"), ("--root /x rm w", "web :4"),
        ("run -p 80:80 b", "busybox :4"), ("run --dns=1 b", "busybox :4"), ("completion ''", "bash zsh fish :4"),
        ("nowhere ''", ":4"), ("container ls --al", "--all :4"),
        ("''", "run exec ps rm stop images tag wait search container image completion :4"),
    ]

    @Test(arguments: rows) func offers(_ line: String, _ expected: String) {
        let completion = Sample.program.complete(Sample.words(line))
        let text = completion.candidates.map { $0.word + " " }.joined() + ":\(completion.directive.rawValue)"
        #expect(text == expected)
    }

    @Test func printsCobrasLines() {
        #expect(Sample.program.complete(["rm", "w"]).text(explained: true) == "web\trunning\n:4\n")
        #expect(Sample.program.complete(["rm", "w"]).text(explained: false) == "web\n:4\n")
    }

    @Test func forgedLinesAreDefused() {
        let completion = Completion(candidates: [Candidate("a\n:0", "b\nc")])
        #expect(completion.text(explained: true) == "a\\n:0\tb\n:4\n")
    }

    @Test(arguments: Shell.allCases) func scriptsNameTheProgram(_ shell: Shell) {
        let script = shell.script(program: "berth-runtime")
        #expect(script.contains("_berth_runtime"))
        #expect(script.contains("__complete"))
        #expect(!script.contains("_berth-runtime"))
        #expect(script.hasSuffix("\n"))
    }
}
