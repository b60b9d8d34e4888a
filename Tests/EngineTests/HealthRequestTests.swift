import Control
import JSON
import OCI
import Testing

@testable import Engine

/// Flags and image joined, as Docker joins them.
struct HealthRequestTests {
    private func completed(
        _ image: Healthcheck?, shell: [String] = [], _ change: (inout HealthRequest) -> Void = { _ in }
    ) throws -> HealthRequest {
        var request = HealthRequest()
        change(&request)
        return try request.completed(ContainerConfig(healthcheck: image, shell: shell))
    }

    @Test func theImagesIsInheritedPieceByPiece() throws {
        let image = Healthcheck(
            test: ["CMD", "/probe", "-q"], interval: 1_000_000, timeout: 2_000_000, startPeriod: 3_000_000, startInterval: 4_000_000,
            retries: 5)
        #expect(try completed(image).check == image)
        let other = try completed(image) { $0.check = Healthcheck(test: ["CMD-SHELL", "x"], timeout: 9_000_000) }
        #expect(
            other.check
                == Healthcheck(
                    test: ["CMD-SHELL", "x"], interval: 1_000_000, timeout: 9_000_000, startPeriod: 3_000_000, startInterval: 4_000_000,
                    retries: 5))
        let plan = try #require(try completed(image) { $0.check = Healthcheck(retries: 1) }.plan())
        #expect(plan.command == ["/probe", "-q"] && plan.interval == 1_000_000 && plan.startPeriod == 3_000_000 && plan.retries == 1)
        #expect(try completed(image) { $0.check = Healthcheck(test: ["NONE"]) }.plan() == nil)
    }

    @Test func defaultsAreDockers() throws {
        let plan = try #require(try completed(nil) { $0.check = Healthcheck(test: ["CMD-SHELL", "test -f /x"]) }.plan())
        let second: Int64 = 1_000_000_000
        #expect(
            plan
                == HealthPlan(
                    command: ["/bin/sh", "-c", "test -f /x"], interval: 30 * second, timeout: 30 * second, startPeriod: 0,
                    startInterval: 5 * second, retries: 3))
        #expect(plan.maximumLogCount == 5 && plan.maximumLogSize == 4096)
    }

    @Test func theImagesShellRunsCommandLines() throws {
        let image = Healthcheck(test: ["CMD-SHELL", "x y"])
        #expect(try completed(image, shell: ["/bin/bash", "-ec"]).plan()?.command == ["/bin/bash", "-ec", "x y"])
        #expect(try completed(Healthcheck(test: ["CMD", "x"]), shell: ["/bin/bash"]).plan()?.command == ["x"])
    }

    /// Nothing that an image asks for stops a container but what Docker refuses.
    @Test(arguments: [
        Healthcheck(test: ["NONE"]), Healthcheck(), Healthcheck(test: ["CMD"]), Healthcheck(test: ["SOMETHING", "x"]),
        Healthcheck(interval: 5_000_000),
    ]) func whatRunsNothingIsNoProbe(_ check: Healthcheck) throws {
        let request = try completed(check)
        #expect(request.plan() == nil && !request.hasProbe)
    }

    @Test func hugeTimesDoNotOverflow() throws {
        let plan = try #require(
            try completed(
                Healthcheck(test: ["CMD", "x"], interval: .max, timeout: .max, startPeriod: .max, startInterval: .max, retries: .max)
            ).plan())
        for value in [plan.interval, plan.timeout, plan.startPeriod, plan.startInterval] { #expect(value < Int64.max / 2) }
    }

    @Test(arguments: [
        (Healthcheck(interval: 999_999), "Interval in Healthcheck cannot be less than 1ms"),
        (Healthcheck(interval: -1), "Interval in Healthcheck cannot be less than 1ms"),
        (Healthcheck(timeout: 1), "Timeout in Healthcheck cannot be less than 1ms"),
        (Healthcheck(startPeriod: 1), "StartPeriod in Healthcheck cannot be less than 1ms"),
        (Healthcheck(startInterval: 1), "StartInterval in Healthcheck cannot be less than 1ms"),
        (Healthcheck(retries: -1), "Retries in Healthcheck cannot be negative"),
        (Healthcheck(test: ["CMD", "a\u{0}b"]), "an argument of the health check holds a NUL byte"),
    ]) func badValuesAreRefusedInDockersWords(_ check: Healthcheck, _ sentence: String) throws {
        let error = #expect(throws: EngineError.self) { try completed(check) }
        #expect(error?.description == sentence)
    }

    @Test func whatNeedsAProbeIsRefusedWithoutOne() throws {
        for change: (inout HealthRequest) -> Void in [
            { $0.onFailure = .kill }, { $0.startup = HealthRequest.Startup(test: ["CMD-SHELL", "x"]) },
            {
                $0.check = Healthcheck(test: ["NONE"]); $0.onFailure = .stop
            },
        ] { #expect(throws: EngineError.self) { try completed(nil, change) } }
    }

    @Test(arguments: [
        ("true", ["CMD-SHELL", "true"]), ("[ -f /x ]", ["CMD-SHELL", "[ -f /x ]"]), ("none", ["NONE"]),
        (#"["a","b c"]"#, ["CMD", "a", "b c"]),
        (#"["a b"]"#, ["CMD-SHELL", "a b"]), (#"["CMD","a"]"#, ["CMD", "a"]), (#"["CMD-SHELL","a | b"]"#, ["CMD-SHELL", "a | b"]),
        (#"["NONE"]"#, ["NONE"]), (#"["a",1]"#, ["CMD-SHELL", #"["a",1]"#]),
    ]) func commandsAreDockersOrPodmans(_ text: String, _ test: [String]) throws {
        #expect(try HealthOption.test(text) == test)
    }

    @Test(arguments: ["[]", #"[""]"#, #"["CMD"]"#]) func emptyCommandsAreRefused(_ text: String) {
        #expect(throws: EngineError.self) { try HealthOption.test(text) }
    }

    @Test func theDefinitionKeepsAll() throws {
        var definition = ContainerDefinition(id: "i", name: "n")
        var health = HealthRequest()
        health.check = Healthcheck(test: ["CMD", "x"], interval: 1, timeout: 2, startPeriod: 3, startInterval: 4, retries: 5)
        health.shell = ["/bin/sh"]
        health.isManual = true
        health.onFailure = .restart
        health.startup = HealthRequest.Startup(test: ["CMD-SHELL", "y"])
        health.startup?.retries = 2
        health.maximumLogCount = 0
        health.maximumLogSize = 17
        definition.health = health
        #expect(try ContainerDefinition(decoding: definition.encode()).health == health)
        #expect(try ContainerDefinition(decoding: ContainerDefinition(id: "i", name: "n").encode()).health == nil)
    }

    @Test func conditionsOfWait() throws {
        #expect(try WaitCondition(option: "stopped") == .notRunning)
        #expect(try WaitCondition(option: "healthy") == .healthy)
        let error = #expect(throws: EngineError.self) { try WaitCondition(option: "foo") }
        #expect(error?.description == "unknown container state: foo: invalid argument")
    }
}
