import Glibc
import Linux
import Testing

@testable import Control

@Suite struct LogReaderTests {
    let scratch: Scratch
    init() throws { scratch = try Scratch() }

    func write(_ index: Int, _ text: String) throws {
        try FD.cwd.writeFile(scratch.path + "/" + LogFiles.name(index), Array(text.utf8))
    }

    func line(_ second: Int, _ text: String, _ tag: String = "F", _ stream: String = "stdout") -> String {
        "2026-01-02T03:04:\(second < 10 ? "0" : "")\(second).000000000Z \(stream) \(tag) \(text)\n"
    }

    func read(_ options: LogReader.Options = .init()) throws -> [String] {
        var reader = try LogReader(directory: scratch.path, options: options)
        var texts: [String] = []
        _ = try reader.readAvailable { record in
            texts.append(String(decoding: record.text, as: UTF8.self))
            return true
        }
        return texts
    }

    @Test func oldestFileFirst() throws {
        try write(2, line(1, "a"))
        try write(1, line(2, "b"))
        try write(0, line(3, "c") + line(4, ""))
        #expect(try read() == ["a", "b", "c", ""])
    }

    @Test func noLogIsEmpty() throws { #expect(try read() == []) }

    @Test func tornAndForeignLinesArePassedOver() throws {
        try write(1, line(1, "a") + "2026-01-02T03:04:05.0000")
        try write(0, "garbage\n\n" + line(2, "b") + "2026-01-02T03:04:05.000000000Z stdout X no\n" + line(3, "torn").dropLast())
        #expect(try read() == ["a", "b"])
    }

    @Test(
        arguments: [
            (0, []), (1, ["e"]), (2, ["d", "e"]), (3, ["c1", "c2", "d", "e"]), (4, ["b", "c1", "c2", "d", "e"]),
            (5, ["a", "b", "c1", "c2", "d", "e"]), (100, ["a", "b", "c1", "c2", "d", "e"]),
        ] as [(Int, [String])])
    func tailCountsLines(_ count: Int, _ expected: [String]) throws {
        try write(2, line(1, "a"))
        try write(1, line(2, "b") + line(3, "c1", "P"))
        try write(0, line(3, "c2") + line(4, "d") + line(5, "e"))
        #expect(try read(.init(tail: count)) == expected)
    }

    @Test func tailCountsAnUnfinishedLine() throws {
        try write(0, line(1, "a") + line(2, "b") + line(3, "prompt> ", "P"))
        #expect(try read(.init(tail: 1)) == ["prompt> "])
        #expect(try read(.init(tail: 2)) == ["b", "prompt> "])
    }

    /// Lines at every offset relative to the chunks that are read backwards.
    @Test(arguments: [1, 700, 1638, 1639, 5000]) func tailOfALargeFile(_ count: Int) throws {
        var text = ""
        for index in 0..<5000 { text += line(index % 60, "line \(index) " + String(repeating: "x", count: index % 97)) }
        try write(0, text)
        let all = try read()
        #expect(all.count == 5000)
        #expect(try read(.init(tail: count)) == Array(all.suffix(count)))
    }

    @Test func sinceAndUntil() throws {
        try write(0, (1...9).map { line($0, "\($0)") }.joined())
        let base = TimeText.parse(string: "2026-01-02T03:04:00Z") ?? 0
        #expect(try read(.init(since: base + 7_000_000_000)) == ["7", "8", "9"])
        #expect(try read(.init(until: base + 2_500_000_000)) == ["1", "2"])
        #expect(try read(.init(tail: 5, since: base + 3_000_000_000, until: base + 6_000_000_000)) == ["5", "6"])
    }

    @Test func overlongLineIsPassedOver() throws {
        try write(0, line(1, "a") + line(2, String(repeating: "x", count: 600 << 10)) + line(3, "b"))
        #expect(try read() == ["a", "b"])
    }

    @Test func randomBytesDoNotTrap() throws {
        var random = SystemRandomNumberGenerator()
        for _ in 0..<50 {
            var bytes = [UInt8](line(1, "a").utf8)
            for _ in 0..<40 {
                bytes += line(2, "xyz", Bool.random() ? "P" : "F").utf8
                bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            try FD.cwd.writeFile(scratch.path + "/container.log", bytes)
            _ = try read()
            _ = try read(.init(tail: 5))
        }
    }

    @Test func fifoInPlaceOfALogDoesNotBlock() throws {
        #expect(mkfifo(scratch.path + "/container.log", 0o600) == 0)
        // Opening a FIFO for reading would wait for a writer.
        #expect(throws: ControlError.self) { _ = try read() }
    }

    /// A rotation is going on, or was killed: one name is missing.
    @Test(arguments: [0, 1, 2, 3]) func aMissingNameIsNoEnd(_ missing: Int) throws {
        for index in 0..<5 where index != missing { try write(index, line(9 - index, "\(index)")) }
        let wanted = [4, 3, 2, 1, 0].filter { $0 != missing }.map { "\($0)" }
        #expect(try read() == wanted)
        #expect(try read(.init(tail: 3)) == wanted.suffix(3))
        #expect(try read(.init(tail: 9)) == wanted)
    }

    @Test func followIsNotHeldByABareAnswer() throws {
        try write(0, line(1, "a"))
        let pair = try makeSocketPair(.sequencedPacket).take()
        var other: SharedFD? = SharedFD(owning: pair.second)
        let supervisor = SupervisorConnection(id: "c1", socket: OwnedFD(owning: pair.first), child: 0)
        try other?.fd.send(ControlEvent.done.frame(sequence: 0).encoded)
        var texts: [String] = []
        var round = 0
        var reader = try LogReader(directory: scratch.path)
        try reader.follow(
            supervisor,
            {
                texts.append(String(decoding: $0.text, as: UTF8.self))
                return true
            },
            idle: {
                round += 1
                // The answer wakes the first wait and brings nothing more: only the file has news, then the end comes.
                if round == 1 { try? write(0, line(1, "a") + line(2, "b")) }
                if round == 2 { other = nil }
            })
        #expect(texts == ["a", "b"])
        #expect(other == nil)
    }

    @Test func printerIsByteExactAndMarksLines() throws {
        try write(0, line(1, "one") + line(2, "par", "P") + line(2, "err", "F", "stderr") + line(2, "tial") + line(3, "$ ", "P"))
        let pipe = try makePipe()
        let errors = try makePipe()
        do {
            var printer = LogPrinter(output: pipe.second.fd, error: errors.second.fd, timestamps: false)
            var reader = try LogReader(directory: scratch.path)
            _ = try reader.readAvailable { printer.print($0) }
            printer.flush()
            var stamped = LogPrinter(output: pipe.second.fd, error: errors.second.fd, timestamps: true, details: "a=b")
            var again = try LogReader(directory: scratch.path, options: .init(tail: 4))
            _ = try again.readAvailable { stamped.print($0) }
            stamped.flush()
        }
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = Glibc.read(pipe.first.raw, &buffer, 4096)
        #expect(
            String(decoding: buffer[..<count], as: UTF8.self)
                == "one\npartial\n$ 2026-01-02T03:04:01.000000000Z a=b one\n2026-01-02T03:04:02.000000000Z a=b partial\n"
                + "2026-01-02T03:04:03.000000000Z a=b $ ")
    }

    @Test(
        arguments: [
            (0, "1970-01-01T00:00:00.000000000Z"), (1_767_323_045_123_456_789, "2026-01-02T03:04:05.123456789Z"),
            (951_782_400_000_000_000, "2000-02-29T00:00:00.000000000Z"), (4_107_542_399_999_999_999, "2100-02-28T23:59:59.999999999Z"),
            (4_107_542_400_000_000_000, "2100-03-01T00:00:00.000000000Z"),
        ] as [(Int64, String)])
    func times(_ nanoseconds: Int64, _ text: String) {
        #expect(TimeText.string(nanoseconds) == text)
        #expect(TimeText.parse(string: text) == nanoseconds)
    }

    @Test(
        arguments: [
            ("2026-01-02T03:04:05Z", 1_767_323_045_000_000_000), ("2026-01-02T05:34:05.5+02:30", 1_767_323_045_500_000_000),
            ("2026-01-01T22:04:05-05:00", 1_767_323_045_000_000_000),
        ] as [(String, Int64)])
    func otherTimes(_ text: String, _ nanoseconds: Int64) { #expect(TimeText.parse(string: text) == nanoseconds) }

    @Test(arguments: [
        "", "2026", "2026-13-02T03:04:05Z", "2026-01-02 03:04:05Z", "2026-01-02T03:04:05", "2026-01-02T03:04:05.1", "9999-99-99T99:99:99Z",
    ])
    func wrongTimes(_ text: String) { #expect(TimeText.parse(string: text) == nil) }
}
