import Linux
import Testing

@testable import Control

@Suite struct DocumentTests {
    static var full: SupervisionConfig {
        var config = SupervisionConfig(
            id: "ab12", name: "web \"1\"", bundle: "/b",
            rootfs: .overlay(
                OverlayPlan(
                    lower: ["/l/2", "/l:1"], upper: "/u", work: "/w", userXattr: true, volatile: true, idMapped: true)))
        config.terminal = true
        config.openStdin = true
        config.stdinOnce = true
        config.log = LogConfiguration(driver: .none, maximumSize: 0, maximumFiles: 1)
        config.restart = RestartPolicy(.onFailure, maximumRetries: 4)
        config.stopSignal = 2
        config.stopTimeoutSeconds = -1
        config.autoRemove = true
        config.initProcess = true
        config.ownUserNamespace = true
        config.systemdCgroup = true
        config.runtime = "runc"
        config.detachKeys = "ctrl-a"
        config.health = HealthPlan(
            command: ["/bin/sh", "-c", "true"], interval: 0, timeout: 2, startPeriod: 3, startInterval: 4, retries: 5)
        config.health?.onFailure = .restart
        config.health?.startup = HealthPlan.Startup(command: ["x"], interval: 1, timeout: 2, retries: 3, successes: 4)
        config.health?.maximumLogCount = 7
        config.health?.maximumLogSize = 0
        return config
    }

    @Test func configSurvives() throws {
        #expect(try SupervisionConfig.parse(Self.full.encoded()) == Self.full)
        let plain = SupervisionConfig(id: "x", name: "n", bundle: "/", rootfs: .directory("/r"))
        #expect(try SupervisionConfig.parse(plain.encoded()) == plain)
    }

    @Test func healthIsInDockersLayout() throws {
        let scratch = try Scratch()
        let record = HealthRecord(
            status: .unhealthy, failingStreak: 3,
            log: [HealthResult(start: 1_700_000_000_000_000_001, end: 1_700_000_001_000_000_002, exitCode: -1, output: "no\n\u{0}")])
        try record.save(scratch.fd, "health.json")
        #expect(try HealthRecord.load(scratch.fd, "health.json") == record)
        let text = String(decoding: try scratch.fd.readFile("health.json"), as: UTF8.self)
        #expect(
            text == #"{"Status":"unhealthy","FailingStreak":3,"Log":[{"Start":"2023-11-14T22:13:20.000000001Z","#
                + #""End":"2023-11-14T22:13:21.000000002Z","ExitCode":-1,"Output":"no\n\u0000"}]}"#)
        for damaged in ["", "{", #"{"Log":[1]}"#, #"{"Status":1}"#] {
            try scratch.fd.writeFile("health.json", Array(damaged.utf8))
            #expect(try HealthRecord.load(scratch.fd, "health.json") == nil)
        }
    }

    /// A plan that runs nothing is none: the supervisor must not try.
    @Test func aPlanWithoutACommandIsNone() throws {
        #expect(try SupervisionConfig.parse(Array(#"{"health":{"interval":1}}"#.utf8)).health == nil)
    }

    @Test func unknownMembersArePassedOver() throws {
        let text = #"{"id":"a","new":{"x":[1]},"rootfs":{"directory":"/r"},"restart":{"name":"sometimes"}}"#
        let config = try SupervisionConfig.parse(Array(text.utf8))
        #expect(config.id == "a")
        #expect(config.restart == .never)
    }

    @Test(arguments: [
        "", "{", "[]", #"{"rootfs":{}}"#, #"{"stopSignal":1.5}"#, #"{"log":{"driver":"gelf"}}"#, #"{"terminal":1}"#,
        #"{"log":{"maximumSize":-1}}"#,
    ])
    func damagedConfigThrows(_ text: String) {
        #expect(throws: ControlError.self) { try SupervisionConfig.parse(Array(text.utf8)) }
    }

    @Test func namesOfLogDrivers() {
        for name in ["local", "k8s-file", "cri"] { #expect(LogConfiguration.Driver(name) == .file) }
        #expect(LogConfiguration.Driver("none") == LogConfiguration.Driver.none)
        #expect(LogConfiguration.Driver("json-file") == .json)
        #expect(LogConfiguration.Driver("syslog") == .syslog)
        #expect(LogConfiguration.Driver("gelf") == nil)
    }

    @Test func exitRecordIsReplacedWhole() throws {
        let scratch = try Scratch()
        #expect(try ExitRecord.load(from: scratch.fd) == nil)
        let first = ExitRecord(exitCode: 1, bootID: "a")
        var second = ExitRecord(exitCode: 137, signal: 9, oomKilled: true, startedAt: 5, finishedAt: 6, bootID: "b")
        second.error = String(repeating: "x", count: 5000)
        try first.save(in: scratch.fd, durable: true)
        // A reader that has the old file keeps the old bytes: the new record is another file.
        let old = try FD.cwd.open(scratch.path + "/exit.json", .readOnly)
        try second.save(in: scratch.fd, durable: true)
        #expect(try ExitRecord.parse(old.fd.readAll()) == first)
        #expect(try ExitRecord.load(from: scratch.fd) == second)
        #expect(try directoryEntries(scratch.fd).map(\.name) == ["exit.json"])
    }

    @Test(arguments: ["", "{}", "{\"exitCode\":", "null", #"{"signal":1}"#, #"{"exitCode":"0"}"#])
    func damagedExitRecordIsNoSuccess(_ text: String) {
        #expect(throws: ControlError.self) { try ExitRecord.parse(Array(text.utf8)) }
    }
}
