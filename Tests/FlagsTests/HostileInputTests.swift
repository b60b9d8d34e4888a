import Testing

@testable import Flags

@Suite struct HostileInputTests {
    /// Nothing here may trap; what is said must not carry control characters to a terminal.
    @Test(arguments: [
        [], [""], ["", ""], ["-"], ["--"], ["---"], ["-="], ["--="], ["=", "="], ["run", "-"], ["run", "--", ""],
        ["run", "-\u{301}"], ["run", "--\u{301}=x"], ["run", "-e\u{301}"], ["run", "-\u{FFFD}\u{FFFD}"],
        ["run", "--rm\0"], ["run", "--\u{1B}[31m"], ["\u{1B}]0;x\u{7}"], ["run", "-\u{1B}"],
        ["run", "--rm=\u{1B}[2J", "x"], ["help", "\u{1B}[2J"], ["run", "-m", "\u{1B}[2J", "x"],
        ["run", "-m", "1\u{1B}", "x"], ["run", "-it", "é"], ["run", "-ié"], ["run", "-👨‍👩‍👧"], ["container", "\n"],
        ["run", "-e", "=\u{1B}", "x"], ["run", "---\u{1B}"], ["run", "--cpus", "\u{1B}", "x"], ["__complete"],
    ]) func survives(_ words: [String]) {
        if case .failure(let error) = Sample.program.parse(words) {
            #expect(!error.text.unicodeScalars.contains { $0.value < 0x20 && $0 != "\n" && $0 != "\t" })
        }
        #expect(!Sample.program.complete(words).text(explained: true).isEmpty)
    }

    @Test func repairedArgumentsAreRead() throws {
        let broken = String(decoding: [0x2D, 0x65, 0xFF, 0xFE], as: UTF8.self)
        #expect(try #require(Sample.parsed(["run", broken, "img"])).strings("env") == ["\u{FFFD}\u{FFFD}"])
    }

    @Test func manyArgumentsTakeLinearTime() throws {
        var words = ["run"]
        for index in 0..<10_000 { words += ["-e", "K\(index)=V"] }
        words.append("img")
        words += (0..<10_000).map { "operand\($0)" }
        let clock = ContinuousClock()
        let start = clock.now
        let parsed = try #require(Sample.parsed(words))
        #expect(parsed.strings("env").count == 10_000)
        #expect(parsed.positionals.count == 10_001)
        // A debug build on a loaded machine needs well under a second; a quadratic walk needs minutes.
        #expect(clock.now - start < .seconds(20))
    }

    @Test func longWordsAreRefusedOrRead() throws {
        let nines = String(repeating: "9", count: 100_000)
        #expect(Sample.failure([nines]) != nil)
        #expect(Sample.failure(["run", "-m", nines, "img"]) != nil)
        #expect(Sample.failure(["run", "--cpus", nines, "img"]) != nil)
        #expect(Sample.failure(["run", "-c", nines, "img"]) != nil)
        let hours = String(repeating: "1h", count: 1_000_000)
        let parsed = try #require(Sample.parsed(["run", "--health-interval", hours, "img"]))
        #expect(parsed.int64("health-interval") == 3_600_000_000_000_000_000)
        let cluster = "-" + String(repeating: "i", count: 2_000)
        #expect(try #require(Sample.parsed(["run", cluster, "img"])).bool("interactive"))
    }
}
