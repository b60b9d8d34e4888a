import Glibc
import Linux
import Testing

@testable import Control

@Suite struct EventTests {
    let scratch: Scratch
    init() throws { scratch = try Scratch() }

    var path: String { scratch.path + "/events/log" }

    func event(_ action: String, _ time: Int64, _ attributes: [String: String] = [:]) -> Event {
        Event("container", action, actor: "c1", attributes, time: time)
    }

    func actions(_ log: EventLog, _ options: EventReader.Options = .init(follows: false)) throws -> [String] {
        var reader = try EventReader(log, options)
        var found: [String] = []
        try reader.read { event in
            found.append(event.action)
            return true
        }
        return found
    }

    @Test func dockersDocument() {
        let made = Event.container(
            "die", id: "ab", name: "web", image: "busybox", labels: ["l": "v"], Event.end(exitCode: 3, duration: 2_500_000_000))
        var event = made
        event.time = 1_700_000_000_123_456_789
        #expect(
            String(decoding: event.encoded(), as: UTF8.self)
                == #"{"status":"die","id":"ab","from":"busybox","Type":"container","Action":"die","Actor":{"ID":"ab","Attributes":"#
                + #"{"execDuration":"2","exitCode":"3","image":"busybox","l":"v","name":"web"}},"scope":"local","time":1700000000,"#
                + #""timeNano":1700000000123456789}"#)
        let network = Event("network", "connect", actor: "n", ["container": "c"], time: 5_000_000_001)
        #expect(
            String(decoding: network.encoded(), as: UTF8.self)
                == #"{"Type":"network","Action":"connect","Actor":{"ID":"n","Attributes":{"container":"c"}},"scope":"local","time":5,"#
                + #""timeNano":5000000001}"#)
        #expect(Event(line: event.encoded()) == event && Event(line: network.encoded()) == network)
    }

