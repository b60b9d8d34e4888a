import Testing

@testable import Dockerfile

@Suite struct StageGraphTests {
    private func graph(
        _ text: String, target: String = "", _ arguments: [String] = [], triggers: [Int: [String]] = [:], contexts: Set<String> = []
    ) throws -> StageGraph {
        let file = try Reading.file(text)
        var read: [Int: [StageCommand]] = [:]
        for (index, list) in triggers {
            read[index] = try list.map { try ParsedDockerfile.trigger($0, from: file.stages[index].range) }
        }
        return try StageGraph(
            file, try GlobalScope(file, Reading.options(arguments)), target: target, triggers: read, contexts: contexts)
    }

    private func refusal(_ text: String, target: String = "") -> String? {
        do {
            _ = try graph(text, target: target)
            return nil
        } catch { return (error as? Diagnostic)?.description ?? "\(error)" }
    }

    @Test func basesAreStagesOrImages() throws {
        let graph = try graph("FROM a AS x\nFROM x AS y\nFROM X\nFROM scratch\nFROM $TARGETOS-image")
        #expect(graph.nodes.map(\.base) == [.named("a"), .stage(0), .stage(0), .scratch, .named("linux-image")])
        #expect(graph.target == 4 && graph.needed == [4])
    }

    @Test func copyAndMountsMakeDependencies() throws {
        let graph = try graph(
            "FROM a AS x\nFROM b\nFROM c\nCOPY --from=X a b\nCOPY --from=1 c d\nCOPY --from=image:1 e f\n"
                + "RUN --mount=from=x,target=/a --mount=type=cache,target=/c,from=1 true\nCOPY g h")
        // A mount's number is no stage's.
        #expect(graph.nodes[2].dependencies == [.stage(0), .stage(1), .named("image:1"), .named("1")])
        #expect(graph.needed == [0, 1, 2])
    }

    @Test func onlyWhatTheTargetNeedsIsNeeded() throws {
        let text = "FROM a AS x\nFROM b AS unused\nFROM x AS y\nFROM c AS z\nCOPY --from=y d e"
        #expect(try graph(text).needed == [0, 2, 3])
        #expect(try graph(text, target: "Y").needed == [0, 2])
        #expect(try graph(text, target: "unused").needed == [1])
    }

    @Test func theLastStageOfANameBeforeIsMeant() throws {
        let graph = try graph("FROM a AS x\nFROM b AS x\nFROM x AS y\nFROM c AS x\nCOPY --from=x a b")
        #expect(graph.nodes[2].base == .stage(1))
        #expect(graph.nodes[3].dependencies == [.stage(1)])
        #expect(try self.graph("FROM a AS x\nFROM b AS x", target: "x").target == 1)
    }

    @Test(arguments: [
        ("FROM a AS x\nCOPY --from=x b c", "circular dependency detected on stage: x"),
        ("FROM a\nCOPY --from=0 b c", "circular dependency detected on stage: stage-0"),
        ("FROM a AS x\nCOPY --from=y b c\nFROM x AS y", "circular dependency detected on stage: x"),
        ("FROM a\nCOPY --from=7 b c", "invalid stage index 7"),
        (
            "FROM a AS x\nCOPY --from=y b c\nFROM d AS y\nFROM x",
            "cannot copy from stage \"y\", it needs to be defined before current stage \"x\""
        ),
        ("ARG v\nFROM $v", "base name ($v) should not be blank"), ("FROM a\nCOPY --from=-1 b c", "invalid stage index -1"),
    ])
    func impossibleOrdersAreRefused(text: String, message: String) { #expect(refusal(text) == message) }

    @Test func whatComesTooLateIsNoErrorWhereItIsNotNeeded() throws {
        #expect(try graph("FROM a AS x\nCOPY --from=y b c\nFROM d AS y").needed == [1])
    }

    @Test func unknownTargetsAreRefused() {
        #expect(refusal("FROM a AS build", target: "buidl") == "target stage \"buidl\" could not be found (did you mean build?)")
        #expect(refusal("FROM a AS build", target: "other") == "target stage \"other\" could not be found")
    }

    @Test func triggersComeFirst() throws {
        let graph = try graph(
            "FROM a AS x\nONBUILD ARG v\nONBUILD COPY --from=y a b\nRUN c\nFROM b AS y\nFROM x\nRUN d\nFROM x", triggers: [0: ["RUN image"]]
        )
        #expect(graph.nodes[0].commands.map(\.text) == ["RUN image", "ONBUILD ARG v", "ONBUILD COPY --from=y a b", "RUN c"])
        #expect(graph.nodes[2].commands.map(\.text) == ["ARG v", "COPY --from=y a b", "RUN d"])
        #expect(graph.nodes[2].commands.map(\.isTrigger) == [true, true, false])
        #expect(graph.nodes[2].dependencies == [.stage(1)])
        #expect(graph.nodes[3].commands.count == 2)
    }

    @Test func contextsStandForStagesOfTheirName() throws {
        let graph = try graph("FROM a AS base\nCOPY --from=gone a b\nFROM base\nCOPY --from=base c d", contexts: ["base"])
        #expect(graph.nodes[0].isReplaced && graph.nodes[0].base == .named("base") && graph.nodes[0].commands.isEmpty)
        #expect(graph.nodes[1].base == .stage(0))
        #expect(graph.needed == [0, 1])
    }

    @Test func longChainsAreNoTrouble() throws {
        let stages = (1..<5000).map { "FROM s\($0 - 1) AS s\($0)" }
        let graph = try graph("FROM a AS s0\n" + stages.joined(separator: "\n"))
        #expect(graph.needed.count == 5000)
    }
}
