import Glibc
import Testing

@testable import Dockerfile

/// What a body costs in seconds of this thread's processor time: other work on the machine does not count.
func processorSeconds(_ body: () throws -> Void) rethrows -> Double {
    func now() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
    let started = now()
    try body()
    return now() - started
}

/// Small changes of text: those that parsers stumble over. Seeded with a constant, so a failure repeats.
struct Mutator {
    var state: UInt64

    private static let pieces =
        [
            "\\", "\\\n", "\n", "\r\n", "#", "# escape=`\n", "`", "\"", "'", "[", "]", "[\"", "\"]", "<<EOF", "<<-'E'", "\nEOF\n", "${",
            "}", "$", "${a:-",
            "${a//", "/", "**", "!", "=", " ", "\t", "--", "--mount=", ",", ":", "FROM ", "AS ", "ONBUILD ", "\u{FEFF}", "é", "\0", "{",
            "*", "?", "[^",
            "99999999999999999999", "-1", "%", "u=rwX", "..", "./",
        ].map { Array($0.utf8) } + [[0xFF], [0xC3], [0xE2, 0x80]]

    mutating func next(_ bound: Int) -> Int {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return Int(state >> 33) % bound
    }

    mutating func mutated(_ bytes: [UInt8]) -> [UInt8] {
        var bytes = bytes
        for _ in 0...next(4) {
            guard !bytes.isEmpty else { return Self.pieces[next(Self.pieces.count)] }
            let place = next(bytes.count)
            switch next(6) {
            case 0: bytes[place] = UInt8(next(256))
            case 1: bytes.removeSubrange(place..<min(place + 1 + next(24), bytes.count))
            case 2: bytes.insert(contentsOf: Self.pieces[next(Self.pieces.count)], at: place)
            case 3: bytes.insert(contentsOf: bytes[place..<min(place + 1 + next(48), bytes.count)], at: next(bytes.count))
            case 4: bytes.removeSubrange(place...)
            default:
                let piece = Self.pieces[next(Self.pieces.count)]
                bytes.replaceSubrange(place..<min(place + piece.count, bytes.count), with: piece)
            }
        }
        return bytes
    }
}

@Suite struct MutationTests {
    private static let seeds = [
        """
        # syntax=docker/dockerfile:1
        # check=skip=FromAsCasing;error=true
        ARG BASE=alpine VERSION=3
        # build makes it
        FROM --platform=$BUILDPLATFORM ${BASE}:${VERSION:-3} AS build
        ARG TARGETARCH GOFLAGS="-a -b"
        ENV A=1 B="x ${A}" C='$A'
        RUN --mount=type=cache,target=/c,id=x,sharing=locked --mount=type=secret,id=k,env=K \\
            --network=none make \\
            # comment
            all
        COPY --from=0 --chown=a:b --chmod=u=rwX,go=rX --exclude=*.o --parents a/./b "c d" /e/
        FROM scratch
        COPY <<EOF <<-'B' /x/
        one $A
        EOF
        \ttwo
        B
        ADD --checksum=sha256:0 https://h/r.git?ref=a#b:c /
        HEALTHCHECK --interval=5s --retries=3 CMD ["a", "b"]
        EXPOSE 80-90/tcp 1.2.3.4:5:6/UDP
        ONBUILD COPY --from=build a b
        LABEL k v w
        STOPSIGNAL SIG${A%%x*}${B//a/b}
        VOLUME ["/a", "/b"]
        SHELL ["/bin/sh", "-c"]
        CMD echo [
        """,
        "# escape=`\r\nFROM a`\r\n as b\r\nRUN c `\r\n\r\n d\r\n", "FROM a\nRUN <<A <<B\n1\nA\n2\nB\nENV a b\nWORKDIR ${x:?${y:+z}}\n",
    ].map { Array($0.utf8) }

