import CLinux
import Control
import Glibc
import Linux
import Testing

@testable import Supervision

@Suite struct LogWriterTests {
    let scratch: Scratch
    init() throws { scratch = try Scratch() }

    func writer(size: UInt64 = 0, files: UInt32 = 5) -> LogWriter {
        LogWriter(directory: scratch.directory.fd, LogConfiguration(maximumSize: size, maximumFiles: files))
    }

    func put(_ writer: LogWriter, _ text: String, _ stream: LogRecord.Stream = .output) {
        put(writer, Array(text.utf8), stream)
    }

    func put(_ writer: LogWriter, _ bytes: [UInt8], _ stream: LogRecord.Stream = .output) {
        bytes.withUnsafeBytes { writer.write(stream, $0) }
    }

    @Test func formatIsTheContract() throws {
        let log = writer()
        log.clock = { 1_767_323_045_123_456_789 }
        put(log, "hello\npar")
        put(log, "tial\n\n", .error)
        #expect(
            try FD.cwd.readText(scratch.path + "/container.log") == """
                2026-01-02T03:04:05.123456789Z stdout F hello
                2026-01-02T03:04:05.123456789Z stdout P par
                2026-01-02T03:04:05.123456789Z stderr F tial
                2026-01-02T03:04:05.123456789Z stderr F \n
                """)
        #expect(try FD.cwd.status(of: scratch.path + "/container.log").st_mode & 0o777 == 0o600)
    }

    @Test(arguments: [1, 4096, 16 << 10, (16 << 10) + 1, 100_000, 1_000_003]) func bytesSurvive(_ count: Int) throws {
        for newlines in [true, false] {
            let scratch = try Scratch()
            let log = LogWriter(directory: scratch.directory.fd, LogConfiguration(maximumSize: 0))
            let bytes = pattern(count, newlines: newlines)
            var start = 0
            var piece = 1
            while start < count {
                let end = min(count, start + piece)
                put(log, Array(bytes[start..<end]))
                start = end
                piece = piece * 3 % 200_001 + 1
            }
            #expect(try scratch.logged(.output) == bytes)
            #expect(try scratch.records().allSatisfy { $0.text.count <= LogWriter.longestText })
        }
    }

    @Test(arguments: [UInt64(1), 100, 1000, 70_000]) func rotationKeepsTheBoundAndTheTail(_ size: UInt64) throws {
        let log = writer(size: size, files: 3)
        for index in 0..<5000 { put(log, "line \(index)\n") }
        let texts = try scratch.records().map { String(decoding: $0.text, as: UTF8.self) }
        let first = try #require(texts.first.flatMap { Int($0.dropFirst(5)) })
        #expect(texts == (first..<5000).map { "line \($0)" })
        let opened = try FD.cwd.open(scratch.path, [.readOnly, .directory])
        let files = try directoryEntries(opened.fd).map(\.name)
        #expect(Set(files) == ["container.log", "container.log.1", "container.log.2"])
        for file in files {
            let length = UInt64(try FD.cwd.status(of: scratch.path + "/" + file).st_size)
            #expect(length <= max(size, 60))
            #expect(try FD.cwd.readText(scratch.path + "/" + file).hasSuffix("\n"))
        }
    }

    /// What a kill in the middle of a rotation leaves is closed by the next one, and no more files move than must.
    @Test func rotationClosesAGap() throws {
        for index in [0, 1, 2, 4] {
            let name = index == 0 ? "container.log" : "container.log.\(index)"
            try scratch.directory.fd.writeFile(name, Array("2026-01-02T03:04:05.123456789Z stdout F \(index)\n".utf8))
        }
        let log = writer(size: 45, files: 6)
        put(log, "new\n")
        let opened = try FD.cwd.open(scratch.path, [.readOnly, .directory])
        #expect(Set(try directoryEntries(opened.fd).map(\.name)) == Set(["container.log"] + (1...4).map { "container.log.\($0)" }))
        #expect(try scratch.records().map { String(decoding: $0.text, as: UTF8.self) } == ["4", "2", "1", "0", "new"])
    }

    /// Files move all the time while they are read: every line comes once and in order.
    @Test func readerFollowsThroughRotations() throws {
        let count = 4000
        let child = forkChild {
            let log = writer(size: 600, files: 2000)
            for index in 0..<count { put(log, "\(index)\n") }
            return 0
        }
        var reader = try LogReader(directory: scratch.path)
        var next = 0
        var isRight = true
        let end = monotonicNanoseconds() + 50_000_000_000
        while next < count, isRight, monotonicNanoseconds() < end {
            _ = try reader.readAvailable { record in
                isRight = isRight && String(decoding: record.text, as: UTF8.self) == "\(next)"
                next += 1
                return isRight
            }
        }
        #expect(isRight && next == count, "at line \(next)")
        #expect((try waitForProcess(child))?.status == .exited(0))
    }

    @Test func oneFileIsOneFile() throws {
        let log = writer(size: 1000, files: 1)
        for index in 0..<500 { put(log, "line \(index)\n") }
        #expect(!FD.cwd.exists(scratch.path + "/container.log.1"))
        #expect(try FD.cwd.status(of: scratch.path + "/container.log").st_size <= 1000)
    }

    @Test func oneBigPieceIsRotatedInside() throws {
        let log = writer(size: 10_000, files: 4)
        put(log, String(repeating: "0123456789\n", count: 20_000))
        for index in 0..<4 {
            let name = scratch.path + "/container.log" + (index == 0 ? "" : ".\(index)")
            #expect(try FD.cwd.status(of: name).st_size <= 10_000)
        }
    }

    @Test func tornEndIsCutOff() throws {
        do { put(writer(), "one\ntwo\n") }
        let file = try FD.cwd.open(scratch.path + "/container.log", [.writeOnly, .append])
        try file.fd.writeAll("2026-01-02T03:04:05.123456789Z stdout F " + String(repeating: "x", count: 9000))
        put(writer(), "three\n")
        #expect(try scratch.logged(.output) == Array("one\ntwo\nthree\n".utf8))
    }

    @Test func fileWithoutANewlineIsEmptied() throws {
        try FD.cwd.writeFile(scratch.path + "/container.log", [UInt8](repeating: 120, count: 10_000))
        put(writer(), "a\n")
        #expect(try scratch.logged(.output) == Array("a\n".utf8))
    }

    @Test func removedDirectoryDoesNotStop() throws {
        let log = writer(size: 200, files: 3)
        put(log, "a\n")
        try removeTree(.cwd, scratch.path)
        for _ in 0..<100 { put(log, "into nothing\n") }
        try FD.cwd.makeDirectory(scratch.path)
    }

    @Test func linkInPlaceOfTheLogIsNotFollowed() throws {
        try FD.cwd.writeFile(scratch.path + "/victim", [1])
        try FD.cwd.makeSymbolicLink(to: "victim", at: scratch.path + "/container.log")
        put(writer(), "a\n")
        #expect(try FD.cwd.readFile(scratch.path + "/victim") == [1])
    }

    /// A full disk by RLIMIT_FSIZE, in a child: the limit is the process's.
    @Test func fullDiskDropsAndTells() throws {
        let path = scratch.path
        let directory = scratch.directory
        let status = inChild {
            _ = cl_signal_ignore(SIGXFSZ)
            var limit: [UInt64] = [1000, 1 << 40]
            guard cl_prlimit(0, 1 /* RLIMIT_FSIZE */, &limit, nil) == 0 else { return 3 }
            let log = LogWriter(directory: directory.fd, LogConfiguration(maximumSize: 0))
            for index in 0..<100 { put(log, "line \(index)\n") }
            limit[0] = 1 << 40
            guard cl_prlimit(0, 1, &limit, nil) == 0 else { return 4 }
            put(log, "after\n")
            return 0
        }
        #expect(status == .exited(0))
        let lines = try FD.cwd.readText(path + "/container.log").split(separator: "\n").map { String($0.dropFirst(40)) }
        let kept = lines.count - 2
        #expect(kept > 10)
        #expect(Array(lines.prefix(kept)) == (0..<kept).map { "line \($0)" })
        #expect(lines[kept].contains("\(100 - kept) log records"))
        #expect(lines[kept].contains("file too large"))
        #expect(lines[kept + 1] == "after")
    }

    /// Records are whole whenever another process looks, and none is lost to a follower, while files rotate under load.
    @Test func followerSeesEveryLineAcrossRotations() throws {
        let directory = scratch.directory
        let child = forkChild {
            let log = LogWriter(directory: directory.fd, LogConfiguration(maximumSize: 300_000, maximumFiles: 5))
            for index in 0..<20_000 {
                put(log, "line \(index) \(String(repeating: "x", count: index % 50))\n")
                // Not faster than a reader that has four files of grace.
                if index % 2000 == 1999 { usleep(20_000) }
            }
            return 0
        }
        var reader = try LogReader(directory: scratch.path)
        var next = 0
        var ended = false
        while true {
            _ = try reader.readAvailable { record in
                let text = String(decoding: record.text, as: UTF8.self)
                if text != "line \(next) \(String(repeating: "x", count: next % 50))" {
                    Issue.record("got \(text), expected line \(next)")
                    return false
                }
                next += 1
                return true
            }
            if ended { break }
            ended = ((try? waitForProcess(child, options: WNOHANG)) ?? nil) != nil
        }
        #expect(next == 20_000)
        #expect(FD.cwd.exists(scratch.path + "/container.log.1"))
    }
}
