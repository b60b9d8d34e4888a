import Engine
import Flags
import JSON
import Testing

@testable import CommandLine

@Suite struct CalledAsTests {
    @Test(arguments: [
        ("docker", CalledAs.docker), ("/usr/bin/docker", .docker), ("./podman", .podman), ("berth", .berth), ("", .berth),
        ("/opt/docker/berth", .berth), ("docker-compose", .berth), ("/", .berth),
    ]) func isReadFromTheLastPartOfThePath(_ path: String, _ name: CalledAs) {
        #expect(CalledAs(path: path) == name)
    }

    @Test func namesItselfInUsageAndRefusals() throws {
        let program = CommandTable { _, _ in 0 }.program(as: .docker)
        let topic = try #require(program.topic(["run"]))
        #expect(program.help(for: topic).hasPrefix("Usage:  docker run [OPTIONS] IMAGE"))
        #expect(program.version == "Docker version 28.3.0, build berth-\(BerthProgram.version)")
    }

    @Test func podmansRefusalsAreOneSentenceAndWhereHelpIs() throws {
        let program = CommandTable { _, _ in 0 }.program(as: .podman)
        func refusal(_ words: [String]) -> String? {
            if case .failure(let error) = program.parse(words) { return program.refusal(error) }
            return nil
        }
        #expect(refusal(["run", "--frob"]) == "Error: unknown flag: --frob\nSee 'podman run --help'\n")
        #expect(refusal(["frob"]) == "Error: unrecognized command `podman frob`\nTry 'podman --help' for more information\n")
        #expect(refusal(["rm"]) == "Error: 'podman rm' requires at least 1 argument\n")
    }

    @Test func onlyFailuresOfTheEngineAreTheDaemons() {
        let engines = CommandError(EngineError(.notFound, sentence: "no such container: x"))
        let own = CommandError("conflicting options")
        #expect(CalledAs.docker.line(engines) == "Error response from daemon: No such container: x")
        #expect(CalledAs.docker.line(own) == "conflicting options")
        #expect(CalledAs.docker.line(own, verb: .run) == "docker: conflicting options\n\nRun 'docker run --help' for more information")
        #expect(CalledAs.berth.line(engines) == "Error: no such container: x")
        #expect(CalledAs.podman.line(own) == "Error: conflicting options")
    }

    @Test func podmansStatusesSayMore() {
        let missing = CommandError("x", code: .notFound)
        #expect(CalledAs.podman.status(missing, verb: .rm) == 1)
        #expect(CalledAs.podman.status(missing, verb: .stop) == 125)
        #expect(CalledAs.podman.status(CommandError("x", code: .conflict), verb: .rmi) == 2)
        #expect(CalledAs.podman.status(CommandError("x", status: 126), verb: .run) == 126)
        #expect(CalledAs.docker.status(missing, verb: .stop) == 1)
    }

    @Test func yamlIsReadAsWhatItWas() {
        let value: JSONValue = .object([
            .init(key: "a", value: "plain text"), .init(key: "b", value: "12"), .init(key: "c", value: "true"), .init(key: "d", value: ""),
            .init(key: "e", value: "x: y"), .init(key: "f", value: .array(["one", "2"])), .init(key: "g", value: .object([])),
            .init(key: "h", value: .object([.init(key: "i", value: .null)])), .init(key: "j", value: "/a/b"),
            .init(key: "k", value: .int(3)),
        ])
        #expect(
            YAMLText.lines(value) == [
                "a: plain text", #"b: "12""#, #"c: "true""#, #"d: """#, #"e: "x: y""#, "f:", "- one", #"- "2""#, "g: {}", "h:",
                "  i: null", "j: /a/b", "k: 3",
            ])
    }
}