    /// What is accepted has the properties that others rely on; everything else is an error and no more.
    private func check(_ bytes: [UInt8]) {
        let source = SourceText(bytes: bytes)
        let report = Linter.check(source, Reading.options(["VERSION=4"]))
        _ = report.rendered(in: source)
        if let error = report.error {
            #expect(!error.message.isEmpty)
            if let range = error.range { #expect(range.start.line >= 1 && range.end.line <= source.lineCount) }
        }
        guard let file = try? ParsedDockerfile.parse(source) else { return }
        for stage in file.stages {
            #expect(stage.range.start <= stage.range.end)
            for command in stage.commands {
                #expect(command.range.start.line >= stage.range.start.line && command.range.end.line <= source.lineCount)
            }
        }
        _ = try? Outline(file, Reading.options())
        _ = TargetList(file).rendered
    }

    @Test func mutatedFilesAreReadOrRefused() {
        var random = Mutator(state: 1)
        for round in 0..<3000 { check(random.mutated(Self.seeds[round % Self.seeds.count])) }
    }

    @Test func truncatedFilesAreReadOrRefused() {
        for seed in Self.seeds { for count in 0...seed.count { check(Array(seed.prefix(count))) } }
    }

    @Test func mutatedPatternsMatchOrAreRefused() {
        var random = Mutator(state: 2)
        let seed = Array("a/**/b\n!c*.[a-z]?\n\\*x\n**\n!d/e/../f\n".utf8)
        for _ in 0..<3000 {
            guard let matcher = try? PathMatcher(IgnoreFile.patterns(random.mutated(seed))) else { continue }
            let verdict = matcher.verdict("a/b", in: matcher.verdict("a", in: nil))
            #expect(verdict.isMatched == matcher.matches("a/b"))
            _ = matcher.canSkip(directory: "a/b", verdict)
        }
    }

    /// Twice the text takes about twice the time: nothing in it is a square.
    @Test func timeGrowsWithTheText() throws {
        func time(_ lines: Int) throws -> Double {
            let text =
                "FROM a\n"
                + String(repeating: "RUN --mount=type=cache,target=/a b c \\\n d \"e\" $f\nCOPY --from=x a b /c/\n", count: lines)
            let source = SourceText(text)
            return try processorSeconds { _ = try ParsedDockerfile.parse(source) }
        }
        _ = try time(200)
        let (small, large) = (try time(500), try time(4000))
        #expect(large < small * 40 + 0.5, "\(small) for 1,500 lines, \(large) for 12,000")
    }
}

/// Files that are made to cost more than they are worth.
@Suite struct HostileFileTests {
    private func error(_ text: String) -> String? { Linter.check(SourceText(text), Reading.options()).error?.message }

    private func took(_ text: String) -> Double {
        processorSeconds {
            let report = Linter.check(SourceText(text), Reading.options())
            #expect(report.warnings.count <= Linter.warningLimit)
        }
    }

    @Test func valuesThatGrowAreRefused() {
        let doubling = (0..<40).map { "ENV x\($0 + 1)=$x\($0)$x\($0)\n" }.joined()
        #expect(error("FROM scratch\nENV x0=aaaaaaaa\n" + doubling)?.contains("the result is longer than 1048576 characters") == true)
        let large = "FROM scratch\nENV x=" + String(repeating: "a", count: 60_000) + "\n"
        let many = (0..<400).map { " l\($0)=$x" }.joined()
        #expect(error(large + "LABEL" + many)?.hasPrefix("the instruction's words are longer than 16777216 bytes") == true)
        let lines = (0..<400).map { "ENV e\($0)=$x\n" }.joined()
        #expect(error(large + lines) == "the variables are larger than 16777216 bytes")
        #expect(error("FROM scratch\nEXPOSE" + String(repeating: " 0-65535", count: 4)) == "EXPOSE names more than 196608 ports")
    }

    @Test func stagesDoNotFillTheMemory() {
        let variables = (0..<4000).map { "v\($0)=" }.joined(separator: " ")
        // Each of these is kept until the stage that stands on it comes, and all of those come last.
        let one = (0..<600).map { "FROM base AS s\($0)\nENV a=b\n" }.joined()
        let other = (0..<600).map { "FROM s\($0)\n" }.joined()
        #expect(error("FROM scratch AS base\nENV \(variables)\n" + one + other) == "the stages have too many variables for each other")
        // Those that are taken at once are let go.
        let chain = (1..<600).map { "FROM s\($0 - 1) AS s\($0)\nENV a=\($0)\n" }.joined()
        #expect(error("FROM scratch AS s0\nENV \(variables)\n" + chain) == nil)
    }

    @Test func triggersAreCounted() {
        let text = "FROM scratch AS x\n" + String(repeating: "ONBUILD USER a\n", count: 200) + String(repeating: "FROM x\n", count: 60)
        #expect(error(text) == "the stages have more than 10000 ONBUILD triggers for each other")
    }

    /// Squares of these numbers would take hours.
    @Test func manyNamesTakeTheirTimeOnce() {
        let names = (0..<4000).map { "n\($0)" }
        #expect(took("ARG " + names.joined(separator: " ") + "\nFROM scratch\nARG " + names.joined(separator: " ")) < 20)
        #expect(took("FROM scratch\nWORKDIR /" + names.map { "$" + $0 }.joined()) < 20)
        #expect(took("FROM scratch\n" + names.map { "ENV \($0)=$\($0)\n" }.joined()) < 20)
        #expect(took("FROM scratch AS n\n" + String(repeating: "FROM n AS n\n", count: 4000)) < 20)
    }

    @Test func longInstructionsAreShownInPart() {
        let source = SourceText("FROM a\nCOPY --x <<E /\n" + String(repeating: "y\n", count: 5000) + "E\n")
        guard let error = Linter.check(source, Reading.options()).error else {
            Issue.record("accepted")
            return
        }
        let lines = error.excerpt(of: source).split(separator: "\n")
        #expect(lines.count < 115)
        #expect(lines.contains("     | >>> ..."))
    }
}
