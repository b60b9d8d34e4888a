import Control
import Glibc
import Linux
import Testing

@testable import Supervision

/// docker's `json-file`, written and read.
@Suite struct JSONLogTests {
    let scratch: Scratch
    init() throws { scratch = try Scratch() }

    func writer(size: UInt64 = 0, files: UInt32 = 5, attributes: [String: String] = [:]) -> LogWriter {
        var configuration = LogConfiguration(driver: .json, maximumSize: size, maximumFiles: files)
        configuration.attributes = attributes
        return LogWriter(directory: scratch.directory.fd, configuration)
    }

    func put(_ writer: LogWriter, _ bytes: [UInt8], _ stream: LogRecord.Stream = .output) {
        bytes.withUnsafeBytes { writer.write(stream, $0) }
    }

    func put(_ writer: LogWriter, _ text: String, _ stream: LogRecord.Stream = .output) { put(writer, Array(text.utf8), stream) }

    func tail(_ count: Int) throws -> [String] {
        var reader = try LogReader(directory: scratch.path, options: .init(tail: count))
        var texts: [String] = []
        _ = try reader.readAvailable { record in
            texts.append(String(decoding: record.text, as: UTF8.self))
            return true
        }
        return texts
    }

    @Test func dockersFormat() throws {
        let log = writer(attributes: ["E": "1", "l": "v w"])
        log.clock = { 1_767_323_045_123_456_789 }
        put(log, "hi <a> \"q\" \u{1} é\tx\\\r\npa")
        put(log, "rt", .error)
        put(log, "rt of it\n\n")
        log.finish()
        let attributes = #","attrs":{"E":"1","l":"v w"},"time":"2026-01-02T03:04:05.123456789Z"}"#
        #expect(
            try FD.cwd.readText(scratch.path + "/container.log") == """
                {"log":"hi \\u003ca\\u003e \\"q\\" \\u0001 é\\u0009x\\\\\\r\\n","stream":"stdout"\(attributes)
                {"log":"part of it\\n","stream":"stdout"\(attributes)
                {"log":"\\n","stream":"stdout"\(attributes)
                {"partial":true,"log":"rt","stream":"stderr"\(attributes)

                """)
        #expect(try scratch.logged(.output) == Array("hi <a> \"q\" \u{1} é\tx\\\r\npart of it\n\n".utf8))
        #expect(try scratch.logged(.error) == Array("rt".utf8))
    }

    @Test(arguments: [
        // What other versions of docker write, and fluentd, and people.
        #"{"log":"a\n","stream":"stdout","time":"2026-01-02T03:04:05.1Z"}"#,
        #"{"time":"2026-01-02T03:04:05Z","stream":"stdout","log":"\u0061\n"}"#,
        #"{"log":"a\n","stream":"stdout","attrs":{"x":"}\"{","y":{"z":[1,"]"]}},"n":null,"b":false,"time":"2026-01-02T03:04:05.123456789Z"}"#,
        #"{"log":"a\n", "stream":"stdout", "time":"2026-01-02T03:04:05+01:00"}"#,
    ])
    func readsOthers(_ line: String) throws {
        try FD.cwd.writeFile(scratch.path + "/container.log", Array((line + "\n").utf8))
        #expect(try scratch.logged(.output) == Array("a\n".utf8))
    }

    @Test(arguments: [
        #"{"log":"a\n","stream":"stdout","time":"2026-01-02T03"#, #"{"log":"a\n","stream":"other","time":"2026-01-02T03:04:05Z"}"#,
        #"{"log":"a\u12","stream":"stdout","time":"2026-01-02T03:04:05Z"}"#, #"{"log":1,"stream":"stdout","time":"2026-01-02T03:04:05Z"}"#,
        #"{"stream":"stdout","time":"2026-01-02T03:04:05Z"}"#, #"{"log":"a","stream":"stdout","time":"no"}"#, "{", "{}", "{\"",
        #"{"log":"\"#,
        #"{"log":"a","stream":"stdout","time":"2026-01-02T03:04:05Z"}{"#, #"{"x":[[[{"#, #"{"log":"\ud800\ud8","stream":"#,
    ])
    func passesOverWhatIsNone(_ line: String) throws {
        let good = #"{"log":"b\n","stream":"stdout","time":"2026-01-02T03:04:05Z"}"#
        try FD.cwd.writeFile(scratch.path + "/container.log", Array((line + "\n" + good + "\n").utf8))
        #expect(try scratch.logged(.output) == Array("b\n".utf8))
    }

    @Test func charactersOutsideOfTheFirstPlane() throws {
        let line = #"{"log":"\ud83d\ude00 \ud800x \udc00\n","stream":"stdout","time":"2026-01-02T03:04:05Z"}"#
        try FD.cwd.writeFile(scratch.path + "/container.log", Array((line + "\n").utf8))
        #expect(try scratch.logged(.output) == Array("😀 \u{FFFD}x \u{FFFD}\n".utf8))
    }

    @Test func textSurvivesHoweverItComes() throws {
        let log = writer()
        var text = ""
        for number in 0..<3000 { text += "é😀<&>\"\\\(number)" + (number % 7 == 0 ? "\n" : "") }
        // A line of several parts.
        text += String(repeating: "漢", count: 30_000) + "\n"
        let bytes = Array(text.utf8)
        var start = 0
        var piece = 1
        while start < bytes.count {
            let end = min(bytes.count, start + piece)
            put(log, Array(bytes[start..<end]))
            start = end
            piece = piece * 5 % 40_009 + 1
        }
        log.finish()
        #expect(try scratch.logged(.output) == bytes)
    }

    @Test func bytesThatAreNoTextBecomeReplacements() throws {
        let log = writer()
        put(log, [0x61, 0xFF, 0xC3, 0x28, 0xED, 0xA0, 0x80, 0x0A])
        #expect(try scratch.logged(.output) == Array("a\u{FFFD}\u{FFFD}(\u{FFFD}\u{FFFD}\u{FFFD}\n".utf8))
    }

    @Test func rotationKeepsTheBoundAndTheTail() throws {
        let log = writer(size: 5000, files: 3)
        for number in 0..<1000 { put(log, "line \(number)\n") }
        var total = 0
        for name in ["container.log", "container.log.1", "container.log.2"] {
            let size = Int(try FD.cwd.status(of: scratch.path + "/" + name).st_size)
            #expect(size <= 5000)
            total += size
        }
        #expect(total > 10_000 && !FD.cwd.exists(scratch.path + "/container.log.3"))
        #expect(try tail(3) == ["line 997", "line 998", "line 999"])
    }

    @Test func tailCountsLinesOfParts() throws {
        let log = writer()
        put(log, "a\n" + String(repeating: "x", count: 40_000) + "\nb\nprompt> ")
        log.finish()
        #expect(try tail(1) == ["prompt> "])
        #expect(try tail(2) == ["b", "prompt> "])
        #expect(try tail(3).map(\.utf8.count) == [16384, 16384, 7232, 1, 8])
        #expect(try tail(9).first == "a")
    }

    @Test func aTornRecordIsCutOff() throws {
        try FD.cwd.writeFile(
            scratch.path + "/container.log",
            Array((#"{"log":"a\n","stream":"stdout","time":"2026-01-02T03:04:05Z"}"# + "\n" + #"{"log":"to"#).utf8))
        let log = writer()
        put(log, "b\n")
        #expect(try scratch.logged(.output) == Array("a\nb\n".utf8))
    }
}