    @Test(arguments: [
        "", "{", "null", "[]", "x", #"{"Type":"container"}"#, #"{"Type":"container","Action":"die","timeNano":-1}"#,
        #"{"Type":1,"Action":"die","timeNano":5}"#, #"{"Type":"container","Action":"die","timeNano":99999999999999999999}"#,
    ])
    func whatIsNoEvent(_ text: String) { #expect(Event(line: Array(text.utf8)) == nil) }

    @Test func anEventOfALaterVersionIsRead() throws {
        let text = #"{"Type":"pod","Action":"grow","Actor":{"ID":"p","Attributes":{"a":"b"},"x":[1]},"timeNano":7,"new":{"y":null}}"#
        let event = try #require(Event(line: Array(text.utf8)))
        #expect(event.type == "pod" && event.actor == "p" && event.attributes == ["a": "b"] && event.time == 7)
    }

    @Test func manyLabelsLeaveTheUsualOnes() throws {
        var labels: [String: String] = [:]
        for number in 0..<2000 { labels["label\(number)"] = String(repeating: "x", count: 100) }
        let log = EventLog(store: scratch.path)
        log.append(.container("die", id: "ab", name: "web", image: "i", labels: labels, ["exitCode": "0"]))
        var reader = try EventReader(log, .init(follows: false))
        var found: [Event] = []
        try reader.read { event in
            found.append(event)
            return true
        }
        #expect(found.map(\.attributes) == [["exitCode": "0", "image": "i", "name": "web"]])
    }

    @Test func tornAndForeignLinesArePassedOver() throws {
        let log = EventLog(store: scratch.path)
        log.append(event("a", 1))
        let file = try FD.cwd.open(path, [.writeOnly, .append])
        try file.fd.writeAll("garbage\n\0\0\0\n{\"status\":\"torn\",\"Type\":\"conta")
        log.append(event("b", 2))
        try file.fd.writeAll("{\"half\":")
        #expect(try actions(log) == ["a", "b"])
    }

    @Test func orderOfTime() throws {
        let log = EventLog(store: scratch.path)
        for time in [5, 3, 4, 1, 2] as [Int64] { log.append(event("\(time)", time)) }
        #expect(try actions(log) == ["1", "2", "3", "4", "5"])
        #expect(try actions(log, .init(since: 2, until: 4, follows: false)) == ["2", "3", "4"])
        // In the past: it ends although it follows.
        #expect(try actions(log, .init(until: 3)) == ["1", "2", "3"])
    }

    @Test func withoutALogThereIsNothing() throws {
        #expect(try actions(EventLog(store: scratch.path)) == [])
        #expect(!FD.cwd.exists(scratch.path + "/events"))
    }

    @Test func rotationKeepsABound() throws {
        let log = EventLog(store: scratch.path, limit: 4096)
        for number in 1...500 { log.append(event("\(number)", Int64(number))) }
        var total = 0
        for index in 0...9 {
            let name = LogFiles.name(index, of: path)
            guard FD.cwd.exists(name) else { continue }
            #expect(index < Int(EventLog.maximumFiles))
            total += Int(try FD.cwd.status(of: name).st_size)
        }
        #expect(total > 8192 && total < 4 * 4400)
        let left = try actions(log).compactMap { Int($0) }
        #expect(left.last == 500 && left == Array((left.first ?? 0)...500))
    }

    @Test func askedForAnEnd() throws {
        let log = EventLog(store: scratch.path)
        log.append(event("die", 10))
        #expect(log.has("die", container: "c1", since: 10))
        #expect(!log.has("die", container: "c1", since: 11) && !log.has("die", container: "c2", since: 1))
    }

    @Test func aStoppedRotationHoldsNobodyUp() throws {
        let log = EventLog(store: scratch.path)
        log.append(event("a", 1))
        let holder = try FD.cwd.open(path, [.readWrite])
        #expect(try holder.fd.tryLock(.exclusive))
        let begin = monotonicNanoseconds()
        log.append(event("b", 2))
        #expect(monotonicNanoseconds() - begin < 1_000_000_000)
        #expect(try actions(log) == ["a", "b"])
    }

    @Test func aReadOnlyStoreIsNoFailure() throws {
        EventLog(store: "/proc/nothing").append(event("a", 1))
        EventLog(container: scratch.path + "/containers/abc").append(event("b", 1))
        #expect(try actions(EventLog(store: scratch.path)) == ["b"])
    }

    /// Each line once, in the order of each writer, while files are renamed away under all of them.
    @Test func noneIsLostAmongWritersAndRotations() throws {
        let log = EventLog(store: scratch.path, limit: 1 << 20)
        let (writers, each) = (4, 5000)
        let result = Collected()
        var reader = try EventReader(log, .init())
        var threads: [pthread_t] = []
        let begin = monotonicNanoseconds()
        for writer in 0..<writers {
            threads.append(
                startThread {
                    for number in 0..<each { log.append(Event("container", "\(number)", actor: "w\(writer)")) }
                })
        }
        try reader.read { event in
            result.add(event.actor, Int(event.action) ?? -1)
            return result.count < writers * each
        }
        let seconds = Double(monotonicNanoseconds() - begin) / 1e9
        for thread in threads { pthread_join(thread, nil) }
        for writer in 0..<writers { #expect(result.numbers["w\(writer)"] == Array(0..<each)) }
        print("events: \(Int(Double(writers * each) / seconds)) a second")
    }
}

private final class Collected {
    var numbers: [String: [Int]] = [:]
    var count = 0
    func add(_ name: String, _ number: Int) {
        numbers[name, default: []].append(number)
        count += 1
    }
}

private final class Work {
    let body: () -> Void
    init(_ body: @escaping () -> Void) { self.body = body }
}

private func startThread(_ body: @escaping () -> Void) -> pthread_t {
    var thread = pthread_t()
    let work = Unmanaged.passRetained(Work(body))
    pthread_create(
        &thread, nil,
        { argument in
            if let argument { Unmanaged<Work>.fromOpaque(argument).takeRetainedValue().body() }
            return nil
        }, work.toOpaque())
    return thread
}
